"""ROC curves of detectors."""

from functools import partial

import numpy as np
from sklearn.metrics import auc

from skad.metrics._roc import cut_counts
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

__all__ = ["ROCDisplay"]


class ROCDisplay(CurveDisplay):
    """ROC curve of any detector, density or classifier.

    Unlike scikit-learn's `RocCurveDisplay` it takes outlier detectors, and turns their scores the
    right way. Use `from_estimator`, `from_predictions` or `from_cv_results`.

    Parameters
    ----------
    tpr, fpr : ndarray or list of ndarray
        Signal and background efficiency, one array per curve, ascending.
    tpr_error, fpr_error : ndarray or list of ndarray, default=None
        Standard errors, drawn as bands.
    roc_auc : float or list of float, default=None
        Shown in the legend.
    name : str or list of str, default=None
        Name of the curves in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D or list of them
    band_ : matplotlib PolyCollection, list of them, or None
    chance_level_ : matplotlib Line2D or None

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.plotting import ROCDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(900, 2)), rng.normal(3, 1, size=(100, 2))])
    >>> forest = IsolationForest(random_state=0).fit(X)
    >>> display = ROCDisplay.from_estimator(forest, X, np.repeat([0, 1], [900, 100]))
    >>> bool(display.roc_auc[0] > 0.9)
    True

    Scores of four trainings, of which the median is drawn with a band:

    >>> scores = [
    ...     -IsolationForest(n_estimators=20, random_state=seed).fit(X).score_samples(X)
    ...     for seed in range(4)
    ... ]
    >>> display = ROCDisplay.from_predictions(
    ...     np.repeat([0, 1], [900, 100]), scores, name="forest"
    ... )
    >>> len(display.roc_auc), display.line_.get_label().split(" = ")[0]
    (4, 'forest (AUC')
    """

    _lists = ("tpr", "fpr")

    def __init__(self, *, tpr, fpr, tpr_error=None, fpr_error=None, roc_auc=None, name=None):
        self.tpr = tpr
        self.fpr = fpr
        self.tpr_error = tpr_error
        self.fpr_error = fpr_error
        self.roc_auc = roc_auc
        self.name = name

    def plot(
        self,
        ax=None,
        *,
        kind="roc",
        name=None,
        curve_kwargs=None,
        error_band=True,
        band_kwargs=None,
        aggregate=False,
        plot_chance_level=True,
        chance_level_kw=None,
        legend_kwargs=None,
    ):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        kind : {"roc", "rejection"}, default="roc"
            tpr against fpr, or background rejection 1 / fpr (logarithmic) against tpr.
        name : str or list of str, default=None
            Replaces `name` of the display. Curves of the same name share one entry in the legend,
            with the median and the 16 % and 84 % quantiles of the areas.
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
        plot_chance_level : bool, default=True
            Draw the curve of a random choice; False where the axes already show it.
        chance_level_kw : dict, default=None
            Keyword arguments of its line.
        legend_kwargs : dict, default=None
            Keyword arguments of matplotlib's `legend`. Without "loc" it stands below the diagonal,
            or for the rejection in the upper right corner, and that vertical axis is extended
            until no curve is under it, unless its limits have been set.

        Returns
        -------
        self : ROCDisplay
        """
        check_options(kind, ("roc", "rejection"), name="kind")
        self._check_lengths()
        groups = self._grouped(
            self._curves(kind),
            name=name,
            values=self.roc_auc,
            metric="AUC",
            median=partial(median_band, logarithmic=False) if aggregate else None,
        )
        self.ax_, self.figure_ = get_axes(ax, self)
        legend = self._draw(
            self.ax_,
            groups,
            curve_kwargs=curve_kwargs,
            error_band=error_band,
            band_kwargs=band_kwargs,
        )
        self.chance_level_ = None
        if plot_chance_level:
            grid = np.linspace(1e-3, 1, 500)
            style = {"color": "0.5", "linestyle": ":", "label": "random"} | (chance_level_kw or {})
            (self.chance_level_,) = self.ax_.plot(
                grid, grid if kind == "roc" else 1 / grid, **style
            )
        if kind == "roc":
            self.ax_.set(
                xlabel=r"Background efficiency $\epsilon_B$",
                ylabel=r"Signal efficiency $\epsilon_S$",
                xlim=(-0.01, 1.01),
                ylim=(-0.01, 1.01),
                aspect="equal",
            )
        else:
            self.ax_.set(
                xlabel=r"Signal efficiency $\epsilon_S$",
                ylabel=r"Background rejection $1/\epsilon_B$",
                xlim=(0, 1),
                yscale="log",
            )
            # With auto=None the upper limit still follows what is drawn on the same axes later.
            self.ax_.set_ylim(bottom=1, auto=None)
        if legend or plot_chance_level:
            # Below the diagonal, or above curves that fall.
            loc = "lower right" if kind == "roc" else "upper right"
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
        name : str, default=None
            By default the name of the class.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ROCDisplay
        """
        scores, names = named_scores(estimator, name, estimator_X=X, signal_label=signal_label)
        display = cls._from_scores([(y, s, sample_weight) for s in scores], names, signal_label)
        return display.plot(ax, **plot_options)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        scores,
        *,
        sample_weight=None,
        signal_label=None,
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
        name : str, default=None
        ax : matplotlib Axes, default=None
        aggregate : bool, default=None
            Draw the median and the 16-84 % band over the trainings of each method; False draws
            every training. None means True where any method has several.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ROCDisplay
        """
        scores, names, several = split_trainings(*named_scores(scores, name), len(y_true))
        display = cls._from_scores(
            [(y_true, s, sample_weight) for s in scores], names, signal_label
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
        name : str, default=None
        ax : matplotlib Axes, default=None
        aggregate : bool, default=True
            False draws every fold.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ROCDisplay
        """
        folds = [
            (truth, scores, weight)
            for scores, truth, weight in score_folds(
                cv_results, X, y, sample_weight, signal_label=signal_label
            )
        ]
        display = cls._from_scores(folds, name, signal_label)
        return display.plot(ax, aggregate=aggregate, **plot_options)

    @classmethod
    def _from_scores(cls, samples, names, signal_label):
        curves, areas = [], []
        for y, scores, weight in samples:
            counts = cut_counts(y, scores, sample_weight=weight, signal_label=signal_label)
            areas.append(float(auc(counts.fpr, counts.tpr)))
            keep = _thin(counts.fpr, counts.tpr)
            columns = counts.tpr, counts.fpr, counts.tpr_error, counts.fpr_error
            curves.append([column[keep] for column in columns])
        tpr, fpr, tpr_error, fpr_error = (list(column) for column in zip(*curves, strict=True))
        return cls(
            tpr=tpr,
            fpr=fpr,
            tpr_error=tpr_error,
            fpr_error=fpr_error,
            roc_auc=areas,
            name=names,
        )

    def _curves(self, kind):
        tprs, fprs = as_list(self.tpr), as_list(self.fpr)
        errors = self.tpr_error if kind == "roc" else self.fpr_error
        errors = [None] * len(tprs) if errors is None else as_list(errors)
        curves = []
        for tpr, fpr, error in zip(tprs, fprs, errors, strict=True):
            tpr, fpr = np.asarray(tpr), np.asarray(fpr)
            if kind == "roc":
                band = (None, None) if error is None else (tpr - error, tpr + error)
                curves.append((fpr, tpr, *band))
                continue
            passing = fpr > 0
            tpr, fpr = tpr[passing], fpr[passing]
            band = (None, None)
            if error is not None:
                lowest = fpr - error[passing]
                # The rejection of one event, or none, has no upper limit.
                limited = lowest > 1e-3 * fpr
                upper = np.divide(1, lowest, out=np.full_like(fpr, np.nan), where=limited)
                band = (1 / (fpr + error[passing]), upper)
            curves.append((tpr, 1 / fpr, *band))
        return curves


def _thin(fpr, tpr):
    """Return about a thousand cuts, dense in both efficiencies, with the first and the last."""
    if len(fpr) < 2000:
        return np.arange(len(fpr))
    start = fpr[fpr > 0][0]
    chosen = np.concatenate(
        [
            np.searchsorted(tpr, np.linspace(0, 1, 500)),
            np.searchsorted(fpr, np.geomspace(start, 1, 500)),
            [0, len(fpr) - 1],
        ]
    )
    return np.unique(np.minimum(chosen, len(fpr) - 1))
