"""Events in the latent space of an estimator, in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.manifold import TSNE
from sklearn.utils import check_consistent_length, check_random_state

from skad.utils._arguments import COUNT, EVENTS, POSITIVE, Having, checked
from skad.utils._random import draw_seed
from skad.utils._readable import readable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skad.utils._types import Estimator, Seed

__all__ = ["LatentEmbedding", "latent_embedding"]


@readable
@dataclass(frozen=True)
class LatentEmbedding:
    """Result of `latent_embedding`.

    Attributes
    ----------
    points : ndarray of shape (n_shown, 2)
        Latent points of the events, or where t-SNE puts them.
    rows : ndarray of int, shape (n_shown,)
        Which events they are.
    label : ndarray of shape (n_shown,) or None
        Kind of each event.
    embedded : bool
        Whether the axes are those of t-SNE and have no meaning of their own.
    """

    points: np.ndarray
    rows: np.ndarray
    label: np.ndarray | None
    embedded: bool


@checked(
    estimator=Having("a fitted estimator with a latent space", ("fit", "transform")),
    X=EVENTS,
    y=EVENTS,
    n_events=COUNT,
    perplexity=POSITIVE,
    random_state=["random_state"],
)
def latent_embedding(
    estimator: Estimator,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    n_events: int = 2000,
    perplexity: float = 30.0,
    random_state: Seed = None,
) -> LatentEmbedding:
    """Latent points of events in two dimensions, by t-SNE where there are more.

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

    Returns
    -------
    embedding : LatentEmbedding

    Raises
    ------
    ValueError
        A latent space of one dimension.

    See Also
    --------
    skad.plotting.LatentDisplay : Draws the result.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from skad.inspection import latent_embedding
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> embedding = latent_embedding(PCA(2).fit(X), X, n_events=50, random_state=0)
    >>> embedding.points.shape, embedding.embedded
    ((50, 2), False)
    """
    rng = check_random_state(random_state)
    check_consistent_length(X, y)
    points = np.asarray(estimator.transform(X), dtype=np.float64)  # type: ignore[attr-defined]
    if points.shape[1] < 2:
        raise ValueError("The latent space has one dimension; draw a histogram of it instead.")
    rows = np.arange(len(points))
    if len(points) > n_events:
        rows = rng.choice(len(points), n_events, replace=False)
    points = points[rows]
    embedded = points.shape[1] > 2
    if embedded:
        points = TSNE(
            perplexity=min(perplexity, (len(points) - 1) / 3), random_state=draw_seed(rng)
        ).fit_transform(points)
    label = None if y is None else np.asarray(y)[rows]
    return LatentEmbedding(points=points, rows=rows, label=label, embedded=embedded)
