"""Agreement of selections as a function of their size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from skad.metrics import overlap_curve
from skad.plotting._curves import CurveDisplay, Kind, with_band
from skad.plotting._scores import as_list, fold_estimators, responses
from skad.plotting._takes import ESTIMATORS, MODELS
from skad.utils._arguments import Numbers, checked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["OverlapDisplay"]

_FRACTION = {"xlabel": "Selected fraction, most anomalous", "xscale": "log"}


class OverlapDisplay(CurveDisplay):
    """Shared part of the most anomalous events against the selected fraction.

    Use `from_estimator`, `from_predictions` or `from_cv_results`. Kinds of `plot`:

    - "shared": the shared fraction;
    - "excess": the same less chance, as `skad.metrics.selection_overlap`.

    Parameters
    ----------
    fraction : ndarray or list of ndarray
        Selected fractions p, one array per curve.
    shared : ndarray or list of ndarray
        Fraction of the selected events that is shared.
    shared_error : ndarray or list of ndarray, default=None
        Standard errors, drawn as bands.
    n_scores : int, default=2
        Number of scores that share; independent ones share ``p ** (n_scores - 1)``.
    name : str or list of str, default=None
        Name of the curves in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D or list of them
    band_ : matplotlib PolyCollection, list of them, or None
    chance_level_ : matplotlib Line2D or None
        What independent scores share.

    See Also
    --------
    skad.metrics.overlap_curve : The numbers.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, figures 7, 11 and 12.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import OverlapDisplay
    >>> a, b, c = np.random.default_rng(0).normal(size=(3, 10_000))
    >>> display = OverlapDisplay.from_predictions({"a": a, "a + b": a + b, "c": c})
    >>> display.name
    ['a, a + b', 'a, c', 'a + b, c']
    """

    _lists = ("fraction", "shared")
    _kinds = {
        "shared": Kind(_FRACTION | {"ylabel": "Shared fraction", "ylim": (0, 1.02)}),
        "excess": Kind(_FRACTION | {"ylabel": "Shared fraction beyond chance"}),
    }
    _chance_label = "independent"

    def __init__(
        self,
        *,
        fraction: NDArray[Any] | Sequence[NDArray[Any]],
        shared: NDArray[Any] | Sequence[NDArray[Any]],
        shared_error: NDArray[Any] | Sequence[NDArray[Any]] | None = None,
        n_scores: int = 2,
        name: str | Sequence[str] | None = None,
    ) -> None:
        self.fraction = fraction
        self.shared = shared
        self.shared_error = shared_error
        self.n_scores = n_scores
        self.name = name

    @classmethod
    @checked(estimators=ESTIMATORS)
    def from_estimator(
        cls,
        estimators: Mapping[str, Estimator],
        X: ArrayLike,
        *,
        fractions: ArrayLike | None = None,
        together: bool = False,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | None = None,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> OverlapDisplay:
        """Draw the overlap of fitted estimators, for every pair of them.

        Parameters
        ----------
        estimators : dict of str to fitted estimator
            Two or more that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
        fractions : array-like, default=None
            Selected fractions; by default 30 from ten events (or 0.1 %) to 1.
        together : bool, default=False
            One curve of what all share, instead of one for every pair.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The anomalous class of classifiers.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : OverlapDisplay
        """
        if not isinstance(estimators, Mapping) or len(estimators) < 2:
            raise ValueError(
                "estimators must be a dict of names to fitted estimators, with at least two; got "
                f"{estimators!r:.60}."
            )
        scores, _ = responses(estimators, X, signal_label=signal_label)
        return cls.from_predictions(
            scores,
            fractions=fractions,
            together=together,
            sample_weight=sample_weight,
            ax=ax,
            **plot_options,
        )

    @classmethod
    @checked(fractions=Numbers())
    def from_predictions(
        cls,
        scores: Mapping[str, ArrayLike],
        *,
        fractions: ArrayLike | None = None,
        together: bool = False,
        sample_weight: ArrayLike | None = None,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> OverlapDisplay:
        """Draw the overlap of anomaly scores of the same events, for every pair of them.

        Parameters
        ----------
        scores : dict of str to array-like of shape (n_events,)
            Two or more anomaly scores, higher = more anomalous.
        fractions : array-like, default=None
            Selected fractions; by default 30 from ten events (or 0.1 %) to 1.
        together : bool, default=False
            One curve of what all share, instead of one for every pair.
        sample_weight : array-like of shape (n_events,), default=None
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : OverlapDisplay
        """
        if not isinstance(scores, Mapping) or len(scores) < 2:
            raise ValueError("scores must be a dict of names and scores, with at least two.")
        if fractions is not None and not len(fractions):
            raise ValueError("fractions is empty; give at least one, or None for 30 of them.")
        groups = [tuple(scores)] if together else list(itertools.combinations(scores, 2))
        curves = []
        for group in groups:
            curve = overlap_curve(
                *(scores[name] for name in group), fractions=fractions, sample_weight=sample_weight
            )
            curves.append(
                {key: getattr(curve, key) for key in ("fraction", "shared", "shared_error")}
            )
        names = [", ".join(map(str, group)) for group in groups]
        display = cls._from_curves(curves, names, n_scores=len(groups[0]))
        return display.plot(ax, **plot_options)

    @classmethod
    @checked(cv_results=MODELS)
    def from_cv_results(
        cls,
        cv_results: dict[Any, Any],
        X: ArrayLike,
        *,
        fractions: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | None = None,
        name: str = "folds",
        ax: Axes | None = None,
        aggregate: bool = True,
        **plot_options: Any,
    ) -> OverlapDisplay:
        """Draw how far the detectors of the folds agree with one another on all events.

        Every pair of folds gives a curve. The folds share most of their training events, so this
        is the stability of the method rather than an independent comparison.

        Parameters
        ----------
        cv_results : dict
            Of `cross_validate` with ``return_estimator=True``.
        X : array-like of shape (n_events, n_features)
            Events.
        fractions : array-like, default=None
            Selected fractions; by default 30 from ten events (or 0.1 %) to 1.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The anomalous class of classifiers.
        name : str, default="folds"
        ax : matplotlib Axes, default=None
        aggregate : bool, default=True
            Median and 16-84 % band over the pairs; False draws every pair.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : OverlapDisplay
        """
        return cls.from_estimator(
            {str(i): estimator for i, estimator in enumerate(fold_estimators(cv_results))},
            X,
            fractions=fractions,
            sample_weight=sample_weight,
            signal_label=signal_label,
            ax=ax,
            name=name,
            aggregate=aggregate,
            **plot_options,
        )

    def _curves(self, kind):
        curves = []
        for fraction, shared, error in self._columns("fraction", "shared", "shared_error"):
            value = shared if kind == "shared" else shared - fraction ** (self.n_scores - 1)
            curves.append(with_band(fraction, value, error))
        return curves

    def _chance(self, kind):
        fraction = np.geomspace(min(np.min(f) for f in as_list(self.fraction)), 1, 200)
        level = fraction ** (self.n_scores - 1) if kind == "shared" else np.zeros_like(fraction)
        return fraction, level
