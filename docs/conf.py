"""Sphinx configuration; the pages of the API are written from the `__all__` of every room."""

import importlib
import inspect
from pathlib import Path

import skad

project = "skad"
author = "the skad developers"
version = release = skad.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # README links to files of the repository
exclude_patterns = ["_build", "examples"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "inherited-members": True}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "skad"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}

# Users first, developers last.
ROOMS = [
    "io",
    "datasets",
    "kinematics",
    "coordinates",
    "density",
    "detectors",
    "resonant",
    "search",
    "metrics",
    "inspection",
    "plotting",
    "papers",
    "report",
    "cli",
    "serving",
    "nn",
    "base",
    "utils",
    "exceptions",
]


def write_api(app):
    """Write one page a room, and the index of the pages."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    pages = []
    for room in ROOMS:
        module = importlib.import_module(f"skad.{room}")
        names = [name for name in module.__all__ if callable(getattr(module, name))]
        if not names:
            continue
        title = f"skad.{room}"
        summary = inspect.getdoc(module).partition("\n")[0]
        entries = "\n".join(f"   {name}" for name in names)
        _write_changed(
            folder / f"{room}.rst",
            f"{title}\n{'=' * len(title)}\n\n{summary}\n\n.. currentmodule:: {title}\n\n"
            f".. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{entries}\n",
        )
        pages.append(f"   {room}\n")
    _write_changed(
        folder / "index.rst", "API\n===\n\n.. toctree::\n   :maxdepth: 2\n\n" + "".join(pages)
    )


def _write_changed(path, text):
    # An unchanged file keeps its date, so that Sphinx does not read it again.
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def skip_member(app, what, name, obj, skip, options):
    """Leave out what scikit-learn, torch and Python give a class: they document it themselves."""
    if name.startswith("set_") and name.endswith("_request"):
        return True
    function = inspect.unwrap(getattr(obj, "__func__", obj))
    module = getattr(function, "__module__", None)
    return skip or (module is not None and not module.startswith("skad"))


def setup(app):
    """Write the pages of the API; filter their members."""
    write_api(app)  # here, because Sphinx looks for pages before its first event
    app.connect("autodoc-skip-member", skip_member)
