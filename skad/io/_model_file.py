"""Model files: a zip of NumPy arrays and a JSON manifest, sealed by a checksum, without code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator, is_classifier, is_outlier_detector
from sklearn.utils.validation import check_is_fitted

import skad
from skad.base import DensityMixin, ScoreMixin
from skad.exceptions import ModelFileError, UnknownTypeError, VersionWarning
from skad.io._model_forms import read_array, write_array
from skad.io._model_state import Decoder, Encoder
from skad.io._model_types import name_of_class
from skad.utils import _sklearn as sk
from skad.utils._replacing import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from skad.utils._types import Estimator, FilePath

__all__ = ["load_model", "model_info", "save_model", "score_meanings"]

FORMAT = 1
_MANIFEST = "manifest.json"
_KIND = "skad model"
_LIBRARIES = ("numpy", "scikit-learn", "torch", "scipy", "pandas")
# The end of the file: the comment of the zip, with the digest of all that is before it.
_SEAL = b"sha256:"
_DIGEST = 64
# The largest manifest; what JSON becomes in memory is some twenty times as large.
_LARGEST_MANIFEST = 2**26


@sk.validate_params(
    {
        "model": [sk.HasMethods("fit")],
        "path": [str, os.PathLike],
        "units": [None, dict],
        "overwrite": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def save_model(
    model: Estimator,
    path: FilePath,
    *,
    units: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Store a fitted model as data, in a file that runs nothing when it is loaded.

    The file is a zip of NumPy arrays and a JSON text. It holds what the model learned and its
    parameters, the names of its features, what its scores mean, and the versions of the libraries.
    It appears whole or not at all, with a checksum over all of it.

    Parameters
    ----------
    model : fitted estimator
        Of skad or scikit-learn, or of PyOD without networks; pipelines and searches too. Networks
        of a GPU are stored as those of a CPU.
    path : str or path-like
        File to write.
    units : dict of str to str, default=None
        Units of features, such as ``{"mjj": "TeV"}``, for whoever loads the file. Names are those
        of the model's features, if it knows any.
    overwrite : bool, default=False
        Replace an existing file.

    Raises
    ------
    UnknownTypeError
        The model holds a class or function that is not of skad, scikit-learn, NumPy, SciPy or
        torch, or names a folder of pickles; the message says where.
    NotFittedError
        The model is not fitted.
    FileExistsError
        `path` exists and `overwrite` is False.
    ValueError
        `units` of a feature that the model does not know.

    See Also
    --------
    load_model : Read the file.
    model_info : What the file says of itself.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import skad
    >>> from sklearn.ensemble import IsolationForest
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> forest = IsolationForest(n_estimators=10, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "forest.skad"
    ...     skad.save_model(forest, path)
    ...     loaded = skad.load_model(path)
    >>> bool((loaded.score_samples(X) == forest.score_samples(X)).all())
    True
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass overwrite=True to replace it.")
    check_is_fitted(model)
    encoder = Encoder()
    root = encoder.encode(model, "")
    manifest = {
        "kind": _KIND,
        "format": FORMAT,
        "versions": _versions(),
        "model": _describe(model, units),
        "root": root,
        "objects": encoder.objects,
    }
    text = json.dumps(manifest, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > _LARGEST_MANIFEST:
        raise UnknownTypeError(
            f"The model needs {len(text) / 2**20:.0f} MB of text, over the limit of "
            f"{_LARGEST_MANIFEST / 2**20:.0f} MB; it has too many parts."
        )
    with replacing(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_entry(_MANIFEST), text)
            for i, values in enumerate(encoder.arrays):
                with archive.open(_entry(_array_name(i)), "w", force_zip64=True) as member:
                    write_array(member, values)
            archive.comment = _SEAL + b"0" * _DIGEST
        with open(temporary, "rb+") as file:
            digest = _digest(file, temporary.stat().st_size - _DIGEST)
            file.seek(-_DIGEST, os.SEEK_END)
            file.write(digest)


@sk.validate_params({"path": [str, os.PathLike]}, prefer_skip_nested_validation=True)
def load_model(path: FilePath) -> Any:
    """Load a model that `save_model` stored.

    Nothing in the file is run, whoever wrote it: it names classes and functions of a fixed list
    and holds numbers and text for them. Memory is bounded by the size of the file.

    Parameters
    ----------
    path : str or path-like
        File of `save_model`.

    Returns
    -------
    model : fitted estimator
        Its scores are bitwise those of the stored one with the same versions of the libraries on
        the same machine. Networks are on the CPU.

    Raises
    ------
    ModelFileError
        A file that is truncated, changed, of a newer format, or no model file.
    UnknownTypeError
        A file that names a class or function outside of the list.

    Warns
    -----
    VersionWarning
        The model holds estimators of scikit-learn and was stored with another version of it.

    Examples
    --------
    See `save_model`.
    """
    with _Archive(path) as archive:
        manifest = archive.manifest
        with archive.damage():
            decoder = Decoder(manifest["objects"], archive.array)
            model = decoder.decode(manifest["root"])
            if not isinstance(model, BaseEstimator) and not hasattr(model, "fit"):
                raise ModelFileError(f"holds a {type(model).__name__}, which is no model")
            _compare(path, manifest)
    return model


@sk.validate_params({"path": [str, os.PathLike]}, prefer_skip_nested_validation=True)
def model_info(path: FilePath) -> dict[Any, Any]:
    """Return what a model file says of itself, without loading the model.

    Parameters
    ----------
    path : str or path-like
        File of `save_model`.

    Returns
    -------
    info : dict
        "class", "n_features", "feature_names", "units", "scores" (what each score method means),
        "format" and "versions" (of the libraries that wrote it).

    Raises
    ------
    ModelFileError
        As `load_model`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skad.coordinates import LogTransformer
    >>> from skad.io import model_info, save_model
    >>> X = pd.DataFrame({"mjj": [2.0, 3.0, 4.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "log.skad"
    ...     save_model(LogTransformer().fit(X), path, units={"mjj": "TeV"})
    ...     info = model_info(path)
    >>> info["class"], info["feature_names"], info["units"]
    ('skad.coordinates.LogTransformer', ['mjj'], {'mjj': 'TeV'})
    """
    with _Archive(path) as archive:
        manifest = archive.manifest
        return {
            **manifest["model"],
            "format": manifest["format"],
            "versions": manifest["versions"],
        }


class _Archive:
    """A model file that is open for reading, its checksum compared."""

    def __init__(self, path):
        self.path = path
        self._file = open(path, "rb")  # noqa: SIM115
        try:
            with self.damage():
                self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self):
        size = os.fstat(self._file.fileno()).st_size
        end = len(_SEAL) + _DIGEST
        self._file.seek(max(size - end, 0))
        seal = self._file.read(end)
        if not seal.startswith(_SEAL) or size < end:
            raise ModelFileError("is no model file of skad.save_model, or has lost its end")
        if _digest(self._file, size - _DIGEST) != seal[len(_SEAL) :]:
            raise ModelFileError("its checksum differs: it was changed or damaged on the way")
        self._zip = zipfile.ZipFile(self._file)
        members = self._zip.infolist()
        names = {member.filename for member in members}
        stored = all(
            member.compress_type == zipfile.ZIP_STORED
            and member.file_size == member.compress_size
            and not member.flag_bits & 1
            for member in members
        )
        # Uncompressed and without overlaps: what is read is no larger than the file.
        total = sum(member.file_size for member in members)
        if not stored or total > size or len(names) != len(members):
            raise ModelFileError("its members are compressed or overlap, as save_model writes none")
        if _MANIFEST not in names or self._zip.getinfo(_MANIFEST).file_size > _LARGEST_MANIFEST:
            raise ModelFileError("has no manifest, or one that is too long")
        self.manifest = json.loads(self._zip.read(_MANIFEST), parse_constant=_no_constant)
        if not isinstance(self.manifest, dict) or self.manifest.get("kind") != _KIND:
            raise ModelFileError("has a manifest of something else")
        found = self.manifest["format"]
        if found != FORMAT:
            newer = isinstance(found, int) and found > FORMAT
            raise ModelFileError(
                f"has the {'newer ' if newer else ''}format {found!r:.20}, written by skad "
                f"{self.manifest['versions']['skad']!s:.40}; skad {skad.__version__} reads format "
                f"{FORMAT}. Update skad"
            )

    def array(self, number):
        """Return an array of the file."""
        return read_array(self._zip.read(_array_name(int(number))))

    def damage(self):
        """Turn whatever a damaged or forged file makes libraries raise into `ModelFileError`."""
        return _Damage(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._file.close()


class _Damage:
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, exc, traceback):
        if exc is None or not isinstance(exc, Exception):
            return
        if isinstance(exc, UnknownTypeError):
            raise UnknownTypeError(f"{self.path}: {exc}") from exc
        if isinstance(exc, ModelFileError):
            raise ModelFileError(f"{self.path}: {exc}. Nothing was loaded.") from exc
        raise ModelFileError(
            f"{self.path}: cannot be read ({type(exc).__name__}: {exc!s:.200}). The file is "
            "damaged or forged; nothing was loaded."
        ) from exc


def _no_constant(name):
    raise ModelFileError(f"its manifest holds {name}")


def _digest(file, n_bytes):
    """Return the SHA-256 of the first bytes of a file, in hexadecimal."""
    digest = hashlib.sha256()
    file.seek(0)
    while n_bytes:
        chunk = file.read(min(n_bytes, 2**20))
        if not chunk:
            break
        digest.update(chunk)
        n_bytes -= len(chunk)
    return digest.hexdigest().encode()


def _entry(name):
    # Always the same time, so that the same model gives the same file.
    return zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))


def _array_name(number):
    return f"arrays/{number}.npy"


def _versions():
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"skad": skad.__version__, "python": platform.python_version(), **libraries}


def _compare(path, manifest):
    """Warn if estimators of scikit-learn were stored with another version of it."""
    name = "scikit-learn"
    then, now = manifest["versions"][name], importlib.metadata.version(name)
    classes = (entry.get("class", "") for entry in manifest["objects"])
    if then != now and any(entry.startswith(("sklearn.", "pyod.")) for entry in classes):
        warnings.warn(
            f"{path} holds estimators of scikit-learn {then}, and this is {now}: they may score "
            "differently, or not at all. Compare the scores of some events with earlier ones.",
            VersionWarning,
            stacklevel=3,
        )


def _describe(model, units):
    names = getattr(model, "feature_names_in_", None)
    names = None if names is None else [str(name) for name in names]
    units = {str(name): str(unit) for name, unit in (units or {}).items()}
    unknown = sorted(set(units) - set(names or units))
    if unknown:
        raise ValueError(f"units names {unknown}, but the features of the model are {names}.")
    n_features = getattr(model, "n_features_in_", None)
    return {
        "class": name_of_class(type(model)),
        "n_features": None if n_features is None else int(n_features),
        "feature_names": names,
        "units": units,
        "scores": {k: v for k, v in score_meanings(model).items() if hasattr(model, k)},
    }


def score_meanings(model):
    """Say what the score methods of a model mean, and which way they point."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    meanings = {}
    if isinstance(last, ScoreMixin) or is_outlier_detector(last):
        meanings = {
            "anomaly_score": "higher is more anomalous",
            "score_samples": "higher is more normal",
            "decision_function": "negative is an outlier",
            "predict": "+1 is normal, -1 an outlier",
        }
    elif isinstance(last, DensityMixin) or not is_classifier(last):
        meanings = {
            "score_samples": "log density in nats, in the coordinates of X",
            "log_abs_det_jacobian": "log |det dz/dx| in nats",
        }
    else:
        meanings = {
            "predict_proba": "probability of each class, in the order of classes_",
            "decision_function": "higher is more probably the second class",
        }
    return meanings
