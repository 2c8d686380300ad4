"""Files that appear whole or not at all, and are written by one process at a time."""

import os
import secrets
import signal
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from skad.exceptions import DataFileError

try:
    import fcntl
except ImportError:  # Windows, where two writers are not told apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["locked", "replacing"]

_POLL_S = 0.2


@contextmanager
def replacing(path, *, lock=True, wait_s=0.0):
    """Yield a temporary path beside `path` that replaces it when the block succeeds.

    Readers see the old file or the whole new one. After an error, an interruption or SIGTERM
    nothing is left behind; what a killed process left, the next writer of `path` removes.

    Parameters
    ----------
    path : str or path-like
        The file to be written. Of a symbolic link, the file that it points to.
    lock : bool, default=True
        Refuse when another writer of `path` is at work. False where the caller holds `locked`.
    wait_s : float, default=0
        Seconds to wait for another writer.

    Raises
    ------
    DataFileError
        When another writer is at work, after `wait_s`.
    """
    path = Path(os.path.realpath(path))
    # Who holds the lock needs no name of its own, and finds what a killed holder left.
    own = "" if lock and fcntl is not None else f".{secrets.token_hex(4)}"
    # The suffix stays last, because some libraries choose the format by it.
    temporary = path.with_name(f".{path.stem}{own}.tmp{path.suffix}")
    with locked(path, wait_s=wait_s) if lock else nullcontext(), _sigterm_raises():
        temporary.unlink(missing_ok=True)
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def locked(path, *, wait_s=0.0):
    """Hold the only right to write `path`, through the file ``.<name>.lock`` beside it.

    The system gives the right back when a process dies, so that no lock outlives its holder.

    Parameters
    ----------
    path : str or path-like
    wait_s : float, default=0
        Seconds to wait for another holder.

    Raises
    ------
    DataFileError
        When another process or thread has it, after `wait_s`.
    """
    path = Path(os.path.realpath(path))
    if fcntl is None:
        yield
        return
    name = path.with_name(f".{path.name}.lock")
    deadline = time.monotonic() + wait_s
    while (file := _acquire(name)) is None:
        if time.monotonic() >= deadline:
            raise DataFileError(
                f"{path}: another process or thread is writing it (it holds {name}). Wait until "
                "it has finished, or choose another path."
            )
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        # Gone before it is given back, so that nobody takes a lock without a name.
        name.unlink(missing_ok=True)
        os.close(file)


def _acquire(name):
    """Return the open, locked file, or None when another one holds it."""
    file = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder may have removed the file between our opening and locking it.
        if os.fstat(file).st_ino == os.stat(name).st_ino:
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None


def _sync_folder(folder):
    """Make the new name survive a power cut, where the system can."""
    with suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


@contextmanager
def _sigterm_raises():
    """Let SIGTERM end the block by an exception, so that it cleans up, as Ctrl-C does."""
    default = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
