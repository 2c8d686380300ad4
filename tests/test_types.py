"""Types of the public surface: they say what docstrings and constraints say; checkers use them."""

import ast
import functools
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pytest
from annotation_rules import CLASSES, parameter_annotation, return_annotation
from numpydoc.docscrape import ClassDoc, FunctionDoc
from test_docstrings import DEVELOPER_ROOMS, PUBLIC, is_record, public_methods

from skad.utils import _sklearn as sk
from skad.utils import all_estimators

ROOT = Path(__file__).resolve().parents[1]
TYPED = ROOT / "tests" / "typed"


def entries(doc, section):
    """Name and type of every entry of a section; of a single type, without name."""
    return [(p.name, p.type) if p.type else ("", p.name) for p in doc[section]]


def types_of(doc):
    return {
        name.strip().lstrip("*"): text
        for names, text in entries(doc, "Parameters")
        for name in names.split(",")
    }


def signatures():
    """Every function that a user calls with its own docstring, or that of its class."""
    for dotted, value in PUBLIC.items():
        if dotted.split(".")[1] in DEVELOPER_ROOMS:
            continue
        if inspect.isfunction(value):
            yield dotted, inspect.unwrap(value), FunctionDoc(inspect.unwrap(value))
            continue
        for name in public_methods(value):
            method = inspect.unwrap(getattr(getattr(value, name), "__func__", getattr(value, name)))
            yield f"{dotted}.{name}", method, FunctionDoc(method)
        init = vars(value).get("__init__")
        if init is not None and not is_record(value):
            yield dotted, init, ClassDoc(value)


@functools.cache
def names_in(file):
    """Classes of skad that annotations in a file may name."""
    tree = ast.parse(Path(file).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ClassDef):
            found.add(node.name)
    return found & set(CLASSES)


def written(annotation):
    """An annotation as the source has it; inspect gives it with other quotes."""
    return annotation.replace("'", '"') if isinstance(annotation, str) else annotation


def wrong_annotations(function, doc, known):
    """Annotations that are not what the docstring says, as messages."""
    wrong = []
    types = types_of(doc)
    for name, parameter in inspect.signature(function).parameters.items():
        if name in ("self", "cls"):
            continue
        expected = "Any"
        if name in types and parameter.kind is not parameter.VAR_KEYWORD:
            expected = parameter_annotation(types[name], parameter.default, known)
        if parameter.kind is parameter.VAR_POSITIONAL:
            expected = re.sub(r"^Sequence\[(.*)\]$", r"\1", expected)
        found = written(parameter.annotation)
        is_missing = found is inspect.Parameter.empty
        if is_missing or (name in types and found != expected):
            wrong.append(f"{name}: {expected}, not {found}")
    result = written(inspect.signature(function).return_annotation)
    expected = None
    if function.__name__ == "__init__":
        expected = "None"
    elif doc["Returns"]:
        expected = return_annotation(function, entries(doc, "Returns"), known)
    elif doc["Yields"]:
        expected = f"Iterator[{return_annotation(function, entries(doc, 'Yields'), known)}]"
    if result is inspect.Signature.empty or (expected and result != expected):
        wrong.append(f"-> {expected}, not {result}")
    return wrong


def test_annotations_say_what_docstrings_say():
    wrong = []
    for dotted, function, doc in signatures():
        found = wrong_annotations(function, doc, names_in(inspect.getfile(function)))
        wrong += [f"{dotted}: {text}" for text in found]
    assert not wrong, "\n".join(sorted(set(wrong)))


def takes(constraints, value):
    """Whether the constraints of a parameter let a value pass."""
    try:
        sk.validate_parameter_constraints({"x": constraints}, {"x": value}, "Some")
    except ValueError:
        return False
    return True


# What a constraint says, and the word of an annotation that says the same.
PROBES = {"None": None, "bool": True, "str": "no option has this name", "float": 0.5, "int": 3}


@pytest.mark.parametrize("name, cls", all_estimators())
def test_annotations_agree_with_constraints(name, cls):
    for parameter in inspect.signature(cls).parameters.values():
        annotation = written(parameter.annotation)
        constraints = cls._parameter_constraints[parameter.name]
        if "Any" in annotation.split(" | ") or constraints == "no_validation":
            continue
        words = set(re.findall(r"[A-Za-z]+", re.sub(r"\[.*\]", "", annotation)))
        words |= {"None", "int"} if "Seed" in words else set()
        words |= {"str"} if "FilePath" in words else set()
        where = f"{name}({parameter.name}: {annotation})"
        assert takes(constraints, None) == ("None" in words), where
        options = re.findall(r'"(\w+)"', annotation)
        for option in options:
            assert takes(constraints, option), where
        allowed = [c for c in constraints if isinstance(c, sk.StrOptions)]
        assert {o for c in allowed for o in c.options} <= set(options), where
        for kind, numbers in (("int", Integral), ("float", Real)):
            is_number = any(
                c is numbers or (isinstance(c, sk.Interval) and c.type is numbers)
                for c in constraints
            )
            if is_number:
                assert {kind, "ArrayLike", "Floats"} & words, where
        if "bool" in words:
            assert takes(constraints, True) and takes(constraints, np.True_), where
        if "str" not in words:
            assert not takes(constraints, PROBES["str"]), where


def marked_lines(checker):
    lines = (TYPED / "wrong.py").read_text().splitlines()
    return {
        number
        for number, line in enumerate(lines, 1)
        if re.search(rf"# wrong(: {checker})?$", line)
    }


SETTINGS = """
[mypy]
ignore_missing_imports = true
follow_imports = silent
[mypy-{}]
follow_imports = skip
""".format(",".join(f"{name}.*" for name in ("matplotlib", "pandas", "scipy", "skorch", "torch")))


def test_mypy_accepts_what_is_right_and_finds_what_is_wrong(tmp_path, monkeypatch):
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    command = [sys.executable, "-m", "mypy", "--config-file", str(tmp_path / "mypy.ini")]
    command += ["--cache-dir", str(ROOT / ".mypy_cache" / "typed")]
    run = subprocess.run([*command, str(TYPED)], capture_output=True, text=True, check=False)
    errors = re.findall(r"(\w+)\.py:(\d+): error", run.stdout)
    assert {int(line) for file, line in errors if file == "wrong"} == marked_lines("mypy")
    assert {file for file, _ in errors} == {"wrong"}, run.stdout


@pytest.mark.skipif(not importlib.util.find_spec("pyright"), reason="pyright is not installed")
def test_pyright_accepts_what_is_right_and_finds_what_is_wrong():
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    run = subprocess.run(
        [*command, str(TYPED)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    found = json.loads(run.stdout)["generalDiagnostics"]
    errors = [(Path(each["file"]).stem, each["range"]["start"]["line"] + 1) for each in found]
    assert {line for file, line in errors if file == "wrong"} == marked_lines("pyright")
    assert {file for file, _ in errors} == {"wrong"}, found


def drifted(x: "int", y: "str | None" = None) -> "float":
    """Add.

    Parameters
    ----------
    x : float
    y : str, default=None

    Returns
    -------
    low, high : float
    """


def test_checker_notices_drift():
    found = wrong_annotations(drifted, FunctionDoc(drifted), set())
    assert found == ["x: float, not int", "-> tuple[float, float], not float"]
