"""How scores depend on the mass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skad.metrics import score_profile
from skad.plotting._curves import CurveDisplay, Kind
from skad.plotting._scores import named_scores, responses
from skad.plotting._takes import ESTIMATORS
from skad.utils._arguments import EVENTS, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["ScoreMassDisplay"]


class ScoreMassDisplay(CurveDisplay):
    """Median and central 68 % of an anomaly score in bins of the mass.

    Use `from_estimator` or `from_predictions`. The only kind of `plot` is "score".

    Parameters
    ----------
    mass : ndarray or list of ndarray
        Mean mass of the events of each bin, one array per curve.
    median : ndarray or list of ndarray
        Median score in each bin.
    lower, upper : ndarray or list of ndarray
        16 % and 84 % quantiles of the score in each bin, drawn as bands.
    name : str or list of str, default=None
        Name of the curves in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D or list of them
    band_ : matplotlib PolyCollection, list of them, or None
    chance_level_ : None

    See Also
    --------
    skad.metrics.score_profile : The numbers.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import ScoreMassDisplay
    >>> rng = np.random.default_rng(0)
    >>> mass, noise = rng.exponential(100, size=(2, 5000))
    >>> display = ScoreMassDisplay.from_predictions(mass, {"flat": noise, "rising": mass + noise})
    >>> bool(display.median[1][-1] > 3 * display.median[0][-1])
    True
    """

    _lists = ("mass", "median", "lower", "upper")
    _kinds = {"score": Kind({"xlabel": "Mass", "ylabel": "Anomaly score"})}

    def __init__(
        self,
        *,
        mass: NDArray[Any] | Sequence[NDArray[Any]],
        median: NDArray[Any] | Sequence[NDArray[Any]],
        lower: NDArray[Any] | Sequence[NDArray[Any]],
        upper: NDArray[Any] | Sequence[NDArray[Any]],
        name: str | Sequence[str] | None = None,
    ) -> None:
        self.mass = mass
        self.median = median
        self.lower = lower
        self.upper = upper
        self.name = name

    @classmethod
    @checked(estimators=ESTIMATORS)
    def from_estimator(
        cls,
        estimators: Estimator | Mapping[str, Estimator],
        X: ArrayLike,
        mass: ArrayLike,
        *,
        bins: int | ArrayLike = 20,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> ScoreMassDisplay:
        """Draw the scores that fitted estimators give to events.

        Parameters
        ----------
        estimators : fitted estimator or dict of str to fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
        mass : array-like of shape (n_events,)
            Mass of the events, any unit.
        bins : int or array-like, default=20
            Number of bins of equal population, or their edges.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The anomalous class of classifiers.
        name : str, default=None
            By default the name of the class.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreMassDisplay
        """
        scores, name = responses(estimators, X, name=name, signal_label=signal_label)
        return cls.from_predictions(
            mass, scores, bins=bins, sample_weight=sample_weight, name=name, ax=ax, **plot_options
        )

    @classmethod
    @checked(mass=EVENTS)
    def from_predictions(
        cls,
        mass: ArrayLike,
        scores: ArrayLike | Mapping[str, Any],
        *,
        bins: int | ArrayLike = 20,
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        aggregate: bool | None = None,
        **plot_options: Any,
    ) -> ScoreMassDisplay:
        """Draw anomaly scores.

        Parameters
        ----------
        mass : array-like of shape (n_events,)
            Mass of the events, any unit.
        scores : array-like of shape (n_events,) or (n_seeds, n_events), or dict of str to such
            Anomaly scores, higher = more anomalous. The rows of a two-dimensional array are those
            of several trainings, for the same events.
        bins : int or array-like, default=20
            Number of bins of equal population, or their edges.
        sample_weight : array-like of shape (n_events,), default=None
        name : str, default=None
        ax : matplotlib Axes, default=None
        aggregate : bool, default=None
            Draw the median and the 16-84 % band over the trainings of each method; None means
            True where any method has several.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreMassDisplay
        """
        scores, names, several = named_scores(scores, name, len(mass))
        curves = [
            score_profile(mass, s, bins=bins, sample_weight=sample_weight)._asdict() for s in scores
        ]
        aggregate = several if aggregate is None else aggregate
        return cls._from_curves(curves, names).plot(ax, aggregate=aggregate, **plot_options)

    def _curves(self, kind):
        return list(self._columns(*self._lists))
