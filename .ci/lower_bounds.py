"""Print every lower bound of pyproject.toml as a pin, a constraints file for `make oldest`."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def lower_bounds(extras):
    """Pins of the dependencies and of the extras, in the order of the file."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    asked = [*project["dependencies"]]
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    pins = []
    for requirement in asked:
        name, bound, version = re.fullmatch(
            r"([\w.-]+)(?:\[[\w,]+\])?(>=)?(.*)", requirement
        ).groups()
        if bound:
            pins.append(f"{name}=={version}")
    return pins


if __name__ == "__main__":
    sys.stdout.write("\n".join(lower_bounds(sys.argv[1:])) + "\n")
