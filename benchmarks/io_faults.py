"""What readers make of damaged files: the right values, a DataFileError, or worse.

Usage: python benchmarks/io_faults.py [--copies 2000] [--seed 0]

Small files of every format, as skad and others write them, are damaged: bytes flipped, a run of
bytes overwritten, the end cut off. Every copy is read in a process of its own kind with a limit on
time and memory. Counts go to benchmarks/results/io_faults.md. "Other values" are possible only
where a format has no checksum there: nobody can tell a flipped digit in a CSV file from the right
one.
"""

import argparse
import contextlib
import gzip
import json
import multiprocessing
import platform
import resource
import signal
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
SECONDS = 20
MEMORY = 8 << 30
OUTCOMES = ["right", "DataFileError", "other values", "raw error", "too long", "crash"]
# Formats that keep a checksum of every number.
CHECKED = {"skad.parquet", "skad.h5", "skad.npz", "skad.csv.gz"}


def make_files(folder):
    """Write the same events in every format, and return the paths."""
    import h5py
    import uproot

    from skad.datasets import make_resonance
    from skad.io import write_events

    frame = make_resonance(400, 40, random_state=0, as_frame=True).frame
    frame["n_jets"] = np.arange(len(frame), dtype=np.int32) % 7
    for suffix in ("parquet", "h5", "csv", "csv.gz", "npy", "npz", "root"):
        write_events(frame, folder / f"skad.{suffix}")
    frame.to_parquet(folder / "pandas.parquet")
    frame.to_hdf(folder / "pandas_fixed.h5", key="df", format="fixed")
    frame.to_hdf(folder / "pandas_table.h5", key="df", format="table")
    with h5py.File(folder / "h5py.h5", "w") as file:
        for name in frame:
            file.create_dataset(name, data=frame[name].to_numpy(), compression="gzip")
    np.save(folder / "matrix.npy", frame.to_numpy())
    np.savez_compressed(folder / "numpy.npz", **{name: frame[name].to_numpy() for name in frame})
    with gzip.open(folder / "gzip.csv.gz", "wt") as file:
        frame.to_csv(file, index=False)
    with uproot.recreate(folder / "rntuple.root") as file:
        columns = {name: frame[name].to_numpy() for name in frame}
        file.mkrntuple("events", columns)
    return sorted(folder.iterdir())


def damage(content, rng):
    """Return a damaged copy of the bytes."""
    content = bytearray(content)
    kind = rng.integers(4)
    if kind == 0:
        del content[rng.integers(len(content)) :]
    elif kind == 1:
        start = int(rng.integers(len(content)))
        stop = min(start + int(rng.integers(1, 64)), len(content))
        content[start:stop] = rng.bytes(stop - start)
    else:
        # Half of the flips at the ends, where headers and footers are.
        n_flips = int(rng.integers(1, 4))
        edge = min(400, len(content))
        for _ in range(n_flips):
            place = int(rng.integers(len(content)))
            if kind == 3:
                place = int(rng.integers(edge)) * int(rng.choice([1, -1]))
            content[place] ^= 1 << int(rng.integers(8))
    return bytes(content)


def outcome(path, expected):
    """Read a file and name what came of it."""
    from skad.exceptions import DataFileError, MissingColumnError
    from skad.io import read_events

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            events = read_events(path, on_nan="keep")
    except (DataFileError, MissingColumnError):
        return "DataFileError", ""
    except TimeoutError:
        return "too long", ""
    except Exception as exc:
        return "raw error", f"{type(exc).__module__}.{type(exc).__name__}: {exc}"[:300]
    same = list(events) == list(expected) and all(
        np.array_equal(events[name], expected[name], equal_nan=True) for name in expected
    )
    return ("right", "") if same else ("other values", "")


def run(path, expected, contents, connection):
    """Read damaged copies, one after the other, in a process that may die."""

    def ring(number, frame):
        raise TimeoutError

    signal.signal(signal.SIGALRM, ring)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    copy = path.with_name(f"damaged.{path.name}")
    for content in contents:
        copy.write_bytes(content)
        signal.alarm(SECONDS)
        result = outcome(copy, expected)
        signal.alarm(0)
        connection.send(result)
    connection.close()


def outcomes_of(path, expected, contents):
    """Return what came of every copy; a process that dies is a crash of the one it was at."""
    processes = multiprocessing.get_context("fork")
    results = []
    while len(results) < len(contents):
        mine, theirs = processes.Pipe(duplex=False)
        child = processes.Process(
            target=run, args=(path, expected, contents[len(results) :], theirs)
        )
        child.start()
        theirs.close()
        with contextlib.suppress(EOFError):
            while len(results) < len(contents):
                if not mine.poll(3 * SECONDS):
                    child.kill()
                results.append(mine.recv())
        child.join()
        if len(results) < len(contents):
            results.append(("crash", f"exit code {child.exitcode}"))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    from skad.io import read_events

    counts, seen, start = {}, Counter(), time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        paths = make_files(Path(temporary))
        for i, path in enumerate(paths):
            rng = np.random.default_rng([arguments.seed, i])
            content = path.read_bytes()
            n_copies = arguments.copies // len(paths) + (i < arguments.copies % len(paths))
            expected = {name: values.to_numpy() for name, values in read_events(path).items()}
            results = outcomes_of(path, expected, [damage(content, rng) for _ in range(n_copies)])
            counts[path.name] = Counter(name for name, _ in results)
            seen.update(f"{path.name}: {text}" for _, text in results if text)
            print(path.name, dict(counts[path.name]), flush=True)
    for text, count in seen.most_common():
        print(count, text)
    report(counts, arguments, time.perf_counter() - start)


def report(counts, arguments, seconds):
    lines = [
        "# Damaged files",
        "",
        f"`python benchmarks/io_faults.py --copies {arguments.copies} --seed {arguments.seed}`: "
        "copies of small files with bytes flipped, overwritten or cut off. Other values are "
        "possible only where a format has no checksum (CSV, .npy, parts of HDF5, ROOT and Parquet "
        f"that others write). {seconds:.0f} s, Python {platform.python_version()}.",
        "",
        f"| file | copies | {' | '.join(OUTCOMES)} |",
        f"| --- | --- | {' | '.join('---' for _ in OUTCOMES)} |",
    ]
    total = sum(counts.values(), Counter())
    for name, count in [*counts.items(), ("all", total)]:
        numbers = " | ".join(str(count[outcome]) for outcome in OUTCOMES)
        lines.append(f"| {name} | {sum(count.values())} | {numbers} |")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "io_faults.md").write_text("\n".join(lines) + "\n")
    stored = {name: dict(count) for name, count in counts.items()}
    (RESULTS / "io_faults.json").write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
