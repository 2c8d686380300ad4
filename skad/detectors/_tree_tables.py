"""Values of many trees for many events, by tables of bits in place of walks through the trees."""

from itertools import pairwise

import numpy as np

__all__ = ["Columns", "TreeTables"]

# Bits of a word, one for each exit of a group; that of the sign is left alone.
_BITS = {np.int64: 64, np.int32: 32}
_FLOAT = {np.int64: np.float64, np.int32: np.float32}
# Events at a time, whose numbers stay in the cache of a processor.
_BLOCK = 32_768
# With fewer intervals of every feature all trees share one table of them.
_FEW_INTERVALS = 256


class Columns:
    """The columns of some events, sorted once for the thresholds of all trees.

    Parameters
    ----------
    X : ndarray of shape (n_events, n_features)

    Attributes
    ----------
    values : ndarray of shape (n_features, n_events)
        Sorted values of each column.
    ranks : ndarray of int, shape (n_features, n_events)
        Places of the events among them.
    """

    def __init__(self, X):
        order = np.argsort(X.T, axis=1)
        self.values = np.take_along_axis(X.T, order, axis=1)
        self.ranks = np.empty(order.shape, dtype=np.intp)
        np.put_along_axis(self.ranks, order, np.arange(len(X))[None], axis=1)


class TreeTables:
    """Regression trees as tables, which events go through without a branch.

    A group is a node with up to 29 below it, and has up to 31 exits, numbered from left to right.
    For every feature and every interval between thresholds, a word of the group holds the bits of
    the exits that its nodes leave open. The lowest bit that all features leave is the way out: a
    leaf, or another group. This is QuickScorer [1]_, in groups where a tree has many leaves.

    Parameters
    ----------
    trees : list of (left, right, feature, threshold, value)
        Arrays over nodes; the children of a leaf are negative. An event goes left where its feature
        is not above the threshold.
    n_features : int

    References
    ----------
    .. [1] C. Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive
       ensembles of regression trees", SIGIR 2015.
    """

    def __init__(self, trees, n_features):
        nodes = _Nodes(trees)
        inner = np.flatnonzero(~nodes.is_leaf)
        few = nodes.n_leaves.max() < _BITS[np.int32]
        word = np.int32 if few else np.int64
        top = nodes.tops(_BITS[word] - 1)
        is_root = np.zeros(len(top), dtype=bool)
        is_root[nodes.roots] = True
        # A leaf beside groups is one too: then the second step leaves no event out.
        several = np.zeros(len(trees), dtype=bool)
        several[nodes.tree[inner[~is_root[top[inner]]]]] = True
        beside = nodes.is_leaf & several[nodes.tree]
        beside[beside] = is_root[top[nodes.parent[beside]]]
        below = np.unique(np.concatenate([top[inner], np.flatnonzero(beside)]))
        below = below[~is_root[below]]
        # Nodes of all trees lie in the order of the trees, and so do their groups.
        ends = np.searchsorted(nodes.tree[below], np.arange(len(trees) + 1))
        self._own, n_intervals = self._find_intervals(nodes, inner, n_features)
        shape = (n_features, n_intervals)
        one_each = np.arange(len(trees) + 1)
        others = top, below, ends, shape
        self._roots = _Groups(nodes, nodes.roots, one_each, *others, word)
        self._below = _Groups(nodes, below, ends, *others, np.int32)
        self._is_used = np.zeros((len(trees), n_features), dtype=bool)
        self._is_used[nodes.tree[inner], nodes.feature[inner]] = True

    def _find_intervals(self, nodes, inner, n_features):
        """Number the thresholds of every feature.

        Return tables from the intervals of all trees to those of each, None if they are the same,
        and the largest number of intervals.
        """
        self.thresholds = []
        for feature in range(n_features):
            rows = inner[nodes.feature[inner] == feature]
            found, nodes.interval[rows] = np.unique(nodes.threshold[rows], return_inverse=True)
            self.thresholds.append(found)
        largest = max(map(len, self.thresholds)) + 1
        if largest <= _FEW_INTERVALS:
            return None, largest
        own = []
        for feature, found in enumerate(self.thresholds):
            rows = inner[nodes.feature[inner] == feature]
            places = nodes.tree[rows], nodes.interval[rows]
            smaller = np.zeros((len(nodes.roots), len(found) + 1), dtype=np.intp)
            smaller[places[0], places[1] + 1] = 1
            np.cumsum(smaller, axis=1, out=smaller)
            nodes.interval[rows] = smaller[places]
            own.append(smaller)
        return own, max(int(table[:, -1].max()) for table in own) + 1

    def walk(self, columns, values=None):
        """Yield blocks of events: their rows, and an iterator over the values of the trees.

        Parameters
        ----------
        columns : Columns
        values : ndarray of shape (n_features, n_events), default=None
            What the thresholds are compared with in place of ``columns.values``, in the same order.
        """
        values = columns.values if values is None else values
        n_events = values.shape[1]
        intervals = []
        for column, thresholds in zip(values, self.thresholds, strict=True):
            beyond = np.searchsorted(column, thresholds, side="right")
            intervals.append(np.bincount(beyond, minlength=n_events + 1)[:-1].cumsum())
        for start in range(0, n_events, _BLOCK):
            rows = slice(start, min(start + _BLOCK, n_events))
            codes = np.empty((len(intervals), rows.stop - start), dtype=np.intp)
            for of_feature, rank, code in zip(intervals, columns.ranks, codes, strict=True):
                np.take(of_feature, rank[rows], out=code, mode="wrap")
            yield rows, self._tree_values(codes)

    def _tree_values(self, codes):
        """Yield the values of the events for each tree."""
        n_events = len(codes[0])
        buffers = {word: np.empty((2, n_events), word) for word in _BITS}
        own, index = np.empty_like(codes), np.empty_like(codes)
        place, start = np.empty((2, n_events), np.intp)
        for tree, used in enumerate(map(np.flatnonzero, self._is_used)):
            for f in used if self._own else ():
                np.take(self._own[f][tree], codes[f], out=own[f], mode="wrap")
            intervals = own if self._own else codes
            words, values, onwards = self._roots.of(tree)
            _ways_out(words, intervals, used, buffers[words.dtype.type], place)
            if not self._below.n_groups(tree):
                yield np.take(values, place, mode="wrap")
                continue
            n_groups = self._below.n_groups(tree)
            words, values, below = self._below.of(tree)
            np.take(onwards, place, out=start, mode="wrap")
            for f in used:
                np.multiply(intervals[f], n_groups, out=index[f])
                np.add(index[f], start, out=index[f])
            _ways_out(words, index, used, buffers[words.dtype.type], place)
            start *= self._below.bits
            place += start
            rows = np.flatnonzero(below[place] >= 0) if (below >= 0).any() else ()
            while len(rows):
                group = below[place[rows]]
                further = group + n_groups * intervals[:, rows]
                out = np.empty(len(rows), np.intp)
                _ways_out(words, further, used, np.empty((2, len(rows)), words.dtype), out)
                place[rows] = out + group * self._below.bits
                rows = rows[below[place[rows]] >= 0]
            yield np.take(values, place, mode="wrap")


def _ways_out(words, index, used, buffers, out):
    """Write the number of the lowest bit that is set in the words of all features."""
    word, other = buffers
    word[:] = -1
    for k, f in enumerate(used):
        np.take(words[f], index[f], out=other if k else word, mode="wrap")
        if k:
            np.bitwise_and(word, other, out=word)
    np.negative(word, out=other)
    np.bitwise_and(word, other, out=word)
    # As the exponent of a float, whose bias the values and onward groups know.
    number = _FLOAT[word.dtype.type]
    np.copyto(other.view(number), word)
    np.right_shift(other, np.finfo(number).nmant, out=out)


class _Groups:
    """Words of groups, the values of their exits, and the groups that these lead to."""

    def __init__(self, nodes, heads, ends, top, below, first, shape, word):
        self.bits, self.ends = _BITS[word], ends
        n_groups = len(heads)
        group = np.full(len(top), -1)
        group[heads] = np.arange(n_groups)
        inner = np.flatnonzero(~nodes.is_leaf)
        inner = inner[group[top[inner]] >= 0]
        of_inner = group[top[inner]]
        children = np.concatenate([nodes.left[inner], nodes.right[inner]])
        leaving = nodes.is_leaf[children] | (top[children] == children)
        alone = heads[nodes.is_leaf[heads]]
        exits = np.concatenate([children[leaving], alone])
        of = np.concatenate([np.tile(of_inner, 2)[leaving], group[alone]])
        scale = nodes.n_leaves[nodes.roots].sum() + 1
        keys = of * scale + nodes.first[exits]
        order = np.argsort(keys)
        exits, of, keys = exits[order], of[order], keys[order]
        bits = np.arange(len(exits)) - np.searchsorted(of, of)
        self.bias = np.finfo(_FLOAT[word]).maxexp - 1
        places = self.bias + of * self.bits + bits
        self.values = np.zeros(self.bias + n_groups * self.bits)
        self.values[places] = nodes.value[exits]
        self.onwards = np.full(len(self.values), -1)
        lower = np.full(len(top), -1)
        lower[below] = np.arange(len(below))
        onwards = (lower[exits] >= 0) & (exits != heads[of])
        exits, places = exits[onwards], places[onwards]
        self.onwards[places] = lower[exits] - first[nodes.tree[exits]]
        low, high = (
            bits[np.searchsorted(keys, of_inner * scale + nodes.first[node])]
            for node in (inner, nodes.right[inner])
        )
        left = (np.ones(1, np.int64) << high) - (np.ones(1, np.int64) << low)
        words = np.full((*shape, n_groups), -1, dtype=word)
        places = nodes.feature[inner], nodes.interval[inner] + 1, of_inner
        np.bitwise_and.at(words, places, (~left).astype(word))
        for k in range(1, shape[1]):
            words[:, k] &= words[:, k - 1]
        self.words = [words[..., a:b].reshape(shape[0], -1) for a, b in pairwise(ends)]

    def n_groups(self, tree):
        return self.ends[tree + 1] - self.ends[tree]

    def of(self, tree):
        """Return words, values and onward groups of a tree."""
        exits = slice(self.ends[tree] * self.bits, self.ends[tree + 1] * self.bits + self.bias)
        return self.words[tree], self.values[exits], self.onwards[exits]


class _Nodes:
    """Trees laid end to end, with the leaves below every node."""

    def __init__(self, trees):
        sizes = np.array([len(tree[0]) for tree in trees])
        self.roots = np.cumsum(sizes) - sizes
        self.tree = np.repeat(np.arange(len(trees)), sizes)
        parts = [np.concatenate(part) for part in zip(*trees, strict=True)]
        left, right, self.feature, self.threshold, self.value = parts
        self.interval = np.zeros(len(left), dtype=np.intp)
        self.is_leaf = left < 0
        offset = self.roots[self.tree]
        self.left, self.right = (
            np.where(self.is_leaf, -1, side + offset) for side in (left, right)
        )
        self.parent = np.full(len(left), -1)
        inner = np.flatnonzero(~self.is_leaf)
        self.parent[self.left[inner]] = self.parent[self.right[inner]] = inner
        levels = [self.roots]
        while len(inner := levels[-1][~self.is_leaf[levels[-1]]]):
            levels.append(np.concatenate([self.left[inner], self.right[inner]]))
        self.n_leaves = self.is_leaf.astype(np.intp)
        for level in reversed(levels[1:]):
            np.add.at(self.n_leaves, self.parent[level], self.n_leaves[level])
        # Of all leaves from left to right, the first one below each node.
        self.first = np.zeros(len(left), dtype=np.intp)
        self.first[self.roots] = np.cumsum(self.n_leaves[self.roots]) - self.n_leaves[self.roots]
        for level in levels[1:]:
            parent = self.parent[level]
            is_right = self.right[parent] == level
            self.first[level] = self.first[parent] + is_right * self.n_leaves[self.left[parent]]

    def tops(self, n_exits):
        """Return the highest node of the group of every inner node; -1 for leaves.

        The largest parts of a tree are opened first, so that few events pass a third group.
        """
        top = np.full(len(self.left), -1)
        root = self.roots[self.tree]
        waiting = np.flatnonzero(~self.is_leaf)
        while len(waiting):
            order = waiting[np.lexsort([-self.n_leaves[waiting], root[waiting]])]
            starts = np.flatnonzero(np.diff(root[order], prepend=-1))
            place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
            taken, waiting = order[place < n_exits - 1], order[place >= n_exits - 1]
            n_exits = _BITS[np.int32] - 1
            top[taken] = root[taken]
            parent = self.parent[waiting]
            above = np.arange(len(top))
            above[waiting] = np.where(top[parent] >= 0, waiting, parent)
            while (above[above[waiting]] != above[waiting]).any():
                above[waiting] = above[above[waiting]]
            root[waiting] = above[waiting]
        return top
