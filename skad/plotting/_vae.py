"""What a variational autoencoder makes of jets: their spectra, and its latent space."""

import numpy as np
from sklearn.manifold import TSNE
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from skad.kinematics._four_vectors import invariant_mass, split_constituents, transverse_momentum
from skad.plotting._axes import get_axes, grid_of_axes, merge_style
from skad.utils._random import draw_seed

__all__ = ["JetSpectraDisplay", "LatentDisplay"]


class JetSpectraDisplay:
    """Spectra of transverse momentum and mass of jets: given, reconstructed, generated.

    Use `from_estimator` or `from_jets`.

    Parameters
    ----------
    edges : dict of str to ndarray
        Bin edges of "pt" and "mass", in the unit of the constituents (GeV).
    density : dict of str to dict of str to ndarray
        For "pt" and "mass" the histogram of each sample; the integral of each is 1.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
    figure_ : matplotlib Figure
    line_ : list of matplotlib StepPatch

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> from skad.datasets import load_jets
    >>> from skad.plotting import JetSpectraDisplay
    >>> jets = load_jets(kinds=["qcd", "top_174"])
    >>> display = JetSpectraDisplay.from_jets(
    ...     {"QCD": jets.data[jets.target == 0], "top": jets.data[jets.target == 1]}
    ... )
    >>> list(display.density["mass"])
    ['QCD', 'top']
    """

    def __init__(self, *, edges, density):
        self.edges = edges
        self.density = density

    def plot(self, axes=None, *, curve_kwargs=None, log=True):
        """Draw the spectra.

        Parameters
        ----------
        axes : two matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        curve_kwargs : dict, default=None
            Keyword arguments of matplotlib's `stairs`.
        log : bool, default=True
            Logarithmic vertical axes.

        Returns
        -------
        self : JetSpectraDisplay
        """
        self.axes_, self.figure_ = grid_of_axes(axes, 2, self, width=5, height=4)
        from matplotlib.patches import StepPatch

        labels = {"pt": "$p_T$ of the jet [GeV]", "mass": "Mass of the jet [GeV]"}
        self.line_ = []
        for ax, (observable, samples) in zip(self.axes_, self.density.items(), strict=True):
            for name, height in samples.items():
                style = merge_style(StepPatch, {"linewidth": 1.5, "label": name}, curve_kwargs)
                self.line_.append(ax.stairs(height, self.edges[observable], **style))
            ax.set(xlabel=labels[observable], ylabel="Density")
            if log:
                ax.set_yscale("log")
        self.axes_[0].legend()
        return self

    @classmethod
    def from_estimator(
        cls, estimator, X, *, random_state=None, coordinates="p4", bins=50, axes=None,
        **plot_options,
    ):  # fmt: skip
        """Draw jets with their reconstructions, and as many generated ones.

        Parameters
        ----------
        estimator : fitted VAEDetector or AutoencoderDetector
            Fitted on constituents; without a method `sample` nothing is generated.
        X : array-like of shape (n_jets, n_features)
            Jets, in the coordinates of the fit.
        random_state : int, RandomState or None, default=None
            Source of randomness of the generated jets.
        coordinates : {"p4", "log_pt_eta_phi"} or fitted transformer, default="p4"
            What the columns are: E, px, py, pz of each constituent in turn, log(1 + pT), eta and
            phi of massless ones, or a transformer whose `inverse_transform` gives the former.
        bins : int, default=50
            Number of equal bins over the central 99 % of the given jets.
        axes : two matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : JetSpectraDisplay
        """
        check_is_fitted(estimator)
        columns = estimator.feature_indices_
        reconstructed = estimator.reconstruct(X)[:, columns]
        samples = {
            "jets": check_array(X, dtype=np.float64)[:, columns],
            "reconstructed": reconstructed,
        }
        if hasattr(estimator, "sample"):
            samples["generated"] = estimator.sample(len(reconstructed), random_state)
        return cls.from_jets(samples, coordinates=coordinates, bins=bins, axes=axes, **plot_options)

    @classmethod
    def from_jets(cls, samples, *, coordinates="p4", bins=50, axes=None, **plot_options):
        """Draw samples of jets.

        Parameters
        ----------
        samples : dict of str to array-like of shape (n_jets, n_features)
            Constituents of the jets.
        coordinates : {"p4", "log_pt_eta_phi"} or fitted transformer, default="p4"
            What the columns are, as for `from_estimator`.
        bins : int, default=50
            Number of equal bins over the central 99 % of the first sample. Jets beyond are not
            drawn, but count in the normalisation.
        axes : two matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : JetSpectraDisplay
        """
        observables = {"pt": {}, "mass": {}}
        for name, X in samples.items():
            X = check_array(X, dtype=np.float64, input_name=name)
            jet = _four_vectors(X, coordinates).sum(axis=1)
            observables["pt"][name] = transverse_momentum(jet)
            observables["mass"][name] = invariant_mass(jet)
        edges, density = {}, {}
        for observable, values in observables.items():
            low, high = np.percentile(next(iter(values.values())), [0.5, 99.5])
            edges[observable] = np.linspace(low, high, bins + 1)
            width = np.diff(edges[observable])
            density[observable] = {
                name: np.histogram(v, edges[observable])[0] / (len(v) * width)
                for name, v in values.items()
            }
        return cls(edges=edges, density=density).plot(axes, **plot_options)


class LatentDisplay:
    """Latent points of events in two dimensions, by t-SNE where there are more.

    Use `from_estimator`.

    Parameters
    ----------
    points : ndarray of shape (n_events, 2)
        Where the events are drawn.
    label : ndarray of shape (n_events,), default=None
        Kind of each event.
    embedded : bool, default=False
        Whether the axes are those of t-SNE and have no meaning of their own.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : list of matplotlib PathCollection

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from skad.plotting import LatentDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> display = LatentDisplay.from_estimator(PCA(2).fit(X), X, np.arange(200) % 2)
    >>> display.points.shape
    (200, 2)
    """

    def __init__(self, *, points, label=None, embedded=False):
        self.points = points
        self.label = label
        self.embedded = embedded

    def plot(self, ax=None, *, scatter_kwargs=None):
        """Draw the points, one colour for each kind.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        scatter_kwargs : dict, default=None
            Keyword arguments of matplotlib's `scatter`.

        Returns
        -------
        self : LatentDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        from matplotlib.collections import PathCollection

        kinds = [None] if self.label is None else list(dict.fromkeys(self.label.tolist()))
        self.points_ = []
        for kind in kinds:
            shown = self.points if kind is None else self.points[self.label == kind]
            style = merge_style(
                PathCollection, {"s": 4, "alpha": 0.6, "linewidths": 0, "label": kind},
                scatter_kwargs,
            )  # fmt: skip
            self.points_.append(self.ax_.scatter(*shown.T, **style))
        names = ("t-SNE 1", "t-SNE 2") if self.embedded else ("latent 1", "latent 2")
        self.ax_.set(xlabel=names[0], ylabel=names[1])
        if self.label is not None:
            self.ax_.legend(markerscale=3)
        return self

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, n_events=2000, perplexity=30.0, random_state=None, ax=None,
        **plot_options,
    ):  # fmt: skip
        """Draw what `transform` of a fitted estimator gives.

        Parameters
        ----------
        estimator : fitted estimator
            With a method `transform`, such as `VAEDetector` or a Pipeline that ends in one.
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,), default=None
            Kind of each event, of any type.
        n_events : int, default=2000
            At most so many events, drawn at random; t-SNE takes seconds for 2000.
        perplexity : float, default=30.0
            As in `sklearn.manifold.TSNE`; lowered for fewer than 3 times as many events.
        random_state : int, RandomState or None, default=None
            Source of randomness of the choice of events and of t-SNE.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : LatentDisplay

        Raises
        ------
        ValueError
            A latent space of one dimension.
        """
        rng = check_random_state(random_state)
        check_consistent_length(X, y)
        latent = np.asarray(estimator.transform(X), dtype=np.float64)
        label = None if y is None else np.asarray(y)
        if len(latent) > n_events:
            rows = rng.choice(len(latent), n_events, replace=False)
            latent, label = latent[rows], None if label is None else label[rows]
        if latent.shape[1] < 2:
            raise ValueError("The latent space has one dimension; draw a histogram of it instead.")
        embedded = latent.shape[1] > 2
        if embedded:
            latent = TSNE(
                perplexity=min(perplexity, (len(latent) - 1) / 3), random_state=draw_seed(rng)
            ).fit_transform(latent)
        return cls(points=latent, label=label, embedded=embedded).plot(ax, **plot_options)


def _four_vectors(X, coordinates):
    if not isinstance(coordinates, str):
        return split_constituents(coordinates.inverse_transform(X))
    if coordinates == "p4":
        return split_constituents(X)
    if coordinates != "log_pt_eta_phi":
        raise ValueError(
            f"coordinates must be 'p4', 'log_pt_eta_phi' or a transformer; got {coordinates!r}."
        )
    log_pt, eta, phi = np.moveaxis(X.reshape(len(X), -1, 3), -1, 0)
    # A network may return a negative logarithm, which is no momentum.
    pt = np.expm1(np.maximum(log_pt, 0.0))
    return np.stack(
        [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1
    )
