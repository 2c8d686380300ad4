"""Different coordinate transforms on different columns, with an inverse."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from skad.coordinates._base import CoordinateTransformer, feature_names
from skad.coordinates._jacobian import inverse_transform, log_abs_det_jacobian, named
from skad.exceptions import DomainError
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child
from skad.utils._columns import resolve_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["ColumnCoordinates"]


class ColumnCoordinates(CoordinateTransformer, sk.BaseComposition):
    """Different transformers on different columns, which keep their places.

    Unlike scikit-learn's ColumnTransformer it has an inverse and a Jacobian, passes the other
    columns through by default, and gives the columns back in the order of X.

    Parameters
    ----------
    transformers : list of (str, transformer, columns)
        Name, transformer and the names or positions of its columns. A transformer is any that
        `log_abs_det_jacobian` knows, "passthrough" or None; it maps its columns to as many
        coordinates, which take their places. No column may be named twice.

    remainder : {"passthrough"} or transformer, default="passthrough"
        What to do with the columns that are not named.

    Attributes
    ----------
    transformers_ : list of (str, transformer, ndarray of int)
        Name, fitted transformer and positions of its columns; the remainder comes last.

    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in fit, where X has names.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skad.coordinates import ColumnCoordinates, LogTransformer
    >>> X = pd.DataFrame({"tau21": [0.2, 0.6], "mjj": [3.4, 3.6], "mj1": [0.1, 0.2]})
    >>> frame = ColumnCoordinates(
    ...     [("log", LogTransformer(), ["mj1"]), ("scale", StandardScaler(), ["tau21"])]
    ... ).set_output(transform="pandas")
    >>> frame.fit_transform(X).round(3)
       tau21  mjj    mj1
    0   -1.0  3.4 -2.303
    1    1.0  3.6 -1.609
    >>> frame.log_abs_det_jacobian(X).round(3)
    array([3.912, 3.219])
    """

    _parameter_constraints: dict = {
        "transformers": [list, tuple],
        "remainder": [sk.StrOptions({"passthrough"}), sk.HasMethods(["fit", "transform"])],
    }

    _learns = True

    def __init__(
        self,
        transformers: Sequence[tuple[str, Estimator, Any]],
        *,
        remainder: Literal["passthrough"] | Estimator = "passthrough",
    ) -> None:
        self.transformers = transformers
        self.remainder = remainder

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the coordinates: those of the features, or what a transformer calls its own.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features, as for scikit-learn's one-to-one transformers.

        Returns
        -------
        names : ndarray of str, shape (n_features,)
        """
        names = super().get_feature_names_out(input_features).copy()
        for _, transformer, positions in self.transformers_:
            if hasattr(transformer, "get_feature_names_out"):
                names[positions] = transformer.get_feature_names_out(names[positions])
        return names

    def get_params(self, deep: bool = True) -> dict[Any, Any]:
        """Get the parameters, also those of the transformers as ``name__parameter``.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        params : dict
        """
        return self._get_params("_transformers", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also those of the transformers as ``name__parameter``.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : object
        """
        return self._set_params("_transformers", **params)

    # scikit-learn's composition reads and writes (name, estimator) pairs.
    @property
    def _transformers(self):
        try:
            return [(name, transformer) for name, transformer, _ in self.transformers]
        except (TypeError, ValueError):
            return self.transformers

    @_transformers.setter
    def _transformers(self, pairs):
        self.transformers = [
            (name, transformer, columns)
            for (name, transformer), (_, _, columns) in zip(pairs, self.transformers, strict=True)
        ]

    def _learn(self, X):
        self._check_transformers()
        names, n_features = feature_names(self), X.shape[1]
        chosen = [
            (name, transformer, resolve_columns(columns, names, n_features, parameter=name))
            for name, transformer, columns in self.transformers
        ]
        used = np.concatenate([[], *(positions for *_, positions in chosen)]).astype(np.intp)
        if len(set(used.tolist())) != len(used):
            twice = sorted({int(position) for position in used if np.sum(used == position) > 1})
            raise ValueError(
                f"transformers of ColumnCoordinates share the columns at positions {twice}; give "
                "each column to one transformer, or chain them in a Pipeline."
            )
        rest = np.setdiff1d(np.arange(n_features), used)
        if len(rest):
            chosen.append(("remainder", self.remainder, rest))
        self.transformers_ = []
        for name, transformer, positions in chosen:
            if not _is_identity(transformer):
                with self._locating(name, positions):
                    transformer = fit_child(transformer, self._columns(X, positions))
            self.transformers_.append((name, transformer, positions))

    def _check_transformers(self):
        for entry in self.transformers:
            if not isinstance(entry, tuple | list) or len(entry) != 3:
                raise ValueError(
                    "transformers must be a list of (name, transformer, columns); got the entry "
                    f"{entry!r}."
                )
            name, transformer, _ = entry
            if not (_is_identity(transformer) or hasattr(transformer, "transform")):
                raise TypeError(
                    f"transformer {name!r} of ColumnCoordinates must have fit and transform, or "
                    f"be 'passthrough'; got {transformer!r}. To drop a column, remove it from X."
                )
        self._validate_names([name for name, *_ in self.transformers])

    def _columns(self, X, positions):
        """Return columns for a transformer, with their names where X had names."""
        return named(X, self).iloc[:, positions] if self._has_names() else X[:, positions]

    def _has_names(self):
        return feature_names(self) is not None

    @contextmanager
    def _locating(self, name, positions):
        """Say in an error which columns of X the transformer numbers from 0."""
        try:
            yield
        except DomainError as exc:
            if self._has_names():
                raise
            raise DomainError(
                f"transformer {name!r} of ColumnCoordinates, whose columns are at positions "
                f"{positions.tolist()} of X: {exc}"
            ) from exc

    def _forward(self, X):
        Z = X.copy()
        for name, transformer, positions in self._active():
            with self._locating(name, positions):
                result = np.asarray(transformer.transform(self._columns(X, positions)))
            if result.shape != (len(X), len(positions)):
                raise ValueError(
                    f"transformer {name!r} of ColumnCoordinates must map its {len(positions)} "
                    f"columns to as many; it returned shape {result.shape}."
                )
            Z[:, positions] = result
        return Z

    def _backward(self, Z):
        X = Z.copy()
        for name, transformer, positions in self._active():
            with self._locating(name, positions):
                X[:, positions] = inverse_transform(transformer, Z[:, positions])
        return X

    def _log_abs_det(self, X):
        total = np.zeros(len(X))
        for name, transformer, positions in self._active():
            with self._locating(name, positions):
                total += log_abs_det_jacobian(transformer, self._columns(X, positions))
        return total

    def _active(self):
        return [entry for entry in self.transformers_ if not _is_identity(entry[1])]


def _is_identity(transformer):
    return transformer is None or (isinstance(transformer, str) and transformer == "passthrough")
