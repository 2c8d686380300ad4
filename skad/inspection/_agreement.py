"""Do independent trainings of a weak classifier select the same events? A permutation test."""

import itertools
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import check_random_state

from skad.detectors._cross_fit import balanced, cross_fit, held_out_log_odds, log_odds
from skad.metrics import selection_overlap
from skad.utils._children import fit_child
from skad.utils._random import draw_seed
from skad.utils._readable import readable

__all__ = ["BreakdownTest", "agreement_test"]


@readable
@dataclass(frozen=True)
class BreakdownTest:
    """Result of `skad.inspection.breakdown_test`.

    Attributes
    ----------
    statistic : float
        Shared part of the selected data events beyond chance, mean over pairs of trainings.
    null : ndarray of float64, shape (n_thrown,)
        The same for permuted labels, in the order thrown; at most `n_null`, fewer where the
        verdict was clear before.
    p_value : float
        Chance of at least this agreement without any difference of data and template.
    trusted : bool
        Whether ``p_value <= alpha``.
    alpha : float
        The false-alarm rate: how often data without signal are trusted.
    fraction : float
        Selected fraction of the data.
    strategy : str
        "seeds" or "parts".
    n_data, n_template : int
        Events of both samples.
    """

    statistic: float
    null: np.ndarray
    p_value: float
    trusted: bool
    alpha: float
    fraction: float
    strategy: str
    n_data: int
    n_template: int


def agreement_test(
    classifier,
    X,
    y,
    sample_weight=None,
    *,
    strategy="seeds",
    fraction=0.01,
    n_trainings=3,
    cv=5,
    n_null=19,
    alpha=0.05,
    sequential=True,
    n_jobs=None,
    random_state=None,
):
    """Compare the agreement of trainings with that for permuted labels; y: 1 = data, 0 = template.

    Where data and template are alike, all permutations of the labels are equally likely, so the
    p-value ``(1 + n_larger) / (1 + n_null)`` is exact. Thrown one after another, the test stops
    once so many are larger that ``p_value <= alpha`` is out of reach; p is then n_larger / n_thrown
    (Besag, Clifford, Biometrika 78 (1991) 301).
    """
    rng = check_random_state(random_state)
    agreement = {"seeds": _between_seeds, "parts": _between_parts}[strategy]

    def statistic(labels):
        return agreement(
            classifier, X, labels, sample_weight, fraction, n_trainings, cv, n_jobs, rng
        )

    observed = statistic(y)
    allowed = int(np.floor(alpha * (n_null + 1) * (1 + 1e-12))) - 1
    null, n_larger = [], 0
    for _ in range(n_null):
        null.append(statistic(rng.permutation(y)))
        n_larger += null[-1] >= observed
        if sequential and n_larger > allowed:
            break
    stopped = len(null) < n_null
    p_value = n_larger / len(null) if stopped else (1 + n_larger) / (1 + n_null)
    return BreakdownTest(
        statistic=float(observed),
        null=np.array(null),
        p_value=float(p_value),
        trusted=bool(n_larger <= allowed),
        alpha=alpha,
        fraction=fraction,
        strategy=strategy,
        n_data=int((y == 1).sum()),
        n_template=int((y == 0).sum()),
    )


def _between_seeds(classifier, X, y, weight, fraction, n_trainings, cv, n_jobs, rng):
    """Out-of-fold scores of the same events by trainings with other folds and seeds."""
    data = y == 1
    own = balanced(classifier, y, weight)[0]
    scores = []
    for copy in range(n_trainings):
        fitted, held_out = cross_fit(
            classifier,
            X,
            y,
            cv=cv,
            sample_weight=own,
            random_state=np.random.RandomState(draw_seed(rng)),
            copy=copy,
            n_jobs=n_jobs,
        )
        scores.append(held_out_log_odds(fitted, held_out, X)[data])
    return _pairwise(scores, fraction, None if weight is None else weight[data])


def _between_parts(classifier, X, y, weight, fraction, n_trainings, cv, n_jobs, rng):
    """Scores of the data of one part by trainings on each of the others, which share no event."""
    folds = StratifiedKFold(n_trainings, shuffle=True, random_state=draw_seed(rng))
    parts = [rows for _, rows in folds.split(X, y)]
    models = []
    for rows in parts:
        own = balanced(classifier, y[rows], None if weight is None else weight[rows])[0]
        models.append(fit_child(classifier, X[rows], y[rows], sample_weight=own, random_state=rng))
    found = []
    for part, rows in enumerate(parts):
        rows = rows[y[rows] == 1]
        scores = [log_odds(model, X[rows]) for i, model in enumerate(models) if i != part]
        found.append(_pairwise(scores, fraction, None if weight is None else weight[rows]))
    return float(np.mean(found))


def _pairwise(scores, fraction, weight):
    return float(
        np.mean(
            [
                selection_overlap(a, b, fraction=fraction, sample_weight=weight)
                for a, b in itertools.combinations(scores, 2)
            ]
        )
    )
