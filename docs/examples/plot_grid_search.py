"""
Choosing coordinates, architecture and seed without truth labels
================================================================

A real search has no labels to choose by. How much is lost when a grid search over coordinates,
network and seed is steered by scores that need no truth, instead of by the significance
improvement? One `GridSearchCV` measures all of them at once.
"""

# %%
# A weakly supervised search on simulated dijets
# ----------------------------------------------
# Events of the signal region (y = 1) against a sideband (y = 0); the truth is routed to the scorers
# that want it and never reaches a fit.

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

from skad.coordinates import DijetCoordinates, LogitTransformer, LogTransformer
from skad.datasets import load_dijets
from skad.detectors import CWoLaDetector, NetworkClassifier
from skad.metrics import anomaly_scorers

dijets = load_dijets(n_background=40_000, n_signal=400, random_state=0, as_frame=True)
events = np.asarray(DijetCoordinates().fit_transform(dijets.data))
truth = np.asarray(dijets.target)
m, X = events[:, 0], events[:, 1:]
# Logarithms need positive values: jets of one particle have no mass. The logit learns its bounds
# from the training folds, with half their range to spare for the events of the test fold.
good = (X > 1e-6).all(axis=1)
signal_region = (m > 3.3) & (m < 3.7)
sideband = ((m > 3.1) & (m < 3.3)) | ((m > 3.7) & (m < 3.9))
rows = good & (signal_region | sideband)
X, y, truth = X[rows], signal_region[rows].astype(int), truth[rows]
print(f"{len(X)} events, {truth[y == 1].sum()} of signal in {y.sum()} of the signal region")

# %%
# The grid
# --------

pipeline = Pipeline([("frame", None), ("detector", CWoLaDetector(NetworkClassifier(), cv=None))])
grid = {
    "frame": [None, LogTransformer(), LogitTransformer(margin=0.5)],
    "detector__classifier__hidden_layer_sizes": [(16,), (64, 64)],
    "detector__random_state": [0, 1],
}
scoring = anomaly_scorers(
    {
        "max_sic": {"min_background_events": 10},
        "roc_auc_anomaly": {},
        "argos": {"background": "reference"},
        "overlap": {"fraction": 0.05, "random_state": 0},
    }
)
pipeline.set_params(detector__classifier__max_epochs=5)

with config_context(enable_metadata_routing=True):
    search = GridSearchCV(
        pipeline,
        grid,
        scoring=scoring,
        refit=False,
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
    ).fit(X, y, truth=truth)

# %%
# What the choice without truth loses
# -----------------------------------

results = pd.DataFrame(search.cv_results_)
loss = []
for name in ("max_sic", "argos", "overlap"):
    chosen = results.loc[results[f"mean_test_{name}"].idxmax()]
    loss.append(
        {
            "chosen by": name,
            "frame": chosen["param_frame"],
            "network": chosen["param_detector__classifier__hidden_layer_sizes"],
            "max SIC": chosen["mean_test_max_sic"],
            "AUC": chosen["mean_test_roc_auc_anomaly"],
        }
    )
print(pd.DataFrame(loss).to_string(index=False))
print(f"median of the grid: max SIC {results['mean_test_max_sic'].median():.2f}")
