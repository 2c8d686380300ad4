"""
Rare in which coordinates?
==========================

Do the rarest events of a density stay the rarest when the same events are described in other
coordinates? The Gaussian case of arXiv:2209.06225 answers it: background N(0, 1) and signal
N(1, 1) in two features, seen in x, in its distribution function Phi(x) and in tanh(x + 2).
"""

# %%
# The frames and the exact optimum
# --------------------------------
# A density finds the signal in x, says nothing in Phi(x), where the background is flat, and calls
# the signal the most ordinary of all in tanh(x + 2). The likelihood ratio is the same in all three.

import numpy as np
from sklearn.mixture import GaussianMixture

from skad import papers
from skad.datasets import make_gaussian_anomaly
from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, CWoLaDetector, TreeEnsembleClassifier
from skad.inspection import coordinate_study, frame_overlap
from skad.plotting import (
    CoordinateStudyDisplay,
    FrameDisplay,
    FrameHistogramDisplay,
    ROCDisplay,
)

frames = papers.coordinate_frames()
for frame, name in zip(frames, ("identity", "cdf", "tanh"), strict=True):
    toy = make_gaussian_anomaly(coordinates=name, random_state=0)
    print(f"{frame:10s} density {toy.auc_density:.3f}  ratio {toy.auc_likelihood_ratio:.3f}")
toy = make_gaussian_anomaly(20_000, 20_000, random_state=0)
FrameHistogramDisplay.from_frames(frames, toy.data, toy.target)

# %%
# Detectors fitted in every frame
# -------------------------------
# Density and autoencoder see a reference of background only; CWoLa sees it against a mixed sample
# with 10 % signal. Only the metrics read the truth.

n = 5000
X, truth = make_gaussian_anomaly(2 * n, n // 10, random_state=0, return_X_y=True)
mixed = (np.arange(len(X)) >= n).astype(int)
T, test_truth = make_gaussian_anomaly(n, n, random_state=1, return_X_y=True)
study = coordinate_study(
    {
        "autoencoder": AutoencoderDetector(max_epochs=20),
        "flow": FlowDensity(max_epochs=15),
        "CWoLa": CWoLaDetector(TreeEnsembleClassifier(5, n_forest_trees=50), cv=2),
    },
    frames,
    X,
    truth,
    fit_y=mixed,
    fit_on=mixed == 0,
    X_test=T,
    y_test=test_truth,
    n_seeds=2,
    random_state=0,
    keep_scores=True,
)
print(study.pivot_table(index="detector", columns="frame", values="roc_auc").round(3))
CoordinateStudyDisplay.from_study(study)

# %%
# The study kept its scores, so its curves need no further fit.

ROCDisplay.from_study(study[study["detector"] == "flow"])

# %%
# One density, many frames, no refit
# ----------------------------------
# The Jacobian alone moves a density from frame to frame. The 1 % rarest events hardly overlap.

density = GaussianMixture(random_state=0).fit(X[mixed == 0])
overlap = frame_overlap(density, frames, T[test_truth == 0])
print(overlap.shared.round(2))
print(overlap.jaccard.round(2))
FrameDisplay.from_overlap(overlap)
FrameHistogramDisplay.from_overlap(overlap, log=True)
