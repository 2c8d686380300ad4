"""Event files: read, iterate, write and score them."""

from skad.io._read import iter_events, read_events
from skad.io._score_file import score_file
from skad.io._write import write_events

__all__ = ["iter_events", "read_events", "score_file", "write_events"]
