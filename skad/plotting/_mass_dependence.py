"""How a score depends on the mass, what cuts on it leave of the mass, and the price of not."""

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics import anomaly_response, mass_sculpting_jsd
from skad.metrics._checks import check_fraction, check_scores, check_weight, signal_mask
from skad.plotting._axes import CurveDisplay, as_list, get_axes, merge_style, named_scores
from skad.utils._quantile import weighted_quantile

__all__ = ["DecorrelationDisplay", "MassSculptingDisplay", "ScoreMassDisplay"]


class ScoreMassDisplay(CurveDisplay):
    """Median and central 68 % of an anomaly score in bins of the mass.

    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    mass : list of ndarray
        Mean mass of the events of each bin, one array per curve.
    score : list of ndarray
        Median score in each bin.
    lower, upper : list of ndarray
        16 % and 84 % quantiles of the score in each bin.
    name : str or list of str, default=None
        Name of the curves in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D or list of them
    band_ : matplotlib PolyCollection, list of them, or None

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
    >>> bool(display.score[1][-1] > 3 * display.score[0][-1])
    True
    """

    _lists = ("mass", "score", "lower", "upper")

    def __init__(self, *, mass, score, lower, upper, name=None):
        self.mass = mass
        self.score = score
        self.lower = lower
        self.upper = upper
        self.name = name

    def plot(
        self,
        ax=None,
        *,
        name=None,
        curve_kwargs=None,
        error_band=True,
        band_kwargs=None,
        xlabel="Mass",
        ylabel="Anomaly score",
    ):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        name : str or list of str, default=None
            Replaces `name` of the display.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `plot`, for all curves or one for each.
        error_band : bool, default=True
            Draw the central 68 % of the scores.
        band_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`.
        xlabel, ylabel : str
            Labels of the axes.

        Returns
        -------
        self : ScoreMassDisplay
        """
        self._check_lengths()
        self.ax_, self.figure_ = get_axes(ax, self)
        curves = list(zip(*(as_list(getattr(self, key)) for key in self._lists), strict=True))
        legend = self._draw(
            self.ax_,
            self._grouped(curves, name=name),
            curve_kwargs=curve_kwargs,
            error_band=error_band,
            band_kwargs=band_kwargs,
        )
        self.ax_.set(xlabel=xlabel, ylabel=ylabel)
        if legend:
            self.ax_.legend()
        return self

    @classmethod
    def from_estimator(
        cls, estimators, X, mass, *, bins=20, sample_weight=None, signal_label=None, ax=None,
        **plot_options,
    ):  # fmt: skip
        """Draw the scores that fitted estimators give to events.

        Parameters
        ----------
        estimators : fitted estimator or dict of str to fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
        mass : array-like of shape (n_events,)
            Mass of the events, any unit.
        bins : int, default=20
            Number of bins of equal population.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The anomalous class of classifiers.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreMassDisplay
        """
        scores = _responses(estimators, X, signal_label)
        return cls.from_predictions(
            mass, scores, bins=bins, sample_weight=sample_weight, ax=ax, **plot_options
        )

    @classmethod
    def from_predictions(
        cls, mass, scores, *, bins=20, sample_weight=None, ax=None, **plot_options
    ):
        """Draw anomaly scores.

        Parameters
        ----------
        mass : array-like of shape (n_events,)
            Mass of the events, any unit.
        scores : array-like of shape (n_events,) or dict of str to array-like
            Anomaly scores, higher = more anomalous.
        bins : int, default=20
            Number of bins of equal population.
        sample_weight : array-like of shape (n_events,), default=None
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreMassDisplay
        """
        values, names = named_scores(scores)
        mass = check_scores(mass, name="mass")
        weight = check_weight(sample_weight, mass)
        order = np.argsort(mass, kind="stable")
        cumulative = np.cumsum(weight[order]) / weight.sum()
        edges = np.searchsorted(cumulative, np.arange(1, bins) / bins + 1e-12, side="right")
        parts = [part for part in np.split(order, edges) if weight[part].any()]
        centres = np.array([np.average(mass[part], weights=weight[part]) for part in parts])
        curves = []
        for score in values:
            score = check_scores(score)
            check_consistent_length(score, mass)
            curves.append(
                np.array(
                    [
                        [weighted_quantile(score[p], q, weight[p]) for p in parts]
                        for q in (0.5, 0.16, 0.84)
                    ]
                )
            )
        display = cls(
            mass=[centres] * len(curves),
            score=[c[0] for c in curves],
            lower=[c[1] for c in curves],
            upper=[c[2] for c in curves],
            name=names,
        )
        return display.plot(ax, **plot_options)


class MassSculptingDisplay:
    """Mass spectrum of the background after cuts on the score at several efficiencies.

    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Bin edges of the mass.
    density : dict of float to ndarray of shape (n_bins,)
        For each background efficiency the spectrum of what passes; the integral of each is 1.
    jsd : dict of float to float
        Jensen-Shannon divergence, in nats, of each from the spectrum before the cut.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : list of matplotlib StepPatch

    See Also
    --------
    skad.metrics.mass_sculpting_jsd : The divergence.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import MassSculptingDisplay
    >>> mass, noise = np.random.default_rng(0).exponential(100, size=(2, 20_000))
    >>> display = MassSculptingDisplay.from_predictions(mass, mass + noise)
    >>> list(display.jsd)
    [1.0, 0.5, 0.1, 0.05, 0.01]
    """

    def __init__(self, *, edges, density, jsd):
        self.edges = edges
        self.density = density
        self.jsd = jsd

    def plot(self, ax=None, *, curve_kwargs=None, log=True, xlabel="Mass"):
        """Draw the spectra.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        curve_kwargs : dict, default=None
            Keyword arguments of matplotlib's `stairs`.
        log : bool, default=True
            Logarithmic vertical axis.
        xlabel : str, default="Mass"

        Returns
        -------
        self : MassSculptingDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        from matplotlib.patches import StepPatch

        self.line_ = []
        for efficiency, height in self.density.items():
            label = "all" if efficiency == 1 else f"{100 * efficiency:g} %"
            if efficiency != 1:
                label += f" (JSD = {self.jsd[efficiency]:.3f})"
            style = merge_style(StepPatch, {"linewidth": 1.5, "label": label}, curve_kwargs)
            self.line_.append(self.ax_.stairs(height, self.edges, **style))
        self.ax_.set(xlabel=xlabel, ylabel="Density", xlim=(self.edges[0], self.edges[-1]))
        if log:
            self.ax_.set_yscale("log")
        self.ax_.legend(title="Background efficiency")
        return self

    @classmethod
    def from_estimator(
        cls, estimator, X, mass, *, efficiencies=(1.0, 0.5, 0.1, 0.05, 0.01), bins=50,
        sample_weight=None, signal_label=None, ax=None, **plot_options,
    ):  # fmt: skip
        """Draw what cuts on the score of a fitted estimator leave of background events.

        Parameters
        ----------
        estimator : fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
            Background events.
        mass : array-like of shape (n_events,)
            Their mass, any unit.
        efficiencies : sequence of float, default=(1.0, 0.5, 0.1, 0.05, 0.01)
            Fractions of the events that the cuts keep.
        bins : int or array-like, default=50
            Number of equal bins between the smallest and largest mass, or the edges.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The anomalous class of classifiers.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : MassSculptingDisplay
        """
        return cls.from_predictions(
            mass,
            anomaly_response(estimator, X, signal_label=signal_label),
            efficiencies=efficiencies,
            bins=bins,
            sample_weight=sample_weight,
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls, mass, scores, *, efficiencies=(1.0, 0.5, 0.1, 0.05, 0.01), bins=50,
        sample_weight=None, ax=None, **plot_options,
    ):  # fmt: skip
        """Draw what cuts on a score leave of background events.

        Parameters
        ----------
        mass : array-like of shape (n_events,)
            Mass of the background events, any unit.
        scores : array-like of shape (n_events,)
            Their anomaly scores, higher = more anomalous.
        efficiencies : sequence of float, default=(1.0, 0.5, 0.1, 0.05, 0.01)
            Fractions of the events that the cuts keep.
        bins : int or array-like, default=50
            Number of equal bins between the smallest and largest mass, or the edges.
        sample_weight : array-like of shape (n_events,), default=None
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : MassSculptingDisplay
        """
        mass, scores = check_scores(mass, name="mass"), check_scores(scores)
        check_consistent_length(mass, scores)
        weight = check_weight(sample_weight, scores)
        edges = np.histogram_bin_edges(mass, bins)
        density, jsd = {}, {}
        for efficiency in check_fraction(efficiencies, name="efficiencies").ravel().tolist():
            kept = np.ones(len(mass), dtype=bool)
            if efficiency < 1:
                kept = scores >= weighted_quantile(scores, 1 - efficiency, weight)
            density[efficiency], _ = np.histogram(
                mass[kept], edges, weights=weight[kept], density=True
            )
            jsd[efficiency] = mass_sculpting_jsd(
                mass, scores, fraction=efficiency, sample_weight=weight
            )
        return cls(edges=edges, density=density, jsd=jsd).plot(ax, **plot_options)


class DecorrelationDisplay(CurveDisplay):
    """Decorrelation against sensitivity: 1 / JSD of the background's mass by signal efficiency.

    Each point is a cut; up and to the right is better. Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    signal_efficiency : list of ndarray
        Signal efficiency of each cut, one array per curve.
    inverse_jsd : list of ndarray
        Inverse of the Jensen-Shannon divergence (1 / nats) of the background's mass spectrum
        after the cut from that before.
    name : str or list of str, default=None
        Name of the curves in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D or list of them
    band_ : None

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
    ...     mass, {"flat": noise + 50 * y, "sculpting": mass + noise + 50 * y}, y
    ... )
    >>> bool(display.inverse_jsd[0][0] > display.inverse_jsd[1][0])
    True
    """

    _lists = ("signal_efficiency", "inverse_jsd")

    def __init__(self, *, signal_efficiency, inverse_jsd, name=None):
        self.signal_efficiency = signal_efficiency
        self.inverse_jsd = inverse_jsd
        self.name = name

    def plot(self, ax=None, *, name=None, curve_kwargs=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        name : str or list of str, default=None
            Replaces `name` of the display.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `plot`, for all curves or one for each.

        Returns
        -------
        self : DecorrelationDisplay
        """
        self._check_lengths()
        self.ax_, self.figure_ = get_axes(ax, self)
        curves = [
            (x, y, None, None)
            for x, y in zip(*(as_list(getattr(self, key)) for key in self._lists), strict=True)
        ]
        if curve_kwargs is None:
            curve_kwargs = {"marker": "."}
        legend = self._draw(
            self.ax_,
            self._grouped(curves, name=name),
            curve_kwargs=curve_kwargs,
            error_band=False,
            band_kwargs=None,
        )
        self.ax_.set(xlabel="Signal efficiency", ylabel="1 / JSD", yscale="log")
        if legend:
            self.ax_.legend()
        return self

    @classmethod
    def from_estimator(
        cls, estimators, X, mass, y_true, *, background_efficiencies=None, bins=20,
        sample_weight=None, signal_label=None, ax=None, **plot_options,
    ):  # fmt: skip
        """Draw the scores that fitted estimators give to signal and background.

        Parameters
        ----------
        estimators : fitted estimator or dict of str to fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
        mass : array-like of shape (n_events,)
            Mass of the events, any unit; that of the signal is not used.
        y_true : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        background_efficiencies : array-like, default=None
            As for `from_predictions`.
        bins : int or array-like, default=20
            As for `from_predictions`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The label of signal, and the anomalous class of classifiers.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : DecorrelationDisplay
        """
        return cls.from_predictions(
            mass,
            _responses(estimators, X, signal_label),
            y_true,
            background_efficiencies=background_efficiencies,
            bins=bins,
            sample_weight=sample_weight,
            signal_label=signal_label,
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls, mass, scores, y_true, *, background_efficiencies=None, bins=20, sample_weight=None,
        signal_label=None, ax=None, **plot_options,
    ):  # fmt: skip
        """Draw anomaly scores of signal and background.

        Parameters
        ----------
        mass : array-like of shape (n_events,)
            Mass of the events, any unit; that of the signal is not used.
        scores : array-like of shape (n_events,) or dict of str to array-like
            Anomaly scores, higher = more anomalous.
        y_true : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        background_efficiencies : array-like, default=None
            Fractions of the background that the cuts keep; by default 15 from 1 % to 50 %.
        bins : int or array-like, default=20
            Number of bins of equal population of the background's mass, or their edges. More of
            them need more background: the divergence without sculpting is about
            ``(bins - 1) / (8 * n_selected)``.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The label of signal; required for y in {-1, +1}.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : DecorrelationDisplay
        """
        signal = signal_mask(y_true, signal_label)
        mass = check_scores(mass, name="mass")
        check_consistent_length(mass, signal)
        weight = check_weight(sample_weight, mass)
        for part, what in ((signal, "signal"), (~signal, "background")):
            if not weight[part].any():
                raise ValueError(f"y_true holds no {what}; both are needed.")
        if background_efficiencies is None:
            background_efficiencies = np.geomspace(0.01, 0.5, 15)
        fractions = check_fraction(background_efficiencies, name="background_efficiencies").ravel()
        values, names = named_scores(scores)
        efficiency, inverse = [], []
        for score in values:
            score = check_scores(score)
            check_consistent_length(score, mass)
            background = score[~signal]
            cuts = [weighted_quantile(background, 1 - f, weight[~signal]) for f in fractions]
            efficiency.append(
                np.array([np.average(score[signal] > c, weights=weight[signal]) for c in cuts])
            )
            inverse.append(
                1
                / mass_sculpting_jsd(
                    mass[~signal],
                    background,
                    fraction=fractions,
                    bins=bins,
                    sample_weight=weight[~signal],
                )
            )
        display = cls(signal_efficiency=efficiency, inverse_jsd=inverse, name=names)
        return display.plot(ax, **plot_options)


def _responses(estimators, X, signal_label):
    """Anomaly scores of one estimator, or of several by name."""
    if not isinstance(estimators, dict):
        return anomaly_response(estimators, X, signal_label=signal_label)
    return {
        name: anomaly_response(estimator, X, signal_label=signal_label)
        for name, estimator in estimators.items()
    }
