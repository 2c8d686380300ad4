"""Importing skad is quick and loads nothing heavy; special libraries stay in one file each."""

import ast
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "skad"

LIMIT_S = 0.15  # what a command-line user does not notice
HEAVY = ("torch", "matplotlib", "pandas")

# Names that scikit-learn documents for developers although they begin with an underscore.
SKLEARN_CONVENTIONS = {"_parameter_constraints"}


def loaded_modules(statement):
    """Top-level modules in a fresh interpreter after `statement`."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(run.stdout.splitlines()[-1])}


def wall_time(statement):
    """Seconds of a fresh interpreter that runs `statement`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def test_import_is_light():
    loaded = loaded_modules("import skad")
    assert "skad" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_import_is_quick():
    # In pairs, so that other load on the machine touches both alike.
    extra = [wall_time("import skad") - wall_time("pass") for _ in range(5)]
    assert statistics.median(extra) < LIMIT_S


@pytest.mark.parametrize("room", ["kinematics", "io", "coordinates", "metrics", "datasets"])
def test_torch_free_rooms(room):
    loaded = loaded_modules(f"import skad.{room}")
    assert "numpy" in loaded
    assert loaded.isdisjoint({"torch", "skorch", "nflows", "zuko"})


@pytest.mark.parametrize(
    "statement",
    [
        "import skad.search",
        "from skad.resonant import Sidebands, TemplateDetector",
        "from skad.detectors import CWoLaDetector, TreeEnsembleClassifier",
    ],
)
def test_searches_with_trees_do_not_wait_for_torch(statement):
    assert loaded_modules(statement).isdisjoint({"torch", "skorch", "nflows", "zuko"})


def test_rooms_have_what_they_name_and_nothing_else():
    from skad import detectors, resonant

    for room in (detectors, resonant):
        assert all(getattr(room, name).__name__ == name for name in room.__all__)
        assert set(room.__all__) <= set(dir(room))
        with pytest.raises(AttributeError, match=f"module '{room.__name__}' has no attribute 'Nn'"):
            room.Nn  # noqa: B018


@pytest.mark.parametrize("room", ["coordinates", "metrics", "datasets", "plotting", "inspection"])
def test_matplotlib_is_lazy(room):
    assert "matplotlib" not in loaded_modules(f"import skad.{room}")


def test_submodules_load_on_first_use():
    code = (
        "import skad, sys\n"
        "assert 'skad.metrics' not in sys.modules\n"
        "assert set(dir(skad)) >= set(skad.__all__)\n"
        "skad.metrics\n"
        "assert 'skad.metrics' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_attribute():
    import skad

    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = skad.colour


def imports_of(tree, library):
    """Whether the module imports `library`, at the top or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        else:
            continue
        if any(name.partition(".")[0] == library for name in names):
            return True
    return False


def _is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in SKLEARN_CONVENTIONS


def sklearn_private_names(tree):
    """Private names of scikit-learn that a module imports or reaches through an attribute."""
    found, bound = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "sklearn":
                    bound.add(alias.asname or "sklearn")
                    found.update(part for part in parts if _is_private(part))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            parts = node.module.split(".")
            if parts[0] == "sklearn":
                names = [alias.name for alias in node.names]
                bound.update(alias.asname or alias.name for alias in node.names)
                found.update(part for part in [*parts, *names] if _is_private(part))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in bound:
                found.add(node.attr)
    return found


def files_where(condition):
    """Files of the package, relative to it, whose syntax tree meets `condition`."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        if condition(ast.parse(path.read_text()))
    }


@pytest.mark.parametrize(
    "library, home",
    [("skorch", "nn/_skorch.py"), ("nflows", "nn/_nflows.py"), ("zuko", "nn/_zuko.py")],
)
def test_library_has_one_home(library, home):
    assert files_where(lambda tree: imports_of(tree, library)) == {home}


def test_sklearn_private_names_have_one_home():
    assert files_where(sklearn_private_names) == {"utils/_sklearn.py"}


@pytest.mark.parametrize(
    "source, private",
    [
        ("from sklearn.base import _fit_context", {"_fit_context"}),
        ("from sklearn.utils._tags import Tags", {"_tags"}),
        ("import sklearn.utils._param_validation as pv", {"_param_validation"}),
        ("import sklearn\nsklearn.utils._foo()", {"_foo"}),
        ("from sklearn.utils import validation\nvalidation._num_samples(X)", {"_num_samples"}),
        ("def f():\n    from sklearn.base import _clone", {"_clone"}),
        ("from sklearn.ensemble import IsolationForest as I\nI._parameter_constraints", set()),
        ("from sklearn import __version__", set()),
        ("from skad.utils import _sklearn as sk\nsk._x", set()),
        ("from sklearn.base import clone\nself._private", set()),
    ],
)
def test_checker_finds_private_names(source, private):
    assert sklearn_private_names(ast.parse(source)) == private


@pytest.mark.parametrize(
    "source, found",
    [
        ("import skorch", True),
        ("from skorch.callbacks import Callback", True),
        ("def f():\n    import skorch.net as net", True),
        ("import skorchestra", False),
        ("from skad.nn import skorch", False),
        ("from . import skorch", False),
    ],
)
def test_checker_finds_imports(source, found):
    assert imports_of(ast.parse(source), "skorch") is found
