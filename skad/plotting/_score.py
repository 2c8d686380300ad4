"""Distributions of anomaly scores."""

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics import anomaly_response
from skad.metrics._checks import check_scores, check_weight, signal_mask
from skad.plotting._axes import check_options, get_axes, merge_style, score_folds

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
    >>> display = ScoreDisplay.from_predictions(rng.normal(loc=2.0 * y), y, bins=30)
    >>> list(display.density)
    ['background', 'signal']
    """

    def __init__(self, *, edges, density, density_error, scale="linear", threshold=None):
        self.edges = edges
        self.density = density
        self.density_error = density_error
        self.scale = scale
        self.threshold = threshold

    def plot(
        self,
        ax=None,
        *,
        name=None,
        curve_kwargs=None,
        error_band=True,
        band_kwargs=None,
        log=True,
        xlabel="Anomaly score",
    ):
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
        xlabel : str, default="Anomaly score"

        Returns
        -------
        self : ScoreDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        from matplotlib.patches import StepPatch

        n = len(self.density)
        styles = curve_kwargs if isinstance(curve_kwargs, (list, tuple)) else [curve_kwargs] * n
        if len(styles) != n:
            raise ValueError(
                f"curve_kwargs must be a dict or a list of {n}, one per histogram; "
                f"got {len(styles)}."
            )
        self.line_, self.band_ = [], []
        for label, style in zip(self.density, styles, strict=True):
            height, error = self.density[label], self.density_error[label]
            shown = label if name is None else f"{name}, {label}"
            style = merge_style(StepPatch, {"linewidth": 1.5, "label": shown}, style)
            self.line_.append(self.ax_.stairs(height, self.edges, **style))
            if error_band:
                color = self.line_[-1].get_edgecolor()
                band_style = {"color": color, "alpha": 0.25, "linewidth": 0}
                low, high = height - error, height + error
                self.band_.append(
                    self.ax_.fill_between(
                        self.edges,
                        np.append(low, low[-1]),
                        np.append(high, high[-1]),
                        step="post",
                        **band_style | (band_kwargs or {}),
                    )
                )
        self.threshold_line_ = None
        if self.threshold is not None:
            self.threshold_line_ = self.ax_.axvline(
                self.threshold, color="0.4", linestyle="--", linewidth=1, label="threshold"
            )
        self.ax_.set(xlabel=xlabel, ylabel="Density", xlim=(self.edges[0], self.edges[-1]))
        self.ax_.set_xscale(self.scale)
        if log:
            positive = np.concatenate([h[h > 0] for h in self.density.values()])
            self.ax_.set(yscale="log")
            self.ax_.set_ylim(positive.min() / 2, positive.max() * 2)
        else:
            self.ax_.set_ylim(bottom=0)
        self.ax_.legend()
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        sample_weight=None,
        signal_label=None,
        bins=50,
        scale="linear",
        show_threshold=True,
        ax=None,
        **plot_options,
    ):
        """Draw the scores that a fitted estimator gives to events.

        Parameters
        ----------
        estimator : fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,), default=None
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The label of signal; required for y in {-1, +1}.
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
        scores = anomaly_response(estimator, X, signal_label=signal_label)
        threshold = _threshold(estimator, scores, X) if show_threshold else None
        return cls.from_predictions(
            scores,
            y,
            sample_weight=sample_weight,
            signal_label=signal_label,
            bins=bins,
            scale=scale,
            threshold=threshold,
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls,
        scores,
        y_true=None,
        *,
        sample_weight=None,
        signal_label=None,
        bins=50,
        scale="linear",
        threshold=None,
        ax=None,
        **plot_options,
    ):
        """Draw anomaly scores.

        Parameters
        ----------
        scores : array-like of shape (n_events,)
            Anomaly scores, higher = more anomalous.
        y_true : array-like of shape (n_events,), default=None
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The label of signal; required for y in {-1, +1}.
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
        scores = check_scores(scores)
        weight = check_weight(sample_weight, scores)
        edges = _edges(scores, bins, scale)
        parts = {"events": np.ones(len(scores), dtype=bool)}
        if y_true is not None:
            signal = signal_mask(y_true, signal_label)
            check_consistent_length(signal, scores)
            parts = {"background": ~signal, "signal": signal}
        density, error = {}, {}
        for name, part in parts.items():
            if weight[part].any():
                density[name], error[name] = _histogram(scores[part], weight[part], edges)
        display = cls(
            edges=edges, density=density, density_error=error, scale=scale, threshold=threshold
        )
        return display.plot(ax, **plot_options)

    @classmethod
    def from_cv_results(
        cls,
        cv_results,
        X,
        y=None,
        *,
        sample_weight=None,
        signal_label=None,
        bins=50,
        scale="linear",
        ax=None,
        **plot_options,
    ):
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
        signal_label : int, str or None, default=None
            The label of signal; required for y in {-1, +1}.
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
            pooled(0),
            pooled(1),
            sample_weight=pooled(2),
            signal_label=signal_label,
            bins=bins,
            scale=scale,
            ax=ax,
            **plot_options,
        )


def _threshold(estimator, scores, X):
    """Return the anomaly score where the decision changes sign, for scores that differ by sign."""
    if not hasattr(estimator, "offset_") or not hasattr(estimator, "score_samples"):
        return None
    # Only where score_samples is the negative score is the offset in its units.
    if np.allclose(estimator.score_samples(X[:10]), -scores[:10]):
        return -float(estimator.offset_)
    return None


def _edges(scores, bins, scale):
    check_options(scale, ("linear", "log"), name="scale")
    if scale == "log" and scores.min() <= 0:
        raise ValueError(
            f"scale='log' needs positive scores; the smallest is {scores.min():g}. "
            "Use scale='linear'."
        )
    if np.ndim(bins) > 0:
        edges = np.asarray(bins, dtype=np.float64)
        if len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise ValueError("bins, as edges, must be at least two increasing numbers.")
        n_outside = int(((scores < edges[0]) | (scores > edges[-1])).sum())
        if n_outside:
            raise ValueError(
                f"{n_outside} of {len(scores)} scores lie outside the bin edges "
                f"[{edges[0]:g}, {edges[-1]:g}]; widen the edges."
            )
        return edges
    if scale == "linear":
        return np.histogram_bin_edges(scores, bins)
    return np.geomspace(scores.min(), scores.max(), bins + 1)


def _histogram(scores, weight, edges):
    # Rounding of geomspace must not lose the extreme scores.
    inside = np.clip(scores, edges[0], edges[-1])
    total, _ = np.histogram(inside, edges, weights=weight)
    square, _ = np.histogram(inside, edges, weights=weight**2)
    norm = weight.sum() * np.diff(edges)
    return total / norm, np.sqrt(square) / norm
