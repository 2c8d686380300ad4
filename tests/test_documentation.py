"""The examples of README and guide run and print what they say; what the pages name exists."""

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest
from test_architecture import FLOORS, PACKAGE, room_of

from skad import papers

ROOT = Path(__file__).resolve().parents[1]
# The example of the README runs from the wheel, in test_package.py.
PAGES = sorted((ROOT / "docs" / "guide").glob("*.md"))
GALLERY = [
    script
    for folder in ("tutorials", "examples")
    for script in sorted((ROOT / "docs" / folder).glob("plot_*.py"))
]
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


def test_what_pages_include_is_there():
    """Only `make docs` would notice else."""
    pages = [*(ROOT / "docs").glob("*.md"), *PAGES]
    included = [
        (page, *match.groups())
        for page in pages
        for match in re.finditer(
            r'^```{include} (.+)\n:start-after: "(.+)"\n:end-before: "(.+)"$',
            page.read_text(),
            re.MULTILINE,
        )
    ]
    assert len(included) == sum(page.read_text().count("{include}") for page in pages) > 0
    for page, path, first, last in included:
        text = (page.parent / path).read_text()
        assert 0 < text.find(first) < text.find(last), (page, first, last)


def missing_names(tree):
    """Names of skad that the imports of a script ask for and that do not exist."""
    missing = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            wanted = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        for module, name in wanted:
            if module.split(".")[0] != "skad":
                continue
            try:
                found = importlib.import_module(module)
            except ModuleNotFoundError:
                missing.append(module)
                continue
            if name is not None and not hasattr(found, name):
                missing.append(f"{module}.{name}")
    return missing


@pytest.mark.parametrize("script", GALLERY, ids=lambda script: script.stem)
def test_gallery_script_is_sound(script):
    # They take a minute each: `make docs` runs them, this catches what a renaming breaks.
    text = script.read_text()
    tree = ast.parse(text)
    compile(tree, script.name, "exec")
    title, underline, *rest = (ast.get_docstring(tree) or "\n").split("\n")
    assert title and underline == "=" * len(title), "no docstring with a title"
    assert any(rest), "no question below the title"
    assert re.search(r"^# %%$", text, re.MULTILINE), "no cells"
    assert not missing_names(tree)


def test_gallery_check_notices_missing_names():
    script = "import numpy.no\nimport skad.no\nfrom skad.metrics import argos_score, no_score"
    assert missing_names(ast.parse(script)) == ["skad.no", "skad.metrics.no_score"]


def test_table_of_presets_is_read_from_the_code(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    rows = importlib.import_module("presets").preset_rows()
    settings = {call.partition("(")[0]: said for call, _, said in rows}
    assert set(settings) == set(papers.__all__) - {"coordinate_frames"}
    assert "background_density__n_transforms=15" in settings["anode"]
    assert "background_density__flow='maf'" in settings["anode"]
    assert "kl_weight=0.1" in settings["vae"]


def test_papers_are_named_and_exist():
    text = (ROOT / "docs" / "guide" / "papers.md").read_text()
    assert set(re.findall(r"papers\.(\w+)\(", text)) == set(papers.__all__)


def test_architecture_lists_the_rooms_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("| room | holds |")[2].partition("\n\n")[0]
    listed = [re.findall(r"`skad/(\w+)", row.partition(" | ")[0]) for row in table.splitlines()]
    built = {room_of(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}
    floors = [sorted(set(floor) & built) for floor in FLOORS]
    assert [sorted(rooms) for rooms in listed if rooms] == [rooms for rooms in floors if rooms]


def test_files_that_pages_name_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        if "_build" in page.parts:
            continue
        for name in re.findall(r"`([\w./]+\.(?:md|py|toml|txt|cff))`", page.read_text()):
            places = (ROOT, page.parent, ROOT / "benchmarks" / "results")
            assert any((place / name).exists() for place in places), f"{page.name}: {name}"


def test_links_lead_to_pages_that_exist():
    # Sphinx is told to be silent about them, because the README links to files of the repository.
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text()
        targets = re.findall(r"\]\(([^)#\s]+)", text)
        targets += [f"{name}.md" for name in re.findall(r"^:link: (\S+)$", text, re.MULTILINE)]
        for target in targets:
            written_by_sphinx = target.startswith(("gallery/", "api/"))
            if "://" not in target and not written_by_sphinx and "_build" not in page.parts:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_headings_of_choices_are_decisions():
    choices = (ROOT / "benchmarks" / "results" / "choices.md").read_text()
    records = (ROOT / "docs" / "decisions.md").read_text()
    headings = re.findall(r"^## (.*)$", choices, re.MULTILINE)
    assert len(headings) > 5
    assert set(headings) <= set(re.findall(r"^### (.*)$", records, re.MULTILINE))


def test_runner_notices_failures(capsys):
    page = "```python\n>>> x = 1\n>>> x + 1\n{}\n```\nText.\n```python\n>>> x\n1\n```\n"
    assert run_page(page.format(2), "page") == 0
    assert run_page(page.format(3), "page") == 1
    with pytest.raises(ZeroDivisionError):
        run_page("```python\n1 / 0\n```\n", "page")
