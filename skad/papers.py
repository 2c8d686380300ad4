"""The methods of the papers: one function for each returns the whole unfitted detector.

Every setting is that of the paper or of its public code; `set_params` changes single ones.
"""

from skad.detectors import AutoencoderDetector, DisCo, OutlierExposure, VAEDetector

__all__ = ["coordinate_autoencoder", "vae", "vae_disco", "vae_outlier_exposure"]


def coordinate_autoencoder(*, random_state=None):
    """Autoencoder of arXiv:2209.06225 (Kasieczka et al.), section 3.

    50-20-10 hidden units around a bottleneck of one, Adam at 1e-3, at most 500 epochs of batches of
    10 000 events, patience of 10 epochs on the validation loss of 20 % of the events. As in the
    public code, the encoder has no bias and nothing is scaled, which the code does for the tanh
    coordinates only.

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


def vae(*, metric="nll", random_state=None):
    """Beta-VAE for jets of arXiv:2007.01850 (Cheng et al.), sections 2 and 3.

    256-128-64 hidden units around 10 latent dimensions, Adam at 1e-3, 50 epochs of batches of 100
    jets. As in the public code, features are scaled by their quartiles, and beta = 0.1 multiplies
    the mean of the KL divergence over the latent dimensions, which is ``beta=0.01`` of its sum.

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
        max_epochs=50,
        batch_size=100,
        learning_rate=1e-3,
        schedule="constant",
        clip_norm=None,
        random_state=random_state,
    )


def vae_disco(column, *, strength=100.0, random_state=None):
    """Beta-VAE of arXiv:2007.01850 decorrelated from the mass by distance correlation, section 4.

    The loss of each jet is decorrelated with kappa = 100 for 100 epochs; as in the public code,
    the square of the distance correlation enters. Without the paper's drop of the learning rate.

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
    DisCo(column='mass', metric='loss', power=2, strength=1000.0)
    """
    return vae(random_state=random_state).set_params(
        decorrelation=DisCo(column, metric="loss", strength=strength, power=2),
        beta_annealing=(10, 10, 1),
        max_epochs=100,
    )


def vae_outlier_exposure(metric="mse", *, random_state=None):
    """Beta-VAE of arXiv:2007.01850 with exposed outliers, section 5.

    lambda = 500 in the MSE, or lambda = 2 with a margin of 1 in the KL divergence, raised three
    times within 5 epochs from the tenth on. At most 100 epochs, patience of 10 on the validation
    loss of 20 % of the events. Without the paper's two drops of the learning rate. `fit` takes y:
    1 for outliers, 0 for background; `skad.detectors.match_mass` draws outliers that follow the
    mass of the background.

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
    strength = {"mse": 500.0, "kl": 2.0}
    if metric not in strength:
        raise ValueError(f"metric must be 'mse' or 'kl'; got {metric!r}.")
    return vae(metric=metric, random_state=random_state).set_params(
        exposure=OutlierExposure(
            metric, strength=strength[metric], margin=1.0, annealing=(10, 5, 3)
        ),
        max_epochs=100,
        early_stopping=True,
        validation_fraction=0.2,
        n_iter_no_change=10,
        tol=0.0,
        select="best",
    )
