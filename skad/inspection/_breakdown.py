"""Does a data set hold enough signal for a weakly supervised detector to be trusted?"""

from __future__ import annotations

import warnings
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state

from skad.exceptions import LowStatisticsWarning
from skad.inspection._agreement import BreakdownTest, agreement_test
from skad.utils import _sklearn as sk
from skad.utils._arguments import CLASSIFIER, COUNT, FRACTION, N_JOBS, checked
from skad.utils._statistics import effective_size

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

    from skad.detectors._cwola import CWoLaDetector
    from skad.resonant._template_detector import TemplateDetector
    from skad.utils._types import Estimator, Seed

__all__ = ["BreakdownTest", "breakdown_test"]

# Down to three quarters, that of the sidebands of one experiment, the false-alarm rate was right.
_MIN_WORTH = 0.7


@checked(
    classifier=CLASSIFIER,
    strategy=[sk.StrOptions({"seeds", "parts"})],
    fraction=FRACTION,
    n_trainings=COUNT,
    n_null=COUNT,
    alpha=[sk.Interval(Real, 0, 1, closed="neither")],
    sequential=["boolean"],
    n_jobs=N_JOBS,
    random_state=["random_state"],
)
def breakdown_test(
    detector: TemplateDetector | CWoLaDetector,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    classifier: Estimator | None = None,
    strategy: Literal["seeds", "parts"] = "seeds",
    fraction: float = 0.01,
    n_trainings: int = 3,
    n_null: int = 19,
    alpha: float = 0.05,
    sequential: bool = True,
    n_jobs: int | None = None,
    random_state: Seed = None,
) -> BreakdownTest:
    """Test whether independent trainings agree on the events they select, more than by chance.

    Below some amount of signal a weakly supervised classifier learns fluctuations of its training
    sample, and selects other events with every seed [1]_. No truth is needed to see it: the
    agreement of trainings is compared with that of the same trainings after data and template
    events have been pooled and relabelled at random, which leaves nothing to learn.

    Parameters
    ----------
    detector : fitted TemplateDetector, or CWoLaDetector
        A `TemplateDetector` gives its template, as it is fitted, and its classifier; nothing of it
        is changed. A `CWoLaDetector` need not be fitted.
    X : array-like of shape (n_events, n_columns)
        For a `TemplateDetector` events as for `fit`, of which the data of the signal region are
        tested; for a `CWoLaDetector` the mixed and the reference sample.
    y : array-like of shape (n_events,), default=None
        1 = data and 0 = simulation or reference where the detector requires y; ignored elsewhere.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    classifier : estimator, default=None
        Replaces the classifier of the detector, for example by a faster one.
    strategy : {"seeds", "parts"}, default="seeds"
        What the trainings have in common:

        - "seeds": all events. Each is cross-fitted with its own folds and seed, and the
          out-of-fold selections of all data events are compared. The more powerful one.
        - "parts": nothing. The events are divided; selections in one part by classifiers trained
          on the others are compared. A fraction of the time, but each training sees a fraction
          of the signal.
    fraction : float in (0, 1], default=0.01
        Fraction of the data that each training selects.
    n_trainings : int, default=3
        Trainings to compare: at least 2 for "seeds", 3 parts or more for "parts".
    n_null : int, default=19
        Most permutations; ``1 / alpha - 1`` or more.
    alpha : float in (0, 1), default=0.05
        The false-alarm rate: how often data without signal may be trusted.
    sequential : bool, default=True
        Stop once the data cannot be trusted any more: without signal, after 3.5 permutations on
        average. False throws all, for a picture of the null distribution.
    n_jobs : int, default=None
        Folds fitted in parallel, for "seeds".
    random_state : int, RandomState or None, default=None
        Source of randomness.

    Returns
    -------
    test : BreakdownTest
        With `statistic`, `null`, `p_value` and `trusted`.

    Warns
    -----
    LowStatisticsWarning
        The data are not trusted, or the weights of the template are worth less than 70 % of its
        events, where the false-alarm rate exceeds `alpha`.

    See Also
    --------
    skad.plotting.BreakdownDisplay : Draws the result.
    closure_auc : Whether the template is right, given true background.

    Notes
    -----
    Trainings agree on any difference of data and template, so a template that is wrong is
    "trusted" too: the test is one of statistics, and `closure_auc` is its complement. For a right
    template without weights the false-alarm rate is `alpha` by construction, or less where
    agreements tie, as those of selections of a few events do (``benchmarks/results/breakdown.md``).
    Weights stay with their events, which is right for the template they belong to, but not for a
    part of relabelled data: the rate rises where they are worth far fewer events, hence the
    warning (``benchmarks/results/choices.md``).

    The time is that of up to ``n_trainings * (1 + n_null)`` cross-fitted trainings for "seeds" and
    ``1 + n_null`` passes over the events for "parts".

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, section 6.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skad.detectors import CWoLaDetector
    >>> from skad.inspection import breakdown_test
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(4000, 2))
    >>> y = np.repeat([1, 0], 2000)
    >>> X[:80] = rng.normal(2.5, 0.2, size=(80, 2))  # signal among the data
    >>> detector = CWoLaDetector(DecisionTreeClassifier(min_samples_leaf=40), cv=2)
    >>> test = breakdown_test(detector, X, y, fraction=0.04, n_trainings=2, random_state=0)
    >>> test.trusted
    True
    """
    _check_numbers(strategy, n_trainings, n_null, alpha)
    rng = check_random_state(random_state)
    if not hasattr(detector, "training_sample"):
        raise TypeError(
            "detector must be a fitted TemplateDetector or a CWoLaDetector; got "
            f"{type(detector).__name__}."
        )
    sample = detector.training_sample(X, y, sample_weight, random_state=rng)
    weight = sample.sample_weight
    test = agreement_test(
        sample.classifier if classifier is None else classifier,
        sample.X,
        sample.y,
        weight,
        strategy=strategy,
        fraction=fraction,
        n_trainings=n_trainings,
        cv=5 if sample.cv is None else sample.cv,
        n_null=n_null,
        alpha=alpha,
        sequential=sequential,
        n_jobs=n_jobs,
        random_state=rng,
    )
    if weight is not None:
        _warn_of_weights(weight[sample.y == 0], alpha)
    if not test.trusted:
        warnings.warn(
            f"trainings share {test.statistic:.2g} of their selected {fraction:.2g} of the data "
            f"beyond chance, no more than without signal (p = {test.p_value:.2g}, median "
            f"{np.median(test.null):.2g}): the {test.n_data} data events hold too little signal "
            "for this detector, and what it selects is not reproducible.",
            LowStatisticsWarning,
            stacklevel=2,
        )
    return test


def _check_numbers(strategy, n_trainings, n_null, alpha):
    least = 2 if strategy == "seeds" else 3
    if n_trainings < least:
        raise ValueError(
            f"n_trainings must be at least {least} with strategy={strategy!r}; got {n_trainings}."
        )
    # Rounded because 1 / 0.05 is no integer in every arithmetic.
    least = int(np.ceil(round(1 / alpha, 6))) - 1
    if n_null < least:
        raise ValueError(
            f"n_null must be at least {least} for alpha={alpha:g}, because the smallest p-value is "
            f"1 / (1 + n_null); got {n_null!r}."
        )


def _warn_of_weights(weight, alpha):
    worth = float(effective_size(weight.sum(), (weight**2).sum())) / len(weight)
    if worth < _MIN_WORTH:
        warnings.warn(
            f"the weights of the template are worth {worth:.0%} of its {len(weight)} events; "
            f"without signal, data are trusted more often than alpha={alpha:g} says.",
            LowStatisticsWarning,
            stacklevel=3,
        )
