"""What detectors find against the amount of injected signal."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils import check_array, check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skad.exceptions import LowStatisticsWarning
from skad.inspection._coordinate_study import MEASURED, named_estimators
from skad.metrics import (
    anomaly_response,
    max_significance_improvement,
    significance_improvement_at,
)
from skad.metrics._checks import read_truth
from skad.utils._arguments import COUNT, N_JOBS, Numbers, checked
from skad.utils._children import fit_child, requires_y
from skad.utils._random import draw_seeds
from skad.utils._tasks import progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.utils._types import Estimator, Seed

__all__ = ["injection_study"]


@checked(
    injected=Numbers(), n_seeds=COUNT, n_jobs=N_JOBS, random_state=["random_state"], **MEASURED
)
def injection_study(
    detectors: Mapping[str, Estimator],
    background: ArrayLike,
    signal: ArrayLike,
    injected: Sequence[int],
    X_test: ArrayLike,
    y_test: ArrayLike,
    *,
    simulation: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    n_seeds: int = 5,
    min_background_events: float = 25,
    rejection: float = 1e3,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
    keep_scores: bool = False,
    n_jobs: int | None = None,
    random_state: Seed = None,
    verbose: int = 0,
) -> DataFrame:
    """Fit detectors to data with more and more signal, and measure what they find.

    For every seed and amount, other signal events are drawn and put among the background events;
    more signal holds the events of less. Every detector is fitted anew, template, folds and
    networks with the seed.

    Parameters
    ----------
    detectors : dict of str to estimator
        All that `skad.metrics.anomaly_response` reads. Those that require y are fitted with
        1 = data and 0 = `simulation` or `reference`.
    background : array-like of shape (n_events, n_features)
        Background events of the data.
    signal : array-like of shape (n_signal, n_features)
        Signal events to draw from, without those of the test.
    injected : sequence of int
        Numbers of signal events to inject, over the full range of the data.
    X_test, y_test : array-like
        Independent events to measure on and their truth: 1 = signal, 0 = background, or any
        labels with `signal_label`.
    simulation : array-like of shape (n_simulated, n_features), default=None
        Simulated background, for SALAD and FETA.
    reference : array-like of shape (n_reference, n_features), default=None
        True background, for idealised and CWoLa detectors. One of the two where a detector
        requires y; never both.
    n_seeds : int, default=5
        Repetitions.
    min_background_events : float, default=25
        As in `skad.metrics.max_significance_improvement`.
    rejection : float, default=1000
        Background rejection at which the significance improvement is read too.
    signal_label : int, str or None, default=None
        The label of signal; required for truth in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; test events of further labels are left out. By default the only
        other label.
    keep_scores : bool, default=False
        Keep the scores of the test events, which `skad.plotting.ROCDisplay` and others draw
        ``from_study``.
    n_jobs : int, default=None
        Seeds fitted in parallel.
    random_state : int, RandomState or None, default=None
        Source of the seeds.
    verbose : int, default=0
        Show a progress bar over the seeds if positive.

    Returns
    -------
    study : pandas.DataFrame
        One row per detector, amount and seed, with the columns ``detector``, ``injected``,
        ``seed``, ``roc_auc``, ``max_sic``, ``sic_at_rejection``, ``fit_seconds`` and, with
        `keep_scores`, ``scores`` and ``truth``, one array in each cell.

    See Also
    --------
    skad.plotting.InjectionDisplay : Draws the table.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, figures 13 and 17.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skad.detectors import CWoLaDetector
    >>> from skad.inspection import injection_study
    >>> rng = np.random.default_rng(0)
    >>> background, reference, B = rng.normal(size=(3, 2000, 2))
    >>> signal, S = rng.normal(2, 1, size=(2, 2000, 2))
    >>> study = injection_study(
    ...     {"CWoLa": CWoLaDetector(LogisticRegression(), cv=None)},
    ...     background, signal, [0, 200], np.concatenate([B, S]), np.repeat([0, 1], 2000),
    ...     reference=reference, n_seeds=3, rejection=10, random_state=0,
    ... )
    >>> bool(study.groupby("injected")["max_sic"].median()[200] > 3)
    True
    """
    import pandas as pd

    detectors = named_estimators(detectors, "detectors", needs_scores=True)
    amounts = np.asarray(injected).astype(np.int64).tolist()
    background, signal = _events(background, "background"), _events(signal, "signal")
    whole = np.array_equal(amounts, injected)
    if not amounts or not whole or min(amounts) < 0 or max(amounts) > len(signal):
        raise ValueError(
            f"injected must hold whole numbers from 0 to the {len(signal)} signal events; got "
            f"{np.asarray(injected).tolist()}."
        )
    if simulation is not None and reference is not None:
        raise ValueError(
            "simulation and reference both mean y = 0: give one of them, and study the detectors "
            "that need the other by themselves."
        )
    other = simulation if reference is None else reference
    needy = [name for name, detector in detectors.items() if requires_y(detector)]
    if other is None and needy:
        raise ValueError(f"{needy} require y to fit; pass simulation= or reference=.")
    labels = {"signal_label": signal_label, "background_label": background_label}
    X_test = _events(X_test, "X_test")
    truth, rows = read_truth(y_test, np.arange(len(X_test)), name="y_test", **labels)
    work = {
        "background": background,
        "signal": signal,
        "other": None if other is None else _events(other, "simulation or reference"),
        "X_test": X_test[rows],
        "truth": truth,
        "min_background_events": min_background_events,
        "rejection": rejection,
        "keep_scores": keep_scores,
    }
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_one_seed)(detectors, amounts, work, number, seed)
        for number, seed in enumerate(draw_seeds(random_state, n_seeds))
    )
    results = progress(results, n_seeds, "injection_study", verbose=verbose)
    return pd.DataFrame([row for rows in results for row in rows])


def _events(X, name):
    # Columns given by name would be lost where samples are joined.
    if hasattr(X, "columns"):
        X = X.to_numpy()
    return check_array(X, dtype=np.float64, input_name=name)


def _one_seed(detectors, amounts, work, number, seed):
    rng = check_random_state(seed)
    signal = work["signal"][rng.permutation(len(work["signal"]))]
    rows = []
    for amount in amounts:
        data = np.concatenate([work["background"], signal[:amount]])
        data = data[rng.permutation(len(data))]
        for name, detector in detectors.items():
            X, y = data, None
            if requires_y(detector):
                X = np.concatenate([data, work["other"]])
                y = np.repeat([1, 0], [len(data), len(work["other"])])
            start = perf_counter()
            try:
                model = fit_child(detector, X, y, random_state=seed, copy=number)
                seconds = perf_counter() - start
                scores = anomaly_response(model, work["X_test"])
            except Exception as exc:
                exc.add_note(f"In injection_study: {name!r} with {amount} signal events.")
                raise
            row = {"detector": name, "injected": amount, "seed": number}
            row |= _measure(work, scores) | {"fit_seconds": seconds}
            if work["keep_scores"]:
                row |= {"scores": scores, "truth": work["truth"]}
            rows.append(row)
    return rows


def _measure(work, scores):
    truth, minimum = work["truth"], work["min_background_events"]
    with warnings.catch_warnings():
        # The number of test events and the rejection are the user's, and the same for all.
        warnings.simplefilter("ignore", LowStatisticsWarning)
        at = significance_improvement_at(truth, scores, rejection=work["rejection"])
    return {
        "roc_auc": roc_auc_score(truth, scores),
        "max_sic": max_significance_improvement(truth, scores, min_background_events=minimum),
        "sic_at_rejection": at,
    }
