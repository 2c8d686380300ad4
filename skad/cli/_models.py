"""Models from and for the command line: fitted, stored, loaded, scored with."""

import tempfile
from pathlib import Path

from skad.cli._build import build
from skad.cli._events import feature_transformer, read_input
from skad.cli._features import csv_input
from skad.utils._children import fit_child

__all__ = ["fit_model", "score_events"]


def fit_model(settings, output, *, overwrite=False):
    """Fit [features], [coordinates] and [detector] as one model and store it.

    Seeds that the settings leave out are drawn from 0, so that the same settings give the same
    model.

    Parameters
    ----------
    settings : Settings
    output : str or path-like
    overwrite : bool, default=False

    Returns
    -------
    done : dict
        `model`, `kind`, `n_events`.
    """
    from sklearn.pipeline import make_pipeline

    import skad

    if Path(output).exists() and not overwrite:
        raise FileExistsError(f"{output} exists; pass --overwrite to replace it.")
    if "detector" not in settings.values:
        raise settings.error([], "no detector to fit; give [detector] or --detector.")
    steps = [build(settings, ["detector"])]
    if "coordinates" in settings.values:
        steps.insert(0, build(settings, ["coordinates"]))
    features = feature_transformer(settings)
    if features is not None:
        # The steps behind may name columns.
        steps.insert(0, features.set_output(transform="pandas"))
    model = steps[0] if len(steps) == 1 else make_pipeline(*steps)
    events = read_input(settings, features=False)
    model = fit_child(model, events.X, events.y, sample_weight=events.weight, random_state=0)
    skad.save_model(model, output, overwrite=overwrite)
    return {
        "model": str(output),
        "kind": type(steps[-1]).__name__,
        "n_events": len(events.X),
    }


def score_events(model, source, target, *, keep_nan=False, **options):
    """Score event files with a stored model; "-" is CSV on standard input or output.

    Parameters
    ----------
    model : str or path-like
    source : sequence of str
    target : str
    keep_nan : bool, default=False
        Whether events with NaN get the score NaN, and are no error.
    **options
        Of `score_file`.

    Returns
    -------
    done : dict
        `n_events`, `target`.
    """
    import click

    import skad
    from skad.io import iter_events, score_file

    detector = skad.load_model(model)
    options["on_nan"] = "keep" if keep_nan else "raise"
    with csv_input(source) as paths, tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "scores.parquet" if target == "-" else target
        n_events = score_file(detector, paths, written, **options)
        if target == "-":
            for number, batch in enumerate(iter_events(written, on_nan="keep")):
                click.echo(batch.to_csv(index=False, header=not number), nl=False)
    return {"n_events": n_events, "target": str(target)}
