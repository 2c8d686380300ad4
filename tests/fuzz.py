"""A matrix of inputs for every public estimator, function and display, and what counts as right.

A call either does what it does with ordinary events, or raises an error that somebody wrote: one
of the `raise` statements of skad or of scikit-learn's validation. What a library says of its own
accord, a NaN out of finite numbers, and a number made of NaN are findings.
"""

import atexit
import linecache
import shutil
import signal
import tempfile
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import LabelEncoder

__all__ = [
    "ARRAYS",
    "FOLDER",
    "OBJECTS",
    "SCALARS",
    "WRITTEN",
    "Finding",
    "Judge",
    "numbers_of",
    "paths",
]

# A call that takes longer hangs.
SECONDS = 20

# What no parameter for events, scores or masses may accept.
MUST_REFUSE = ("nan", "inf", "-inf", "text", "objects", "complex", "none at all", "sparse", "dict")
# Other spellings of the same numbers.
SAME = ("list", "float32", "fortran", "frame", "read only", "memory view", "strided")


@dataclass(frozen=True)
class Finding:
    """A call that is neither right nor refused by name."""

    what: str
    case: str
    why: str

    def __str__(self):
        return f"{self.what} [{self.case}]: {self.why}"


def _put(a, value):
    a = np.array(a, dtype=float)
    a.reshape(-1)[len(a.reshape(-1)) // 3] = value
    return a


def _frame(a):
    return pd.Series(a) if a.ndim == 1 else pd.DataFrame(a)


def _read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def _strided(a):
    return np.repeat(a, 2, axis=0)[::2]


def _objects(a):
    a = a.astype(object)
    a.reshape(-1)[0] = {}
    return a


# Mutations of an array of numbers; the names say what is special.
ARRAYS = {
    "nan": lambda a: _put(a, np.nan),
    "inf": lambda a: _put(a, np.inf),
    "-inf": lambda a: _put(a, -np.inf),
    "huge": lambda a: _put(a, 1e308),
    "-huge": lambda a: _put(a, -1e308),
    "all huge": lambda a: a * 1e300,
    "tiny": lambda a: a * 1e-300,
    "constant": lambda a: np.full_like(a, a.reshape(-1)[0]),
    "zeros": lambda a: np.zeros_like(a),
    "ties": lambda a: np.round(a, 1),
    "duplicates": lambda a: np.resize(a[: max(1, len(a) // 10)], a.shape),
    "negative": lambda a: -a,
    "far": lambda a: a + 1e9,
    "one": lambda a: a[:1],
    "empty": lambda a: a[:0],
    "shorter": lambda a: a[:-1],
    "another axis": lambda a: a[..., None],
    "a number": lambda a: 1.5,
    "text": lambda a: np.full(a.shape, "abc"),
    "objects": _objects,
    "complex": lambda a: a + 1j,
    "none at all": lambda a: None,
    "sparse": lambda a: sparse.csr_matrix(np.atleast_2d(a)),
    "dict": lambda a: {"a": 1},
    "list": lambda a: a.tolist(),
    "float32": lambda a: a.astype(np.float32),
    "fortran": lambda a: np.asfortranarray(a),
    "frame": _frame,
    "read only": _read_only,
    "strided": _strided,
    "memory view": lambda a: memoryview(np.ascontiguousarray(a)),
}

# In the place of numbers and names of options.
SCALARS = {
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "negative": -1,
    "zero": 0,
    "a half": 0.5,
    "not whole": 2.9,
    "huge": 1e30,
    "text": "abc",
    "array": np.array([1.0, 2.0]),
    "dict": {},
}

# In the place of estimators, results and other objects.
OBJECTS = {
    "None": None,
    "text": "abc",
    "number": 3.7,
    "array": np.ones((3, 2)),
    "a class": dict,
    "object": object(),
    "a table": pd.DataFrame({"a": [1.0, 2.0]}),
    "an empty table": pd.DataFrame(),
    "nothing": [],
    "names": {"a": "abc"},
    "not fitted": KernelDensity(),
    "of another kind": LabelEncoder().fit([0, 1]),
}


# Files of ordinary calls, and what stands in their place.
FOLDER = Path(tempfile.mkdtemp(prefix="skad-fuzz-"))
WRITTEN = FOLDER / "written"
WRITTEN.mkdir()
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
_NO_PATHS = {"None": None, "number": 3.7, "bytes": b"events", "dict": {}, "object": object()}


def paths(path):
    """Return what may stand in the place of a path to read, or to write if it is in `WRITTEN`."""
    folder = FOLDER / f"a folder{path.suffix}"
    folder.mkdir(exist_ok=True)
    found = {
        **_NO_PATHS,
        "a folder": folder,
        "in a folder that is missing": FOLDER / "missing" / path.name,
        "too long": FOLDER / ("a" * 300 + path.suffix),
        "no text": "",
    }
    if path.parent.name == WRITTEN.name:
        return found
    whole = path.read_bytes() if path.is_file() else b""
    contents = {
        "an empty file": b"",
        "half a file": whole[: len(whole) // 2],
        "another kind": b"what people write",
        "zeros": bytes(1000),
        "no encoding": b"\xff\xfe\xfa" * 100,
        "JSON": b'{"schema": [1]}',
    }
    for case, content in contents.items():
        found[case] = FOLDER / f"{case}{path.suffix}"
        found[case].write_bytes(content)
    return found | {"a missing file": FOLDER / f"missing{path.suffix}"}


def numbers_of(result):
    """All numbers that a result holds, in order."""
    if isinstance(result, pd.DataFrame):
        return numbers_of([result[c] for c in result.select_dtypes("number")])
    if isinstance(result, pd.Series):
        return result.to_numpy(dtype=float, na_value=np.nan) if result.dtype.kind in "fiub" else []
    if isinstance(result, torch.Tensor):
        result = result.detach().numpy()
    if isinstance(result, np.ndarray):
        return result.astype(float).ravel() if result.dtype.kind in "fiub" else np.empty(0)
    if isinstance(result, (bool, int, float, np.number)):
        return np.array([float(result)])
    if isinstance(result, dict):
        return numbers_of(list(result.values()))
    if isinstance(result, (list, tuple)):
        parts = [np.ravel(numbers_of(part)) for part in result]
        return np.concatenate(parts) if parts else np.empty(0)
    if hasattr(result, "__dataclass_fields__"):
        return numbers_of([getattr(result, name) for name in result.__dataclass_fields__])
    return np.empty(0)


class Refused(Exception):
    """A command ended with an exit code and a message that say what is wrong."""


class Hang(Exception):
    """A call took longer than its seconds."""


@contextmanager
def at_most(seconds):
    """Raise `Hang` in the block after so many seconds, where the system has the clock for it."""

    def ring(number, frame):
        raise Hang(f"no end after {seconds} s")

    # Seconds of the processor, whatever else it does; a call that waits for ever is not found.
    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _is_written(exc):
    """Whether a `raise` of skad or scikit-learn's made the error."""
    if isinstance(exc, OSError) and exc.filename is not None:
        # The system names the file.
        return True
    frames = traceback.extract_tb(exc.__traceback__)
    frame = frames[-1]
    theirs = [f.filename for f in frames[-6:]]
    if any(name.endswith("sklearn/utils/validation.py") for name in theirs):
        # Its own words about what is no number are those of NumPy or pandas.
        return True
    ours = "/skad/" in frame.filename or "/sklearn/" in frame.filename
    line = linecache.getline(frame.filename, frame.lineno).strip()
    return ours and line.startswith("raise") and len(str(exc)) > 15


@dataclass
class Judge:
    """Counts of what calls did, and the findings."""

    right: int = 0
    refused: int = 0
    findings: list = field(default_factory=list)

    def __call__(self, what, case, call, *, must_refuse=False, same_as=None, finite=True):
        """Make a call and say what is wrong with it."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"), at_most(SECONDS):
                warnings.simplefilter("ignore")
                found = numbers_of(call())
        except Exception as exc:
            if isinstance(exc, Refused) or _is_written(exc):
                self.refused += 1
            else:
                at = traceback.extract_tb(exc.__traceback__)
                ours = [f for f in at if "/skad/" in f.filename] or at
                where = f"{ours[-1].filename.rpartition('/skad/')[2]}:{ours[-1].lineno}"
                self._add(what, case, f"{type(exc).__name__} at {where}: {str(exc)[:110]}")
            return
        if must_refuse:
            return self._add(what, case, f"accepted: {np.ravel(found)[:4]}")
        if finite and np.isnan(found).any():
            return self._add(what, case, f"{np.isnan(found).sum()} of {found.size} numbers are NaN")
        if same_as is not None and not (
            len(found) == len(same_as)
            and np.allclose(found, same_as, rtol=1e-3, atol=1e-5, equal_nan=True)
        ):
            return self._add(what, case, f"{found[:4]} in place of {same_as[:4]}")
        self.right += 1

    def _add(self, *finding):
        self.findings.append(Finding(*finding))
