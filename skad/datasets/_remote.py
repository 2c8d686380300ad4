"""Downloads that are resumed, checked and moved into place only when whole."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skad.exceptions import DataFileError, DownloadError
from skad.utils._replacing import locked

if TYPE_CHECKING:
    from skad.utils._types import FilePath

__all__ = ["RemoteFile", "fetch_file", "get_data_home"]

_ZENODO = "https://zenodo.org"
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30
# A server that keeps the line open with less than this is taken for dead.
_STALL_S = 60
_STALL_BYTES = 60_000
# Another process that downloads the same file is waited for.
_WAIT_S = 12 * 3600

_ELSEWHERE = "Choose another one with data_home= or the environment variable SKAD_DATA."

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a Zenodo record.

    Attributes
    ----------
    name : str
    record : int
        Number of the record.
    checksum : str or None
        Such as "md5:..." or "sha256:...". None where it is not known here; then the checksum that
        Zenodo publishes is used, if it can be had.
    max_bytes : int
        A bound on the size, so that a wrong or hostile server cannot fill the disk.
    """

    name: str
    record: int
    checksum: str | None = None
    max_bytes: int = 1 << 30


def get_data_home(data_home: FilePath | None = None) -> Path:
    """Return the folder of downloaded files and make it when missing.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. None means the environment variable SKAD_DATA or, without it or when it is
        empty, the folder "skad" in the user's cache.

    Returns
    -------
    data_home : pathlib.Path

    Raises
    ------
    OSError
        When the folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> from skad.datasets import get_data_home
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     get_data_home(folder).is_dir()
    True
    """
    if data_home is None:
        data_home = os.environ.get("SKAD_DATA") or None
    if data_home is None:
        import pooch

        data_home = pooch.os_cache("skad")
    if not isinstance(data_home, (str, os.PathLike)) or not os.fspath(data_home):
        raise TypeError(f"data_home must be the path of a folder; got {data_home!r:.100}.")
    data_home = Path(data_home).expanduser()
    try:
        data_home.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OSError(
            f"{data_home}: this folder of downloaded files cannot be made ({exc}). {_ELSEWHERE}"
        ) from exc
    return data_home


def fetch_file(remote, *, data_home, download_if_missing, n_retries, delay, check):
    """Return the path of a file, downloading it when it is missing.

    A download is kept as ``<name>.part`` until it is whole and passed its checks, and an
    interrupted one is resumed there. So a file under its own name can be trusted.

    Parameters
    ----------
    remote : RemoteFile
    data_home, download_if_missing, n_retries, delay : as in the public fetchers
    check : callable
        ``check(path)`` raises `DataFileError` when the content is not what it should be; used
        where no checksum is known.

    Raises
    ------
    OSError
        When the file is missing and `download_if_missing` is False.
    DownloadError
        When the download fails.
    """
    home = get_data_home(data_home)
    path = home / remote.name
    if path.exists():
        return path
    if not download_if_missing:
        raise OSError(f"{path} is missing and download_if_missing=False.")
    if not os.access(home, os.W_OK):
        raise OSError(f"{path} is missing, and {home} cannot be written. {_ELSEWHERE}")
    try:
        with locked(path, wait_s=_WAIT_S):
            # Another process may have brought it meanwhile.
            if not path.exists():
                _download(remote, path, n_retries, delay, check)
    except DataFileError as exc:
        raise DownloadError(f"{path}: another process is still downloading it ({exc}).") from exc
    return path


def _download(remote, path, n_retries, delay, check):
    mirror = os.environ.get("SKAD_DATA_MIRROR")
    if mirror:
        url = f"{mirror.rstrip('/')}/{remote.name}"
    else:
        url = f"{_ZENODO}/records/{remote.record}/files/{remote.name}?download=1"
    checksum = remote.checksum
    if checksum is None and not mirror:
        checksum = _published_checksum(remote)
    part = path.with_name(path.name + ".part")
    download = _ResumingDownload(part, n_retries=n_retries, delay=delay, max_bytes=remote.max_bytes)
    download(url)
    try:
        if checksum is None:
            check(part)
        else:
            _compare(part, checksum)
    except Exception as exc:
        download.discard()
        what = "is not a whole file of its kind" if checksum is None else "is not the expected one"
        raise DownloadError(
            f"{url}: the file that arrived {what} ({exc}). Try again; if that does not help, the "
            "file at the source has changed."
        ) from exc
    os.replace(part, path)
    download.discard()


def _compare(part, checksum):
    import pooch

    algorithm, _, expected = checksum.rpartition(":")
    found = pooch.file_hash(str(part), alg=algorithm or "sha256")
    if found.lower() != expected.lower():
        raise ValueError(f"its {algorithm} is {found}, not {expected}")


def _headers():
    import pooch

    from skad import __version__

    # Zenodo refuses requests without a proper user agent. Compressed transfer would make lengths
    # and ranges count other bytes than those of the file.
    return {
        "User-Agent": f"skad/{__version__} pooch/{pooch.__version__}",
        "Accept-Encoding": "identity",
    }


def _published_checksum(remote):
    """Return the checksum from the metadata of the record, or None when it cannot be had."""
    import requests

    url = f"{_ZENODO}/api/records/{remote.record}"
    try:
        response = requests.get(url, headers=_headers(), timeout=_TIMEOUT_S)
        response.raise_for_status()
        files = {file["key"]: file["checksum"] for file in response.json()["files"]}
        return files[remote.name]
    except (requests.RequestException, ValueError, LookupError, TypeError) as exc:
        logger.info("No checksum of %s from %s: %r", remote.name, url, exc)
        return None


class _ResumingDownload:
    """Fills the file `part`, going on with what an earlier attempt left."""

    def __init__(self, part, *, n_retries, delay, max_bytes):
        self._part = part
        self._notes_path = part.with_name(part.name + ".json")
        self._n_retries = n_retries
        self._delay = delay
        self._max_bytes = max_bytes

    def __call__(self, url):
        import requests

        for attempt in range(self._n_retries + 1):
            try:
                self._attempt(url)
                return
            except (requests.RequestException, _IncompleteError) as exc:
                if attempt == self._n_retries or _is_final(exc):
                    raise DownloadError(
                        f"{url}: the download failed after {attempt + 1} attempts ({exc}). "
                        "A later call goes on where it stopped. Without a network, copy the file "
                        f"to {self._part.with_suffix('')}."
                    ) from exc
                logger.warning("%s: %s; trying again in %g s", url, exc, self._delay)
                time.sleep(self._delay)

    def discard(self):
        """Remove the part and what is known about it."""
        self._part.unlink(missing_ok=True)
        self._notes_path.unlink(missing_ok=True)

    def _attempt(self, url):
        import requests

        headers = _headers()
        have = self._part.stat().st_size if self._part.exists() else 0
        notes = self._notes()
        # Without a validator the rest might come from another version of the file.
        if have and notes.get("validator"):
            headers |= {"Range": f"bytes={have}-", "If-Range": notes["validator"]}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.discard()
                raise _IncompleteError("the part kept from earlier is not a part of the file")
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            start = have if resumed else 0
            length = response.headers.get("Content-Length")
            size = None if length is None else start + int(length)
            if resumed:
                self._check_range(response.headers, have, notes)
                logger.info("%s: going on after %d bytes", url, have)
            if size is not None:
                self._refuse_above_bound(url, size)
            self._remember(response.headers, size)
            self._receive(url, response, start, resumed)
        arrived = self._part.stat().st_size
        if size is not None and arrived != size:
            raise _IncompleteError(f"{arrived} of {size} bytes arrived")

    def _receive(self, url, response, start, resumed):
        import urllib3

        # urllib3 would throw away the last, short chunk of a broken connection; the length is
        # checked afterwards.
        response.raw.enforce_content_length = False
        received, mark, since = start, start, time.monotonic()
        with open(self._part, "ab" if resumed else "wb") as file:
            while True:
                try:
                    # What is there, however little; a whole chunk of a slow server never comes.
                    chunk = response.raw.read1(_CHUNK_BYTES)
                except (urllib3.exceptions.HTTPError, OSError) as exc:
                    raise _IncompleteError(f"the connection broke ({exc})") from exc
                if not chunk:
                    return
                file.write(chunk)
                received += len(chunk)
                self._refuse_above_bound(url, received)
                if time.monotonic() - since > _STALL_S:
                    if received - mark < _STALL_BYTES:
                        raise _IncompleteError(
                            f"the server sent {received - mark} bytes in {_STALL_S} s"
                        )
                    mark, since = received, time.monotonic()

    def _check_range(self, headers, have, notes):
        """Compare what the server says that it sends with what was asked for."""
        content_range = headers.get("Content-Range", "")
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", content_range.strip())
        total = None if found is None or found[3] == "*" else int(found[3])
        known = notes.get("size")
        if found is None or int(found[1]) != have or (known and total and known != total):
            self.discard()
            raise _IncompleteError(
                f"the server sent the range {content_range!r}, not what follows {have} bytes of "
                f"{known or 'the file'}"
            )

    def _refuse_above_bound(self, url, size):
        if size > self._max_bytes:
            self.discard()
            raise DownloadError(
                f"{url}: the server sends {size} bytes or more, but the file has no more than "
                f"{self._max_bytes}. It is not the expected one."
            )

    def _notes(self):
        try:
            notes = json.loads(self._notes_path.read_text())
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def _remember(self, headers, size):
        etag = headers.get("ETag")
        # A weak tag does not promise equal bytes.
        strong = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        self._notes_path.write_text(json.dumps({"validator": strong, "size": size}))


class _IncompleteError(Exception):
    """The connection ended before the file did."""


def _is_final(exc):
    """Whether trying again cannot help: the server knows the request and refuses it."""
    response = getattr(exc, "response", None)
    return (
        response is not None
        and 400 <= response.status_code < 500
        and (response.status_code not in (408, 429))
    )
