"""A folder of results of independent pieces of work, one file each, and of whose they are."""

import hashlib
import json
import warnings
from numbers import Integral
from pathlib import Path

import joblib

from skad.exceptions import CheckpointWarning
from skad.search._checkpoint import VERSIONS
from skad.utils._replacing import replacing
from skad.utils._tasks import outer_stacklevel

__all__ = ["Archive", "open_archive"]

# Seconds that a writer waits for another one of the same file, on a slow disk.
_WAIT_S = 60.0


def open_archive(folder, hunt, generate, random_state):
    """Return the archive of a search and its data in a folder; None without a folder."""
    if folder is None:
        return None
    if not isinstance(random_state, Integral):
        raise ValueError(
            "folder needs an int random_state, or a later call makes other experiments; got "
            f"random_state={random_state!r}."
        )
    try:
        identity = joblib.hash((hunt, generate, int(random_state), VERSIONS))
    except Exception as error:
        raise ValueError(
            f"folder needs a generate that can be pickled, to know it again: {error}"
        ) from error
    archive = Archive(folder, identity)
    archive.claim(repr(hunt))
    return archive


class Archive:
    """Folder of finished experiments, one JSON file each, and of what search they are.

    Any number of processes may write there: a file appears whole, and whoever makes it again makes
    the same bits.
    """

    def __init__(self, folder, identity):
        self.folder = Path(folder)
        self.identity = identity

    def claim(self, search):
        """Write what search the folder is of, or refuse that of another one."""
        path = self.folder / "search.json"
        known = self._read(path)
        if known is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(path, {"search": search})
            # Another call may have written it at the same time.
            known = self._read(path)
        if known["identity"] != self.identity:
            raise ValueError(
                f"{self.folder} holds pseudo-experiments of another search, other data, another "
                "random_state or version; take an empty folder, or make the call that began it. "
                f"Its search: {known['content']['search']}"
            )

    def load(self, seeds, numbers=None):
        """Return the tables of the experiments that are there, by number; None means all seeds."""
        import pandas as pd

        tables = {}
        for number in range(len(seeds)) if numbers is None else numbers:
            seed = seeds[number]
            found = self._read(self._path(number))
            if found is None:
                continue
            if (found["identity"], found["content"]["seed"]) != (self.identity, seed):
                raise ValueError(
                    f"{self._path(number)} is of another search; remove it or take another folder."
                )
            tables[number] = pd.DataFrame(found["content"]["table"])
        return tables

    def save(self, number, seed, table):
        # Python's own numbers: JSON writes them so that they are read to the bit.
        table = {column: values.tolist() for column, values in table.items()}
        self._write(self._path(number), {"seed": seed, "table": table})

    def _path(self, number):
        return self.folder / f"experiment_{number:05d}.json"

    def _write(self, path, content):
        whole = {"identity": self.identity, "sha256": _digest(content), "content": content}
        with replacing(path, wait_s=_WAIT_S) as part:
            part.write_text(json.dumps(whole))

    def _read(self, path):
        """Return what a file holds; None where there is none, or a damaged one."""
        if not path.exists():
            return None
        try:
            whole = json.loads(path.read_text())
            if whole["sha256"] == _digest(whole["content"]):
                return whole
            why = "its checksum is another one"
        except (ValueError, TypeError, KeyError) as error:
            why = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"{path} is damaged ({why}); what it held is computed again.",
            CheckpointWarning,
            stacklevel=outer_stacklevel(),
        )
        return None


def _digest(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
