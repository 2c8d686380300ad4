"""The wheel holds the package, the sdist all the rest too; the README runs from the wheel."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from test_documentation import python_blocks

import skad

ROOT = Path(__file__).resolve().parents[1]
# Written by tools, and not part of the project.
WRITTEN = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "_build", "api", "gallery", "logs", "build", "dist"
)
BUILD = "from setuptools import build_meta; build_meta.build_{}('.')"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the project with its wheel and its sdist, as paths of both."""
    copy = tmp_path_factory.mktemp("package") / "skad"
    shutil.copytree(ROOT, copy, ignore=WRITTEN)
    shutil.copytree(ROOT / ".ci", copy / ".ci")
    for kind in ("sdist", "wheel"):
        subprocess.run(
            [sys.executable, "-c", BUILD.format(kind)], cwd=copy, check=True, capture_output=True
        )
    return next(copy.glob("*.whl")), next(copy.glob("*.tar.gz"))


def files_of(folder):
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and not {"__pycache__", "_build", "api", "gallery", "logs"} & {*path.parts}
    }


def test_one_version_everywhere():
    def found(path, pattern):
        return re.search(pattern, (ROOT / path).read_text(), re.MULTILINE).group(1)

    assert found("pyproject.toml", r'^version = "(.*)"$') == skad.__version__
    assert found("CITATION.cff", r"^version: (.*)$") == skad.__version__
    assert found("docs/_static/versions.json", r'"version": "(.*?)"') == skad.__version__
    if "dev" not in skad.__version__:
        assert found("CHANGELOG.md", r"^## (\d\S*) - \d{4}-\d\d-\d\d$") == skad.__version__


@pytest.mark.xdist_group("package")
def test_wheel_holds_the_package_alone(built):
    inside = set(zipfile.ZipFile(built[0]).namelist())
    assert files_of("skad") <= inside
    assert all(name.startswith(("skad/", "skad-")) for name in inside)


@pytest.mark.xdist_group("package")
def test_sdist_holds_what_belongs_to_it(built):
    with tarfile.open(built[1]) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = files_of("skad") | files_of("tests") | files_of("docs") | files_of("benchmarks")
    wanted |= {"CHANGELOG.md", "CITATION.cff", "LICENSE", "Makefile", "README.md", ".ci/run"}
    wanted |= {"CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "constraints.txt"}
    assert not wanted - inside - {"docs/sg_execution_times.rst"}


@pytest.mark.xdist_group("package")
def test_readme_runs_from_the_wheel(built, tmp_path):
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(site), str(built[0])], check=True)
    example = "".join(
        source
        for _, source in python_blocks((ROOT / "README.md").read_text())
        if ">>> " not in source
    )
    example += f"\nimport skad\nassert skad.__file__.startswith({str(site)!r})\n"
    environment = os.environ | {"PYTHONPATH": str(site)}
    run = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    command = [sys.executable, "-m", "skad.cli", "--version"]
    shown = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "skad" in shown.stdout
