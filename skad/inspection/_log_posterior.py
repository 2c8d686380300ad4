"""Log posterior of a multiclass classifier of several background templates."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel, delayed

from skad.detectors._cross_fit import probabilities_of
from skad.inspection._classifier import default_classifier
from skad.inspection._samples import OF_TEMPLATES, SampleReader
from skad.utils import _sklearn as sk
from skad.utils._arguments import checked
from skad.utils._children import fit_child
from skad.utils._random import draw_seeds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.utils._types import Estimator, Seed

__all__ = ["log_posterior_test"]

# The log of a probability that rounds to zero counts as that of the smallest number.
_SMALLEST = np.finfo(np.float64).tiny


@checked(
    **OF_TEMPLATES,
    truth_as_class=["boolean"],
    test_size=[sk.Interval(Real, 0, 1, closed="neither")],
)
def log_posterior_test(
    templates: Mapping[str, Estimator],
    X_true: ArrayLike,
    *,
    classifier: Estimator | None = None,
    features: Sequence[int | str] | None = None,
    sample_weight: ArrayLike | None = None,
    truth_as_class: bool = False,
    test_size: float = 0.2,
    n_samples: int | None = None,
    n_seeds: int = 5,
    n_jobs: int | None = None,
    random_state: Seed = None,
) -> DataFrame:
    r"""Can a multiclass classifier tell the templates apart, and which does it take truth for?

    .. math:: \mathrm{LP}(i|j) = \frac{1}{N_j} \sum_{x \in j} w(x) \log p_i(x),

    with the probability p_i of template i on held-out events of sample j, a template or the truth.
    Templates that are all alike give log(1/K) everywhere. A template with artefacts of its own
    raises LP(i|i), and lowers the LP(k|i) of the others more; the truth has the highest LP of the
    template that resembles it most.

    Parameters
    ----------
    templates : dict of str to template
        Fitted templates with ``sample_background(n_samples, random_state)``, or samples X or
        ``(X, sample_weight)``. A list of them holds one for each seed of the generator.
    X_true : array-like of shape (n_true, n_columns)
        True background of the signal region.
    classifier : estimator, default=None
        Any scikit-learn classifier of many classes with `predict_proba`; it gets standardised
        features. None is a `HistGradientBoostingClassifier` stopped by its loss; [1]_ takes a
        network of 64 and 32 units with batches of 1000.
    features : sequence of int or str, default=None
        Columns to show to the classifier; None takes all but the resonant feature.
    sample_weight : array-like of shape (n_true,), default=None
        Non-negative weights of `X_true`.
    truth_as_class : bool, default=False
        Whether truth is one of the classes, as it must be for a single template.
    test_size : float in (0, 1), default=0.2
        Part of the events held out.
    n_samples : int, default=None
        Events to draw from each template; None takes as many as it gives by itself. Every class
        has as many events as the smallest.
    n_seeds : int, default=5
        Repetitions, each with other draws, splits and initial weights. Of a list, the templates
        are taken in turn.
    n_jobs : int, default=None
        Repetitions made in parallel.
    random_state : int, RandomState or None, default=None
        Source of the seeds.

    Returns
    -------
    posterior : pandas.DataFrame
        One row per sample j, class i and seed, with the columns ``sample`` (j; "truth" for true
        background), ``template`` (i), ``seed``, ``log_posterior`` in nats, ``standard_error``,
        ``chance`` (log of 1/K) and ``excess`` (log posterior less chance).

    Raises
    ------
    ValueError
        Fewer than two classes, or a template called "truth".
    TypeError
        Weighted events, and a classifier that takes no weights.

    See Also
    --------
    skad.plotting.LogPosteriorDisplay : Draws the table.

    Notes
    -----
    `MLPClassifier` can be given too, but it stops early by its accuracy, which hardly moves while
    probabilities of similar samples do: its log posteriors can be wrong by several times the exact
    excess (``benchmarks/results/choices.md``).

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, section 4 and figure 8.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skad.inspection import log_posterior_test
    >>> rng = np.random.default_rng(0)
    >>> truth, a, b = rng.normal(size=(3, 4000, 2))
    >>> posterior = log_posterior_test(
    ...     {"a": a, "b": b + 1}, truth, classifier=LogisticRegression(), n_seeds=1, random_state=0
    ... )
    >>> table = posterior.pivot(index="sample", columns="template", values="excess")
    >>> bool(table.loc["truth", "a"] > 0 > table.loc["truth", "b"])
    True
    """
    import pandas as pd

    reader = SampleReader(templates, X_true, features, sample_weight)
    if "truth" in reader.template_names:
        raise ValueError("templates must not be called 'truth', the name of the true background.")
    n_classes = len(reader.template_names) + bool(truth_as_class)
    if n_classes < 2:
        raise ValueError(
            "log_posterior_test needs two or more classes; give more templates, or "
            "truth_as_class=True for one template against truth."
        )
    if classifier is None:
        classifier = default_classifier()
    rows = Parallel(n_jobs=n_jobs)(
        delayed(_one_seed)(reader, classifier, truth_as_class, test_size, n_samples, number, seed)
        for number, seed in enumerate(draw_seeds(random_state, n_seeds))
    )
    return pd.DataFrame([row for part in rows for row in part])


def _one_seed(reader, classifier, truth_as_class, test_size, n_samples, number, seed):
    rng = np.random.RandomState(seed)
    classes = {name: reader.draw(name, number, n_samples, rng) for name in reader.template_names}
    tested = {}
    if truth_as_class:
        classes["truth"] = reader.true
    else:
        tested["truth"] = reader.true
    size = min(len(sample) for sample in classes.values())
    n_test = round(test_size * size)
    if not 0 < n_test < size:
        raise ValueError(
            f"test_size={test_size:g} leaves no events of {size} for test or training."
        )
    training = []
    for name, sample in classes.items():
        rows = rng.choice(len(sample), size, replace=False)
        tested[name] = sample.rows(rows[:n_test])
        training.append(sample.rows(rows[n_test:]))
    X = np.concatenate([sample.X for sample in training])
    weight = np.concatenate([sample.weight for sample in training])
    scaler = StandardScaler().fit(X, sample_weight=weight)
    model = fit_child(
        classifier,
        scaler.transform(X),
        np.repeat(np.arange(len(training)), size - n_test),
        sample_weight=weight if any(sample.is_weighted for sample in training) else None,
        random_state=rng,
    )
    chance = -np.log(len(training))
    rows = []
    for sample_name in [*reader.template_names, "truth"]:
        sample = tested[sample_name]
        p = probabilities_of(model, scaler.transform(sample.X)).astype(np.float64)
        log_p = np.log(np.maximum(p, _SMALLEST))
        mean = np.average(log_p, axis=0, weights=sample.weight)
        error = np.sqrt(sample.weight**2 @ (log_p - mean) ** 2) / sample.weight.sum()
        for i, name in enumerate(classes):
            rows.append(
                {
                    "sample": sample_name,
                    "template": name,
                    "seed": number,
                    "log_posterior": float(mean[i]),
                    "standard_error": float(error[i]),
                    "chance": float(chance),
                    "excess": float(mean[i] - chance),
                }
            )
    return rows
