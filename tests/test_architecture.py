"""Imports point down the list of rooms only; the sign of a score flips in one file."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "skad"

# From the top down. The rooms of one tuple are neighbours; the programs on top are one room.
FLOORS = [
    ("cli", "report", "demo"),
    ("papers",),
    ("plotting", "inspection", "serving"),
    ("search",),
    ("resonant",),
    ("detectors",),
    ("density",),
    ("nn", "coordinates", "metrics", "datasets"),
    ("io",),
    ("kinematics",),
    ("base",),
    ("utils",),
    ("exceptions",),
]
TOP = FLOORS[0]
LEVEL = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path):
    """Room of a file given relative to the package: its folder, or its own name."""
    return path.parts[0] if len(path.parts) > 1 else path.stem


def _absolute(node, path):
    """Dotted module of a ``from … import``, relative ones resolved against the file."""
    if not node.level:
        return node.module
    package = ["skad", *path.parent.parts]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def imported_rooms(tree, path):
    """Pairs (room, line) of all rooms that a file imports, inside functions too."""
    found = []
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, path)
            modules = [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call):
            # importlib.import_module("skad.density")
            modules = [
                argument.value
                for argument in node.args
                if isinstance(argument, ast.Constant)
                and isinstance(argument.value, str)
                and ast.unparse(node.func).endswith("import_module")
            ]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "skad":
            modules = [f"skad.{node.attr}"]
        for module in modules:
            parts = module.split(".")
            if parts[0] == "skad" and len(parts) > 1 and parts[1] in LEVEL:
                found.append((parts[1], node.lineno))
    return found


def violations(source, path):
    """Imports of a file that point upwards or sideways, as messages."""
    room = room_of(path)
    if room == "__init__":
        return []
    wrong = []
    for target, line in imported_rooms(ast.parse(source), path):
        if target == room or (room in TOP and target in TOP):
            continue
        if LEVEL[target] >= LEVEL[room]:
            way = "sideways" if LEVEL[target] == LEVEL[room] else "upwards"
            wrong.append(f"skad/{path.as_posix()}:{line}: {room} imports {way} from {target}")
    return wrong


def test_every_room_has_a_floor():
    rooms = {
        room_of(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "__init__.py"
    }
    assert rooms <= set(LEVEL)


def test_imports_point_down():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        wrong += violations(path.read_text(), path.relative_to(PACKAGE))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "file, source, message",
    [
        ("nn/_engine.py", "from skad.density import FlowDensity", "upwards from density"),
        ("nn/_engine.py", "import skad.coordinates as c", "sideways from coordinates"),
        ("metrics/_sic.py", "def f():\n    from skad.datasets import x", "sideways from datasets"),
        ("metrics/_sic.py", "from skad import detectors", "upwards from detectors"),
        ("density/_flow.py", "from ..detectors import X", "upwards from detectors"),
        ("density/_flow.py", "from .. import resonant", "upwards from resonant"),
        ("density/_flow.py", "import skad\nskad.detectors.X()", "upwards from detectors"),
        ("utils/_a.py", "import importlib as i\ni.import_module('skad.nn')", "upwards from nn"),
        ("base.py", "from skad.coordinates import X", "upwards from coordinates"),
        ("exceptions.py", "from skad.utils import draw_seed", "upwards from utils"),
        ("plotting/_sic.py", "from skad.inspection import X", "sideways from inspection"),
        ("detectors/_ae.py", "from skad.demo import main", "upwards from demo"),
        ("resonant/_masses.py", "from skad.search import fit_spectrum", "upwards from search"),
        ("io/_events.py", "from skad.datasets import load_dijets", "upwards from datasets"),
        ("inspection/_study.py", "from skad import papers", "upwards from papers"),
    ],
)
def test_checker_finds_wrong_imports(file, source, message):
    wrong = violations(source, Path(file))
    assert len(wrong) == 1
    assert message in wrong[0]
    assert wrong[0].startswith(f"skad/{file}:")


@pytest.mark.parametrize(
    "file, source",
    [
        ("density/_flow.py", "from skad.nn import flow\nfrom skad.utils import _sklearn as sk"),
        ("density/__init__.py", "from skad.density._flow import FlowDensity"),
        ("density/_flow.py", "from ._frames import X\nfrom . import _kde"),
        ("utils/_columns.py", "from skad.exceptions import MissingColumnError"),
        ("resonant/_anode.py", "from skad.density import FlowDensity"),
        ("cli.py", "from skad.report import write"),
        ("demo.py", "from skad import datasets, plotting"),
        ("utils/_discovery.py", "import skad\nskad.__path__"),
        ("nn/_skorch.py", "import torch\nfrom skorch import NeuralNet"),
    ],
)
def test_checker_accepts_imports_downwards(file, source):
    assert violations(source, Path(file)) == []


NORMALITY = ("score_samples", "decision_function")


def sign_flips(source):
    """Lines that negate what `score_samples` or `decision_function` returns."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and any(
            isinstance(inner, ast.Attribute)
            and inner.attr in ("score_samples", "decision_function")
            for inner in ast.walk(node.operand)
        )
    ]


def test_signs_of_scores_flip_in_base_alone():
    flips = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if sign_flips(path.read_text())
    }
    assert flips == {"base.py"}, "skad.base.anomaly_score_of reads the anomaly of any detector"


def test_sign_check_finds_flips():
    source = "a = d.score_samples(X)\nb = -np.asarray(d.score_samples(X))\nc = -d.offset_"
    assert sign_flips(source) == [2]


def modules_imported(tree, path):
    """Files that a file imports when it is loaded, or for its types."""
    found = set()
    at_once = [part for node in tree.body for part in getattr(node, "body", []) or [node]]
    for node in [*tree.body, *at_once]:
        if isinstance(node, ast.ImportFrom):
            module = _absolute(node, path)
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
            found |= {name for name in names if name.startswith("skad.")}
    return found


def circles(graph):
    """Modules that import each other, by leaving out all that import nothing left."""
    graph = {
        module: {other for other in others if other in graph} for module, others in graph.items()
    }
    while leaves := [module for module, others in graph.items() if not others]:
        graph = {m: others - set(leaves) for m, others in graph.items() if m not in leaves}
    return graph


def test_no_module_imports_itself_through_others():
    graph = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        if path.name != "__init__.py":
            module = ".".join(["skad", *inside.with_suffix("").parts])
            graph[module] = modules_imported(ast.parse(path.read_text()), inside)
    assert len(graph) > 100
    assert not circles(graph)


def test_circles_are_found():
    chain = {"a": {"b"}, "b": {"c"}, "c": set()}
    assert not circles(chain)
    assert set(circles(chain | {"c": {"a"}, "d": {"a"}})) == {"a", "b", "c", "d"}
