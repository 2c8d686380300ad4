"""Constituents as (log pT, eta, phi) instead of (E, px, py, pz)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_array, check_is_fitted

from skad.coordinates._jet_columns import FLOATS, MIN_ENERGY, ConstituentTransformer
from skad.exceptions import DomainError
from skad.kinematics._four_vectors import (
    azimuth,
    pseudorapidity,
    rapidity,
    transverse_momentum,
    wrap_angle,
)
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ConstituentCoordinates"]


class ConstituentCoordinates(ConstituentTransformer):
    """Describe each constituent by (log pT, eta, phi) instead of (E, px, py, pz).

    log pT is log(1 + pT / `pt_scale`): the logarithm of pT far above the scale, and zero for
    padding, which thus is (0, 0, 0) and survives the way back.

    Parameters
    ----------
    relative : bool, default=True
        Measure eta and phi from the jet axis (rapidity and azimuth of the summed four-vector),
        else from the beam frame.
    pt_scale : float, default=1.0
        Transverse momentum in GeV below which the logarithm turns linear.
    columns : sequence of str or int, default=None
        Columns of the constituents: E, px, py, pz of the first, then of the next, in GeV.
        By default those named e00, px00, py00, pz00, e01, ... or, in an X without such names,
        as many leading columns as make whole four-vectors.
    remainder : {"passthrough", "drop"}, default="passthrough"
        What becomes of the other columns: appended unchanged, or left out.
    unphysical : {"warn", "raise", "ignore"}, default="warn"
        What to do about constituents with E < abs(p) (beyond rounding) and about an X with no
        room for a four-vector.

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
    Three numbers per constituent instead of four: the constituents' masses are forgotten.
    `inverse_transform` returns massless constituents; it is exact for massless ones with
    ``relative=False``, and with ``relative=True`` returns the jet with its axis at
    (eta, phi) = (0, 0). With fewer coordinates out than in there is no Jacobian determinant.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import ConstituentCoordinates
    >>> jet = np.array([[5.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0]])  # one particle, one padding
    >>> coordinates = ConstituentCoordinates(relative=False).fit(jet)
    >>> coordinates.transform(jet).round(3)
    array([[1.792, 0.   , 0.927, 0.   , 0.   , 0.   ]])
    >>> np.allclose(coordinates.inverse_transform(coordinates.transform(jet)), jet)
    True
    """

    _parameter_constraints = {
        **ConstituentTransformer._parameter_constraints,
        **ConstituentTransformer._remainder_constraint,
        "relative": ["boolean"],
        "pt_scale": [sk.Interval(sk.RealNotInt, 0, None, closed="neither"), int],
    }

    def __init__(
        self,
        *,
        relative: bool = True,
        pt_scale: float = 1.0,
        columns: Sequence[int | str] | None = None,
        remainder: Literal["passthrough", "drop"] = "passthrough",
        unphysical: Literal["warn", "raise", "ignore"] = "warn",
    ) -> None:
        self.relative = relative
        self.pt_scale = pt_scale
        self.columns = columns
        self.remainder = remainder
        self.unphysical = unphysical

    def _n_outputs(self):
        return 3 * self.n_constituents_

    def _output_names(self):
        return [
            f"{name}{i:02d}"
            for i in range(self.n_constituents_)
            for name in ("log_pt", "eta", "phi")
        ]

    def _transform_block(self, p4):
        used = p4[..., 0] >= MIN_ENERGY
        pt, eta, phi = transverse_momentum(p4), pseudorapidity(p4), azimuth(p4)
        if self.relative:
            jet = np.where(used[..., None], p4, 0.0).sum(axis=1)
            eta = eta - rapidity(jet)[:, None]
            phi = wrap_angle(phi - azimuth(jet)[:, None])
        values = np.stack([np.log1p(pt / self.pt_scale), eta, phi], axis=-1)
        return np.where(used[..., None], values, 0.0).reshape(len(p4), self._n_outputs())

    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """Return massless constituents (E, px, py, pz) in GeV.

        Parameters
        ----------
        X : array-like of shape (n_jets, n_features_out)

        Returns
        -------
        X_original : ndarray of shape (n_jets, n_features)
            In the column order of `fit`, with ``remainder="passthrough"``.

        Raises
        ------
        DomainError
            A log pT below zero.
        ValueError
            A wrong number of columns, or columns that were dropped.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=FLOATS, input_name="X")
        kept = self._remainder_columns()
        n_out = self._n_outputs() + len(kept)
        if X.shape[1] != n_out:
            raise ValueError(f"X has {X.shape[1]} features, but the transform has {n_out}.")
        if self._n_outputs() and len(kept) + 4 * self.n_constituents_ != self.n_features_in_:
            raise ValueError(
                "Other columns were dropped and cannot come back; use remainder='passthrough'."
            )
        coordinates = X[:, : self._n_outputs()].astype(np.float64)
        coordinates = coordinates.reshape(len(X), self.n_constituents_, 3)
        log_pt, eta, phi = np.moveaxis(coordinates, -1, 0)
        if (log_pt < 0).any():
            row, constituent = np.argwhere(log_pt < 0)[0]
            raise DomainError(
                f"log(1 + pT / pt_scale) must not be negative; column 'log_pt{constituent:02d}' "
                f"holds {log_pt[row, constituent]} in row {row}. Clip at 0 (no constituent) first."
            )
        pt = self.pt_scale * np.expm1(log_pt)
        p4 = np.stack(
            [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1
        )
        original = np.empty((len(X), self.n_features_in_), dtype=X.dtype)
        original[:, self.constituent_columns_.ravel()] = p4.reshape(
            len(X), 4 * self.n_constituents_
        )
        original[:, kept] = X[:, self._n_outputs() :]
        return original
