"""What the branches of a TTree and the fields of an RNTuple hold."""

from dataclasses import dataclass

import numpy as np

__all__ = ["RootColumn", "branch_kinds", "field_kinds"]

_NUMBERS = {
    "bool": "?",
    "char": "i1",
    "signed char": "i1",
    "unsigned char": "u1",
    "short": "i2",
    "unsigned short": "u2",
    "int": "i4",
    "unsigned int": "u4",
    "long": "i8",
    "unsigned long": "u8",
    "float": "f4",
    "double": "f8",
    "Double32_t": "f8",
    "std::byte": "u1",
    **{
        f"std::{sign}int{8 * n}_t": f"{kind}{n}"
        for sign, kind in (("", "i"), ("u", "u"))
        for n in (1, 2, 4, 8)
    },
}


@dataclass
class RootColumn:
    """A column: what it holds, the branch and leaf that keep it, the edges of its baskets."""

    kind: object
    branch: str
    leaf: str | None = None
    is_group: bool = False
    edges: object = None

    def read(self, branch, start, stop):
        """Return the entries start to stop, both edges, as an array."""
        if hasattr(branch, "ntuple"):
            return _read_field(branch, start, stop)
        values = branch.array(entry_start=start, entry_stop=stop, library="np", array_cache=None)
        return values if self.leaf is None else values[self.leaf]


def branch_kinds(tree):
    """Return the columns of a TTree by full path; leaves of one branch are columns of their own."""
    columns = {}
    for name, branch in tree.items(recursive=True):
        interpretation = branch.interpretation
        made = type(interpretation).__name__
        if made == "AsGrouped":
            inside = [f"{name}/{key}" for key in branch.keys(recursive=False)]
            words = f"a group of branches, {inside[:5]}; name those"
            columns[name] = RootColumn(words, name, is_group=True)
            continue
        options = {"edges": _edges(branch.entry_offsets, branch.num_entries)}
        dtype = _dtype(interpretation)
        if dtype is None:
            columns[name] = RootColumn(_words(interpretation, branch.typename), name, **options)
        elif dtype.names:
            columns[name] = RootColumn(
                f"a structure; name its leaves, {[f'{name}.{leaf}' for leaf in dtype.names[:5]]}",
                name,
                is_group=True,
            )
            for leaf in dtype.names:
                columns[f"{name}.{leaf}"] = RootColumn(_kind(dtype[leaf]), name, leaf, **options)
        else:
            columns[name] = RootColumn(_kind(dtype), name, **options)
    return columns


def field_kinds(ntuple):
    """Return the columns of an RNTuple; fields within lists hold lists themselves."""
    clusters = ntuple.cluster_summaries
    starts = [int(cluster.num_first_entry) for cluster in clusters]
    edges = _edges([*starts, int(ntuple.num_entries)], int(ntuple.num_entries))
    types = {name: item.typename for name, item in ntuple.items(recursive=True)}
    columns = {}
    for name, typename in types.items():
        parts = name.split(".")
        parents = [types.get(".".join(parts[:i]), "") for i in range(1, len(parts))]
        inside = [key for key in types if key.startswith(f"{name}.")]
        plain = not any("<" in parent or "[" in parent for parent in parents)
        if plain and typename in _NUMBERS:
            columns[name] = RootColumn(np.dtype(_NUMBERS[typename]), name, edges=edges)
        elif plain and inside and "<" not in typename and "[" not in typename:
            words = f"a structure {typename}; name its fields, {inside[:5]}"
            columns[name] = RootColumn(words, name, is_group=True)
        else:
            words = f"{typename} for each event" if plain else f"a list of {typename}"
            columns[name] = RootColumn(words, name)
    return columns


def _read_field(field, start, stop):
    """Return entries of an RNTuple; `RField.array` would decompress the next cluster too."""
    ntuple = field.ntuple
    columns = [i for i, c in enumerate(ntuple.column_records) if c.field_id == field.field_id]
    starts = [int(cluster.num_first_entry) for cluster in ntuple.cluster_summaries]
    if len(columns) != 1 or start not in starts:
        return field.array(entry_start=start, entry_stop=stop, library="np")
    first = starts.index(start)
    last = starts.index(stop) if stop in starts else len(starts)
    # A field that was added later has no entries before.
    padding = max(ntuple.column_records[columns[0]].first_element_index - start, 0)
    return ntuple.read_cluster_range(
        columns[0], first, last, missing_element_padding=padding, array_cache=None
    )[: stop - start]


def _edges(offsets, n_entries):
    """Return the entries where baskets begin, which are read whole."""
    edges = np.unique(np.asarray([0, *offsets, n_entries], dtype=np.int64))
    if edges[0] < 0 or edges[-1] != n_entries:
        raise ValueError(f"baskets of {n_entries} entries begin at {edges[:5]}")
    return edges


def _dtype(interpretation):
    """Return the dtype of fixed-size numbers, or None."""
    made = type(interpretation).__name__
    if made == "AsDtype":
        return interpretation.to_dtype
    # Truncated floats come as float32 or float64.
    if made in ("AsDouble32", "AsFloat16"):
        return np.dtype((interpretation.to_dtype, interpretation.to_dims))
    return None


def _kind(dtype):
    if dtype.shape:
        return f"{' x '.join(map(str, dtype.shape))} numbers for each event"
    if dtype.names or dtype.kind not in "fiub":
        return f"a structure ({dtype})"
    return dtype.newbyteorder("=")


def _words(interpretation, typename):
    made = type(interpretation).__name__
    if made == "UnknownInterpretation":
        return f"something that uproot cannot read ({interpretation.reason})"
    if made == "AsStrings":
        return "text"
    if made == "AsJagged":
        return f"a list for each event ({typename})"
    return f"an object for each event ({typename})"
