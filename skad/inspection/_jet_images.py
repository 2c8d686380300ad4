"""Mean images of jets: where their momentum goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_array

from skad.kinematics import azimuth, pseudorapidity, split_constituents, transverse_momentum
from skad.utils import _sklearn as sk
from skad.utils._arguments import checked
from skad.utils._readable import readable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["JetImages", "jet_images"]


@readable
@dataclass(frozen=True)
class JetImages:
    """Result of `jet_images`.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Bin edges of eta and phi, the same for both, from ``-width`` to ``width``.
    image : dict of str to ndarray of shape (n_bins, n_bins)
        Mean share of the transverse momentum of a jet in every pixel, eta along the first axis.
    outside : dict of str to float
        Mean share beyond the edges; with the pixels it sums to 1.
    """

    edges: np.ndarray
    image: dict
    outside: dict


@checked(
    # More pixels than that are more memory than a picture is worth.
    bins=[sk.Interval(Integral, 1, 10_000, closed="both")],
    width=[sk.Interval(Real, 0, None, closed="neither")],
)
def jet_images(jets: Mapping[str, ArrayLike], *, bins: int = 40, width: float = 1.0) -> JetImages:
    """Average images of jets in pseudorapidity and azimuth.

    Parameters
    ----------
    jets : dict of str to array-like of shape (n_jets, n_features)
        Samples of jets, given or generated: E, px, py, pz of each constituent in turn (GeV), in
        the frame of the jet, as `skad.coordinates.JetFrame` gives them. Constituents of no
        transverse momentum are padding.
    bins : int, default=40
        Pixels in each direction.
    width : float, default=1.0
        Largest distance of a pixel from the axis, in eta and in phi (radians).

    Returns
    -------
    images : JetImages

    See Also
    --------
    skad.plotting.JetImageDisplay : Draws the result.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850, figure 5.

    Examples
    --------
    >>> from skad.coordinates import JetFrame
    >>> from skad.datasets import load_jets
    >>> from skad.inspection import jet_images
    >>> jets = load_jets(kinds=["qcd"])
    >>> images = jet_images({"QCD": JetFrame().fit_transform(jets.data[:500])}, bins=20)
    >>> peak = images.image["QCD"].argmax()
    >>> int(peak // 20), int(peak % 20)  # at the axis of the jet
    (10, 10)
    """
    if not isinstance(jets, Mapping) or not jets:
        raise ValueError("jets must be a dict of names and samples, with at least one.")
    edges = np.linspace(-width, width, bins + 1)
    image, outside = {}, {}
    for name, sample in jets.items():
        p4 = split_constituents(check_array(sample, dtype=np.float64, input_name=name))
        pt = transverse_momentum(p4)
        present = pt > 0
        share = (pt / pt.sum(axis=1, keepdims=True))[present]
        p4 = p4[present]
        counts, _, _ = np.histogram2d(
            pseudorapidity(p4), azimuth(p4), bins=[edges, edges], weights=share
        )
        image[name] = counts / len(sample)
        outside[name] = float(1 - image[name].sum())
    return JetImages(edges, image, outside)
