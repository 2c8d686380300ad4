"""The settings file of an analysis: reading TOML, and errors that name file, line and way out."""

from __future__ import annotations

import difflib
import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skad.exceptions import SettingsError
from skad.utils._arguments import PATH, checked

if TYPE_CHECKING:
    from typing import Any

    from skad.utils._types import FilePath

__all__ = ["Settings", "nearest", "read_settings"]

# Tables of the file with their keys; None: what the named class takes.
TABLES = {
    "input": None,
    "features": None,
    "coordinates": None,
    "detector": None,
    "detectors": None,
    "search": None,
    "calibration": ("n_experiments", "generate", "folder", "n_jobs", "global"),
    "limit": None,
    "compare": ("cv", "by", "fraction", "n_jobs", "random_state"),
    "report": ("labels", "unit", "n_events"),
    "output": ("folder",),
}
_KEYS = ("title", *TABLES)


@dataclass(frozen=True)
class Settings:
    """What a settings file says.

    Attributes
    ----------
    values : dict
        The parsed file.
    text : str
        The file as it is.
    name : str
        Its name in messages.
    folder : Path
        Relative paths in the file start here.
    """

    values: dict
    text: str
    name: str
    folder: Path

    def error(self, keys: Any, message: Any) -> Any:
        """Return the error for what stands at `keys`, the way from the top of the file to it."""
        line = None
        # A key that is missing is reported at the table that lacks it.
        for end in range(len(keys), 0, -1):
            line = _line_of(self.text, keys[:end])
            if line is not None:
                break
        place = self.name if line is None else f"{self.name}, line {line}"
        return SettingsError(f"{place}: {message}")

    def table(self, name: Any) -> Any:
        """Return a table, an empty one where the file has none."""
        value = self.values.get(name, {})
        if not isinstance(value, dict):
            raise self.error([name], f"{name} must be a table, [{name}]; got {value!r}.")
        return value

    def check_keys(self, keys: Any, allowed: Any, owner: Any) -> None:
        """Refuse keys of the table at `keys` that nobody reads."""
        table = self.values
        for key in keys:
            table = table.get(key, {}) if isinstance(table, dict) else table[key]
        for key in table:
            if key not in allowed:
                raise self.error(
                    [*keys, key],
                    f"{'.'.join([*map(str, keys), key])} is not known to {owner}."
                    f"{nearest(key, allowed)} It takes: {', '.join(allowed)}.",
                )

    def path(self, path: Any) -> Any:
        """Return a path of the file as an absolute one."""
        return os.path.normpath(self.folder / os.path.expanduser(path))


def nearest(name, allowed):
    """Return the sentence that proposes the nearest right name, or nothing."""
    close = difflib.get_close_matches(str(name), list(map(str, allowed)), n=1, cutoff=0.6)
    if not close:
        lower = {str(each).lower(): str(each) for each in allowed}
        close = [lower[found] for found in difflib.get_close_matches(str(name).lower(), lower, n=1)]
    return f" Did you mean {close[0]!r}?" if close else ""


@checked(path=PATH)
def read_settings(path: FilePath) -> Settings:
    """Read a settings file and check its tables.

    Parameters
    ----------
    path : str or path-like
        A TOML file, or "-" for standard input, where relative paths start in the current folder.

    Returns
    -------
    settings : Settings

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    SettingsError
        It is no TOML, or holds a table that no analysis has; the message names file, line and the
        nearest right name.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from skad.cli import read_settings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "search.toml"
    ...     _ = path.write_text('[input]\\npath = "events.csv"\\n')
    ...     settings = read_settings(path)
    >>> settings.table("input")
    {'path': 'events.csv'}
    """
    if str(path) == "-":
        return settings_from_text(sys.stdin.read(), "standard input", Path.cwd())
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{path}: settings are text in UTF-8; {exc}.") from exc
    return settings_from_text(text, str(path), path.parent.resolve())


def settings_from_text(text, name, folder):
    """Return the settings of a text, with its tables checked."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(f"{name}: {exc}. The format is TOML, https://toml.io.") from exc
    settings = Settings(values, text, name, folder)
    settings.check_keys([], _KEYS, "a settings file")
    for table, allowed in TABLES.items():
        if allowed is not None and table in values:
            settings.table(table)
            settings.check_keys([table], allowed, f"[{table}]")
    return settings


def _line_of(text, keys):
    """Return the line at which the statement begins that brings `keys`, or None.

    tomllib keeps no lines. The first lines of a file are TOML themselves wherever a statement ends,
    so the statement that brings the keys is found by reading more and more lines.
    """
    lines = text.splitlines()
    start = 1
    for end in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if _holds(values, keys):
            return start
        start = end + 1
    return None


def _holds(values, keys):
    for key in keys:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True
