"""Significance improvement curves."""

from functools import partial

import numpy as np

from skad.metrics import max_significance_improvement, significance_improvement_curve
from skad.plotting._axes import (
    CurveDisplay,
    as_list,
    check_options,
    draw_legend,
    get_axes,
    median_band,
    named_scores,
    score_folds,
    split_trainings,
)

__all__ = ["SICDisplay"]


class SICDisplay(CurveDisplay):
    """Significance improvement against signal efficiency, background efficiency or rejection.

    Use `from_estimator`, `from_predictions` or `from_cv_results`. Only cuts which leave enough
    background events are part of a curve.

    Parameters
    ----------
    tpr, fpr, sic : ndarray or list of ndarray
        One array per curve, as of `skad.metrics.significance_improvement_curve`.
    sic_error : ndarray or list of ndarray, default=None
        Standard errors, drawn as bands.
    max_sic : float or list of float, default=None
        Shown in the legend.
    name : str or list of str, default=None
        Name of the curves in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D or list of them
    band_ : matplotlib PolyCollection, list of them, or None
    random_line_ : matplotlib Line2D or None
        Significance improvement of a random choice.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import SICDisplay
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], [20_000, 1_000])
    >>> near, far = rng.normal(loc=1.0 * y), rng.normal(loc=2.0 * y)
    >>> display = SICDisplay.from_predictions(y, {"near": near, "far": far})
    >>> len(display.line_)
    2

    Scores of three trainings, as median and band beside another method:

    >>> trainings = near + rng.normal(size=(3, len(y)))
    >>> display = SICDisplay.from_predictions(y, {"near": trainings, "far": far})
    >>> display.name
    ['near', 'near', 'near', 'far']
    >>> len(display.line_)
    2
    """

    _lists = ("tpr", "fpr", "sic")

    def __init__(self, *, tpr, fpr, sic, sic_error=None, max_sic=None, name=None):
        self.tpr = tpr
        self.fpr = fpr
        self.sic = sic
        self.sic_error = sic_error
        self.max_sic = max_sic
        self.name = name

    def plot(
        self,
        ax=None,
        *,
        x="tpr",
        name=None,
        curve_kwargs=None,
        error_band=True,
        band_kwargs=None,
        aggregate=False,
        plot_random=True,
        random_kwargs=None,
        legend_kwargs=None,
    ):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        x : {"tpr", "fpr", "rejection"}, default="tpr"
            Horizontal axis; the last two are logarithmic.
        name : str or list of str, default=None
            Replaces `name` of the display. Curves of the same name share one entry in the legend,
            with the median and the 16 % and 84 % quantiles of the maxima.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `plot`, for all curves, or one for each curve or
            name.
        error_band : bool, default=True
            Draw the bands.
        band_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`.
        aggregate : bool, default=False
            Draw the median of the curves of each name with their 16-84 % band (over folds or
            seeds), instead of each with its statistical error. It is drawn where all of them have
            values; the curve of a name that has only one gets no band.
        plot_random : bool, default=True
            Draw the significance improvement of a random choice; False where the axes already
            show it.
        random_kwargs : dict, default=None
            Keyword arguments of its line.
        legend_kwargs : dict, default=None
            Keyword arguments of matplotlib's `legend`. Without "loc" it stands in the upper
            corner where all events pass, and the vertical axis is extended until no curve is
            under it, unless its limits have been set.

        Returns
        -------
        self : SICDisplay
        """
        check_options(x, _AXES, name="x")
        self._check_lengths()
        groups = self._grouped(
            self._curves(x),
            name=name,
            values=self.max_sic,
            metric="max SIC",
            median=partial(median_band, logarithmic=x != "tpr") if aggregate else None,
        )
        self.ax_, self.figure_ = get_axes(ax, self)
        legend = self._draw(
            self.ax_,
            groups,
            curve_kwargs=curve_kwargs,
            error_band=error_band,
            band_kwargs=band_kwargs,
        )
        self.random_line_ = self._draw_random(x, random_kwargs) if plot_random else None
        label, scale = _AXES[x]
        self.ax_.set(
            xlabel=label,
            ylabel=r"Significance improvement $\epsilon_S/\sqrt{\epsilon_B}$",
            xscale=scale,
        )
        # With auto=None the upper limit still follows what is drawn on the same axes later.
        self.ax_.set_ylim(bottom=0, auto=None)
        if x == "tpr":
            self.ax_.set_xlim(0, 1)
        if legend or plot_random:
            # Every curve ends at a SIC of 1 where all events pass.
            loc = "upper left" if x == "rejection" else "upper right"
            draw_legend(self.ax_, loc, legend_kwargs)
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        sample_weight=None,
        signal_label=None,
        min_background_events=25,
        name=None,
        ax=None,
        **plot_options,
    ):
        """Draw the curve of a fitted estimator, or of several.

        Parameters
        ----------
        estimator : fitted estimator, or dict of str to fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The label of signal; required for y in {-1, +1}.
        min_background_events : float, default=25
            Cuts that leave fewer background events are not drawn.
        name : str, default=None
            By default the name of the class.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : SICDisplay
        """
        scores, names = named_scores(estimator, name, estimator_X=X, signal_label=signal_label)
        display = cls._from_scores(
            [(y, s, sample_weight) for s in scores], names, signal_label, min_background_events
        )
        return display.plot(ax, **plot_options)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        scores,
        *,
        sample_weight=None,
        signal_label=None,
        min_background_events=25,
        name=None,
        ax=None,
        aggregate=None,
        **plot_options,
    ):
        """Draw the curve of anomaly scores, or of several.

        Parameters
        ----------
        y_true : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        scores : array-like of shape (n_events,) or (n_seeds, n_events), or dict of str to such
            Anomaly scores, higher = more anomalous. The rows of a two-dimensional array are those
            of several trainings, for the same events.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The label of signal; required for y in {-1, +1}.
        min_background_events : float, default=25
            Cuts that leave fewer background events are not drawn.
        name : str, default=None
        ax : matplotlib Axes, default=None
        aggregate : bool, default=None
            Draw the median and the 16-84 % band over the trainings of each method; False draws
            every training. None means True where any method has several.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : SICDisplay
        """
        scores, names, several = split_trainings(*named_scores(scores, name), len(y_true))
        display = cls._from_scores(
            [(y_true, s, sample_weight) for s in scores], names, signal_label, min_background_events
        )
        aggregate = several if aggregate is None else aggregate
        return display.plot(ax, aggregate=aggregate, **plot_options)

    @classmethod
    def from_cv_results(
        cls,
        cv_results,
        X,
        y,
        *,
        sample_weight=None,
        signal_label=None,
        min_background_events=25,
        name=None,
        ax=None,
        aggregate=True,
        **plot_options,
    ):
        """Draw the median and 16-84 % band over the folds of a cross-validation.

        Parameters
        ----------
        cv_results : dict
            Of `cross_validate` with ``return_estimator=True, return_indices=True``.
        X : array-like of shape (n_events, n_features)
            The events that were cross-validated.
        y : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The label of signal; required for y in {-1, +1}.
        min_background_events : float, default=25
            Cuts that leave fewer background events are not drawn.
        name : str, default=None
        ax : matplotlib Axes, default=None
        aggregate : bool, default=True
            False draws every fold.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : SICDisplay
        """
        folds = [
            (truth, scores, weight)
            for scores, truth, weight in score_folds(
                cv_results, X, y, sample_weight, signal_label=signal_label
            )
        ]
        display = cls._from_scores(folds, name, signal_label, min_background_events)
        return display.plot(ax, aggregate=aggregate, **plot_options)

    @classmethod
    def _from_scores(cls, samples, names, signal_label, minimum):
        arrays, maxima = [], []
        for y, scores, weight in samples:
            options = {"sample_weight": weight, "signal_label": signal_label}
            maxima.append(
                max_significance_improvement(y, scores, min_background_events=minimum, **options)
            )
            curve = significance_improvement_curve(y, scores, **options)
            keep = _thin(curve, minimum)
            arrays.append(
                (curve.tpr[keep], curve.fpr[keep], curve.sic[keep], curve.sic_error[keep])
            )
        tpr, fpr, sic, error = (list(column) for column in zip(*arrays, strict=True))
        return cls(tpr=tpr, fpr=fpr, sic=sic, sic_error=error, max_sic=maxima, name=names)

    def _curves(self, x):
        tpr, fpr, sic = (as_list(v) for v in (self.tpr, self.fpr, self.sic))
        errors = [None] * len(sic) if self.sic_error is None else as_list(self.sic_error)
        curves = []
        for t, f, s, e in zip(tpr, fpr, sic, errors, strict=True):
            position = {"tpr": t, "fpr": f}.get(x)
            position = 1 / np.asarray(f) if position is None else np.asarray(position)
            band = (None, None) if e is None else (s - e, s + e)
            curves.append((position, np.asarray(s), *band))
        return curves

    def _draw_random(self, x, kwargs):
        efficiency = np.linspace(0, 1, 200) if x == "tpr" else None
        if efficiency is None:
            curves = [np.asarray(f) for f in as_list(self.fpr)]
            smallest = min((f.min() for f in curves if len(f)), default=1e-3)
            efficiency = np.geomspace(smallest, 1, 200)
        style = {"color": "0.5", "linestyle": ":", "label": "random"} | (kwargs or {})
        position = 1 / efficiency if x == "rejection" else efficiency
        (line,) = self.ax_.plot(position, np.sqrt(efficiency), **style)
        return line


_AXES = {
    "tpr": (r"Signal efficiency $\epsilon_S$", "linear"),
    "fpr": (r"Background efficiency $\epsilon_B$", "log"),
    "rejection": (r"Background rejection $1/\epsilon_B$", "log"),
}


def _thin(curve, minimum):
    """Return about a thousand allowed cuts, dense in both efficiencies, the best one among them."""
    allowed = np.flatnonzero((curve.background_events >= minimum * (1 - 1e-9)) & (curve.fpr > 0))
    if len(allowed) < 2000:
        return allowed
    tpr, fpr = curve.tpr[allowed], curve.fpr[allowed]
    chosen = np.concatenate(
        [
            np.searchsorted(tpr, np.linspace(tpr[0], 1, 500)),
            np.searchsorted(fpr, np.geomspace(fpr[0], 1, 500)),
            [0, np.argmax(curve.sic[allowed]), len(allowed) - 1],
        ]
    )
    return allowed[np.unique(np.minimum(chosen, len(allowed) - 1))]
