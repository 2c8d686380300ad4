"""
A resonance from a file to a limit
==================================

A file of events, a mass with perhaps a resonance in it, and no idea what it decays to. How does one
get from there to a p-value, to what was found, and to a limit on a signal of one's own?
"""

# %%
# The file
# --------
# Events as an experiment might store them: momenta, masses and substructure of two jets, in
# Parquet. ROOT, HDF5, CSV and NumPy files are read the same way. The tutorial writes the file
# itself; a resonance of 3.5 TeV is hidden in it.

import warnings
from tempfile import TemporaryDirectory

from sklearn.ensemble import HistGradientBoostingClassifier

from skad.coordinates import DijetCoordinates
from skad.datasets import load_dijets
from skad.density import FlowDensity
from skad.exceptions import FiducialWarning
from skad.inspection import most_signal_like
from skad.io import read_events, write_events
from skad.plotting import BumpHuntDisplay, LimitDisplay
from skad.resonant import LaCATHODE, TemplateDetector
from skad.search import BumpHunt, fit_resonance, upper_limit

dijets = load_dijets(n_background=60_000, n_signal=250, random_state=0, as_frame=True)
folder = TemporaryDirectory()
write_events(dijets.data, f"{folder.name}/events.parquet")
events = read_events(f"{folder.name}/events.parquet")
events.head(3).round(1)

# %%
# The features
# ------------
# What detectors see are observables of the event: the mass of both jets together, in which the
# resonance is looked for, then jet masses and substructure.

coordinates = DijetCoordinates().set_output(transform="pandas").fit(events)
X = coordinates.transform(events)
X.head(3).round(3)

# %%
# The search
# ----------
# In every window a detector is trained by itself, here LaCATHODE: a flow learns the sidebands, and
# a classifier compares the window with it. Every event is scored by a detector that has not seen
# it, the most anomalous per cent is kept, and the smooth spectrum beside the window says what to
# expect.

# One event in a thousand lies where the sidebands have none; that is no matter here.
warnings.simplefilter("ignore", FiducialWarning)
hunt = BumpHunt(
    TemplateDetector(
        LaCATHODE(FlowDensity(max_epochs=3, batch_size=2048)),
        HistGradientBoostingClassifier(max_iter=50),
        cv=None,
    ),
    [(3.3, 3.7), (3.7, 4.1)],  # TeV
    efficiencies=(1.0, 0.01),
    background="sideband",
    n_folds=2,
    random_state=0,
).fit(X)
columns = ["low", "high", "efficiency", "n_observed", "background", "z_local", "trusted"]
hunt.results_[columns].round(2)

# %%
# The significance of the whole search counts every window and cut that was tried and is trusted.

print(f"global p = {hunt.p_global_:.1e}, {hunt.z_global_:.1f} standard deviations")
BumpHuntDisplay.from_estimator(hunt, before=True, feature_name=r"$m_{jj}$ [TeV]")

# %%
# What was found?
# ---------------
# A peak on the smooth spectrum of the events that pass, and the events that look most like it.

row = hunt.results_.loc[hunt.best_]
mass = X["mjj"][hunt.selected_[hunt.best_]]
peak = fit_resonance(mass, (row["low"], row["high"]))
print(f"mass {peak.mass:.3f} +- {peak.errors[1]:.3f} TeV")
most_signal_like(hunt, X).head(5).round(3)

# %%
# How much signal can there be?
# -----------------------------
# Had nothing been found, how many events of a signal could have hidden? The search is repeated on
# data without the resonance. Then simulated events of a signal are injected at several strengths,
# and for each of them the whole search is made again, because a detector that learns from the data
# finds little of a weak signal and more of a strong one.

without = (
    BumpHunt(**hunt.get_params(deep=False))
    .set_params(windows=[(3.3, 3.7)], efficiencies=(0.01,))
    .fit(X[dijets.target == 0])
)
signal = coordinates.transform(dijets.test_data[dijets.test_target == 1])[:3000]
limit = upper_limit(without, signal, [80, 160, 320], n_refits=2, into="data", random_state=0)
print(f"at most {limit.observed:.0f} events of this signal (95 % CLs), ", end="")
print(f"expected without any: {limit.expected[2]:.0f}")
LimitDisplay.from_limit(limit.limits[limit.best], xlabel="Signal events")
