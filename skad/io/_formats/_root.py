"""ROOT files through uproot; what a branch holds is told by _root_kinds."""

import numpy as np

from skad.exceptions import DataFileError, SkadError
from skad.io._formats._base import (
    Format,
    Source,
    Writer,
    damaged,
    is_number,
    native,
    refuse_option,
    shortened,
)
from skad.io._formats._root_kinds import branch_kinds, field_kinds
from skad.utils._optional import import_optional

__all__ = ["ROOT"]

_DEFAULT_TREE = "events"
_TREES = ("TTree", "TNtuple", "TNtupleD", "TChain")


class ROOTSource(Source):
    """A TTree, TNtuple or RNTuple; its columns are the branches with one number per event."""

    def __init__(self, path, key=None, column_names=None):
        uproot = import_optional("uproot", extra="hep", purpose="Reading ROOT files")
        refuse_option(path, "branches have names", column_names=column_names)
        self.path, self._file = path, None
        # uproot raises errors of many kinds on damaged bytes.
        try:
            self._file = uproot.open(path, array_cache=None, object_cache=None)
            self._tree = self._choose(key)
            if hasattr(self._tree, "itervalues") and hasattr(self._tree, "branches"):
                self._columns = branch_kinds(self._tree)
            else:
                self._columns = field_kinds(self._tree)
            self._n_rows = int(self._tree.num_entries)
        except Exception as exc:
            self.close()
            if isinstance(exc, SkadError):
                raise
            raise damaged(path, None, exc) from exc
        self.names = [name for name, column in self._columns.items() if not column.is_group]

    def _choose(self, key):
        classes = self._file.classnames(recursive=True)
        trees = [name for name, kind in classes.items() if _is_tree(kind)]
        plain = list(dict.fromkeys(name.partition(";")[0] for name in trees))
        if key is None and len(plain) == 1:
            return self._file[plain[0]]
        if key is not None and (key in plain or key in trees):
            return self._file[key]
        if not plain:
            kinds = sorted(set(classes.values())) or ["nothing"]
            raise DataFileError(
                f"{self.path}: holds no tree of events, only {', '.join(kinds[:10])}; events are "
                "read from a TTree, TNtuple or RNTuple."
            )
        asked = "choose one with key=" if key is None else f"no {key!r}"
        raise DataFileError(f"{self.path}: {asked}; it has the trees {shortened(sorted(plain))}.")

    @property
    def n_rows(self):
        return self._n_rows

    def kind(self, name):
        return self._columns[name].kind

    def comparable(self, name):
        return is_number(self.kind(name))

    def close(self):
        if self._file is not None:
            self._file.close()

    def chunks(self, columns, start, stop, batch_size, filters=None):
        compared = [] if filters is None else filters.columns
        readers = {
            name: _Reader(self._tree[self._columns[name].branch], self._columns[name])
            for name in dict.fromkeys([*columns, *compared])
        }
        for first in range(start, stop, batch_size):
            last = min(first + batch_size, stop)
            chunk = {}
            for name, reader in readers.items():
                try:
                    chunk[name] = reader.read(first, last)
                except Exception as exc:
                    place = f"rows {first} to {last}, column {name!r}"
                    raise damaged(self.path, place, exc) from exc
            yield (
                first,
                {name: chunk[name] for name in columns},
                {name: chunk[name] for name in compared},
            )


def _is_tree(class_name):
    return class_name in _TREES or class_name.endswith("RNTuple")


class _Reader:
    """Rows of a branch, decompressed once each: whole baskets or clusters, cut into batches."""

    def __init__(self, branch, column):
        self._branch, self._column = branch, column
        self._edges = column.edges
        self._start, self._values = 0, np.empty(0, column.kind)

    def read(self, start, stop):
        pieces = []
        while start < stop:
            if not self._start <= start < self._start + len(self._values):
                self._load(start, stop)
            first = start - self._start
            piece = self._values[first : first + stop - start]
            pieces.append(piece)
            start += len(piece)
        # A copy, so that a batch does not keep a basket.
        return pieces[0].copy() if len(pieces) == 1 else np.concatenate(pieces)

    def _load(self, start, stop):
        i = int(np.searchsorted(self._edges, start, side="right"))
        begin, end = int(self._edges[i - 1]), int(self._edges[i])
        # Many small baskets at once, but not more than the batch.
        j = int(np.searchsorted(self._edges, stop, side="right")) - 1
        end = max(end, int(self._edges[j]))
        self._values = np.empty(0, self._column.kind)
        values = native(np.asarray(self._column.read(self._branch, begin, end)))
        if values.shape != (end - begin,):
            raise ValueError(f"{len(values)} of {end - begin} entries")
        self._start, self._values = begin, values.astype(self._column.kind, copy=False)


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
        if len(next(iter(batch.values()))):
            self._tree.extend(batch)

    def close(self):
        self._file.close()


ROOT = Format(
    (".root",),
    ROOTSource,
    ROOTWriter,
    dtypes="bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64",
)
