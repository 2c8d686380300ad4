"""The methods of the papers: one function for each returns the whole unfitted detector.

Every setting is that of the paper or of its public code; `set_params` changes single ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skad.coordinates import LogitTransformer, NormalCDFTransformer, TanhTransformer
from skad.density import FlowDensity
from skad.detectors import (
    AutoencoderDetector,
    CWoLaDetector,
    DensityDetector,
    DisCo,
    NetworkClassifier,
    OutlierExposure,
    TreeEnsembleClassifier,
    VAEDetector,
    VotingDetector,
)
from skad.resonant import (
    ANODE,
    CATHODE,
    CURTAINS,
    FETA,
    SALAD,
    SIGMA,
    CombinedTemplate,
    GivenReference,
    LaCATHODE,
    Sidebands,
    SignalRegion,
    TemplateDetector,
)
from skad.resonant._region import region_of
from skad.utils import _sklearn as sk
from skad.utils._arguments import checked

if TYPE_CHECKING:
    from typing import Any, Literal

    from skad.utils._types import Floats, Seed

__all__ = [
    "coordinate_frames",
    "coordinate_autoencoder",
    "coordinate_flow",
    "coordinate_classifier",
    "vae",
    "vae_disco",
    "vae_outlier_exposure",
    "jet_classifier",
    "anode",
    "cwola_hunting",
    "cathode",
    "lacathode",
    "sigma",
    "idealised",
    "treebased",
    "salad",
    "curtains",
    "feta",
    "interplay",
]


def coordinate_frames() -> Any:
    """Frames of the Gaussian study of arXiv:2209.06225 (Kasieczka et al.), section 4.

    x, its normal distribution function Phi(x), and tanh(x + 2); as in the public code, the last is
    then standardised on the events that the detector is fitted to, which matters to the
    autoencoder.

    Returns
    -------
    frames : dict of str to transformer
        For `skad.inspection.coordinate_study`.

    Examples
    --------
    >>> from skad import papers
    >>> list(papers.coordinate_frames())
    ['x', 'Phi(x)', 'tanh(x+2)']
    """
    return {
        "x": None,
        "Phi(x)": NormalCDFTransformer(),
        "tanh(x+2)": make_pipeline(TanhTransformer(shift=2.0), StandardScaler()),
    }


def coordinate_autoencoder(*, random_state: Seed = None) -> AutoencoderDetector:
    """Autoencoder of arXiv:2209.06225 (Kasieczka et al.), section 3.

    50-20-10 hidden units around a bottleneck of one, Adam at 1e-3, at most 500 epochs of batches of
    10 000 events, patience of 10 epochs on the validation loss of 20 % of the events. As in the
    public code, the encoder has no bias and nothing is scaled; the code standardises the tanh
    coordinates alone, and so does `coordinate_frames`.

    Parameters
    ----------
    random_state : int, RandomState or None, default=None
        Seed of initialisation, shuffling and splits.

    Returns
    -------
    detector : AutoencoderDetector

    Examples
    --------
    >>> import numpy as np
    >>> from skad import papers
    >>> from skad.coordinates import NormalCDFTransformer
    >>> from sklearn.pipeline import make_pipeline
    >>> X = np.random.RandomState(0).normal(size=(1000, 2))
    >>> detector = papers.coordinate_autoencoder(random_state=0).set_params(max_epochs=5)
    >>> in_other_coordinates = make_pipeline(NormalCDFTransformer(), detector).fit(X)
    >>> in_other_coordinates.predict(X[:3])
    array([1, 1, 1])
    """
    return AutoencoderDetector(
        hidden_layer_sizes=(50, 20, 10),
        n_latent=1,
        activation="relu",
        encoder_bias=False,
        scaling=None,
        max_epochs=500,
        batch_size=10_000,
        learning_rate=1e-3,
        schedule="constant",
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=10,
        tol=0.0,
        select="best",
        random_state=random_state,
    )


def coordinate_flow(*, random_state: Seed = None) -> DensityDetector:
    """Continuous flow of arXiv:2209.06225 (Kasieczka et al.), section 3.

    Two fields of 50-20-10 hidden units with tanh, Adam at 1e-3, at most 500 epochs of batches of
    10 000 events, patience of 10 epochs on the validation likelihood of 20 % of the events. The
    score is -p(x). The trace is exact, not Hutchinson's estimate.

    Parameters
    ----------
    random_state : int, RandomState or None, default=None
        Seed of initialisation, shuffling and splits.

    Returns
    -------
    detector : DensityDetector

    Examples
    --------
    >>> import numpy as np
    >>> from skad import papers
    >>> X = np.random.RandomState(0).normal(size=(500, 2))
    >>> detector = papers.coordinate_flow(random_state=0).set_params(density__max_epochs=2)
    >>> bool((detector.fit(X).anomaly_score(X) < 0).all())
    True
    """
    flow = FlowDensity(
        "cnf",
        n_transforms=2,
        hidden_layer_sizes=(50, 20, 10),
        max_epochs=500,
        batch_size=10_000,
        learning_rate=1e-3,
        schedule="constant",
        clip_norm=None,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=10,
        tol=0.0,
        select="best",
        random_state=random_state,
    )
    return DensityDetector(flow, log_score=False)


def coordinate_classifier(*, random_state: Seed = None) -> CWoLaDetector:
    """Weakly supervised network of arXiv:2209.06225 (Kasieczka et al.), section 3.

    50-50-20-20-10-10 hidden units, Adam at 1e-3, at most 500 epochs; batches of 50 000 events and
    a patience of 20 epochs are those of the public code, where the text has a patience of 10. One
    network is fitted to all events. `fit` takes y: 1 for the mixed sample, 0 for the reference.

    Parameters
    ----------
    random_state : int, RandomState or None, default=None
        Seed of initialisation, shuffling and splits.

    Returns
    -------
    detector : CWoLaDetector

    Examples
    --------
    >>> import numpy as np
    >>> from skad import papers
    >>> rng = np.random.RandomState(0)
    >>> X = np.concatenate([rng.normal(size=(1000, 2)), rng.normal(1.0, size=(1000, 2))])
    >>> detector = papers.coordinate_classifier(random_state=0).set_params(
    ...     classifier__max_epochs=20, classifier__batch_size=100
    ... )
    >>> detector = detector.fit(X, np.repeat([0, 1], 1000))
    >>> bool(detector.anomaly_score([[1.0, 1.0]]) > detector.anomaly_score([[0.0, 0.0]]))
    True
    """
    network = NetworkClassifier(
        (50, 50, 20, 20, 10, 10),
        max_epochs=500,
        batch_size=50_000,
        learning_rate=1e-3,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=20,
        select="best",
    )
    return CWoLaDetector(network, cv=None, random_state=random_state)


def vae(
    *, metric: Literal["nll", "mse", "kl", "emd", "mss"] = "nll", random_state: Seed = None
) -> VAEDetector:
    """Beta-VAE for jets of arXiv:2007.01850 (Cheng et al.), sections 2 and 3.

    256-128-64 hidden units around 10 latent dimensions, Adam at 1e-3, 50 epochs of batches of 100
    jets, one draw of the posterior in training and in scoring. As in the public code, features are
    scaled by their quartiles, the MSE is a mean over all features, and the KL divergence counts as
    its mean over the latent dimensions: beta = 0.1 is ``beta=0.01`` of its sum, and in the NLL it
    has a weight of 0.1. No events are held out, as the code looks at its validation loss but keeps
    the last epoch.

    Parameters
    ----------
    metric : {"nll", "mse", "kl", "emd", "mss"}, default="nll"
        The anomaly score.
    random_state : int, RandomState or None, default=None
        Seed of initialisation, shuffling and posterior draws.

    Returns
    -------
    detector : VAEDetector

    Examples
    --------
    >>> from skad import papers
    >>> from skad.coordinates import JetFrame
    >>> from skad.datasets import load_jets
    >>> from sklearn.metrics import roc_auc_score
    >>> jets = load_jets(kinds=["qcd", "top_174"])
    >>> X = JetFrame().fit_transform(jets.data)
    >>> qcd, test = X[jets.target == 0][:2000], slice(-4000, None)
    >>> detector = papers.vae(random_state=0).set_params(max_epochs=3).fit(qcd)
    >>> bool(roc_auc_score(jets.target[::20], detector.anomaly_score(X[::20])) > 0.7)
    True
    """
    return VAEDetector(
        hidden_layer_sizes=(256, 128, 64),
        n_latent=10,
        activation="relu",
        beta=0.01,
        scaling="robust",
        metric=metric,
        kl_weight=0.1,
        n_samples=1,
        max_epochs=50,
        batch_size=100,
        learning_rate=1e-3,
        schedule="constant",
        clip_norm=None,
        random_state=random_state,
    )


def vae_disco(
    column: str | int, *, strength: float = 100.0, random_state: Seed = None
) -> VAEDetector:
    """Beta-VAE of arXiv:2007.01850 decorrelated from the mass by distance correlation, section 4.

    The loss of each jet, of its drawn reconstruction, is decorrelated with kappa = 100 for 100
    epochs; the learning rate falls to 1e-4 from epoch 30 on. As in the public code, the square of
    the distance correlation enters, and kappa is 0 for 10 epochs, rises within 10, stays for 10,
    and rises from 0 once more. The anomaly score is the NLL, drawn as in the training.

    Parameters
    ----------
    column : str or int
        Column of X that holds the mass.
    strength : float, default=100.0
        kappa; the paper scans 0.1 to 1000.
    random_state : int, RandomState or None, default=None
        Seed of initialisation, shuffling and posterior draws.

    Returns
    -------
    detector : VAEDetector

    Examples
    --------
    >>> from skad import papers
    >>> papers.vae_disco("mass", strength=1000.0).decorrelation
    DisCo(annealing=(10, 10, 2), column='mass', metric='loss', power=2,
          strength=1000.0)
    """
    return vae(random_state=random_state).set_params(
        decorrelation=DisCo(
            column, metric="loss", strength=strength, annealing=(10, 10, 2), power=2
        ),
        max_epochs=100,
        schedule={30: 0.1},
    )


@checked(metric=[sk.StrOptions({"mse", "kl"})])
def vae_outlier_exposure(
    metric: Literal["mse", "kl"] = "mse", *, random_state: Seed = None
) -> VAEDetector:
    """Beta-VAE of arXiv:2007.01850 with exposed outliers, section 5.

    lambda = 500 in the MSE, or lambda = 2 with a margin of 1 in the KL divergence, which as in the
    public code counts per latent dimension: in the sum over 10 of them, 0.2 and 10. lambda is 0 for
    10 epochs, then rises within 5 and stays for 5, three times. At most 100 epochs, learning rates
    of 1e-3, 1e-4 from epoch 30 on and 1e-5 from 60 on, and from epoch 35 on a patience of 10 on the
    validation loss of 20 % of the events. Outliers and background come in common batches, not in
    batches of 100 each. `fit` takes y: 1 for outliers, 0 for background;
    `skad.detectors.match_mass` draws outliers that follow the mass of the background, a quarter
    as many as in the public code.

    Parameters
    ----------
    metric : {"mse", "kl"}, default="mse"
        What is exposed, and the anomaly score.
    random_state : int, RandomState or None, default=None
        Seed of initialisation, shuffling, splits and posterior draws.

    Returns
    -------
    detector : VAEDetector

    Raises
    ------
    ValueError
        Another metric.

    Examples
    --------
    >>> from skad import papers
    >>> detector = papers.vae_outlier_exposure("kl")
    >>> detector.metric, detector.exposure.metric, detector.exposure.annealing
    ('kl', 'kl', (10, 5, 3))
    """
    strength = {"mse": 500.0, "kl": 0.2}
    return vae(metric=metric, random_state=random_state).set_params(
        exposure=OutlierExposure(
            metric, strength=strength[metric], margin=10.0, annealing=(10, 5, 3)
        ),
        max_epochs=100,
        schedule={30: 0.1, 60: 0.01},
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=10,
        tol=0.0,
        select="best",
    )


def jet_classifier(*, random_state: Seed = None) -> CWoLaDetector:
    """Network that tells W jets from QCD jets of arXiv:2007.01850, appendix B.

    256-128-64-6 hidden units, both classes weigh the same. What the paper compares with outlier
    exposure on the same outliers; `skad.detectors.mass_matching_weight` gives the weights that make
    their mass that of the background. Adam at 1e-3 and 50 epochs of batches of 100 jets are those
    of `vae`. `fit` takes y: 1 for W jets, 0 for QCD jets.

    Parameters
    ----------
    random_state : int, RandomState or None, default=None
        Seed of initialisation and shuffling.

    Returns
    -------
    detector : CWoLaDetector

    Examples
    --------
    >>> from skad import papers
    >>> papers.jet_classifier().classifier.hidden_layer_sizes
    (256, 128, 64, 6)
    """
    network = NetworkClassifier(
        (256, 128, 64, 6),
        class_weight="balanced",
        max_epochs=50,
        batch_size=100,
        learning_rate=1e-3,
    )
    return CWoLaDetector(network, cv=None, random_state=random_state)


def anode(
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> ANODE:
    """ANODE of arXiv:2001.04990 (Nachman, Shih), sections 3 and 4.

    Masked autoregressive flows of 15 MADE blocks of 128 units with batch normalisation, Adam at
    1e-4, weight decay 1e-6, 50 epochs; the last epoch for the data, the mean over the last 10 for
    the background. The features are scaled to their range, cut to (0.05, 0.95) and mapped by the
    logit. Batches of 256 events, and a hidden layer that is there twice, are those of the public
    code of CATHODE.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of the densities.

    Returns
    -------
    detector : ANODE

    Examples
    --------
    >>> from skad import papers
    >>> detector = papers.anode(region=(3.3, 3.7))
    >>> detector.fiducial, detector.background_density.n_averaged
    ((0.05, 0.95), 10)
    """
    return ANODE(
        _made_flow(max_epochs=50, select="last", n_averaged=1),
        _made_flow(max_epochs=50, select="last", n_averaged=10),
        region=region,
        resonance=resonance,
        coordinates=LogitTransformer(margin=0.0, outside="nan"),
        fiducial=(0.05, 0.95),
        random_state=random_state,
    )


def cwola_hunting(
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> TemplateDetector:
    """CWoLa hunting of arXiv:2001.04990 (Nachman, Shih), section 4.

    The sidebands are half as wide as the region, 0.2 TeV for 3.3 to 3.7 TeV, and weigh the same; a
    network of 4x64 with a dropout of 10 %, Adam at 1e-3, 300 epochs and the mean over the last 10
    tells the data of the region from them. Batches of 128 events are those of the public code of
    CATHODE.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region; one with a `sideband_width` keeps it. None means the central fifth of the
        events, with a tenth of them on either side.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of folds and networks.

    Returns
    -------
    detector : TemplateDetector

    Examples
    --------
    >>> from skad import papers
    >>> papers.cwola_hunting(region=(3300.0, 3700.0)).template.region.sidebands
    ((3100.0, 3300.0), (3700.0, 3900.0))
    """
    region = _with_sidebands(region, 0.5, 0.5)
    network = NetworkClassifier(
        (64, 64, 64, 64),
        dropout=0.1,
        max_epochs=300,
        batch_size=128,
        learning_rate=1e-3,
        n_averaged=10,
    )
    return TemplateDetector(
        Sidebands(region, resonance=resonance), network, random_state=random_state
    )


def cathode(
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> TemplateDetector:
    """CATHODE of arXiv:2109.00546 (Hallin et al.).

    The flow of `anode` behind a logit, trained for 100 epochs, draws from its 10 best ones, 3.3
    events per event of the region's data, at masses from a kernel of width 0.01; a network of
    3x64, batches of 128, 100 epochs and the mean over the 10 best tells the data from them. As in
    the public code, 43 % of the sideband events and half of those of the classifier validate.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of flow, folds and networks.

    Returns
    -------
    detector : TemplateDetector

    Examples
    --------
    >>> from skad import papers
    >>> detector = papers.cathode(region=(3.3, 3.7))
    >>> detector.template.density.max_epochs, detector.classifier.hidden_layer_sizes
    (100, (64, 64, 64))
    """
    template = _cathode_template(CATHODE, region, resonance)
    return TemplateDetector(template, _cathode_network(), random_state=random_state)


def lacathode(
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> TemplateDetector:
    """LaCATHODE of arXiv:2210.14924 (Hallin et al.): `cathode` in the latent space of its flow.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of flow, folds and networks.

    Returns
    -------
    detector : TemplateDetector

    Examples
    --------
    >>> from skad import papers
    >>> papers.lacathode(region=(3.3, 3.7)).template.density.n_transforms
    15
    """
    template = _cathode_template(LaCATHODE, region, resonance)
    return TemplateDetector(template, _cathode_network(), random_state=random_state)


def sigma(
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> TemplateDetector:
    """SIGMA of arXiv:2410.20537 (Das, Shih): one flow matching for every region.

    A residual network of 4x256 learns the velocity from all events, m embedded by sines and cosines
    of 2^k pi m for k = 0 to 8; batches of 4096, up to 2000 epochs. Inside the region the velocity
    is interpolated from edges a quarter of its width outside, 3.2 and 3.8 TeV for 3.3 to 3.7. 50
    boosted classifiers tell the data from the events. Ours: m is standardised before it is
    embedded, the learning rate of Adam is 1e-3, and a tenth of the events chooses the epoch.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of network, folds and classifiers.

    Returns
    -------
    detector : TemplateDetector

    Examples
    --------
    >>> from skad import papers
    >>> detector = papers.sigma(region=(3.3, 3.7))
    >>> detector.template.density.hidden_layer_sizes, detector.template.margin
    ((256, 256, 256, 256), 0.25)
    """
    density = FlowDensity(
        "flow_matching",
        hidden_layer_sizes=(256,) * 4,
        flow_options={"residual": True, "n_frequencies": 9},
        max_epochs=2000,
        batch_size=4096,
        learning_rate=1e-3,
        schedule="constant",
        clip_norm=None,
        select="best",
    )
    template = SIGMA(
        density, region=region, resonance=resonance, interpolation="velocity", margin=0.25
    )
    trees = TreeEnsembleClassifier(50, n_forest_trees=0)
    return TemplateDetector(template, trees, random_state=random_state)


def idealised(
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> TemplateDetector:
    """Idealised detector of arXiv:2109.00546 (Hallin et al.): the network of `cathode`.

    It learns the data of the region against true background. `fit` takes y: 1 for data, 0 for
    background; with 1 for signal it is the supervised classifier.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of folds and networks.

    Returns
    -------
    detector : TemplateDetector

    Examples
    --------
    >>> from skad import papers
    >>> papers.idealised(region=(3.3, 3.7)).classifier.n_averaged
    10
    """
    template = GivenReference(region, resonance=resonance)
    return TemplateDetector(template, _cathode_network(), random_state=random_state)


def treebased(
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> TemplateDetector:
    """Boosted trees of arXiv:2309.13111 (Finke et al.) as idealised detector.

    10 ensembles of at most 100 trees of 31 leaves in 127 bins, each on a fresh half of the events
    and stopped after 10 trees without gain on the other half. `fit` takes y: 1 for data, 0 for
    background. Their log odds are averaged, not their probabilities.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of folds and splits.

    Returns
    -------
    detector : TemplateDetector

    Examples
    --------
    >>> from skad import papers
    >>> papers.treebased(region=(3.3, 3.7)).classifier.n_estimators
    10
    """
    trees = TreeEnsembleClassifier(
        10,
        n_forest_trees=0,
        validation_fraction=0.5,
        max_iter=100,
        learning_rate=0.1,
        max_leaf_nodes=31,
        min_samples_leaf=20,
        l2_regularization=0.0,
        max_bins=127,
        n_iter_no_change=10,
    )
    template = GivenReference(region, resonance=resonance)
    return TemplateDetector(template, trees, random_state=random_state)


def salad(
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> TemplateDetector:
    """SALAD of arXiv:2001.05001 (Andreassen, Nachman, Shih).

    A network of 4x64 with a dropout of 10 %, batches of 200 and 5 epochs of Adam at 1e-3 learns to
    reweight the simulation, and one like it tells the data of the region from what comes out.
    `fit` takes y: 1 for data, 0 for simulation.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of networks and folds.

    Returns
    -------
    detector : TemplateDetector

    Examples
    --------
    >>> from skad import papers
    >>> papers.salad(region=(3.25, 3.75)).template.classifier.hidden_layer_sizes
    (64, 64, 64, 64)
    """

    def network(class_weight):
        return NetworkClassifier(
            (64, 64, 64, 64),
            dropout=0.1,
            class_weight=class_weight,
            max_epochs=5,
            batch_size=200,
            learning_rate=1e-3,
        )

    template = SALAD(network(None), region=region, resonance=resonance)
    return TemplateDetector(template, network("balanced"), random_state=random_state)


def curtains(
    region: Floats | SignalRegion | None = None,
    *,
    loss: Literal["likelihood", "optimal_transport"] = "likelihood",
    resonance: int | str = 0,
    random_state: Seed = None,
) -> TemplateDetector:
    """CURTAINs of arXiv:2203.09470 (Raine et al.) and arXiv:2305.04646 (Sengupta et al.).

    With flows for flows, the density is one autoregressive spline flow with 15 residual blocks of
    128 units, 50 epochs at 1e-4, and the transport two of 8 blocks of 16 at 5e-4; the classifier
    is that of `interplay`. As first published, the transport is four coupling layers of 2x32,
    trained by optimal transport in batches of 100 for 200 epochs, and the classifier has 3x32 units
    and 20 epochs. All rates fall as a cosine. Adam without weight decay stands for AdamW, and a
    polynomial for the three-parameter function of the spectrum. Flows for flows have sidebands of
    one and a half and two widths of the region, 2.7 to 4.5 TeV for 3.3 to 3.7 TeV, and draw four
    events per sideband event.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region; one with a `sideband_width` keeps it. The first paper has sidebands as wide
        as the region. None means the central fifth of the events.
    loss : {"likelihood", "optimal_transport"}, default="likelihood"
        Flows for flows, or the loss that was published first.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of flows, folds and networks.

    Returns
    -------
    detector : TemplateDetector

    Raises
    ------
    ValueError
        Another loss.

    Examples
    --------
    >>> from skad import papers
    >>> papers.curtains(region=(3.4, 3.6), loss="optimal_transport").template.transport.flow
    'nsf_coupling'
    """
    if loss == "likelihood":
        return _interplay_detector(_curtains_template(region, resonance), random_state)
    if loss == "optimal_transport":
        transport = FlowDensity(
            "nsf_coupling",
            n_transforms=4,
            hidden_layer_sizes=(32, 32),
            flow_options={"n_bins": 4},
            max_epochs=200,
            batch_size=100,
            learning_rate=1e-4,
            schedule="cosine",
        )
        template = CURTAINS(
            transport=transport,
            region=_with_sidebands(region, 1.0, 1.0),
            resonance=resonance,
            loss=loss,
            oversampling=4.0,
        )
        network = NetworkClassifier(
            (32, 32, 32), max_epochs=20, batch_size=128, learning_rate=1e-3, schedule="cosine"
        )
        return TemplateDetector(template, network, random_state=random_state)
    raise ValueError(f"loss must be 'likelihood' or 'optimal_transport'; got {loss!r}.")


def feta(
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> TemplateDetector:
    """FETA of arXiv:2212.11285 (Golling et al.).

    The density of the simulation is one autoregressive spline flow with 15 residual blocks of 128
    units and a dropout of 5 %, 100 epochs at 1e-4; the transport is eight coupling layers of 2x32,
    50 epochs at 5e-4. Features are scaled to [-3, 3], rates fall as a cosine, the best epoch is
    kept, and six events are drawn per event of the region, at masses of the simulation. The
    classifier is that of `interplay`. Adam stands for AdamW. `fit` takes y: 1 for data, 0 for
    simulation.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of flows, folds and networks.

    Returns
    -------
    detector : TemplateDetector

    Examples
    --------
    >>> from skad import papers
    >>> papers.feta(region=(3.3, 3.7)).template.oversampling
    6.0
    """
    return _interplay_detector(_feta_template(region, resonance), random_state)


@checked(
    method=[
        sk.StrOptions({"salad", "cathode", "curtains", "feta", "samples", "scores", "idealised"})
    ]
)
def interplay(
    method: Literal["salad", "cathode", "curtains", "feta", "samples", "scores", "idealised"],
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    random_state: Seed = None,
) -> Any:
    """One of the methods of arXiv:2307.11157 (Golling et al.), with its common classifier.

    The classifier is the mean of 10 networks of 64-32 units, batches of 128, at most 100 epochs of
    Adam at 1e-3 and a patience of 5. Each is the best of five that learn from 80 % of the events
    and validate on the rest; the paper takes the five folds of one partition, here the five draw
    their parts independently. All events, also those of the training, are scored by what was kept,
    as in the paper; ``set_params(cv=5)`` gives scores of the data from networks that have not seen
    them. SALAD reweights by a network of 3x100, batches of 256, at most 50 epochs and a patience
    of 10, without the halving of its rate. CATHODE is the template of `cathode`, which draws 3.3
    events per event of the region, CURTAINs that of `curtains`, FETA that of `feta`. All but
    CATHODE, CURTAINs and the idealised detector need the simulation; `fit` then takes y: 1 for
    data, 0 for simulation, and for the idealised detector 0 for background.

    Parameters
    ----------
    method : {"salad", "cathode", "curtains", "feta", "samples", "scores", "idealised"}
        A template, the samples of all four combined with equal weights, the mean of their scores
        h (``set_params(voting="mean")`` takes that of log h / (1 - h)), or true background.
    region : None, (low, high) or SignalRegion, default=None
        Signal region, the same for all; only CURTAINs limits its sidebands. None means the central
        fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : int, RandomState or None, default=None
        Seed of templates, folds and networks.

    Returns
    -------
    detector : TemplateDetector or VotingDetector

    Raises
    ------
    ValueError
        Another method.

    Examples
    --------
    >>> from skad import papers
    >>> detector = papers.interplay("samples", region=(3.3, 3.7))
    >>> [name for name, _ in detector.template.templates]
    ['salad', 'cathode', 'curtains', 'feta']
    """
    four = ("salad", "cathode", "curtains", "feta")
    if method == "scores":
        detectors = [(name, interplay(name, region, resonance=resonance)) for name in four]
        return VotingDetector(detectors, voting="probability", random_state=random_state)
    if method == "samples":
        template = CombinedTemplate(
            [(name, _interplay_template(name, region, resonance)) for name in four]
        )
    else:
        template = _interplay_template(method, region, resonance)
    return _interplay_detector(template, random_state)


def _made_flow(**settings):
    """Return the flow of ANODE and CATHODE.

    In the public code of both, a block with one hidden layer has its 128 units twice: 274 800
    parameters in all for four features and one condition.
    """
    return FlowDensity(
        "maf",
        n_transforms=15,
        hidden_layer_sizes=(128, 128),
        flow_options={"batch_norm": True},
        batch_size=256,
        learning_rate=1e-4,
        weight_decay=1e-6,
        schedule="constant",
        clip_norm=None,
        **settings,
    )


def _cathode_template(template, region, resonance):
    # 380 000 of 880 000 sideband events validate.
    flow = _made_flow(max_epochs=100, select="best", n_averaged=10, validation_fraction=0.43)
    return template(flow, region=region, resonance=resonance, mass_spectrum="kde", oversampling=3.3)


def _cathode_network():
    return NetworkClassifier(
        (64, 64, 64),
        max_epochs=100,
        batch_size=128,
        learning_rate=1e-3,
        validation_fraction=0.5,
        select="best",
        n_averaged=10,
    )


def _curtains_template(region, resonance):
    density = FlowDensity(
        "nsf",
        n_transforms=1,
        hidden_layer_sizes=(128,) * 16,
        flow_options={"residual": True, "n_bins": 10},
        max_epochs=50,
        batch_size=128,
        learning_rate=1e-4,
        schedule="cosine",
    )
    transport = FlowDensity(
        "nsf",
        n_transforms=2,
        hidden_layer_sizes=(16,) * 9,
        flow_options={"residual": True, "n_bins": 10},
        max_epochs=50,
        batch_size=256,
        learning_rate=5e-4,
        schedule="cosine",
    )
    return CURTAINS(
        density,
        transport,
        region=_with_sidebands(region, 1.5, 2.0),
        resonance=resonance,
        coordinates="passthrough",
        loss="likelihood",
        oversampling=4.0,
        oversampled="sidebands",
    )


def _feta_template(region, resonance):
    density = FlowDensity(
        "nsf",
        n_transforms=1,
        hidden_layer_sizes=(128,) * 16,
        flow_options={"residual": True, "n_bins": 10, "dropout": 0.05},
        max_epochs=100,
        batch_size=128,
        learning_rate=1e-4,
        weight_decay=1e-4,
        schedule="cosine",
        validation_fraction=0.2,
        select="best",
    )
    transport = FlowDensity(
        "nsf_coupling",
        n_transforms=8,
        hidden_layer_sizes=(32, 32),
        flow_options={"n_bins": 10},
        max_epochs=50,
        batch_size=256,
        learning_rate=5e-4,
        weight_decay=1e-4,
        schedule="cosine",
        validation_fraction=0.2,
        select="best",
    )
    return FETA(
        density,
        transport,
        region=region,
        resonance=resonance,
        coordinates=MinMaxScaler(feature_range=(-3, 3)),
        mass_spectrum="simulation",
        oversampling=6.0,
    )


def _with_sidebands(region, below, above):
    """Return the region with sidebands in units of its width, unless it has its own."""
    if region is None:
        region = SignalRegion(0.4, 0.6, quantile=True)
    region = region_of(region)
    if region.sideband_width is not None:
        return region
    return region.with_sidebands((below * region.width, above * region.width))


def _interplay_detector(template, random_state):
    network = NetworkClassifier(
        (64, 32),
        n_estimators=10,
        n_candidates=5,
        max_epochs=100,
        batch_size=128,
        learning_rate=1e-3,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=5,
        select="best",
    )
    return TemplateDetector(template, network, cv=None, random_state=random_state)


def _interplay_template(method, region, resonance):
    if method == "salad":
        network = NetworkClassifier(
            (100, 100, 100),
            class_weight=None,
            max_epochs=50,
            batch_size=256,
            learning_rate=1e-3,
            early_stopping=True,
            validation_fraction=0.2,
            n_iter_no_change=10,
            select="best",
        )
        return SALAD(network, region=region, resonance=resonance)
    if method == "cathode":
        return _cathode_template(CATHODE, region, resonance)
    if method == "curtains":
        return _curtains_template(region, resonance)
    if method == "feta":
        return _feta_template(region, resonance)
    return GivenReference(region, resonance=resonance)
