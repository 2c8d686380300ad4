"""The dcor package in a process of its own.

dcor compiles with numba when it is imported; where the compiler fails it aborts the whole process,
which must not be the one of the tests.
"""

import atexit
import pickle
import subprocess
import sys
from functools import cache

_SERVER = """
import pickle, sys
import dcor
while True:
    name, args, kwargs = pickle.load(sys.stdin.buffer)
    pickle.dump(float(getattr(dcor, name)(*args, **kwargs)), sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


@cache
def _server():
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    atexit.register(process.kill)
    return process


def _ask(name, args, kwargs):
    process = _server()
    pickle.dump((name, args, kwargs), process.stdin)
    process.stdin.flush()
    return pickle.load(process.stdout)


def distance_correlation(*args, **kwargs):
    """Return ``dcor.distance_correlation`` of the same arguments."""
    return _ask("distance_correlation", args, kwargs)


def distance_correlation_sqr(*args, **kwargs):
    """Return ``dcor.distance_correlation_sqr`` of the same arguments."""
    return _ask("distance_correlation_sqr", args, kwargs)
