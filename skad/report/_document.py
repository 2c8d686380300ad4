"""What every report consists of, and how it becomes HTML, Markdown or JSON."""

from __future__ import annotations

import functools
import html
import tempfile
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from skad.report._json import as_json

if TYPE_CHECKING:
    from typing import Any

    from skad.utils._types import FilePath

__all__ = ["Document", "Report", "Section", "Table", "check_schema"]


@dataclass(frozen=True)
class Table:
    """A table: caption, names of the columns, rows of text and numbers."""

    caption: str
    columns: list
    rows: list


@dataclass(frozen=True)
class Section:
    """A heading with text, figures, tables and, folded away, long text."""

    heading: str
    text: list = field(default_factory=list)
    figures: list = field(default_factory=list)
    tables: list = field(default_factory=list)
    code: str = ""


@dataclass(frozen=True)
class Document:
    """The parts of a report in the order in which they are read."""

    title: str
    question: str
    verdict: str
    answer: str
    cautions: list
    sections: list


def check_schema(content, schema):
    """Refuse what is no content of a report of this schema."""
    found = content.get("schema") if isinstance(content, dict) else content
    if not isinstance(found, str) or found != schema:
        raise ValueError(
            f"content must be a dict of the schema {schema!r}; got {found!r:.100}. "
            "Read it with the version of skad that wrote it."
        )


class Report:
    """Base of the reports: numbers as a dict, written in several ways.

    Subclasses implement ``_document(figures)``; `content` is what `json` writes, and all that the
    other ways need.
    """

    def __init__(self, content: dict[Any, Any]) -> None:
        self.content = content

    @functools.cached_property
    def _drawn(self):
        """The document with its figures, which take a second to draw."""
        return self._document(figures=True)

    def __repr__(self):
        return f"{type(self).__name__}({self.content['title']!r})"

    def _repr_html_(self):
        # A frame of its own, so that neither page styles the other.
        page = html.escape(self.html(), quote=True)
        return (
            f'<iframe srcdoc="{page}" title="{html.escape(self.content["title"], quote=True)}" '
            'sandbox="allow-scripts" style="width:100%;height:900px;border:1px solid #ccc">'
            "</iframe>"
        )

    def html(self) -> str:
        """Return the report as one HTML page that needs nothing else.

        Returns
        -------
        page : str
        """
        return _template("report.html").render(document=self._drawn)

    def write_html(self, path: FilePath) -> Path:
        """Write the report as one HTML page.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        path : Path
        """
        path = Path(path)
        path.write_text(self.html(), encoding="utf-8")
        return path

    def open(self) -> Path:
        """Write the report to a temporary file and open it in the browser.

        Returns
        -------
        path : Path
        """
        folder = Path(tempfile.mkdtemp(prefix="skad-report-"))
        path = self.write_html(folder / "report.html")
        webbrowser.open(path.as_uri())
        return path

    def markdown(self) -> str:
        """Return the report without its figures as Markdown.

        Returns
        -------
        text : str
        """
        return _template("report.md").render(document=self._document(figures=False))  # type: ignore[attr-defined]

    def json(self) -> str:
        """Return the numbers of the report as JSON.

        Returns
        -------
        text : str
        """
        return as_json(self.content)

    def figures(self) -> Any:
        """Return the figures, each with `name`, `alt`, `svg` and the matplotlib figure `drawn`.

        Returns
        -------
        figures : list
        """
        return [figure for section in self._drawn.sections for figure in section.figures]


@functools.cache
def _template(name):
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("skad.report", "templates"),
        # Names of columns come from files: they are text, never markup.
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["cell"] = _cell
    environment.filters["escaped"] = _escaped
    return environment.get_template(name)


def _number(value):
    """Return a value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _cell(value):
    """Return a value for a cell of a Markdown table."""
    return _escaped(_number(value)).replace("|", "\\|").replace("\n", " ")


def _escaped(text):
    """Return text in which Markdown finds no HTML."""
    return text.replace("<", "\\<")
