"""The events that the studies of resonant searches share: simulated dijets with injected signal.

Three fifths of the background events play the data, the others are for tests and, in turn, the
reference of the idealised and the supervised baseline; of 500 000 events, 300 000 with about 41 500
in the signal region. Every seed draws another partition and another injected signal.
"""

from dataclasses import dataclass

import numpy as np
from samples import FEATURES, REGION, read_dijets
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold

from skad.coordinates import DijetCoordinates, ShearTransformer
from skad.metrics import max_significance_improvement, significance_improvement_at

__all__ = [
    "REGION",
    "Search",
    "make_search",
    "performance",
    "score_parts",
    "score_with_reference",
]

# arXiv:2001.04990, equation 5.1: 0.1 mjj on both jet masses, so not on their difference.
SHIFT = 0.1
QUICK = 10_000


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
    folder,
    seed,
    *,
    signal_fraction=0.006,
    shifted=False,
    features=FEATURES,
    n_data=None,
    quick=False,
):
    """Draw one search; `signal_fraction` is S/B in the signal region.

    `folder` as in `samples.read_dijets`; `n_data` events play the data, by default three fifths;
    `quick` takes a few thousand of each sample.
    """
    coordinates = DijetCoordinates(features=features)
    background, simulation, signal = (
        np.asarray(coordinates.fit_transform(table[: QUICK if quick else None]))
        for table in read_dijets(folder)
    )
    if shifted:
        masses = [features.index(name) for name in ("mj1", "mj2") if name in features]
        shear = ShearTransformer(columns=masses, along=features.index("mjj"), factor=SHIFT)
        background, simulation, signal = (
            shear.fit_transform(events) for events in (background, simulation, signal)
        )
    rng = np.random.RandomState(seed)
    background = background[rng.permutation(len(background))]
    signal = signal[rng.permutation(len(signal))]
    n_data = len(background) * 3 // 5 if n_data is None else n_data
    if n_data >= len(background):
        raise SystemExit(f"{n_data} data events leave none of the {len(background)} to test on.")
    data, rest = background[:n_data], background[n_data:]
    inside = REGION.mask(signal)
    n_inside = round(signal_fraction * REGION.mask(data).sum())
    # The signal is injected with its own spectrum, tails included.
    n_signal = int(np.searchsorted(np.cumsum(inside), n_inside)) + 1 if n_inside else 0
    X = np.concatenate([data, signal[:n_signal]])
    truth = np.repeat([0, 1], [len(data), n_signal])
    order = rng.permutation(len(X))
    first = len(signal) // 4
    test_signal = signal[first:][inside[first:]]
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
