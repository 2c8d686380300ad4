"""Which columns of X are jet constituents, and the base class of what transforms them."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skad.exceptions import DomainError, FiducialWarning, MissingColumnError
from skad.utils import _sklearn as sk
from skad.utils._columns import resolve_columns
from skad.utils._documentation import LinkedMixin

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ConstituentTransformer", "find_constituents"]

FLOATS = [np.float64, np.float32]

# Constituents below this energy (GeV) are padding, as in the code of arXiv:2007.01850.
MIN_ENERGY = 1e-10

# Values held at once: a block stays in the cache of a core.
_BLOCK_VALUES = 160_000

_NAME = re.compile(r"(e|px|py|pz)(\d+)")

# Rounding to float32 or to the 12 bits of `load_jets` leaves |p| / E - 1 far below this.
_TACHYON_TOLERANCE = 1e-3


def find_constituents(columns, feature_names, n_features):
    """Return the positions of the constituents' columns.

    Parameters
    ----------
    columns : sequence of str or int, or None
        Names or positions in the order E, px, py, pz of the first constituent, then of the
        next. None: the columns named e00, px00, py00, pz00, e01, ... where there are any, else
        as many leading columns as make whole four-vectors.
    feature_names : sequence of str or None
    n_features : int

    Returns
    -------
    positions : ndarray of int, shape (n_constituents, 4)

    Raises
    ------
    MissingColumnError
        A named column is absent, or the names hold an incomplete four-vector.
    ValueError
        The number of `columns` is not a multiple of four.
    """
    if columns is not None:
        positions = resolve_columns(columns, feature_names, n_features, parameter="columns")
        if len(positions) % 4:
            raise ValueError(
                "columns must hold E, px, py, pz of every constituent, a multiple of four; "
                f"got {len(positions)} columns."
            )
        return positions.reshape(-1, 4)
    named = _named_constituents(feature_names)
    if named is not None:
        return named
    return np.arange(n_features // 4 * 4).reshape(-1, 4)


def _named_constituents(feature_names):
    if feature_names is None:
        return None
    found = {}
    for position, name in enumerate(feature_names):
        match = _NAME.fullmatch(name)
        if match:
            found.setdefault(match[2], {})[match[1]] = position
    if not found:
        return None
    for number, components in found.items():
        missing = [c + number for c in ("e", "px", "py", "pz") if c not in components]
        if missing:
            raise MissingColumnError(
                f"Constituent {number} lacks the column(s) {missing}; name the constituents' "
                "columns e00, px00, py00, pz00, e01, ... or pass them as `columns`."
            )
    return np.array(
        [[found[number][c] for c in ("e", "px", "py", "pz")] for number in sorted(found, key=int)]
    )


class ConstituentTransformer(LinkedMixin, TransformerMixin, BaseEstimator):
    """Base of the transformers of jet constituents.

    A subclass takes the parameters `columns` and `unphysical` and implements
    ``_transform_block(p4)``: float64 four-vectors (n_jets, n_constituents, 4) to
    (n_jets, n_outputs), and ``_n_outputs()``. One with more or other columns than it takes
    also has `remainder` and ``_output_names()``.
    """

    _parameter_constraints = {
        "columns": ["array-like", None],
        "unphysical": [sk.StrOptions({"warn", "raise", "ignore"})],
    }
    _remainder_constraint = {"remainder": [sk.StrOptions({"passthrough", "drop"})]}

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Find the constituents' columns; nothing is learned from the values.

        Parameters
        ----------
        X : array-like of shape (n_jets, n_features)
        y : ignored

        Returns
        -------
        self : object
        """
        validate_data(self, X, dtype=FLOATS)
        self.constituent_columns_ = find_constituents(
            self.columns, getattr(self, "feature_names_in_", None), self.n_features_in_
        )
        self.n_constituents_ = len(self.constituent_columns_)
        if not self.n_constituents_:
            self._complain(
                f"X has {self.n_features_in_} column(s) and no constituent, which needs four "
                "(E, px, py, pz)"
            )
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Transform the constituents.

        Parameters
        ----------
        X : array-like of shape (n_jets, n_features)
            Four-vectors in GeV.

        Returns
        -------
        X_out : ndarray of shape (n_jets, n_features_out), dtype of X (float32 or float64)

        Raises
        ------
        DomainError
            With ``unphysical="raise"``, for a constituent with E < abs(p).
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        columns = self.constituent_columns_.ravel()
        transformed = np.empty((len(X), self._n_outputs()), dtype=X.dtype)
        block = max(1, _BLOCK_VALUES // max(1, len(columns)))
        n_unphysical, example = 0, None
        for start in range(0, len(X), block):
            rows = slice(start, start + block)
            values = X[rows, columns].astype(np.float64)
            p4 = values.reshape(len(values), self.n_constituents_, 4)
            if self.unphysical != "ignore":
                bad = _unphysical(p4)
                if example is None and bad.any():
                    row, constituent = np.argwhere(bad)[0]
                    example = (start + row, constituent, p4[row, constituent].tolist())
                n_unphysical += np.count_nonzero(bad.any(axis=1))
            transformed[rows] = self._transform_block(p4)
        if n_unphysical:
            row, constituent, four_vector = example  # type: ignore[misc]
            self._complain(
                f"{n_unphysical} of {len(X)} jets hold a constituent with E < |p|, first "
                f"constituent {constituent} of row {row}: E, px, py, pz = {four_vector}. Are the "
                "columns in this order"
            )
        return self._join(X, transformed)

    def _complain(self, problem):
        message = (
            f"{type(self).__name__}: {problem}? Set `columns`, or unphysical='ignore' to accept."
        )
        if self.unphysical == "raise":
            raise DomainError(message)
        if self.unphysical == "warn":
            warnings.warn(message, FiducialWarning, stacklevel=3)

    def _remainder_columns(self):
        """Positions of the other columns that are kept."""
        if self.remainder == "drop":
            return np.empty(0, dtype=np.intp)
        return np.setdiff1d(np.arange(self.n_features_in_), self.constituent_columns_)

    def _join(self, X, transformed):
        return np.hstack([transformed, X[:, self._remainder_columns()]])

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the output columns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X; those seen in `fit` by default.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        names = sk.check_feature_names_in(self, input_features)
        return np.concatenate(
            [np.asarray(self._output_names(), dtype=object), names[self._remainder_columns()]]
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _unphysical(p4):
    """Where E < |p| beyond rounding."""
    energy = p4[..., 0]
    p2 = np.einsum("jci,jci->jc", p4[..., 1:], p4[..., 1:])
    return p2 > energy * np.abs(energy) * (1 + _TACHYON_TOLERANCE) ** 2
