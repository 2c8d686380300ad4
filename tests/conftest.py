"""What every test shares: one thread per process, reproducible hypothesis, the shared events."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

# Before NumPy or torch load: several test processes with all cores each would fight over them.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# numba's cache on disk breaks when two test processes compile the same package at once.
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="numba-")
atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)
# Without it, one of scikit-learn's checks skips itself.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# Timings vary on shared machines; the same examples every time keep a red test red.
hypothesis.settings.register_profile("skad", deadline=None, derandomize=True)
hypothesis.settings.load_profile("skad")


class _Seeded:
    """What is given no seed draws from NumPy's global state: the same in every order of tests."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self):
        import numpy as np

        np.random.seed(0)


def pytest_configure(config):
    # Of a plugin, as the hooks of this file do not reach the examples in docstrings.
    config.pluginmanager.register(_Seeded())


# The small fast detectors of the benchmarks serve the tests too. At the end of the path:
# benchmarks/io.py and others must not hide modules of the same name.
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

# Programs of users, which a type checker reads and nothing runs.
collect_ignore = ["typed"]

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the large event samples beside the checkout; the test skips where absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the event samples of ../shared/data are not on this machine")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _on_the_cpu(request, monkeypatch):
    """Hide a GPU from all tests but those of test_gpu.py: sums are rounded differently there."""
    if request.path.name != "test_gpu.py":
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.fixture(autouse=True)
def _close_figures():
    """Close the figures of a test, if it drew any, so that they do not pile up."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
