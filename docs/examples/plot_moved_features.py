"""
Why is my excess not trusted, and what helps?
=============================================

A classifier that looks for a window learns how features move with the mass. Its cut then passes
more events at some masses than at others, and a bump in what is left says little. Events that are
moved to one mass before they are classified do not have this problem. Simulated dijets, with and
without.
"""

# %%
# The events
# ----------
# A resonance of 3.5 TeV hides in 60 000 dijets; nobody tells the search.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.ensemble import HistGradientBoostingClassifier

from skad.coordinates import DijetCoordinates
from skad.datasets import load_dijets
from skad.plotting import BumpHuntDisplay
from skad.resonant import QuantileDecorrelator, Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt

dijets = load_dijets(n_background=60_000, n_signal=300, random_state=0, as_frame=True)
X = DijetCoordinates().set_output(transform="pandas").fit_transform(dijets.data)  # in TeV
region = SignalRegion(3.3, 3.7)

# %%
# Features that move
# ------------------
# The masses of the jets grow with that of the dijet. `QuantileDecorrelator` reads off, beside the
# window, how the quantiles of every feature and their correlations follow the mass, and moves every
# event to the center of the window. The median of background is then the same everywhere; the
# number of knots says how curved the dependence is, 1 that there is none.

moved = QuantileDecorrelator(region, resonance="mjj").set_output(transform="pandas").fit(X)
for name, knots in zip(X.columns.drop("mjj"), moved.n_knots_[:-1], strict=True):
    print(f"{name}: {knots} knots")
figure, ax = plt.subplots(layout="constrained")
edges = np.quantile(X["mjj"], np.linspace(0, 1, 13))
centers = 0.5 * (edges[1:] + edges[:-1])
for label, events in (("as they are", X), ("moved", moved.transform(X))):
    medians = events["mj1"].groupby(np.digitize(X["mjj"], edges[1:-1])).median()
    ax.plot(centers, medians, "o-", label=label)
ax.set(xlabel="dijet mass [TeV]", ylabel="median mass of the lighter jet [TeV]", xscale="log")
ax.legend()

# %%
# The same search twice
# ---------------------
# CWoLa hunting compares the window with what lies within its width beside it. Without the
# decorrelator the cut sculpts the spectrum of the sidebands, and the search says so: whatever the
# row claims, it does not count. With it the row can be trusted.

for decorrelator in (None, QuantileDecorrelator()):
    detector = TemplateDetector(
        Sidebands(reach=1.0), HistGradientBoostingClassifier(), cv=None, decorrelator=decorrelator
    )
    hunt = BumpHunt(
        detector, [region], efficiencies=(0.1, 0.01), resonance="mjj", n_folds=3, random_state=0
    ).fit(X)
    columns = ["efficiency", "n_observed", "background", "z_local", "sculpting_p", "trusted"]
    print(hunt.results_[columns].round(3).to_string(index=False))

# %%
# The spectrum after the cut at 1 %
# ---------------------------------

BumpHuntDisplay.from_estimator(hunt, before=True, feature_name="dijet mass [TeV]")
