"""Agreement of selections as a function of their size."""

import itertools

import numpy as np

from skad.metrics import anomaly_response, shared_fraction
from skad.plotting._axes import CurveDisplay, as_list, check_options, get_axes

__all__ = ["OverlapDisplay"]


class OverlapDisplay(CurveDisplay):
    """Shared part of the most anomalous events against the selected fraction.

    Use `from_estimator`, `from_predictions` or `from_cv_results`.

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
    chance_level_ : matplotlib Line2D

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

    def __init__(self, *, fraction, shared, shared_error=None, n_scores=2, name=None):
        self.fraction = fraction
        self.shared = shared
        self.shared_error = shared_error
        self.n_scores = n_scores
        self.name = name

    def plot(
        self,
        ax=None,
        *,
        kind="shared",
        name=None,
        curve_kwargs=None,
        error_band=True,
        band_kwargs=None,
        aggregate=False,
        chance_level_kw=None,
    ):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        kind : {"shared", "excess"}, default="shared"
            The shared fraction, or the same less chance, as `skad.metrics.selection_overlap`.
        name : str or list of str, default=None
            Replaces `name` of the display. One str for several curves gives one entry in the
            legend.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `plot`, for all curves or one for each.
        error_band : bool, default=True
            Draw the bands.
        band_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`.
        aggregate : bool, default=False
            Draw the median of the curves of each name with their 16-84 % band, instead of each
            curve.
        chance_level_kw : dict, default=None
            Keyword arguments of the line of independent scores.

        Returns
        -------
        self : OverlapDisplay
        """
        check_options(kind, ("shared", "excess"), name="kind")
        self._check_lengths()
        median = _median_over if aggregate else None
        groups = self._grouped(self._curves(kind), name=name, median=median)
        self.ax_, self.figure_ = get_axes(ax, self)
        legend = self._draw(
            self.ax_,
            groups,
            curve_kwargs=curve_kwargs,
            error_band=error_band,
            band_kwargs=band_kwargs,
        )
        lowest = min(np.min(f) for f in as_list(self.fraction))
        grid = np.geomspace(lowest, 1, 200)
        chance = grid ** (self.n_scores - 1) if kind == "shared" else np.zeros_like(grid)
        style = {"color": "0.5", "linestyle": ":", "label": "independent"} | (chance_level_kw or {})
        (self.chance_level_,) = self.ax_.plot(grid, chance, **style)
        ylabel = "Shared fraction" if kind == "shared" else "Shared fraction beyond chance"
        self.ax_.set(xlabel="Selected fraction, most anomalous", ylabel=ylabel, xscale="log")
        if kind == "shared":
            self.ax_.set_ylim(0, 1.02)
        if legend:
            self.ax_.legend()
        return self

    @classmethod
    def from_estimator(
        cls,
        estimators,
        X,
        *,
        fractions=None,
        together=False,
        sample_weight=None,
        signal_label=None,
        ax=None,
        **plot_options,
    ):
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
        scores = {
            name: anomaly_response(estimator, X, signal_label=signal_label)
            for name, estimator in estimators.items()
        }
        return cls.from_predictions(
            scores,
            fractions=fractions,
            together=together,
            sample_weight=sample_weight,
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls,
        scores,
        *,
        fractions=None,
        together=False,
        sample_weight=None,
        ax=None,
        **plot_options,
    ):
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
        if len(scores) < 2:
            raise ValueError(f"scores must hold at least two scores; got {list(scores)}.")
        n_events = len(next(iter(scores.values())))
        if fractions is None:
            fractions = np.geomspace(min(max(10 / n_events, 1e-3), 0.5), 1, 30)
        fractions = np.atleast_1d(np.asarray(fractions, dtype=np.float64))
        groups = [tuple(scores)] if together else list(itertools.combinations(scores, 2))
        shared = [
            shared_fraction(
                *(scores[name] for name in group),
                fraction=fractions,
                sample_weight=sample_weight,
            )
            for group in groups
        ]
        display = cls(
            fraction=[fractions] * len(groups),
            shared=shared,
            shared_error=[np.sqrt(s * (1 - s) / (fractions * n_events)) for s in shared],
            n_scores=len(groups[0]),
            name=[", ".join(map(str, group)) for group in groups],
        )
        return display.plot(ax, **plot_options)

    @classmethod
    def from_cv_results(
        cls,
        cv_results,
        X,
        *,
        fractions=None,
        sample_weight=None,
        signal_label=None,
        name=None,
        ax=None,
        aggregate=True,
        **plot_options,
    ):
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
        name : str, default=None
        ax : matplotlib Axes, default=None
        aggregate : bool, default=True
            Median and 16-84 % band over the pairs; False draws every pair.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : OverlapDisplay
        """
        if "estimator" not in cv_results:
            raise ValueError(
                "cv_results lacks 'estimator'; call cross_validate with return_estimator=True."
            )
        estimators = {str(i): e for i, e in enumerate(cv_results["estimator"])}
        return cls.from_estimator(
            estimators,
            X,
            fractions=fractions,
            sample_weight=sample_weight,
            signal_label=signal_label,
            ax=ax,
            name="folds" if name is None else name,
            aggregate=aggregate,
            **plot_options,
        )

    def _curves(self, kind):
        fractions, shared = as_list(self.fraction), as_list(self.shared)
        errors = self.shared_error
        errors = [None] * len(shared) if errors is None else as_list(errors)
        curves = []
        for f, s, e in zip(fractions, shared, errors, strict=True):
            value = s if kind == "shared" else s - f ** (self.n_scores - 1)
            band = (None, None) if e is None else (value - e, value + e)
            curves.append((f, value, *band))
        return curves


def _median_over(curves):
    lower, middle, upper = np.percentile([y for _, y, *_ in curves], [16, 50, 84], axis=0)
    return curves[0][0], middle, lower, upper
