"""Sphinx configuration; the pages of the API are written from the `__all__` of every room."""

import importlib
import inspect
import sys
import zlib
from pathlib import Path

import skad

sys.path.insert(0, str(Path(__file__).parent))
from presets import presets_table

HERE = Path(__file__).parent

project = "skad"
author = "the skad developers"
version = release = skad.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
sphinx_gallery_conf = {
    "examples_dirs": ["tutorials", "examples"],
    "gallery_dirs": ["gallery/tutorials", "gallery/examples"],
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    # Pictures and tables; the repr of a figure is a memory address.
    "capture_repr": ("_repr_html_",),
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("skad",),
    "parallel": 2,
}
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # README links to files of the repository
exclude_patterns = ["_build", "examples", "tutorials"]
templates_path = ["_templates"]
html_static_path = ["_static"]
copybutton_exclude = ".linenos, .gp, .go"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "inherited-members": True}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"

html_theme = "pydata_sphinx_theme"
html_title = "skad"
html_css_files = ["narrow.css"]
# Pages without pages below them have nothing to list beside them.
html_sidebars = {
    page: [] for page in ("index", "install", "performance", "papers", "faq", "references")
}
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 5,
    # The list of versions is one file for all of them, beside the newest.
    "switcher": {"json_url": "_static/versions.json", "version_match": version},
    "check_switcher": False,
    "navbar_end": ["version-switcher", "theme-switcher"],
}


def write_inventories():
    """Return where other projects' names lead, without a look at the network.

    Sphinx reads inventories in a packed form; the few names that docstrings mention are kept as
    text in ``docs/inventories``, one a line, below the address of the project.
    """
    mapping = {}
    for listing in sorted((HERE / "inventories").glob("*.txt")):
        address, *lines = listing.read_text().splitlines()
        head = f"# Sphinx inventory version 2\n# Project: {listing.stem}\n# Version: \n"
        head += "# The remainder of this file is compressed using zlib.\n"
        packed = HERE / "_build" / "inventories" / f"{listing.stem}.inv"
        packed.parent.mkdir(parents=True, exist_ok=True)
        packed.write_bytes(head.encode() + zlib.compress("\n".join([*lines, ""]).encode()))
        mapping[listing.stem] = (address, str(packed))
    return mapping


intersphinx_mapping = write_inventories()

# What docstrings call a type, and where it is described; public names of skad join below.
numpydoc_xref_aliases = {
    "ndarray": "numpy.ndarray",
    "RandomState": "numpy.random.RandomState",
    "DataFrame": "pandas.DataFrame",
    "Axes": "matplotlib.axes.Axes",
    "Figure": "matplotlib.figure.Figure",
    "Line2D": "matplotlib.lines.Line2D",
    "Bunch": "sklearn.utils.Bunch",
    "Pipeline": "sklearn.pipeline.Pipeline",
}

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
        title = f"skad.{room}"
        module = importlib.import_module(title)
        names = [name for name in module.__all__ if callable(getattr(module, name))]
        if not names:
            continue
        summary = inspect.getdoc(module).partition("\n")[0]
        numpydoc_xref_aliases.update(
            {name: f"{title}.{name}" for name in names if name[0].isupper()}
        )
        entries = "\n".join(f"   {name}" for name in names)
        _write_changed(
            folder / f"{room}.rst",
            f"{title}\n{'=' * len(title)}\n\n{summary}\n\n.. currentmodule:: {title}\n\n"
            f".. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{entries}\n"
            + (f"\n{presets_table()}" if room == "papers" else ""),
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
