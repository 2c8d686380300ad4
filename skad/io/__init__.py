"""Event files: read, iterate, write and score them."""

from skad.io._events import iter_events, read_events, write_events
from skad.io._score_file import score_file

__all__ = ["iter_events", "read_events", "score_file", "write_events"]
