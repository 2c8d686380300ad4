"""The jet's own frame: boosted along the beam, centred, rotated (VAE paper)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.coordinates._jet_columns import MIN_ENERGY, ConstituentTransformer
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

__all__ = ["JetFrame"]

# Closer to the jet axis than this (radians) a constituent has no direction, only rounding.
_ON_AXIS = 1e-6


class JetFrame(ConstituentTransformer):
    """Put every jet in its own frame: boost, centre, rotate.

    Two steps are common to all conventions: the jet is rotated about the beam to phi = 0 and
    boosted along the beam until its pz vanishes, so that its axis is at (eta, phi) = (0, 0).
    Then the jet is turned until its inner axis is vertical (along +phi, at eta = 0).

    Parameters
    ----------
    convention : {"paper", "code", "moments"}, default="paper"
        Which axis is made vertical, and how the jet is turned.

        - "paper": the axis of equation 3 of [1]_, the energy-weighted mean direction
          (sum E eta / R, sum E phi / R) with R^2 = eta^2 + phi^2. The plane (eta, phi) is turned:
          pT and mass of every constituent stay, energies and the mass of the jet change.
        - "code": the same axis, and the jet is rotated about the x axis as in the public code
          [2]_. That is a Lorentz transformation: energies and the mass of the jet stay.
        - "moments": the principal axis of the pT-weighted second moments of (eta, phi), often
          used elsewhere, with the end that has the axis of "paper" on its side up; the plane is
          turned. For a quarter of jets the two axes are more than 30 degrees apart.
    columns : sequence of str or int, default=None
        Columns of the constituents: E, px, py, pz of the first, then of the next, in GeV.
        By default those named e00, px00, py00, pz00, e01, ... or, in an X without such names,
        as many leading columns as make whole four-vectors. All other columns stay as they are.
    unphysical : {"warn", "raise", "ignore"}, default="warn"
        What to do about constituents with E < abs(p) (beyond rounding) and about an X with no
        room for a four-vector. A jet with E <= abs(pz) has no such frame and is not boosted.

    Attributes
    ----------
    constituent_columns_ : ndarray of int, shape (n_constituents, 4)
        Positions of the constituents' columns.
    n_constituents_ : int
        Number of constituents per jet, padding included.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_features,)
        Their names, where X had names.

    Notes
    -----
    The output keeps the columns, their order and their names; padding (E < 1e-10 GeV) stays
    zero and has no say in the axis. Not invertible: the direction, the rapidity and the
    orientation of the jet are forgotten (three numbers per jet), so there is neither an
    `inverse_transform` nor a Jacobian. Jets that differ by a rotation about the beam or a boost
    along it become equal. Computed in float64 whatever the dtype of X.

    References
    ----------
    .. [1] T. Cheng et al., "Variational Autoencoders for Anomalous Jet Tagging",
       arXiv:2007.01850.
    .. [2] https://github.com/taolicheng/VAE-Jet, preprocessing.py.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import JetFrame
    >>> jet = np.array([[5.0, 0.0, 3.0, 4.0, 13.0, 0.0, 12.0, 5.0]])  # two massless particles
    >>> framed = JetFrame(convention="code").fit_transform(jet).reshape(-1, 4)
    >>> bool(abs(framed[:, 3].sum()) < 1e-9)  # no momentum along the beam
    True
    """

    _parameter_constraints = {
        **ConstituentTransformer._parameter_constraints,
        "convention": [sk.StrOptions({"paper", "code", "moments"})],
    }

    def __init__(
        self,
        *,
        convention: Literal["paper", "code", "moments"] = "paper",
        columns: Sequence[int | str] | None = None,
        unphysical: Literal["warn", "raise", "ignore"] = "warn",
    ) -> None:
        self.convention = convention
        self.columns = columns
        self.unphysical = unphysical

    def _n_outputs(self):
        return 4 * self.n_constituents_

    def _transform_block(self, p4):
        e, px, py, pz = np.ascontiguousarray(np.moveaxis(p4, -1, 0))
        px, py = _rotate_to_zero(px, py)
        e, pz = _boost_to_rest(e, pz)
        turned = _TURNS[self.convention](e, px, py, pz)
        return np.stack(turned, axis=-1).reshape(len(p4), self._n_outputs())

    def _join(self, X, transformed):
        framed = X.copy()
        framed[:, self.constituent_columns_.ravel()] = transformed
        return framed

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the output columns, those of the input.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X; those seen in `fit` by default.

        Returns
        -------
        names : ndarray of str
        """
        return sk.check_feature_names_in(self, input_features)


def _unit(x, y):
    """Direction (x, y) / norm, (1, 0) for the zero vector; as columns."""
    norm = np.hypot(x, y)
    safe = np.where(norm > 0, norm, 1.0)
    return np.where(norm > 0, x / safe, 1.0)[:, None], (y / safe)[:, None]


def _rotate_to_zero(px, py):
    """Rotate about the beam until the jet's phi is zero."""
    c, s = _unit(px.sum(axis=1), py.sum(axis=1))
    return c * px + s * py, c * py - s * px


def _boost_to_rest(e, pz):
    """Boost along the beam until the jet's pz is zero."""
    jet_e, jet_pz = e.sum(axis=1), pz.sum(axis=1)
    mt2 = (jet_e - jet_pz) * (jet_e + jet_pz)
    timelike = (mt2 > 0) & (jet_e > 0)
    mt = np.sqrt(np.where(timelike, mt2, 1.0))
    gamma = np.where(timelike, jet_e / mt, 1.0)[:, None]
    gamma_beta = np.where(timelike, jet_pz / mt, 0.0)[:, None]
    return gamma * e - gamma_beta * pz, gamma * pz - gamma_beta * e


def _directions(e, px, py, pz):
    """pT, eta, phi, and E / R with R the distance to the jet axis (zero on it)."""
    pt = np.hypot(px, py)
    eta = np.arcsinh(pz / np.maximum(pt, 1e-150))
    phi = np.arctan2(py, px)
    r = np.hypot(eta, phi)
    off_axis = (r > _ON_AXIS) & (e >= MIN_ENERGY)
    return pt, eta, phi, np.where(off_axis, e, 0.0) / np.where(off_axis, r, 1.0)


def _turn_about_x(e, px, py, pz):
    _, eta, phi, weight = _directions(e, px, py, pz)
    c, s = _unit((weight * phi).sum(axis=1), (weight * eta).sum(axis=1))
    return e, px, c * py + s * pz, c * pz - s * py


def _turn_mean_axis(e, px, py, pz):
    pt, eta, phi, weight = _directions(e, px, py, pz)
    c, s = _unit((weight * phi).sum(axis=1), (weight * eta).sum(axis=1))
    return _turn_plane(e, pz, pt, eta, phi, c, s)


def _turn_principal_axis(e, px, py, pz):
    pt, eta, phi, weight = _directions(e, px, py, pz)
    eta_w = pt * eta
    # Principal axis at angle theta from phi towards eta: tan(2 theta) = 2 M_ep / (M_pp - M_ee).
    theta = 0.5 * np.arctan2(
        2 * (eta_w * phi).sum(axis=1), (pt * phi * phi).sum(axis=1) - (eta_w * eta).sum(axis=1)
    )
    c, s = np.cos(theta), np.sin(theta)
    up = c * (weight * phi).sum(axis=1) + s * (weight * eta).sum(axis=1)
    sign = np.where(up < 0, -1.0, 1.0)
    return _turn_plane(e, pz, pt, eta, phi, (sign * c)[:, None], (sign * s)[:, None])


def _turn_plane(e, pz, pt, eta, phi, c, s):
    """Turn (eta, phi) by the angle of cosine c and sine s, from eta towards phi."""
    eta, phi = c * eta - s * phi, c * phi + s * eta
    turned_pz = pt * np.sinh(eta)
    turned_e = np.sqrt(np.maximum(e * e + (turned_pz - pz) * (turned_pz + pz), 0.0))
    return turned_e, pt * np.cos(phi), pt * np.sin(phi), turned_pz


_TURNS = {
    "paper": _turn_mean_axis,
    "code": _turn_about_x,
    "moments": _turn_principal_axis,
}
