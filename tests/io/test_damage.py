"""Damaged files: the right values or a DataFileError, in every format."""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from skad.io import read_events

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "io_faults.py"
COPIES = 12


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("io_faults", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def paths(benchmark, tmp_path_factory):
    return benchmark.make_files(tmp_path_factory.mktemp("files"))


def test_damaged_copies(benchmark, paths):
    """A sample of `benchmarks/io_faults.py`."""
    assert {path.name for path in paths} > benchmark.CHECKED
    for i, path in enumerate(paths):
        rng = np.random.default_rng([7, i])
        content = path.read_bytes()
        expected = {name: values.to_numpy() for name, values in read_events(path).items()}
        copies = [content, *(benchmark.damage(content, rng) for _ in range(COPIES))]
        results = benchmark.outcomes_of(path, expected, copies)
        assert results[0] == ("right", ""), path.name
        counts = Counter(name for name, _ in results)
        allowed = {"right", "DataFileError"}
        if path.name not in benchmark.CHECKED:
            allowed.add("other values")
        assert set(counts) <= allowed, (path.name, results)
        assert counts["DataFileError"] > 1, path.name
