"""Fetchers against a local server: real formats, broken downloads, resumption, checksums."""

import dataclasses
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h5py
import numpy as np
import pandas as pd
import pytest

from skad.datasets import _fetch_jets as jets_module
from skad.datasets import _lhco as lhco_module
from skad.datasets import _remote as remote_module
from skad.datasets import (
    clear_data_home,
    fetch_jets,
    fetch_lhco_black_box,
    fetch_lhco_extra_background,
    fetch_lhco_herwig,
    fetch_lhco_rd,
    get_data_home,
)
from skad.datasets._dijets import LHCO_FEATURES
from skad.exceptions import DataFileError, DownloadError, MissingColumnError

RD = "events_anomalydetection_v2.features.h5"
EXTRA = "events_anomalydetection_qcd_extra_inneronly_features.h5"


class Server:
    """Serves `files`; `plan` holds what to do wrong, one entry for each request."""

    def __init__(self):
        self.files, self.plan, self.requests = {}, [], []
        self.ranges, self.etag, self.api = True, '"one"', {}
        self.content_range, self.lengths = None, True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, request):
        path = request.path.partition("?")[0]
        self.requests.append((path, dict(request.headers)))
        if path in self.api:
            return self.send(request, 200, json.dumps(self.api[path]).encode())
        name = path.rpartition("/")[2]
        if name not in self.files:
            return self.send(request, 404, b"no such file")
        action = self.plan.pop(0) if self.plan else None
        if isinstance(action, int) and action >= 400:
            return self.send(request, action, b"refused")
        content, status, headers = self.files[name], 200, {}
        asked = request.headers.get("Range")
        if asked and self.ranges and request.headers.get("If-Range") == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send(request, 416, b"")
            headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            if self.content_range is not None:
                headers["Content-Range"], self.content_range = self.content_range, None
            content, status = content[start:], 206
        headers["ETag"] = self.etag
        if isinstance(action, float):  # die after this fraction
            return self.send(request, status, content, headers, int(action * len(content)))
        if action == "silent":
            time.sleep(0.5)
        if action == "slow":
            time.sleep(0.3)
        if action == "trickle":
            return self.send(request, status, content, headers, trickle=True)
        if action == "short":  # claim to be whole
            content = content[: len(content) // 2]
        return self.send(request, status, content, headers)

    def send(self, request, status, content, headers=None, n_bytes=None, trickle=False):
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        if self.lengths:
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        try:
            for start in range(10 if trickle else 0):
                request.wfile.write(content[start : start + 1])
                time.sleep(0.03)
            request.wfile.write(content[10 if trickle else 0 : n_bytes])
            request.wfile.flush()
        except OSError:
            pass  # the client has given up
        request.close_connection = True

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch):
    server = Server()
    monkeypatch.setenv("SKAD_DATA_MIRROR", server.url + "/copies")
    yield server
    server.close()


@pytest.fixture
def options(tmp_path):
    return {"data_home": tmp_path / "home", "n_retries": 2, "delay": 0.0}


def lhco_frame(n, *, label, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 14)), columns=LHCO_FEATURES)
    if label:
        frame["label"] = (np.arange(n) >= 0.9 * n).astype(float)
    return frame


def hdf_bytes(frame, path, **kwargs):
    frame.to_hdf(path, key="df", mode="w", **kwargs)
    return path.read_bytes()


def serve(server, tmp_path, monkeypatch, key, frame, *, known=True):
    """Serve a small file under the real name, with its checksum where skad knows one."""
    remote = lhco_module.LHCO_FILES[key]
    content = hdf_bytes(frame, tmp_path / "made.h5")
    server.files[remote.name] = content
    checksum = f"md5:{hashlib.md5(content).hexdigest()}" if remote.checksum and known else None
    monkeypatch.setitem(lhco_module.LHCO_FILES, key, dataclasses.replace(remote, checksum=checksum))
    return content


@pytest.fixture
def rd(server, tmp_path, monkeypatch):
    frame = lhco_frame(500, label=True)
    frame.loc[7, "tau1j1"] = np.nan
    content = serve(server, tmp_path, monkeypatch, "rd", frame)
    return frame, content


@pytest.fixture
def extra(server, tmp_path, monkeypatch):
    """A file without a known checksum."""
    frame = lhco_frame(400, label=False)
    return frame, serve(server, tmp_path, monkeypatch, "extra_background", frame)


def leftovers(options):
    return sorted(path.name for path in options["data_home"].iterdir())


def test_rd(server, rd, options):
    frame, content = rd
    bunch = fetch_lhco_rd(**options)
    np.testing.assert_array_equal(bunch.data, frame[LHCO_FEATURES].to_numpy())
    assert bunch.target.tolist() == frame.label.tolist()
    assert bunch.feature_names == LHCO_FEATURES
    assert "6466204" in bunch.DESCR
    assert (options["data_home"] / RD).read_bytes() == content
    assert leftovers(options) == [RD]
    path, headers = server.requests[0]
    assert path == f"/copies/{RD}"
    assert headers["User-Agent"].startswith("skad/")
    # A second call needs no server.
    server.files.clear()
    X, y = fetch_lhco_rd(return_X_y=True, download_if_missing=False, **options)
    np.testing.assert_array_equal(X, bunch.data)
    table = fetch_lhco_rd(as_frame=True, **options).frame
    pd.testing.assert_frame_equal(table, frame.astype({"label": y.dtype}))
    assert len(server.requests) == 1


def test_three_prong(server, rd, tmp_path, monkeypatch, options):
    frame, _ = rd
    signal = lhco_frame(60, label=False, seed=1)
    serve(server, tmp_path, monkeypatch, "three_prong", signal)
    X, y = fetch_lhco_rd(signal="three_prong", return_X_y=True, **options)
    np.testing.assert_array_equal(X[y == 1], signal.to_numpy())
    np.testing.assert_array_equal(X[y == 0], frame[frame.label == 0][LHCO_FEATURES].to_numpy())


def test_extra_and_herwig(server, extra, tmp_path, monkeypatch, options):
    frame, _ = extra
    X, y = fetch_lhco_extra_background(return_X_y=True, **options)
    np.testing.assert_array_equal(X, frame.to_numpy())
    assert not y.any()
    herwig = lhco_frame(50, label=False, seed=2)
    serve(server, tmp_path, monkeypatch, "herwig", herwig)
    np.testing.assert_array_equal(fetch_lhco_herwig(**options).data, herwig.to_numpy())


@pytest.mark.parametrize("box", [1, 2, 3, "background"])
def test_black_box(server, tmp_path, options, box):
    rng = np.random.default_rng(0)
    particles = pd.DataFrame(rng.random((30, 2100)).astype(np.float32))
    name = lhco_module.LHCO_FILES[f"box_{box}"].name
    server.files[name] = hdf_bytes(particles, tmp_path / "made.h5", complib="zlib", complevel=5)
    labels = np.arange(30) % 3
    if box in (1, 3):
        key = lhco_module.LHCO_FILES[f"key_{box}"].name
        server.files[key] = "\n".join(f"{label}.0" for label in labels).encode()
    bunch = fetch_lhco_black_box(box, **options)
    assert bunch.data.dtype == np.float32
    np.testing.assert_array_equal(bunch.data, particles.to_numpy())
    assert bunch.feature_names[:4] == ["pt0", "eta0", "phi0", "pt1"]
    assert bunch.target.tolist() == (labels.tolist() if box in (1, 3) else [0] * 30)
    first = fetch_lhco_black_box(box, n_events=7, **options)
    np.testing.assert_array_equal(first.data, bunch.data[:7])
    assert len(first.target) == 7


def test_wrong_master_key(server, tmp_path, options):
    server.files[lhco_module.LHCO_FILES["box_1"].name] = hdf_bytes(
        pd.DataFrame(np.zeros((3, 2100))), tmp_path / "made.h5"
    )
    key = lhco_module.LHCO_FILES["key_1"].name
    server.files[key] = b"<html>busy</html>"
    with pytest.raises(DownloadError, match="not a list of labels"):
        fetch_lhco_black_box(1, **options)
    server.files[key] = b"0\n1\n"
    with pytest.raises(DataFileError, match="has 2 labels for the 3"):
        fetch_lhco_black_box(1, **options)


# --- Jets -----------------------------------------------------------------------------------


def jet_file(path, *, ragged=True, n_jets=2):
    """Constituents as lists of varying length (or padded), five numbers each, not in pT order."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 30, size=(40, n_jets))
    values = [[rng.normal(size=(n, 5)) for n in row] for row in counts]
    with h5py.File(path, "w") as file:
        if ragged:
            data = file.create_dataset(
                "objects/jets/constituents", (40, n_jets), dtype=h5py.vlen_dtype(np.float64)
            )
            for i, row in enumerate(values):
                for j, jet in enumerate(row):
                    data[i, j] = jet.ravel()
        else:
            padded = np.zeros((40, n_jets, 150))
            for i, row in enumerate(values):
                for j, jet in enumerate(row):
                    padded[i, j, : jet.size] = jet.ravel()
            file["objects/jets/constituents"] = padded
        file["objects/jets/obs"] = rng.normal(size=(40, n_jets, 9))
        observables = file["objects/jets/obs"][:]
    return values, observables


@pytest.mark.parametrize("ragged", [True, False])
@pytest.mark.parametrize("n_constituents", [3, 20, 50])
def test_jets(server, tmp_path, options, ragged, n_constituents):
    values, observables = jet_file(tmp_path / "made.h5", ragged=ragged)
    server.files["top_100k_01.h5"] = (tmp_path / "made.h5").read_bytes()
    for jet in (0, 1):
        bunch = fetch_jets("top_174", n_constituents=n_constituents, jet=jet, **options)
        expected = np.zeros((40, n_constituents, 4))
        for i, row in enumerate(values):
            by_pt = sorted(row[jet][:, :4].tolist(), key=lambda p: -np.hypot(p[1], p[2]))
            kept = np.array(by_pt[:n_constituents])
            expected[i, : len(kept)] = kept
        np.testing.assert_array_equal(bunch.data, expected.reshape(40, -1).astype(np.float32))
        np.testing.assert_array_equal(bunch.observables, observables[:, jet])
    assert bunch.feature_names[:5] == ["e00", "px00", "py00", "pz00", "e01"]
    assert bunch.target.all()
    assert fetch_jets("top_174", n_events=5, **options).data.shape == (5, 80)
    with pytest.raises(ValueError, match="jet=2"):
        fetch_jets("top_174", jet=2, **options)


def test_jets_of_another_layout(server, tmp_path, options):
    path = tmp_path / "made.h5"
    with h5py.File(path, "w") as file:
        file["objects/jets/constituents"] = np.zeros((4, 1, 12))
        file["objects/jets/obs"] = np.zeros((4, 1, 9))
    server.files["qcd_dijet.h5"] = path.read_bytes()
    with pytest.raises(DownloadError, match="12 numbers, not a multiple of 5"):
        fetch_jets(**options)
    with h5py.File(path, "w") as file:
        file["objects/jets/constituents"] = np.zeros((4, 1, 10))
    server.files["qcd_dijet.h5"] = path.read_bytes()
    with pytest.raises(DownloadError, match="no dataset 'objects/jets/obs'"):
        fetch_jets(**options)
    assert leftovers(options) == []


# --- Broken downloads -----------------------------------------------------------------------


@pytest.mark.parametrize("fixture", ["rd", "extra"])
def test_server_dies_in_the_middle_and_the_rest_is_fetched(server, fixture, options, request):
    frame, content = request.getfixturevalue(fixture)
    fetch = fetch_lhco_rd if fixture == "rd" else fetch_lhco_extra_background
    server.plan = [0.4, 0.5]
    bunch = fetch(**options)
    np.testing.assert_array_equal(bunch.data, frame[LHCO_FEATURES].to_numpy())
    first = int(0.4 * len(content))
    second = first + int(0.5 * (len(content) - first))
    asked = [headers.get("Range") for _, headers in server.requests]
    assert asked == [None, f"bytes={first}-", f"bytes={second}-"]
    assert len(leftovers(options)) == 1


def test_a_later_call_goes_on(server, rd, options):
    _, content = rd
    server.plan = [0.1, 0.1, 0.1]
    with pytest.raises(DownloadError, match=r"failed after 3 attempts.*A later call goes on"):
        fetch_lhco_rd(**options)
    assert leftovers(options) == [f"{RD}.part", f"{RD}.part.json"]
    server.requests.clear()
    assert len(fetch_lhco_rd(**options).data) == 500
    asked = server.requests[0][1]["Range"]
    assert int(asked.removeprefix("bytes=").removesuffix("-")) > 0.25 * len(content)
    assert leftovers(options) == [RD]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, extra, tmp_path, options):
    server.plan = [0.5] * 3
    with pytest.raises(DownloadError):
        fetch_lhco_extra_background(**options)
    changed = lhco_frame(450, label=False, seed=9)
    server.files[EXTRA] = hdf_bytes(changed, tmp_path / "made.h5")
    server.etag = '"two"'
    np.testing.assert_array_equal(fetch_lhco_extra_background(**options).data, changed.to_numpy())


@pytest.mark.parametrize("break_resumption", ["no ranges", "weak tag", "lost validator"])
def test_without_resumption_the_download_starts_anew(server, extra, options, break_resumption):
    frame, _ = extra
    if break_resumption == "no ranges":
        server.ranges = False
    elif break_resumption == "weak tag":
        server.etag = 'W/"one"'
    server.plan = [0.5] * 3
    with pytest.raises(DownloadError):
        fetch_lhco_extra_background(**options)
    if break_resumption == "lost validator":
        (options["data_home"] / f"{EXTRA}.part.json").write_text("{")
    np.testing.assert_array_equal(fetch_lhco_extra_background(**options).data, frame.to_numpy())


def test_part_longer_than_the_file(server, extra, options):
    frame, content = extra
    server.plan = [0.5] * 3
    with pytest.raises(DownloadError):
        fetch_lhco_extra_background(**options)
    (options["data_home"] / f"{EXTRA}.part").write_bytes(content * 2)
    np.testing.assert_array_equal(fetch_lhco_extra_background(**options).data, frame.to_numpy())


@pytest.mark.parametrize(
    "fixture, message", [("rd", "not the expected one"), ("extra", "cannot be read")]
)
def test_truncated_file_that_claims_to_be_whole(server, fixture, message, options, request):
    request.getfixturevalue(fixture)
    fetch = fetch_lhco_rd if fixture == "rd" else fetch_lhco_extra_background
    server.plan = ["short"]
    with pytest.raises(DownloadError, match=message):
        fetch(**options)
    assert leftovers(options) == []
    assert len(fetch(**options).data) in (400, 500)


def test_corrupted_file_with_known_checksum(server, rd, options):
    frame, content = rd
    position = content.index(frame[LHCO_FEATURES].to_numpy()[3, 3].tobytes())
    damaged = bytearray(content)
    damaged[position] ^= 1
    server.files[RD] = bytes(damaged)
    with pytest.raises(DownloadError, match="not the expected one"):
        fetch_lhco_rd(**options)
    assert leftovers(options) == []


def test_wrong_content_without_checksum(server, extra, tmp_path, options):
    server.files[EXTRA] = b"<html>We are busy</html>"
    with pytest.raises(DownloadError, match="not a whole file of its kind"):
        fetch_lhco_extra_background(**options)
    wrong = lhco_frame(5, label=False).drop(columns="tau3j2")
    server.files[EXTRA] = hdf_bytes(wrong, tmp_path / "made.h5")
    with pytest.raises(DownloadError, match="no column 'tau3j2'") as error:
        fetch_lhco_extra_background(**options)
    assert isinstance(error.value.__cause__, MissingColumnError)
    assert leftovers(options) == []


def test_server_errors_are_retried_but_refusals_are_not(server, rd, options):
    server.plan = [503, 429]
    assert len(fetch_lhco_rd(**options).data) == 500
    clear_data_home(options["data_home"])
    server.requests.clear()
    server.plan = [403]
    with pytest.raises(DownloadError, match=r"failed after 1 attempts.*403"):
        fetch_lhco_rd(**options)
    server.files.clear()
    with pytest.raises(DownloadError, match="404"):
        fetch_lhco_rd(**options)
    assert len(server.requests) == 2


def test_no_server(monkeypatch, options):
    monkeypatch.setenv("SKAD_DATA_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="Without a network, copy the file"):
        fetch_lhco_rd(**options)


def test_download_if_missing(options):
    with pytest.raises(OSError, match="download_if_missing=False") as error:
        fetch_lhco_rd(download_if_missing=False, **options)
    assert not isinstance(error.value, DownloadError)


def test_interrupt_keeps_the_part(server, rd, options, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    server.plan = [0.5]
    monkeypatch.setattr(remote_module.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_lhco_rd(**options)
    assert RD not in leftovers(options) and f"{RD}.part" in leftovers(options)
    server.requests.clear()
    fetch_lhco_rd(**options)
    assert "Range" in server.requests[0][1]


# --- Hostile and slow servers, other processes ------------------------------------------------


@pytest.mark.parametrize("wrong", ["bytes 0-9/10", "bytes 5-9/10", "", "bytes"])
def test_another_range_than_asked_is_not_appended(server, extra, options, wrong):
    frame, _ = extra
    server.plan = [0.5] * 3
    with pytest.raises(DownloadError):
        fetch_lhco_extra_background(**options)
    server.content_range = wrong
    np.testing.assert_array_equal(fetch_lhco_extra_background(**options).data, frame.to_numpy())


def test_downloads_are_bounded(server, extra, options, monkeypatch):
    _, content = extra
    small = dataclasses.replace(
        lhco_module.LHCO_FILES["extra_background"], max_bytes=len(content) - 1
    )
    monkeypatch.setitem(lhco_module.LHCO_FILES, "extra_background", small)
    with pytest.raises(DownloadError, match=f"no more than {len(content) - 1}"):
        fetch_lhco_extra_background(**options)
    server.lengths = False
    with pytest.raises(DownloadError, match=f"no more than {len(content) - 1}"):
        fetch_lhco_extra_background(**options)
    assert leftovers(options) == []


def test_a_server_that_trickles_is_given_up(server, extra, options, monkeypatch):
    frame, _ = extra
    monkeypatch.setattr(remote_module, "_STALL_S", 0.05)
    server.plan = ["trickle"]
    np.testing.assert_array_equal(fetch_lhco_extra_background(**options).data, frame.to_numpy())
    server.plan = ["trickle"] * 3
    clear_data_home(options["data_home"])
    with pytest.raises(DownloadError, match=r"the server sent \d+ bytes in 0.05 s"):
        fetch_lhco_extra_background(**options)


def test_a_server_that_is_silent_is_given_up(server, extra, options, monkeypatch):
    monkeypatch.setattr(remote_module, "_TIMEOUT_S", 0.1)
    server.plan = ["silent"] * 3
    with pytest.raises(DownloadError, match="failed after 3 attempts"):
        fetch_lhco_extra_background(**options)


def test_two_downloads_of_one_file(server, extra, options):
    frame, _ = extra
    server.plan = ["slow"]
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch_lhco_extra_background(**options).data))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(server.requests) == 1
    for data in found:
        np.testing.assert_array_equal(data, frame.to_numpy())
    assert leftovers(options) == [EXTRA]


def test_nothing_in_a_download_is_run(server, tmp_path, options):
    """The check of a file without a known checksum reads it, and runs nothing in it."""
    made, ran = tmp_path / "made.h5", tmp_path / "ran"
    frame = lhco_frame(20, label=False)
    frame.to_hdf(made, key="df")
    with h5py.File(made, "a") as file:
        bomb = f"cos\nmkdir\n(S'{ran}'\ntR.".encode()
        file["df"].attrs["note"] = np.bytes_(bomb)
    server.files[lhco_module.LHCO_FILES["herwig"].name] = made.read_bytes()
    np.testing.assert_array_equal(fetch_lhco_herwig(**options).data, frame.to_numpy())
    assert not ran.exists()


def test_folder_that_cannot_be_written(server, rd, options, monkeypatch):
    fetch_lhco_rd(**options)
    monkeypatch.setattr(remote_module.os, "access", lambda path, mode: False)
    assert len(fetch_lhco_rd(**options).data) == 500  # what is there can be read
    with pytest.raises(OSError, match=r"cannot be written\. Choose .*SKAD_DATA"):
        fetch_lhco_extra_background(**options)
    file = options["data_home"] / RD
    with pytest.raises(OSError, match=r"cannot be made .*SKAD_DATA"):
        get_data_home(file / "inner")


# --- Zenodo's layout and checksums ----------------------------------------------------------


@pytest.fixture
def zenodo(server, monkeypatch):
    monkeypatch.delenv("SKAD_DATA_MIRROR")
    monkeypatch.setattr(remote_module, "_ZENODO", server.url)
    return server


def test_published_checksum_is_used(zenodo, extra, options):
    frame, content = extra
    checksum = f"md5:{hashlib.md5(content).hexdigest()}"
    zenodo.api["/api/records/8370758"] = {"files": [{"key": EXTRA, "checksum": checksum}]}
    np.testing.assert_array_equal(fetch_lhco_extra_background(**options).data, frame.to_numpy())
    assert zenodo.requests[-1][0] == f"/records/8370758/files/{EXTRA}"
    clear_data_home(options["data_home"])
    zenodo.api["/api/records/8370758"]["files"][0]["checksum"] = "md5:" + "0" * 32
    with pytest.raises(DownloadError, match="not the expected one"):
        fetch_lhco_extra_background(**options)


@pytest.mark.parametrize("answer", [None, {}, {"files": []}, {"files": [{"filename": EXTRA}]}, []])
def test_without_published_checksum_the_content_is_checked(zenodo, extra, options, answer):
    frame, _ = extra
    if answer is not None:
        zenodo.api["/api/records/8370758"] = answer
    np.testing.assert_array_equal(fetch_lhco_extra_background(**options).data, frame.to_numpy())


# --- Data home ------------------------------------------------------------------------------


def test_data_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKAD_DATA", str(tmp_path / "variable"))
    assert get_data_home() == tmp_path / "variable"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SKAD_DATA", "")
    assert get_data_home() == tmp_path / "cache" / "skad"
    assert get_data_home(tmp_path / "given").is_dir()
    monkeypatch.delenv("SKAD_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert get_data_home().name == "skad"


def test_clear_data_home_keeps_other_files(server, rd, options):
    fetch_lhco_rd(**options)
    other = options["data_home"] / "thesis.txt"
    other.write_text("mine")
    clear_data_home(options["data_home"])
    assert leftovers(options) == ["thesis.txt"]


def test_registry():
    files = [*lhco_module.LHCO_FILES.values(), *jets_module.JET_FILES.values()]
    assert len({file.name for file in files}) == len(files)
    known = {file.name for file in files if file.checksum}
    assert known == {RD, "events_anomalydetection_Z_XY_qqq.features.h5"}
