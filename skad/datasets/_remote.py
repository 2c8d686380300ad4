"""Downloads that are resumed, checked and moved into place only when whole."""

import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from skad.exceptions import DownloadError

__all__ = ["RemoteFile", "fetch_file", "get_data_home"]

_ZENODO = "https://zenodo.org"
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30

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
    """

    name: str
    record: int
    checksum: str | None = None


def get_data_home(data_home=None):
    """Return the folder of downloaded files and make it when missing.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. None means the environment variable SKAD_DATA or, without it, the folder
        "skad" in the user's cache.

    Returns
    -------
    data_home : pathlib.Path

    Examples
    --------
    >>> import tempfile
    >>> from skad.datasets import get_data_home
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     get_data_home(folder).is_dir()
    True
    """
    if data_home is None:
        data_home = os.environ.get("SKAD_DATA")
    if data_home is None:
        import pooch

        data_home = pooch.os_cache("skad")
    data_home = Path(data_home).expanduser()
    data_home.mkdir(parents=True, exist_ok=True)
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
    import pooch

    mirror = os.environ.get("SKAD_DATA_MIRROR")
    if mirror:
        url = f"{mirror.rstrip('/')}/{remote.name}"
    else:
        url = f"{_ZENODO}/records/{remote.record}/files/{remote.name}?download=1"
    checksum = remote.checksum
    if checksum is None and not mirror:
        checksum = _published_checksum(remote)
    download = _ResumingDownload(
        path.with_name(path.name + ".part"),
        n_retries=n_retries,
        delay=delay,
        check=check if checksum is None else None,
    )
    try:
        pooch.retrieve(url, known_hash=checksum, fname=path.name, path=home, downloader=download)
    except ValueError as exc:
        # pooch has thrown the file away.
        raise DownloadError(
            f"{url}: the file that arrived is not the expected one ({exc}). Try again; if that "
            "does not help, the file at the source has changed."
        ) from exc
    return path


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
    """A downloader for pooch that goes on with what an earlier attempt left."""

    def __init__(self, part, *, n_retries, delay, check):
        self._part = part
        self._validator_path = part.with_name(part.name + ".json")
        self._n_retries = n_retries
        self._delay = delay
        self._check = check

    def __call__(self, url, output_file, pooch_instance):
        import requests

        for attempt in range(self._n_retries + 1):
            try:
                self._attempt(url)
                break
            except (requests.RequestException, _IncompleteError) as exc:
                if attempt == self._n_retries or _is_final(exc):
                    raise DownloadError(
                        f"{url}: the download failed after {attempt + 1} attempts ({exc}). "
                        "A later call goes on where it stopped. Without a network, copy the file "
                        f"to {self._part.with_suffix('')}."
                    ) from exc
                logger.warning("%s: %s; trying again in %g s", url, exc, self._delay)
                time.sleep(self._delay)
        if self._check is not None:
            self._checked(url)
        os.replace(self._part, output_file)
        self._validator_path.unlink(missing_ok=True)

    def _attempt(self, url):
        import requests

        headers = _headers()
        have = self._part.stat().st_size if self._part.exists() else 0
        validator = self._validator()
        # Without a validator the rest might come from another version of the file.
        if have and validator:
            headers |= {"Range": f"bytes={have}-", "If-Range": validator}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self._discard()
                raise _IncompleteError("the part kept from earlier is not a part of the file")
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            start = have if resumed else 0
            if resumed:
                logger.info("%s: going on after %d bytes", url, have)
            length = response.headers.get("Content-Length")
            self._remember(response.headers)
            # urllib3 would throw away the last, short chunk of a broken connection; the length is
            # checked below.
            response.raw.enforce_content_length = False
            with open(self._part, "ab" if resumed else "wb") as file:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
        size = self._part.stat().st_size
        if length is not None and size != start + int(length):
            raise _IncompleteError(f"{size} of {start + int(length)} bytes arrived")

    def _validator(self):
        try:
            return json.loads(self._validator_path.read_text())["validator"]
        except (OSError, ValueError, KeyError):
            return None

    def _remember(self, headers):
        etag = headers.get("ETag")
        # A weak tag does not promise equal bytes.
        strong = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        self._validator_path.write_text(json.dumps({"validator": strong}))

    def _checked(self, url):
        try:
            self._check(self._part)
        except Exception as exc:
            self._discard()
            raise DownloadError(
                f"{url}: the file that arrived is not a whole file of its kind ({exc})."
            ) from exc

    def _discard(self):
        self._part.unlink(missing_ok=True)
        self._validator_path.unlink(missing_ok=True)


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
