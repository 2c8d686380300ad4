"""Links from the diagram of an estimator in a notebook to its page in the documentation."""

import functools
import importlib.metadata
import os
from pathlib import Path

__all__ = ["LinkedMixin"]


@functools.cache
def _published():
    """Address of the documentation in the metadata of the installed package, "" if it has none."""
    try:
        entries = importlib.metadata.metadata("skad").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    pairs = (entry.split(", ", 1) for entry in entries)
    return next((url for label, url in pairs if label == "Documentation"), "")


def _address():
    """Where the pages are, "" if nobody knows; a folder counts if the pages were built in it."""
    named = os.environ.get("SKAD_DOCS")
    if not named:
        return _published()
    if "://" in named:
        return named
    folder = Path(named).expanduser().resolve()
    return folder.as_uri() if (folder / "api" / "generated").is_dir() else ""


class LinkedMixin:
    """Gives scikit-learn's diagrams the page of the estimator.

    ``SKAD_DOCS`` of the environment says where the pages are: an address, or the folder that
    ``make docs`` has built. Without it, it is the documentation among the URLs of the project in
    `pyproject.toml`. Where no pages are known there is no link.
    """

    _doc_link_module = "skad"

    @property
    def _doc_link_template(self):
        address = _address().rstrip("/").replace("{", "{{").replace("}", "}}")
        if not address:
            return ""
        return f"{address}/api/generated/{{estimator_module}}.{{estimator_name}}.html"
