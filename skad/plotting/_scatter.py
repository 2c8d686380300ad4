"""Events in the plane of two numbers, by class: two scores, or R against the background density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics._checks import check_scores, event_classes
from skad.plotting._axes import get_axes, merge_style
from skad.plotting._takes import RATIO
from skad.utils._arguments import COUNT, SEED, checked
from skad.utils._children import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from skad.resonant._anode import ANODE
    from skad.resonant._residual_anode import ResidualANODE

__all__ = ["DensityRatioDisplay", "ScoreScatterDisplay"]


class _ScatterDisplay:
    """Points of each class; a subclass names the axes."""

    def _draw(self, ax, labels, scatter_kwargs):
        self.ax_, self.figure_ = get_axes(ax, self)
        from matplotlib.collections import PathCollection

        self.points_ = {}
        for kind, (x, y) in self.points.items():
            style = merge_style(
                PathCollection,
                {"s": 5, "alpha": 0.4, "linewidths": 0, "rasterized": True, "label": labels[kind]},
                (scatter_kwargs or {}).get(kind),
            )
            self.points_[kind] = self.ax_.scatter(x, y, **style)
        self.ax_.legend(fontsize="small", markerscale=3)


class ScoreScatterDisplay(_ScatterDisplay):
    """Standardised scores of two methods, event by event, with their correlation by class.

    Use `from_predictions`.

    Parameters
    ----------
    points : dict of str to (ndarray, ndarray)
        Scores of both methods for the events of each class, of zero mean and unit variance over
        all events.
    correlation : dict of str to float
        Pearson correlation in each class.
    names : (str, str)
        The methods.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : dict of str to matplotlib PathCollection
        By class.

    See Also
    --------
    skad.inspection.score_correlation : Correlations of many methods and seeds.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, figures 6, 9, 10, 15, 16 and 19.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import ScoreScatterDisplay
    >>> a, b = np.random.default_rng(0).normal(size=(2, 2000))
    >>> y = np.repeat([0, 1], 1000)
    >>> display = ScoreScatterDisplay.from_predictions(y, {"a": a, "b": np.where(y == 0, a, b)})
    >>> {kind: round(abs(r), 1) for kind, r in display.correlation.items()}
    {'background': 1.0, 'signal': 0.0}
    """

    def __init__(
        self,
        *,
        points: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
        correlation: Mapping[str, float],
        names: tuple[str, str],
    ) -> None:
        self.points = points
        self.correlation = correlation
        self.names = names

    def plot(
        self, ax: Axes | None = None, *, scatter_kwargs: Mapping[str, dict[Any, Any]] | None = None
    ) -> Self:
        """Draw the events.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        scatter_kwargs : dict of str to dict, default=None
            Keyword arguments of matplotlib's `scatter` for each class.

        Returns
        -------
        self : ScoreScatterDisplay
        """
        labels = {kind: f"{kind} (r = {r:.2f})" for kind, r in self.correlation.items()}
        self._draw(ax, labels, scatter_kwargs)
        self.ax_.set(xlabel=f"{self.names[0]}, standardised score")
        self.ax_.set(ylabel=f"{self.names[1]}, standardised score")
        return self

    @classmethod
    @checked(n_events=COUNT, random_state=SEED)
    def from_predictions(
        cls,
        y_true: ArrayLike | None,
        scores: Mapping[str, ArrayLike],
        *,
        n_events: int = 5000,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        random_state: int | None = 0,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> ScoreScatterDisplay:
        """Draw the anomaly scores of two methods.

        Parameters
        ----------
        y_true : array-like of shape (n_events,) or None
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`. None draws all
            events together.
        scores : dict of str to array-like of shape (n_events,)
            Scores of the same events by two methods, or two trainings.
        n_events : int, default=5000
            At most so many events of each class are drawn; the correlation is that of all.
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals; required for truth in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        random_state : int or None, default=0
            Chooses the events to draw.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreScatterDisplay
        """
        if not isinstance(scores, Mapping) or len(scores) != 2:
            raise ValueError("scores must be a dict of exactly two methods, by name.")
        values = []
        for name, score in scores.items():
            score = check_scores(score, name=f"scores[{name!r}]")
            if np.ptp(score) == 0:
                raise ValueError(f"scores[{name!r}] is the same for all {len(score)} events.")
            # Else the squares of very large or small scores leave the range of float64; powers of
            # two change no digit.
            score = np.ldexp(score, -np.frexp(np.abs(score).max())[1])
            values.append((score - score.mean()) / score.std())
        classes = _classes(y_true, values, signal_label, background_label)
        correlation = {
            kind: float(np.corrcoef(values[0][rows], values[1][rows])[0, 1])
            for kind, rows in classes.items()
        }
        points = _thinned(classes, values, n_events, random_state)
        return cls(points=points, correlation=correlation, names=tuple(scores)).plot(
            ax, **plot_options
        )


class DensityRatioDisplay(_ScatterDisplay):
    """R of a density-ratio detector against log of the background density, by class.

    Signal stands out of the background where R is large; the background scatters about R = 1,
    by as much as its two densities err. Use `from_estimator`.

    Parameters
    ----------
    points : dict of str to (ndarray, ndarray)
        log of the background density in nats, and R, for the events of each class.
    width : dict of str to float
        Half of the central 68 % of R in each class.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : dict of str to matplotlib PathCollection
        By class.

    References
    ----------
    .. [1] B. Nachman, D. Shih, "Anomaly detection with density estimation", arXiv:2001.04990,
       figure 4.

    Examples
    --------
    >>> from sklearn.mixture import GaussianMixture
    >>> from skad.datasets import make_resonance
    >>> from skad.density import FlowDensity
    >>> from skad.plotting import DensityRatioDisplay
    >>> from skad.resonant import ANODE
    >>> events = make_resonance(8000, 100, random_state=0)
    >>> flow = FlowDensity("maf", max_epochs=2)
    >>> anode = ANODE(flow, flow, region=(3.3, 3.7), random_state=0).fit(events.data)
    >>> m = events.data[:, 0]
    >>> inside = (m > 3.3) & (m < 3.7)
    >>> display = DensityRatioDisplay.from_estimator(
    ...     anode, events.data[inside], events.target[inside]
    ... )
    >>> sorted(display.points)
    ['background', 'signal']
    """

    def __init__(
        self, *, points: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], width: Mapping[str, float]
    ) -> None:
        self.points = points
        self.width = width

    def plot(
        self, ax: Axes | None = None, *, scatter_kwargs: Mapping[str, dict[Any, Any]] | None = None
    ) -> Self:
        """Draw the events.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        scatter_kwargs : dict of str to dict, default=None
            Keyword arguments of matplotlib's `scatter` for each class.

        Returns
        -------
        self : DensityRatioDisplay
        """
        labels = {kind: f"{kind} (width of R {w:.2g})" for kind, w in self.width.items()}
        self._draw(ax, labels, scatter_kwargs)
        self.ax_.axhline(1, color="0.5", linestyle=":", linewidth=1)
        self.ax_.set(xlabel=r"$\log\,p_{\rm background}(x|m)$ [nats]", ylabel="R", yscale="log")
        return self

    @classmethod
    @checked(estimator=RATIO, n_events=COUNT, random_state=SEED)
    def from_estimator(
        cls,
        estimator: ANODE | ResidualANODE,
        X: ArrayLike,
        y_true: ArrayLike | None = None,
        *,
        n_events: int = 5000,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        random_state: int | None = 0,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> DensityRatioDisplay:
        """Draw the events of the region.

        Parameters
        ----------
        estimator : fitted ANODE or ResidualANODE
            Has `density_ratio` and `log_background_density`.
        X : array-like of shape (n_events, n_columns)
            Events of the signal region. Those outside the fiducial region are not drawn.
        y_true : array-like of shape (n_events,), default=None
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        n_events : int, default=5000
            At most so many events of each class are drawn; the width is that of all.
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals; required for truth in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        random_state : int or None, default=0
            Chooses the events to draw.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : DensityRatioDisplay
        """
        log_density = estimator.log_background_density(X)
        there = np.isfinite(log_density)
        ratio = np.zeros(len(log_density))
        ratio[there] = estimator.density_ratio(rows_of(X, there))
        values = [log_density, ratio]
        classes = {
            kind: np.flatnonzero(rows & there)
            for kind, rows in _masks(y_true, values, signal_label, background_label).items()
        }
        classes = {kind: rows for kind, rows in classes.items() if len(rows)}
        width = {
            kind: float(np.subtract(*np.percentile(ratio[rows], [84, 16])) / 2)
            for kind, rows in classes.items()
        }
        points = _thinned(classes, values, n_events, random_state)
        return cls(points=points, width=width).plot(ax, **plot_options)


def _masks(y_true, values, signal_label, background_label):
    check_consistent_length(y_true, *values)
    if y_true is None:
        return {"all": np.ones(len(values[0]), dtype=bool)}
    return event_classes(y_true, signal_label, background_label)


def _classes(y_true, values, signal_label, background_label):
    """Return the rows of each class that has two events or more."""
    masks = _masks(y_true, values, signal_label, background_label)
    return {kind: np.flatnonzero(mask) for kind, mask in masks.items() if mask.sum() > 1}


def _thinned(classes, values, n_events, random_state):
    rng = np.random.default_rng(random_state)
    points = {}
    for kind, rows in classes.items():
        if len(rows) > n_events:
            rows = rng.choice(rows, n_events, replace=False)
        points[kind] = tuple(column[rows] for column in values)
    return points
