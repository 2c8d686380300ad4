"""Observables of jets from their constituents: kinematics and N-subjettiness."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from skad.coordinates._jet_columns import MIN_ENERGY, ConstituentTransformer
from skad.kinematics._four_vectors import (
    azimuth,
    invariant_mass,
    pseudorapidity,
    split_constituents,
    transverse_momentum,
)
from skad.kinematics._subjettiness import n_subjettiness
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

__all__ = ["JetObservables", "jet_observables"]

FEATURES = (
    "pt",
    "eta",
    "phi",
    "mass",
    "tau1",
    "tau2",
    "tau3",
    "tau21",
    "tau32",
    "n_constituents",
)


def jet_observables(
    X: ArrayLike, *, features: Sequence[str] = FEATURES, regulariser: float = 1e-5
) -> NDArray[np.float64]:
    """Return observables of jets from their constituents.

    Parameters
    ----------
    X : array-like of shape (n_jets, 4 * n_constituents)
        E, px, py, pz of the first constituent, then of the next, in GeV; in any order, zero
        padded. Constituents with E < 1e-10 GeV are padding.
    features : sequence of str
        Any of

        - "pt", "eta", "phi", "mass": of the summed four-vector, GeV and radians; eta is the
          pseudorapidity, phi in [-pi, pi], mass = -sqrt(-m^2) where rounding made m^2 < 0;
        - "tau1", "tau2", "tau3": N-subjettiness, beta = 1, exclusive-kT axes, normalised to the
          sum of pT (so R0 = 1), dimensionless; zero for jets of at most N constituents;
        - "tau21", "tau32": tau2 / (tau1 + regulariser) and tau3 / (tau2 + regulariser);
        - "n_constituents".

    regulariser : float, default=1e-5
        Added to the denominator of the ratios, as in ANODE and CATHODE; positive.

    Returns
    -------
    observables : ndarray of float64, shape (n_jets, len(features))
        A jet without constituents has zeros.

    Raises
    ------
    ValueError
        Columns that are not a multiple of four, an unknown feature, or a regulariser that is
        not positive.

    Examples
    --------
    >>> from skad.coordinates import jet_observables
    >>> jet = [[5.0, 3.0, 4.0, 0.0, 5.0, 4.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    >>> jet_observables(jet, features=["pt", "mass", "n_constituents"]).round(3)
    array([[9.899, 1.414, 2.   ]])
    """
    unknown = [name for name in features if name not in FEATURES]
    if unknown:
        raise ValueError(f"features may hold {list(FEATURES)}; got {unknown}.")
    if not isinstance(regulariser, Real) or not 0 < regulariser < np.inf:
        raise ValueError(f"regulariser must be a positive number; got {regulariser!r}.")
    p4 = split_constituents(X).astype(np.float64)
    return _observables(p4, features, regulariser)


def _observables(p4, features, regulariser):
    used = p4[..., 0] >= MIN_ENERGY
    p4 = np.where(used[..., None], p4, 0.0)
    jet = p4.sum(axis=1)
    kinematics = {
        "pt": transverse_momentum,
        "eta": pseudorapidity,
        "phi": azimuth,
        "mass": invariant_mass,
    }
    values = {name: kinematics[name](jet) for name in features if name in kinematics}
    values["n_constituents"] = used.sum(axis=1)
    if any(name.startswith("tau") for name in features):
        tau1, tau2, tau3 = n_subjettiness(p4).T
        values |= {"tau1": tau1, "tau2": tau2, "tau3": tau3}
        values["tau21"] = tau2 / (tau1 + regulariser)
        values["tau32"] = tau3 / (tau2 + regulariser)
    return np.stack([values[name] for name in features], axis=1).astype(np.float64)


class JetObservables(ConstituentTransformer):
    """Replace the constituents of jets by observables.

    Parameters
    ----------
    features : sequence of str, default=("pt", "eta", "phi", "mass", "tau1", "tau2", "tau3", \
"tau21", "tau32", "n_constituents")
        Observables, in the order of the output; see `jet_observables` for definitions, units.
    regulariser : float, default=1e-5
        Added to the denominator of the ratios tau21 and tau32, as in ANODE and CATHODE.
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

    See Also
    --------
    jet_observables : The same as a function.

    Examples
    --------
    >>> from skad.coordinates import JetObservables
    >>> from skad.datasets import load_jets
    >>> X = load_jets(kinds=["top_174"]).data[:3]
    >>> JetObservables(features=["mass", "tau32"]).fit_transform(X).shape
    (3, 2)
    """

    _parameter_constraints = {
        **ConstituentTransformer._parameter_constraints,
        **ConstituentTransformer._remainder_constraint,
        "features": ["array-like"],
        "regulariser": [sk.Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        features: Sequence[str] = FEATURES,
        regulariser: float = 1e-5,
        columns: Sequence[int | str] | None = None,
        remainder: Literal["passthrough", "drop"] = "passthrough",
        unphysical: Literal["warn", "raise", "ignore"] = "warn",
    ) -> None:
        self.features = features
        self.regulariser = regulariser
        self.columns = columns
        self.remainder = remainder
        self.unphysical = unphysical

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Check the parameters and find the constituents' columns.

        Parameters
        ----------
        X : array-like of shape (n_jets, n_features)
        y : ignored

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            Features that are unknown, repeated or none.
        """
        super().fit(X)
        wrong = [name for name in self.features if name not in FEATURES]
        if wrong or not len(self.features) or len(set(self.features)) != len(self.features):
            raise ValueError(
                f"features must hold some of {list(FEATURES)}, each once; got "
                f"{list(self.features)}."
            )
        return self

    def _n_outputs(self):
        return len(self.features)

    def _output_names(self):
        return list(self.features)

    def _transform_block(self, p4):
        return _observables(p4, self.features, self.regulariser)
