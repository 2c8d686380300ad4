"""Event files: read, iterate, write and score them. Model files: save and load what was fitted."""

from skad.io._model_file import load_model, model_info, save_model
from skad.io._read import iter_events, read_events
from skad.io._score_file import score_file
from skad.io._write import write_events

__all__ = [
    "iter_events",
    "load_model",
    "model_info",
    "read_events",
    "save_model",
    "score_file",
    "write_events",
]
