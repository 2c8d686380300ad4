"""The pieces in which more events than fit into memory are read.

The rules for more than a block of events are the same in memory and from a file, so that both give
the same bits.
"""

__all__ = ["BLOCK", "PAGE", "block_slices"]

# Events that lie next to each other in a file and are read at once.
PAGE = 4096
# Events that are held in memory, and shuffled, together: this many pages.
BLOCK = 256 * PAGE


def block_slices(n_events):
    """Yield the slices of events of every block, in order."""
    for start in range(0, n_events, BLOCK):
        yield slice(start, min(start + BLOCK, n_events))
