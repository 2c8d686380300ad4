"""Observables of a pair of jets from the columns of the LHC Olympics files."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skad.coordinates._domain import check_finite
from skad.coordinates._jacobian import inverse_rule, log_det_rule
from skad.exceptions import MissingColumnError, NoJacobianError
from skad.kinematics._four_vectors import wrap_angle
from skad.utils import _sklearn as sk
from skad.utils._columns import resolve_column
from skad.utils._documentation import LinkedMixin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

__all__ = ["DijetCoordinates"]

_QUANTITIES = ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
_COLUMNS = [f"{quantity}j{jet}" for jet in (1, 2) for quantity in _QUANTITIES]

_GEV_PER_UNIT = {"GeV": 1.0, "TeV": 1000.0}

_NO_INVERSE = (
    "DijetCoordinates has no inverse and no Jacobian: the observables are fewer than the columns "
    "of the jets. Compute them first and start the change of coordinates from them."
)


class DijetCoordinates(LinkedMixin, TransformerMixin, BaseEstimator):
    """Observables of a pair of jets from the columns of the LHC Olympics files.

    The columns are ``pxj1 pyj1 pzj1 mj1 tau1j1 tau2j1 tau3j1`` and the same for j2: momenta and
    masses in GeV, N-subjettiness without unit, jets in the order of pT. The defaults give the
    features of ANODE and CATHODE [1]_, [2]_.

    Parameters
    ----------
    features : sequence of str, default=("mjj", "mj1", "delta_mj", "tau21_j1", "tau21_j2")
        Observables, in this order. J1 and J2 are ordered as `order` says.

        - "mjj": mass of the two jets together;
        - "mj1", "mj2": jet masses;
        - "delta_mj": mass of J2 minus mass of J1;
        - "tau1_j1", "tau2_j1", "tau3_j1" and the same with j2: N-subjettiness;
        - "tau21_j1", "tau21_j2": tau2 / (tau1 + regulariser);
        - "tau32_j1", "tau32_j2": tau3 / (tau2 + regulariser);
        - "pt_j1", "pt_j2": transverse momenta;
        - "eta_j1", "eta_j2": pseudorapidities, arsinh(pz / pT);
        - "delta_eta": abs(eta of J1 - eta of J2);
        - "delta_r": sqrt(delta_eta^2 + delta_phi^2), delta_phi in [-pi, pi].

    order : {"mass", "given"}, default="mass"
        - "mass": J1 is the lighter jet;
        - "given": J1 is the jet of the columns with j1, the leading one in the LHC Olympics files.

    unit : {"TeV", "GeV"}, default="TeV"
        Unit of the masses and transverse momenta returned.

    regulariser : float, default=1e-5
        Added to the denominator of the N-subjettiness ratios, as in ANODE and CATHODE. With 0 a
        jet of one particle gives an error.

    columns : None or dict, default=None
        Name or position in X of a column of the LHC Olympics files, for example
        ``{"pxj1": "jet1_px"}``. The others are looked for by their own name in a DataFrame, and
        at their place in the list above in an array. Further columns (a label) are ignored.

    Attributes
    ----------
    columns_ : dict of str to int
        Position in X of each column used.

    n_features_in_ : int
        Number of columns seen in fit.

    feature_names_in_ : ndarray of str
        Their names, where X has names.

    Notes
    -----
    There is no inverse and no Jacobian: the observables are fewer than the columns, and ordering
    the jets forgets which was which. Asking for either says so. Start from the observables.

    References
    ----------
    .. [1] B. Nachman and D. Shih, "Anomaly Detection with Density Estimation",
       arXiv:2001.04990, section 4.
    .. [2] A. Hallin et al., "Classifying Anomalies THrough Outer Density Estimation (CATHODE)",
       arXiv:2109.00546, section 3.

    Examples
    --------
    >>> import pandas as pd
    >>> from skad.coordinates import DijetCoordinates
    >>> columns = "pxj1 pyj1 pzj1 mj1 tau1j1 tau2j1 pxj2 pyj2 pzj2 mj2 tau1j2 tau2j2".split()
    >>> first, second = [1500, 0, 300, 200, 0.4, 0.2], [-1500, 0, -200, 90, 0.3, 0.1]
    >>> X = pd.DataFrame([first + second], columns=columns)  # GeV
    >>> DijetCoordinates().set_output(transform="pandas").fit_transform(X).round(4)
         mjj   mj1  delta_mj  tau21_j1  tau21_j2
    0  3.057  0.09      0.11    0.3333       0.5
    """

    _parameter_constraints: dict = {
        "features": ["array-like"],
        "order": [sk.StrOptions({"mass", "given"})],
        "unit": [sk.StrOptions(set(_GEV_PER_UNIT))],
        "regulariser": [sk.Interval(Real, 0, None, closed="left")],
        "columns": [None, dict],
    }

    def __init__(
        self,
        *,
        features: Sequence[str] = ("mjj", "mj1", "delta_mj", "tau21_j1", "tau21_j2"),
        order: Literal["mass", "given"] = "mass",
        unit: Literal["TeV", "GeV"] = "TeV",
        regulariser: float = 1e-5,
        columns: dict[Any, Any] | None = None,
    ) -> None:
        self.features = features
        self.order = order
        self.unit = unit
        self.regulariser = regulariser
        self.columns = columns

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Find the columns in X; nothing is learned from the values.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
        y : ignored

        Returns
        -------
        self : object

        Raises
        ------
        MissingColumnError
            A column that an observable needs is not in X.
        """
        self._check_parameters()
        needed = self._needed()
        given = self.columns or {}
        places = [given.get(name, place) for name, place in needed.items()]
        positions = [place for place in places if not isinstance(place, str)]
        if not hasattr(X, "columns") and positions:
            # The error of validate_data then says how many columns there are.
            validate_data(
                self,
                X,
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
                ensure_min_features=max(positions) + 1,
            )
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite=False)
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            places = [given.get(name, name) for name in needed]
            self._check_names(needed, places, list(names))
        self.columns_ = {
            name: resolve_column(place, names, X.shape[1], parameter=f"columns[{name!r}]")
            for name, place in zip(needed, places, strict=True)
        }
        self._check_values(X)
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Compute the observables.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)

        Returns
        -------
        Z : ndarray of shape (n_events, n_observables), in the precision of X
            Masses and transverse momenta in `unit`.

        Raises
        ------
        DomainError
            A column used holds NaN or infinity, or an observable is not finite.
        """
        check_is_fitted(self)
        X = validate_data(
            self, X, reset=False, dtype=[np.float64, np.float32], ensure_all_finite=False
        )
        self._check_values(X)
        Z = np.empty((len(X), len(self.features)), dtype=X.dtype)
        with np.errstate(divide="ignore", invalid="ignore"):
            for position, values in enumerate(self._observables(X)):
                Z[:, position] = values
        check_finite(
            Z,
            list(self.features),
            who="DijetCoordinates",
            what="The observables of these jets contain",
        )
        return Z

    @property
    def inverse_transform(self):
        """Not there: the columns cannot be found again from the observables."""
        raise AttributeError(_NO_INVERSE)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the observables.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of X, checked only.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        sk.check_feature_names_in(self, input_features, generate_names=False)
        return np.asarray(self.features, dtype=object)

    def _observables(self, X):
        """Yield the observables of validated events, one after another."""
        jets = _Jets(X, self.columns_, self.order == "mass")
        for name in self.features:
            scale = _GEV_PER_UNIT[self.unit] if name in _WITH_UNIT else 1.0
            yield _FEATURES[name][1](jets, self.regulariser) / scale

    def _check_parameters(self):
        features = list(self.features)
        unknown = [name for name in features if name not in _FEATURES]
        if unknown or not features or len(set(features)) != len(features):
            raise ValueError(
                f"features must name observables, each once, out of {list(_FEATURES)}; got "
                f"{features}."
            )
        unknown = [name for name in self.columns or {} if name not in _COLUMNS]
        if unknown:
            raise ValueError(f"columns has the keys {unknown}; allowed are {_COLUMNS}.")

    def _needed(self):
        """Return the columns needed and their places in an LHC Olympics file."""
        needed = {name for feature in self.features for name in _FEATURES[feature][0]}
        if self.order == "mass":
            needed = {f"{name[:-1]}{jet}" for name in needed for jet in "12"} | {"mj1", "mj2"}
        return {name: place for place, name in enumerate(_COLUMNS) if name in needed}

    def _check_names(self, needed, places, names):
        missing = [place for place in places if isinstance(place, str) and place not in names]
        if missing:
            raise MissingColumnError(
                f"DijetCoordinates needs the columns {list(needed)} for features="
                f"{list(self.features)}, order={self.order!r}; X lacks {missing}, it has {names}. "
                "Say where they are with columns={'pxj1': 'name in X', ...}."
            )

    def _check_values(self, X):
        positions = list(self.columns_.values())
        check_finite(X[:, positions], list(self.columns_), who="DijetCoordinates")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@log_det_rule.register(DijetCoordinates)
def _(transformer, X):
    raise NoJacobianError(_NO_INVERSE)


@inverse_rule.register(DijetCoordinates)
def _(transformer, Z, n_features):
    raise NoJacobianError(_NO_INVERSE)


class _Jets:
    """Quantities of the two jets of each event, in float64, put in order."""

    def __init__(self, X, columns, by_mass):
        self._X = X
        self._columns = columns
        self._swap = None
        if by_mass:
            self._swap = self._column("m", 1) > self._column("m", 2)

    def get(self, quantity, jet):
        """Return a quantity of J1 or J2."""
        if self._swap is None:
            return self._column(quantity, jet)
        return np.where(self._swap, self._column(quantity, 3 - jet), self._column(quantity, jet))

    def _column(self, quantity, jet):
        return self._X[:, self._columns[f"{quantity}j{jet}"]].astype(np.float64)

    def pt(self, jet):
        return np.hypot(self.get("px", jet), self.get("py", jet))

    def eta(self, jet):
        return np.arcsinh(self.get("pz", jet) / self.pt(jet))

    def phi(self, jet):
        return np.arctan2(self.get("py", jet), self.get("px", jet))

    def delta_eta(self):
        return np.abs(self.eta(1) - self.eta(2))

    def ratio(self, numerator, jet, regulariser):
        """Return tau_N / (tau_N-1 + regulariser)."""
        return self.get(f"tau{numerator}", jet) / (
            self.get(f"tau{numerator - 1}", jet) + regulariser
        )

    def mass(self):
        """Return the invariant mass of the pair."""
        total = [0.0, 0.0, 0.0, 0.0]
        for jet in (1, 2):
            p = [self._column(quantity, jet) for quantity in ("px", "py", "pz")]
            energy = np.sqrt(sum(q * q for q in (*p, self._column("m", jet))))
            total = [a + b for a, b in zip(total, (energy, *p), strict=True)]
        energy, px, py, pz = total
        return np.sqrt(np.maximum((energy - pz) * (energy + pz) - px * px - py * py, 0.0))


def _columns_of(quantities, jets):
    return [f"{quantity}j{jet}" for jet in jets for quantity in quantities]


# For each observable the columns it needs and its function of the jets and the regulariser.
_FEATURES = {
    "mjj": (_columns_of(("px", "py", "pz", "m"), (1, 2)), lambda jets, _: jets.mass()),
    "mj1": (_columns_of(("m",), (1,)), lambda jets, _: jets.get("m", 1)),
    "mj2": (_columns_of(("m",), (2,)), lambda jets, _: jets.get("m", 2)),
    "delta_mj": (
        _columns_of(("m",), (1, 2)),
        lambda jets, _: jets.get("m", 2) - jets.get("m", 1),
    ),
    **{
        f"tau{n}_j{jet}": (
            _columns_of((f"tau{n}",), (jet,)),
            lambda jets, _, n=n, jet=jet: jets.get(f"tau{n}", jet),  # type: ignore[misc]
        )
        for jet in (1, 2)
        for n in (1, 2, 3)
    },
    "tau21_j1": (_columns_of(("tau1", "tau2"), (1,)), lambda jets, eps: jets.ratio(2, 1, eps)),
    "tau21_j2": (_columns_of(("tau1", "tau2"), (2,)), lambda jets, eps: jets.ratio(2, 2, eps)),
    "tau32_j1": (_columns_of(("tau2", "tau3"), (1,)), lambda jets, eps: jets.ratio(3, 1, eps)),
    "tau32_j2": (_columns_of(("tau2", "tau3"), (2,)), lambda jets, eps: jets.ratio(3, 2, eps)),
    "pt_j1": (_columns_of(("px", "py"), (1,)), lambda jets, _: jets.pt(1)),
    "pt_j2": (_columns_of(("px", "py"), (2,)), lambda jets, _: jets.pt(2)),
    "eta_j1": (_columns_of(("px", "py", "pz"), (1,)), lambda jets, _: jets.eta(1)),
    "eta_j2": (_columns_of(("px", "py", "pz"), (2,)), lambda jets, _: jets.eta(2)),
    "delta_eta": (_columns_of(("px", "py", "pz"), (1, 2)), lambda jets, _: jets.delta_eta()),
    "delta_r": (
        _columns_of(("px", "py", "pz"), (1, 2)),
        lambda jets, _: np.hypot(jets.delta_eta(), wrap_angle(jets.phi(1) - jets.phi(2))),
    ),
}

_WITH_UNIT = {"mjj", "mj1", "mj2", "delta_mj", "pt_j1", "pt_j2"}
