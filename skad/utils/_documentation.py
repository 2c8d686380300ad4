"""Links from the diagram of an estimator in a notebook to its page in the documentation."""

import functools
import importlib.metadata
import os

__all__ = ["LinkedMixin"]


@functools.cache
def _address():
    """Address of the documentation in the metadata of the installed package, "" if it has none."""
    try:
        entries = importlib.metadata.metadata("skad").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    pairs = (entry.split(", ", 1) for entry in entries)
    return next((url for label, url in pairs if label == "Documentation"), "")


class LinkedMixin:
    """Gives scikit-learn's diagrams the page of the estimator.

    The address is that of the project in `pyproject.toml`, or ``SKAD_DOCS`` of the environment: a
    copy of a group, or a folder of built pages. Without one there is no link.
    """

    _doc_link_module = "skad"

    @property
    def _doc_link_template(self):
        address = os.environ.get("SKAD_DOCS") or _address()
        if not address:
            return ""
        address = address.rstrip("/").replace("{", "{{").replace("}", "}}")
        return f"{address}/api/generated/{{estimator_module}}.{{estimator_name}}.html"
