"""Reports from their JSON, whatever they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skad.exceptions import DataFileError
from skad.report._comparison_content import COMPARISON_SCHEMA
from skad.report._comparison_report import ComparisonReport
from skad.report._json import read_json
from skad.report._search_content import SCHEMA
from skad.report._search_report import SearchReport
from skad.utils._arguments import PATH, checked

if TYPE_CHECKING:
    from typing import Any

    from skad.utils._types import FilePath

__all__ = ["read_report"]

_REPORTS = {SCHEMA: SearchReport, COMPARISON_SCHEMA: ComparisonReport}


@checked(path=PATH)
def read_report(path: FilePath) -> Any:
    """Read the JSON that a report wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    report : SearchReport or ComparisonReport

    Raises
    ------
    DataFileError
        The file holds no report, or one of a schema that this version does not know.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from skad.report import read_report
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "report.json"
    ...     _ = path.write_text('{"schema": "of tomorrow"}')
    ...     read_report(path)
    Traceback (most recent call last):
    skad.exceptions.DataFileError: ... holds the schema 'of tomorrow', ...
    """
    content = read_json(path)
    schema = content.get("schema")
    if not isinstance(schema, str) or schema not in _REPORTS:
        raise DataFileError(
            f"{path} holds the schema {schema!r}, which is none of {sorted(_REPORTS)}; read it "
            "with the version of skad that wrote it."
        )
    return _REPORTS[schema](content)
