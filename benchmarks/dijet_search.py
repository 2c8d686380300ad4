"""The events that the studies of resonant searches share: simulated dijets with injected signal.

Of 500 000 background events 300 000 play the data (about 41 500 in the signal region), the others
are for tests and, in turn, the reference of the idealised and the supervised baseline. Every seed
draws another partition and another injected signal.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold

from skad.coordinates import DijetCoordinates
from skad.metrics import max_significance_improvement, significance_improvement_at
from skad.resonant import SignalRegion

__all__ = [
    "REGION",
    "Search",
    "make_search",
    "performance",
    "score_parts",
    "score_with_reference",
]

REGION = SignalRegion(3.3, 3.7)
FEATURES = ("mjj", "mj1", "delta_mj", "tau21_j1", "tau21_j2")
SHIFT = 0.1


@dataclass
class Search:
    """One search: events in TeV, the resonant feature in column 0.

    `X`, `truth` are the data with the injected signal; `simulation` another simulation of the
    background; `background`, `signal` events of the signal region that the data do not hold;
    `signal_train` signal events for a supervised classifier, apart from both.
    """

    X: np.ndarray
    truth: np.ndarray
    simulation: np.ndarray
    background: np.ndarray
    signal: np.ndarray
    signal_train: np.ndarray

    @property
    def test(self):
        """Test events of the signal region and their truth."""
        events = np.concatenate([self.background, self.signal])
        return events, np.repeat([0, 1], [len(self.background), len(self.signal)])


def make_search(
    folder, seed, *, signal_fraction=0.006, shifted=False, features=FEATURES, n_data=300_000
):
    """Draw one search; `signal_fraction` is S/B in the signal region."""
    coordinates = DijetCoordinates(features=features)
    background, simulation, signal = (
        np.asarray(coordinates.fit_transform(pd.read_parquet(Path(folder) / f"{name}.parquet")))
        for name in ("background", "simulation", "signal")
    )
    if shifted:
        for events in (background, simulation, signal):
            for name in ("mj1", "mj2"):
                if name in features:
                    events[:, features.index(name)] += SHIFT * events[:, 0]
    rng = np.random.RandomState(seed)
    background = background[rng.permutation(len(background))]
    signal = signal[rng.permutation(len(signal))]
    data, rest = background[:n_data], background[n_data:]
    inside = REGION.mask(signal)
    n_inside = round(signal_fraction * REGION.mask(data).sum())
    # The signal is injected with its own spectrum, tails included.
    n_signal = int(np.searchsorted(np.cumsum(inside), n_inside)) + 1 if n_inside else 0
    X = np.concatenate([data, signal[:n_signal]])
    truth = np.repeat([0, 1], [len(data), n_signal])
    order = rng.permutation(len(X))
    test_signal = signal[10_000:][inside[10_000:]]
    half = len(test_signal) // 2
    return Search(
        X[order],
        truth[order],
        simulation,
        rest[REGION.mask(rest)],
        test_signal[:half],
        test_signal[half:],
    )


def score_with_reference(detector, search, seed, *, supervised=False, n_folds=5):
    """Score the test events by a detector with a true reference, which the test events must not be.

    Returns the scores of `search.test`: of each fifth of its background from a detector with the
    other fifths as reference, of its signal the mean of all.
    """
    scores, signal = np.empty(len(search.background)), []
    target = search.signal_train if supervised else search.X[REGION.mask(search.X)]
    folds = KFold(n_folds, shuffle=True, random_state=seed).split(search.background)
    for rest, left_out in folds:
        X = np.concatenate([target, search.background[rest]])
        y = np.repeat([1, 0], [len(target), len(rest)])
        detector.set_params(random_state=seed).fit(X, y)
        scores[left_out] = detector.anomaly_score(search.background[left_out])
        signal.append(detector.anomaly_score(search.signal))
    return np.concatenate([scores, np.mean(signal, axis=0)])


def score_parts(classifier, parts_of, search, seed, n_folds):
    """Score the test events by parts of a classifier with a true reference, as above.

    ``parts_of(classifier, events)`` returns a dict of scores; so does this function, of
    `search.test`.
    """
    data = search.X[REGION.mask(search.X)][:, 1:]
    background, signal = search.background[:, 1:], search.signal[:, 1:]
    of_background, of_signal = {}, {}
    for rest, left_out in KFold(n_folds, shuffle=True, random_state=seed).split(background):
        X = np.concatenate([data, background[rest]])
        y = np.repeat([1, 0], [len(data), len(rest)])
        classifier.set_params(random_state=seed).fit(X, y)
        for part, scores in parts_of(classifier, background[left_out]).items():
            of_background.setdefault(part, np.empty(len(background)))[left_out] = scores
        for part, scores in parts_of(classifier, signal).items():
            of_signal.setdefault(part, []).append(scores)
    return {
        part: np.concatenate([of_background[part], np.mean(of_signal[part], axis=0)])
        for part in of_background
    }


def performance(truth, scores):
    """AUC, max SIC with at least 25 background events, SIC at rejection 1e3."""
    return {
        "auc": float(roc_auc_score(truth, scores)),
        "max_sic": float(max_significance_improvement(truth, scores, min_background_events=25)),
        "sic_at_1e3": float(significance_improvement_at(truth, scores, rejection=1e3)),
    }
