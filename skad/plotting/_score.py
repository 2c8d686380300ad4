"""Distributions of anomaly scores."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from skad.metrics import anomaly_response, anomaly_threshold, score_histograms
from skad.plotting._axes import get_axes
from skad.plotting._histograms import draw_histograms
from skad.plotting._scores import one_label, score_folds, study_rows
from skad.plotting._takes import ESTIMATOR, FOLDS, STUDY
from skad.utils._arguments import EVENTS, Events, checked
from skad.utils._sklearn import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame

    from skad.utils._types import Estimator

__all__ = ["ScoreDisplay"]


class ScoreDisplay:
    """Histogram of anomaly scores, of signal and background where the truth is known.

    Use `from_estimator`, `from_predictions` or `from_cv_results`.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Bin edges, in the units of the score.
    density : dict of str to ndarray of shape (n_bins,)
        Height of each named histogram; the integral of each is 1.
    density_error : dict of str to ndarray of shape (n_bins,)
        Standard errors, from sums of squared weights.
    scale : {"linear", "log"}, default="linear"
        Scale of the horizontal axis.
    threshold : float, default=None
        Anomaly score above which events are called outliers.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : list of matplotlib StepPatch
    band_ : list of matplotlib PolyCollection
    threshold_line_ : matplotlib Line2D or None

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import ScoreDisplay
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], [5_000, 500])
    >>> display = ScoreDisplay.from_predictions(y, rng.normal(loc=2.0 * y), bins=30)
    >>> list(display.density)
    ['background', 'signal']
    """

    def __init__(
        self,
        *,
        edges: NDArray[Any],
        density: Mapping[str, NDArray[Any]],
        density_error: Mapping[str, NDArray[Any]],
        scale: Literal["linear", "log"] = "linear",
        threshold: float | None = None,
    ) -> None:
        self.edges = edges
        self.density = density
        self.density_error = density_error
        self.scale = scale
        self.threshold = threshold

    def plot(
        self,
        ax: Axes | None = None,
        *,
        name: str | None = None,
        curve_kwargs: dict[Any, Any] | Sequence[dict[Any, Any]] | None = None,
        error_band: bool = True,
        band_kwargs: dict[Any, Any] | None = None,
        log: bool = True,
    ) -> Self:
        """Draw the histograms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        name : str, default=None
            Put before the names in the legend.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `stairs`, for all histograms or one for each.
        error_band : bool, default=True
            Draw the standard errors.
        band_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`.
        log : bool, default=True
            Logarithmic vertical axis.

        Returns
        -------
        self : ScoreDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        self.line_, self.band_ = draw_histograms(
            self.ax_,
            self.edges,
            [label if name is None else f"{name}, {label}" for label in self.density],
            self.density.values(),
            curve_kwargs=curve_kwargs,
            errors=[self.density_error[label] for label in self.density] if error_band else None,
            band_kwargs=band_kwargs,
        )
        self.threshold_line_ = None
        if self.threshold is not None:
            self.threshold_line_ = self.ax_.axvline(
                self.threshold, color="0.4", linestyle="--", linewidth=1, label="threshold"
            )
        self.ax_.set(xlabel="Anomaly score", ylabel="Density")
        self.ax_.set_xlim(self.edges[0], self.edges[-1])
        self.ax_.set_xscale(self.scale)
        if log:
            positive = np.concatenate([h[h > 0] for h in self.density.values()])
            if not len(positive):
                raise ValueError(
                    "log=True needs a density above zero, and the scores spread so far that none "
                    f"is: {self.edges[0]:.3g} to {self.edges[-1]:.3g}. Pass log=False, or bins as "
                    "edges."
                )
            self.ax_.set(yscale="log")
            self.ax_.set_ylim(positive.min() / 2, positive.max() * 2)
        else:
            self.ax_.set_ylim(bottom=0)
        self.ax_.legend()
        return self

    @classmethod
    @checked(estimator=ESTIMATOR)
    def from_estimator(
        cls,
        estimator: Estimator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        bins: int | ArrayLike = 50,
        scale: Literal["linear", "log"] = "linear",
        show_threshold: bool = True,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> ScoreDisplay:
        """Draw the scores that a fitted estimator gives to events.

        Parameters
        ----------
        estimator : fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,), default=None
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals; required for y in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        bins : int or array-like, default=50
            Number of bins between the smallest and largest score, or the edges.
        scale : {"linear", "log"}, default="linear"
            Spacing of the bins and of the horizontal axis; "log" needs positive scores.
        show_threshold : bool, default=True
            Draw the threshold of a detector with an `offset_`.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreDisplay
        """
        scores = anomaly_response(estimator, X, signal_label=one_label(signal_label))
        threshold = anomaly_threshold(estimator, X) if show_threshold else None
        return cls.from_predictions(
            y,
            scores,
            sample_weight=sample_weight,
            signal_label=signal_label,
            background_label=background_label,
            bins=bins,
            scale=scale,
            threshold=threshold,
            ax=ax,
            **plot_options,
        )

    @classmethod
    @checked(threshold=[Interval(Real, None, None, closed="both"), None])
    def from_predictions(
        cls,
        y_true: ArrayLike | None,
        scores: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        bins: int | ArrayLike = 50,
        scale: Literal["linear", "log"] = "linear",
        threshold: float | None = None,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> ScoreDisplay:
        """Draw anomaly scores.

        Parameters
        ----------
        y_true : array-like of shape (n_events,) or None
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`. None draws all
            events together.
        scores : array-like of shape (n_events,)
            Anomaly scores, higher = more anomalous.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals; required for y in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        bins : int or array-like, default=50
            Number of bins between the smallest and largest score, or the edges.
        scale : {"linear", "log"}, default="linear"
            Spacing of the bins and of the horizontal axis; "log" needs positive scores.
        threshold : float, default=None
            Anomaly score above which events are called outliers.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreDisplay
        """
        histograms = score_histograms(
            y_true,
            scores,
            bins=bins,
            scale=scale,
            sample_weight=sample_weight,
            signal_label=signal_label,
            background_label=background_label,
        )
        display = cls(**histograms._asdict(), scale=scale, threshold=threshold)
        return display.plot(ax, **plot_options)

    @classmethod
    @checked(cv_results=FOLDS, X=EVENTS, y=Events(like="X"), sample_weight=Events(like="X"))
    def from_cv_results(
        cls,
        cv_results: dict[Any, Any],
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        bins: int | ArrayLike = 50,
        scale: Literal["linear", "log"] = "linear",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> ScoreDisplay:
        """Draw the out-of-fold scores of a cross-validation, all folds together.

        Parameters
        ----------
        cv_results : dict
            Of `cross_validate` with ``return_estimator=True, return_indices=True``.
        X : array-like of shape (n_events, n_features)
            The events that were cross-validated.
        y : array-like of shape (n_events,), default=None
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals; required for y in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        bins : int or array-like, default=50
            Number of bins between the smallest and largest score, or the edges.
        scale : {"linear", "log"}, default="linear"
            Spacing of the bins and of the horizontal axis; "log" needs positive scores.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreDisplay
        """
        folds = list(score_folds(cv_results, X, y, sample_weight, signal_label=signal_label))

        def pooled(column):
            return None if folds[0][column] is None else np.concatenate([f[column] for f in folds])

        return cls.from_predictions(
            pooled(1),
            pooled(0),
            sample_weight=pooled(2),
            signal_label=signal_label,
            background_label=background_label,
            bins=bins,
            scale=scale,
            ax=ax,
            **plot_options,
        )

    @classmethod
    @checked(study=STUDY)
    def from_study(
        cls,
        study: DataFrame,
        *,
        bins: int | ArrayLike = 50,
        scale: Literal["linear", "log"] = "linear",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> ScoreDisplay:
        """Draw the scores that a study kept, of all its seeds together.

        Parameters
        ----------
        study : pandas.DataFrame
            Rows of one detector in one frame, or with one amount of signal, of
            `skad.inspection.coordinate_study` or `skad.inspection.injection_study` with
            ``keep_scores=True``.
        bins : int or array-like, default=50
            Number of bins between the smallest and largest score, or the edges.
        scale : {"linear", "log"}, default="linear"
            Spacing of the bins and of the horizontal axis; "log" needs positive scores.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreDisplay
        """
        names, scores, truth, weights = zip(*study_rows(study), strict=True)
        if len(set(names)) > 1:
            raise ValueError(
                f"the study holds several cases, {sorted(set(names))[:5]}; select the rows of one, "
                'for example study[study["detector"] == "flow"].'
            )
        weight = None if weights[0] is None else np.concatenate(weights)
        return cls.from_predictions(
            np.concatenate(truth),
            np.concatenate(scores),
            sample_weight=weight,
            bins=bins,
            scale=scale,
            ax=ax,
            **plot_options,
        )
