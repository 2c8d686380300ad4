"""Decorrelation from the mass against sensitivity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skad.metrics import decorrelation_curve
from skad.plotting._curves import CurveDisplay, Kind
from skad.plotting._scores import each_signal, joined, named_scores, responses
from skad.plotting._takes import ESTIMATORS
from skad.utils._arguments import EVENTS, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["DecorrelationDisplay"]

_SIGNAL = {"xlabel": "Signal efficiency", "yscale": "log"}


class DecorrelationDisplay(CurveDisplay):
    """Decorrelation against sensitivity: 1 / JSD of the background's mass by signal efficiency.

    Each point is a cut. Use `from_estimator` or `from_predictions`. Kinds of `plot`:

    - "inverse_jsd": 1 / JSD, so that up and to the right is better;
    - "jsd": the divergence itself.

    Parameters
    ----------
    signal_efficiency : ndarray or list of ndarray
        Signal efficiency of each cut, one array per curve.
    jsd : ndarray or list of ndarray
        Jensen-Shannon divergence, in nats, of the background's mass spectrum after the cut from
        that before.
    name : str or list of str, default=None
        Name of the curves in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D or list of them
    band_ : matplotlib PolyCollection, list of them, or None
        Over several trainings.
    chance_level_ : None

    See Also
    --------
    skad.metrics.decorrelation_curve : The numbers.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import DecorrelationDisplay
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 5000)
    >>> mass, noise = rng.exponential(100, size=(2, 10_000))
    >>> display = DecorrelationDisplay.from_predictions(
    ...     y, {"flat": noise + 50 * y, "sculpting": mass + noise + 50 * y}, mass
    ... )
    >>> bool(display.jsd[0][0] < display.jsd[1][0])
    True
    """

    _lists = ("signal_efficiency", "jsd")
    _kinds = {
        "inverse_jsd": Kind(_SIGNAL | {"ylabel": "1 / JSD [1 / nats]"}),
        "jsd": Kind(_SIGNAL | {"ylabel": "JSD [nats]"}),
    }

    def __init__(
        self,
        *,
        signal_efficiency: NDArray[Any] | Sequence[NDArray[Any]],
        jsd: NDArray[Any] | Sequence[NDArray[Any]],
        name: str | Sequence[str] | None = None,
    ) -> None:
        self.signal_efficiency = signal_efficiency
        self.jsd = jsd
        self.name = name

    @classmethod
    @checked(estimators=ESTIMATORS)
    def from_estimator(
        cls,
        estimators: Estimator | Mapping[str, Estimator],
        X: ArrayLike,
        y_true: ArrayLike,
        mass: ArrayLike,
        *,
        background_efficiencies: ArrayLike | None = None,
        bins: int | ArrayLike = 20,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> DecorrelationDisplay:
        """Draw the scores that fitted estimators give to signal and background.

        Parameters
        ----------
        estimators : fitted estimator or dict of str to fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
        y_true : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        mass : array-like of shape (n_events,)
            Mass of the events, any unit; that of the signal is not used.
        background_efficiencies : array-like, default=None
            As for `from_predictions`.
        bins : int or array-like, default=20
            As for `from_predictions`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals, of which each is drawn; None with
            `background_label` means all others. Required for y in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        name : str, default=None
            By default the name of the class.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : DecorrelationDisplay
        """
        scores, name = responses(estimators, X, name=name, signal_label=signal_label)
        return cls.from_predictions(
            y_true,
            scores,
            mass,
            background_efficiencies=background_efficiencies,
            bins=bins,
            sample_weight=sample_weight,
            signal_label=signal_label,
            background_label=background_label,
            name=name,
            ax=ax,
            **plot_options,
        )

    @classmethod
    @checked(y_true=EVENTS)
    def from_predictions(
        cls,
        y_true: ArrayLike,
        scores: ArrayLike | Mapping[str, Any],
        mass: ArrayLike,
        *,
        background_efficiencies: ArrayLike | None = None,
        bins: int | ArrayLike = 20,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        aggregate: bool | None = None,
        **plot_options: Any,
    ) -> DecorrelationDisplay:
        """Draw anomaly scores of signal and background.

        Parameters
        ----------
        y_true : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        scores : array-like of shape (n_events,) or (n_seeds, n_events), or dict of str to such
            Anomaly scores, higher = more anomalous. The rows of a two-dimensional array are those
            of several trainings, for the same events.
        mass : array-like of shape (n_events,)
            Mass of the events, any unit; that of the signal is not used.
        background_efficiencies : array-like, default=None
            Fractions of the background that the cuts keep; by default 15 from 1 % to 50 %.
        bins : int or array-like, default=20
            Number of bins of equal population of the background's mass, or their edges.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals, of which each is drawn; None with
            `background_label` means all others. Required for y in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        name : str, default=None
        ax : matplotlib Axes, default=None
        aggregate : bool, default=None
            Draw the median and the 16-84 % band over the trainings of each method; None means
            True where any method has several.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : DecorrelationDisplay
        """
        scores, names, several = named_scores(scores, name, len(y_true))
        names = [names] * len(scores) if isinstance(names, (str, type(None))) else names
        curves, curve_names = [], []
        for score, of_scores in zip(scores, names, strict=True):
            for signal, label in each_signal(y_true, signal_label, background_label):
                curve = decorrelation_curve(
                    y_true,
                    score,
                    mass,
                    background_efficiencies=background_efficiencies,
                    bins=bins,
                    sample_weight=sample_weight,
                    signal_label=label,
                    background_label=background_label,
                )
                curves.append({key: getattr(curve, key) for key in cls._lists})
                curve_names.append(joined(of_scores, signal))
        aggregate = several if aggregate is None else aggregate
        return cls._from_curves(curves, curve_names).plot(ax, aggregate=aggregate, **plot_options)

    def _curves(self, kind):
        return [
            (efficiency, 1 / jsd if kind == "inverse_jsd" else jsd, None, None)
            for efficiency, jsd in self._columns(*self._lists)
        ]
