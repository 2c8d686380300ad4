"""Deletion of what was downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skad.datasets._fetch_jets import JET_FILES
from skad.datasets._lhco import LHCO_FILES
from skad.datasets._remote import get_data_home

if TYPE_CHECKING:
    from skad.utils._types import FilePath

__all__ = ["clear_data_home"]


def clear_data_home(data_home: FilePath | None = None) -> None:
    """Delete all downloaded files.

    Parameters
    ----------
    data_home : str or path-like, default=None
        As in `get_data_home`. Only files that a fetcher of skad downloads are deleted.

    Examples
    --------
    >>> import tempfile
    >>> from skad.datasets import clear_data_home
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clear_data_home(folder)
    """
    home = get_data_home(data_home)
    for remote in [*LHCO_FILES.values(), *JET_FILES.values()]:
        for suffix in ("", ".part", ".part.json"):
            (home / (remote.name + suffix)).unlink(missing_ok=True)
