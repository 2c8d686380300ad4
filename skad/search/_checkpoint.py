"""A folder of fitted detectors and scores, from which a later bump hunt resumes."""

import hashlib
import pickle
import warnings
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import joblib
import sklearn

import skad
from skad.exceptions import CheckpointWarning
from skad.utils._replacing import locked, replacing

__all__ = ["VERSIONS", "Store", "open_store"]

# In front of each file: the SHA-256 of the rest.
_DIGEST = 32
# Pickles are read by the versions that wrote them. A search with trees never imports torch.
VERSIONS = skad.__version__, sklearn.__version__, version("torch")


@contextmanager
def open_store(folder, base):
    """Yield the `Store` of a folder, which nobody else can write meanwhile.

    Raises
    ------
    NotADirectoryError
        The folder is a file.
    DataFileError
        Another process or thread writes there.
    """
    if folder is None:
        yield Store(None, base)
        return
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as exc:
        raise NotADirectoryError(
            f"checkpoint={str(folder)!r} is a file or lies in one; give the path of a folder."
        ) from exc
    with locked(folder / "checkpoint"):
        # Of processes that were killed: whoever lives would hold the lock.
        for abandoned in folder.glob(".*.tmp.joblib"):
            abandoned.unlink(missing_ok=True)
        yield Store(folder, base)


class Store:
    """Files named after a hash of what determines them; does nothing without a folder."""

    def __init__(self, folder, base):
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            self.base = joblib.hash((base, VERSIONS))

    def key(self, *parts):
        return None if self.folder is None else joblib.hash((self.base, parts))

    def load(self, key):
        """Return what was saved under the key, or None; a damaged file is named and removed."""
        if key is None or not self._path(key).exists():
            return None
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                digest = file.read(_DIGEST)
                if hashlib.file_digest(file, "sha256").digest() == digest:
                    file.seek(_DIGEST)
                    return joblib.load(file)
            why = "its checksum is another one"
        except (OSError, EOFError, ImportError, AttributeError, pickle.UnpicklingError) as exc:
            why = f"{type(exc).__name__}: {exc}"
        warnings.warn(
            f"{path} is damaged ({why}) and was removed; what it held is computed again.",
            CheckpointWarning,
            stacklevel=2,
        )
        path.unlink(missing_ok=True)
        return None

    def save(self, key, value):
        if key is None:
            return
        with (
            replacing(self._path(key), lock=False) as part,
            open(part, "wb+") as file,
        ):
            file.write(bytes(_DIGEST))
            joblib.dump(value, file)
            file.seek(_DIGEST)
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0)
            file.write(digest)

    def _path(self, key):
        return self.folder / f"{key}.joblib"
