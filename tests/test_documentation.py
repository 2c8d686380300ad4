"""The Python examples of README and guide run, page by page, and print what they say."""

import doctest
import fnmatch
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def python_blocks(text):
    """Line number and source of every Python example of a Markdown page."""
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield text[: match.start(1)].count("\n"), match.group(1)


def run_page(text, name):
    """Run the examples of a page in one namespace; return the number that failed."""
    names, failed = {}, 0
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for line, source in python_blocks(text):
        if ">>> " in source:
            test = doctest.DocTestParser().get_doctest(source, names, name, name, line)
            failed += runner.run(test, clear_globs=False).failed
            names.update(test.globs)
        else:
            exec(compile("\n" * line + source, name, "exec"), names)
    return failed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    assert list(python_blocks(text)), "a page without an example"
    assert run_page(text, page.name) == 0


def test_readme_lists_what_exists():
    rows = re.findall(
        r"^\| `(skad\.\w+)` \| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 5
    for room, names in rows:
        public = importlib.import_module(room).__all__
        for name in re.findall(r"`([^`]+)`", names):
            if name != "GridSearchCV":
                assert fnmatch.filter(public, name), f"{room} has no {name}"


def test_runner_notices_failures(capsys):
    page = "```python\n>>> x = 1\n>>> x + 1\n{}\n```\nText.\n```python\n>>> x\n1\n```\n"
    assert run_page(page.format(2), "page") == 0
    assert run_page(page.format(3), "page") == 1
    with pytest.raises(ZeroDivisionError):
        run_page("```python\n1 / 0\n```\n", "page")
