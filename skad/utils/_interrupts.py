"""Whether a fit that is interrupted from the keyboard may keep what it has learned.

One that is all there is may. One that is a part of something larger may not: it would be compared
with, or counted among, fits that are finished.
"""

import sys
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["among_others", "is_among_others"]

_AMONG_OTHERS = ContextVar("_AMONG_OTHERS", default=False)
# Of scikit-learn and joblib only these call the fit of a single estimator.
_SINGLE = ("sklearn.base", "sklearn.pipeline", "sklearn.utils._")


@contextmanager
def among_others():
    """Let interrupted fits inside the block stop what is around them."""
    token = _AMONG_OTHERS.set(True)
    try:
        yield
    finally:
        _AMONG_OTHERS.reset(token)


def is_among_others():
    """Return whether a part of skad, scikit-learn or joblib fits several estimators just now."""
    if _AMONG_OTHERS.get():
        return True
    frame = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        if module.startswith(("sklearn.", "joblib.")) and not module.startswith(_SINGLE):
            return True
        frame = frame.f_back
    return False
