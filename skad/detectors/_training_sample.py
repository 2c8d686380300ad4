"""What a weakly supervised detector trains its classifier on."""

from dataclasses import dataclass

import numpy as np

__all__ = ["TrainingSample"]


@dataclass(frozen=True)
class TrainingSample:
    """Events of a weakly supervised training, as `CWoLaDetector.training_sample` returns them.

    Attributes
    ----------
    classifier : estimator
        Unfitted.
    cv : int, splitter or None
        Folds of the detector.
    X : ndarray of float64, shape (n_events, n_features)
        Features that the classifier sees.
    y : ndarray of int, shape (n_events,)
        1 = data or mixed, 0 = template or reference.
    sample_weight : ndarray of float64, shape (n_events,), or None
        None where all are equal.
    """

    classifier: object
    cv: object
    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None
