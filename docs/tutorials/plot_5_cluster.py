"""
On a cluster
============

What does a search claim where nothing is? Only hundreds of searches without a signal can tell. How
are they spread over machines, and what if some of the machines fail?
"""

# %%
# A search
# --------
# A light detector on invented events, so that the tutorial is short. Nothing below depends on it.

from tempfile import TemporaryDirectory

import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import norm
from sklearn.naive_bayes import GaussianNB

from skad.datasets import make_resonance
from skad.resonant import Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt, collect, missing_tasks, plan_experiments, run_task

region = SignalRegion(3.3, 3.7, sideband_width=0.4)  # TeV
X = make_resonance(8000, 40, n_features=2, random_state=0).data
hunt = BumpHunt(
    TemplateDetector(Sidebands(region), GaussianNB(), cv=None),
    [region],
    efficiencies=(0.1,),
    random_state=0,
).fit(X)
print(f"p = {hunt.results_['p_local'].iloc[0]:.2g}")

# %%
# A plan
# ------
# The plan lists independent tasks, here of 15 searches each, on events without signal that are made
# of the data. On a farm each task is one job: ``skad run null/plan.json --task 17``. A task gives
# the same numbers wherever and however often it runs.

folder = TemporaryDirectory()
plan = plan_experiments(hunt, 120, folder=folder.name, n_tasks=8)

# %%
# Machines fail
# -------------
# Suppose that three tasks never came back.

for task in (0, 1, 3, 4, 6):
    run_task(plan, task)
print("missing:", missing_tasks(plan))

# %%
# They are run again, on another machine if need be, and everything is put together. What was
# finished is not computed twice.

for task in missing_tasks(plan):
    run_task(plan, task)
null = collect(plan)
print(f"{len(null)} searches")

# %%
# What the search claims where nothing is
# ---------------------------------------
# If its errors are right, the significances are those of a standard normal. A wider distribution
# says by how much a claim must be corrected, which ``SignificanceCalibration`` does.

z = null["z_local"]
print(f"mean {z.mean():.2f} +- {z.std() / np.sqrt(len(z)):.2f}, width {z.std():.2f}")
figure, ax = plt.subplots(layout="constrained")
ax.hist(z, np.linspace(-4, 4, 25), density=True, color="0.8", label="searches without signal")
grid = np.linspace(-4, 4, 200)
ax.plot(grid, norm.pdf(grid), label="standard normal")
ax.axvline(hunt.results_["z_local"].iloc[0], color="C3", label="the data")
ax.set(xlabel="local significance z", ylabel="searches, normalised")
ax.legend()

# %%
# The guide has recipes for Slurm, HTCondor, Snakemake, law and dask. In a settings file,
# ``skad plan search.toml -o null --tasks 100`` writes the plan.
