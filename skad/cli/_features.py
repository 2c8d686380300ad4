"""Observables of event files, streamed from the columns that files of collider events have."""

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from skad.exceptions import DataFileError

__all__ = ["csv_input", "write_features"]


@contextmanager
def csv_input(source):
    """Give the paths of event files, with "-" replaced by a file of what standard input holds."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for each in source:
            if each == "-":
                each = str(Path(folder) / "standard-input.csv")
                Path(each).write_bytes(sys.stdin.buffer.read())
            paths.append(each)
        yield paths


def write_features(
    source, target, *, kind="dijet", features=None, unit=None, keep=(), key=None, overwrite=False
):
    """Compute observables batch by batch and write them.

    Parameters
    ----------
    source : sequence of str
        Event files; "-" is CSV on standard input.
    target : str
        File to write; "-" is CSV on standard output.
    kind : {"dijet", "jet"}, default="dijet"
        `DijetCoordinates` or `JetObservables`.
    features : list of str, default=None
        Observables; None means all that the transformer gives by default.
    unit : {"TeV", "GeV"}, default=None
        Of `DijetCoordinates`.
    keep : sequence of str, default=()
        Columns to copy.
    key : str, default=None
        As in `read_events`.
    overwrite : bool, default=False

    Returns
    -------
    done : dict
        `n_events`, `columns`.
    """
    import click

    from skad.io import iter_events, write_events

    transformer = _transformer(kind, features, unit)
    columns = []

    def batches(paths):
        for batch in iter_events(paths, key=key):
            missing = [name for name in keep if name not in batch]
            if missing:
                raise DataFileError(
                    f"{paths[0]}: there is no column {missing[0]!r} to keep; the columns are "
                    f"{list(batch.columns)[:20]}."
                )
            kept = batch[list(keep)]
            found = transformer.fit_transform(batch.drop(columns=list(keep)))
            found = found.set_axis(kept.index).join(kept)
            columns[:] = list(found.columns)
            yield found

    with csv_input(source) as paths:
        if target == "-":
            n_events = 0
            for batch in batches(paths):
                click.echo(batch.to_csv(index=False, header=not n_events), nl=False)
                n_events += len(batch)
        else:
            n_events = write_events(batches(paths), target, overwrite=overwrite)
    return {"n_events": n_events, "columns": columns}


def _transformer(kind, features, unit):
    from skad.coordinates import DijetCoordinates, JetObservables

    options = {} if features is None else {"features": features}
    if kind == "jet":
        if unit is not None:
            raise DataFileError("unit is that of dijet masses; observables of jets are in GeV.")
        return JetObservables(**options).set_output(transform="pandas")
    if unit is not None:
        options["unit"] = unit
    return DijetCoordinates(**options).set_output(transform="pandas")
