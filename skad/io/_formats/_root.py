"""ROOT files through uproot."""

from skad.exceptions import DataFileError
from skad.io._formats._base import Format, Source, Writer, damaged
from skad.utils._optional import import_optional

__all__ = ["ROOT"]

_DEFAULT_TREE = "events"


class ROOTSource(Source):
    """A TTree or RNTuple whose branches hold one number per event."""

    def __init__(self, path, key=None, column_names=None):
        uproot = import_optional("uproot", extra="hep", purpose="Reading ROOT files")
        self.path = path
        # uproot raises errors of many kinds on damaged bytes.
        try:
            self._file = uproot.open(path)
            trees = self._file.keys(cycle=False, filter_classname=_is_tree)
        except Exception as exc:
            raise damaged(path, None, exc) from exc
        if key is None and len(set(trees)) == 1:
            key = trees[0]
        if key not in trees:
            self.close()
            asked = "choose one with key=" if key is None else f"no {key!r}"
            raise DataFileError(f"{path}: {asked}; it has the trees {sorted(set(trees))}.")
        self._tree = self._file[key]
        self.names = list(self._tree.keys())

    @property
    def n_rows(self):
        return int(self._tree.num_entries)

    def close(self):
        self._file.close()

    def check_types(self, columns):
        for name, values in self._read(columns, 0, min(1, self.n_rows)).items():
            if values.dtype.kind not in "fiub" or values.ndim != 1:
                self.refuse_type(name, "a list or text for each event")

    def chunks(self, columns, start, stop, batch_size, filters=None):
        for first in range(start, stop, batch_size):
            yield first, self._read(columns, first, min(first + batch_size, stop))

    def _read(self, columns, start, stop):
        try:
            arrays = self._tree.arrays(columns, entry_start=start, entry_stop=stop, library="np")
            return {name: arrays[name] for name in columns}
        except Exception as exc:
            raise damaged(self.path, f"rows {start} to {stop}", exc) from exc


def _is_tree(class_name):
    return class_name == "TTree" or class_name.endswith("RNTuple")


class ROOTWriter(Writer):
    """A TTree, one cluster of baskets for each batch."""

    def __init__(self, path, key):
        uproot = import_optional("uproot", extra="hep", purpose="Writing ROOT files")
        self._file = uproot.recreate(path)
        self._name = key or _DEFAULT_TREE
        self._tree = None

    def write(self, batch):
        if self._tree is None:
            types = {name: values.dtype for name, values in batch.items()}
            self._tree = self._file.mktree(self._name, types)
        self._tree.extend(batch)

    def close(self):
        self._file.close()


ROOT = Format((".root",), ROOTSource, ROOTWriter)
