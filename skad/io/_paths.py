"""From what a user names to files: "~", patterns, folders, lists, and ``file.root:tree``."""

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from skad.exceptions import DataFileError
from skad.io._formats import format_of, shortened

__all__ = ["expand_paths"]

_TREE = re.compile(r"(?P<path>.*\.root):(?P<tree>[^:\\/].*)", re.IGNORECASE)
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def expand_paths(path, key=None):
    """Return the files that `path` names, with the key of each, ``[(path, key), ...]``.

    Parameters
    ----------
    path : str, path-like, or list of them
        A file, a pattern with "*", "?" or "[...]", a folder, or ``file.root:tree``.
    key : str, default=None
        The key of all files.

    Raises
    ------
    FileNotFoundError
        When a pattern fits no file or a folder holds none.
    DataFileError
        When a folder holds other things than files of events of one format.
    """
    items = [path] if isinstance(path, (str, os.PathLike)) else path
    if isinstance(items, (bytes, dict)) or not isinstance(items, Iterable):
        raise TypeError(f"path must be a str, a path-like or a list of them; got {path!r:.100}.")
    items = list(items)
    wrong = [item for item in items if not isinstance(item, (str, os.PathLike))]
    if wrong:
        raise TypeError(f"path must hold str or path-likes; got {wrong[0]!r:.100}.")
    if not items:
        raise ValueError("path holds no file.")
    return [pair for item in items for pair in _expand(os.fspath(item), key)]


def _expand(text, key):
    if _REMOTE.match(text):
        raise DataFileError(f"{text}: remote files are not read; download it first.")
    tree = None if os.path.exists(text) else _TREE.fullmatch(text)
    if tree:
        if key is not None:
            raise DataFileError(f"{text}: names the tree, and so does key={key!r}; give one.")
        text, key = tree["path"], tree["tree"]
    text = os.path.expanduser(text)
    if os.path.isdir(text):
        return [(found, key) for found in _files_in(Path(text))]
    if not os.path.exists(text) and glob.has_magic(text):
        found = sorted(glob.glob(text, recursive=True))
        if not found:
            raise FileNotFoundError(f"{text}: no file fits this pattern.")
        return [(Path(name), key) for name in found]
    return [(Path(text), key)]


def _files_in(folder):
    """Return the files of a folder; what begins with "_" or "." is none of events."""
    items = sorted(item for item in folder.iterdir() if item.name[0] not in "._")
    if not items:
        raise FileNotFoundError(f"{folder}: the folder holds no file.")
    inner = [item.name for item in items if item.is_dir()]
    if inner:
        raise DataFileError(
            f"{folder}: the folder holds further folders, {shortened(inner, 5)}, whose names may "
            "mean something. Name the files, for example with '**/*.parquet'."
        )
    try:
        formats = {format_of(item) for item in items}
    except ValueError as exc:
        raise DataFileError(f"{exc} Name the files of {folder} with a pattern.") from exc
    if len(formats) > 1:
        raise DataFileError(
            f"{folder}: the folder holds files of several formats, "
            f"{shortened([item.name for item in items], 5)}. Name the files with a pattern."
        )
    return items
