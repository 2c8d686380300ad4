"""The commands of ``skad``: each a thin layer over public functions, which it imports when run."""

from __future__ import annotations

import json as json_module
import logging
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

OK, BUG, USAGE, DATA, DIFFERENT, UNFINISHED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
_EPILOG = """\b
Exit codes:
  0    done
  1    an error of skad itself; please report it with the output of skad info
  2    the command line or the settings file is wrong
  3    files or events cannot be used: missing, damaged, columns, regions
  4    a repeated search gave other numbers
  5    tasks of a plan are not finished
  130  interrupted from the keyboard; what was finished is kept

\b
A search in three commands:
  skad search --init search.toml --input events.parquet
  skad search search.toml
  skad report search-results --open
"""

_COLUMNS = 'Columns to read, with commas between them; "flat" means all that hold numbers.'
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


class _Tasks(click.ParamType):
    """Numbers of tasks as batch systems write them: "3" or "3,17-20"."""

    name = "tasks"

    def convert(self, value, param, ctx):
        tasks = []
        for part in filter(None, value.split(",")):
            first, _, last = part.partition("-")
            if not (first.isdecimal() and (last or first).isdecimal()):
                self.fail(f'must be numbers from 0 on, such as "3" or "3,17-20"; got {value!r}.')
            tasks += range(int(first), int(last or first) + 1)
        return tasks


class _Group(click.Group):
    def list_commands(self, context):
        """In the order of an analysis, not of the alphabet."""
        return list(self.commands)


@click.group(
    cls=_Group,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="skad", message="%(package)s %(version)s")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on standard error.")
@click.option("-v", "--verbose", is_flag=True, help="More notes on standard error.")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
@click.pass_context
def cli(context, quiet, verbose, debug):
    """Anomaly detection for collider physics and other tables of events.

    From a file to a result: describe an analysis in a settings file, run it, read the report.
    """
    context.obj = {"verbose": 0 if quiet else 1, "debug": debug}
    _start_logging(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command ``skad`` and end the process with its exit code.

    Parameters
    ----------
    arguments : list of str, default=None
        Command line; None takes that of the process.

    Examples
    --------
    >>> from skad.cli import main
    >>> try:
    ...     main(["fetch", "--list"])
    ... except SystemExit as end:
    ...     print("exit code", end.code)
    dijets
    jets
    lhco-black-box
    lhco-extra-background
    lhco-herwig
    lhco-rd
    exit code 0
    """
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        cli.main(args=arguments, prog_name="skad", standalone_mode=False)
    except click.exceptions.Exit as exc:
        sys.exit(exc.exit_code)
    except click.ClickException as exc:
        exc.show()
        sys.exit(USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("skad: interrupted; what was finished is kept.", err=True)
        sys.exit(INTERRUPTED)
    except Exception as exc:
        code = _code_of(exc)
        if debug or code == BUG:
            traceback.print_exception(exc)
        click.echo(f"skad: {type(exc).__name__}: {exc}", err=True)
        sys.exit(code)
    sys.exit(OK)


def _code_of(exc):
    """Return the exit code of an error."""
    from skad.exceptions import MissingTasksError, SettingsError, SkadError

    if isinstance(exc, SettingsError):
        return USAGE
    if isinstance(exc, MissingTasksError):
        return UNFINISHED
    if isinstance(exc, (SkadError, OSError, ImportError)):
        return DATA
    # What estimators refuse on purpose ends in a raise; a line that breaks is a bug.
    frames = traceback.extract_tb(exc.__traceback__)
    refused = (frames[-1].line or "").lstrip().startswith("raise")
    return DATA if refused and isinstance(exc, (ValueError, TypeError)) else BUG


def _start_logging(level):
    logger = logging.getLogger("skad")
    for handler in list(logger.handlers):
        if getattr(handler, "of_command", False):
            logger.removeHandler(handler)
    handler = _EchoHandler()
    handler.of_command = True
    handler.setFormatter(logging.Formatter("skad: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level)


class _EchoHandler(logging.Handler):
    """Notes go to standard error, past a progress bar that is drawn there."""

    def emit(self, record):
        from tqdm import tqdm

        with tqdm.external_write_mode(file=sys.stderr):
            click.echo(self.format(record), err=True)


def _print(value, as_json, text):
    """Print a value as JSON, or the text made of it."""
    if as_json:
        click.echo(json_module.dumps(value, indent=1, default=str))
    else:
        click.echo(text)


# Commands in the order of an analysis.


@cli.command()
@click.argument("name", required=False)
@click.option("--list", "listed", is_flag=True, help="List the data sets.")
@click.option("-o", "--output", type=click.Path(), help="Write the events to this file as well.")
@json_option
def fetch(name, listed, output, as_json):
    """Download a data set, or find one that skad brings along.

    Prints the file that holds it. `skad fetch --list` names them all.
    """
    from skad.cli._fetch import DATASETS, fetch_data

    if listed or name is None:
        _print(sorted(DATASETS), as_json, "\n".join(sorted(DATASETS)))
        return
    found = fetch_data(name, output)
    _print(found, as_json, found["output"] or found["file"])


@cli.command()
@click.argument("source", nargs=-1, required=True)
@click.argument("target")
@click.option(
    "--kind",
    type=click.Choice(["dijet", "jet"]),
    default="dijet",
    show_default=True,
    help="dijet: columns of the LHC Olympics files; jet: E, px, py, pz of constituents.",
)
@click.option("--features", help="Names of the observables, with commas between them.")
@click.option("--unit", type=click.Choice(["TeV", "GeV"]), help="Of dijet masses; default TeV.")
@click.option("--keep", default="", help="Columns to copy, with commas between them.")
@click.option("--key", help="Tree or dataset, where a file has several.")
@click.option("--overwrite", is_flag=True, help="Replace the target.")
@json_option
def features(source, target, kind, features, unit, keep, key, overwrite, as_json):
    """Compute observables of collider events.

    Those of SOURCE files are written to TARGET. The events stream through memory batch by batch.
    "-" is CSV on standard input or output.
    """
    from skad.cli._features import write_features

    done = write_features(
        source,
        target,
        kind=kind,
        features=_split(features),
        unit=unit,
        keep=_split(keep) or [],
        key=key,
        overwrite=overwrite,
    )
    if target != "-":
        _print(done, as_json, f"{done['n_events']} events with {', '.join(done['columns'])}")


@cli.command()
@click.argument("settings", required=False)
@click.option("--init", help="Write a commented settings file of this name, and stop.")
@click.option("--input", "events", help="With --init: the event file, whose columns enter.")
@click.option("--resonance", help="With --init: the column of the resonant feature.")
@click.option("-o", "--output", type=click.Path(), help="Folder of the results.")
@click.option("--overwrite", is_flag=True, help="Replace results or settings that are there.")
@json_option
@click.pass_obj
def search(options, settings, init, events, resonance, output, overwrite, as_json):
    """Run a search from its settings file.

    A folder of results in place of SETTINGS is run again and compared, number by number.
    `skad search --init search.toml --input events.parquet` writes a settings file to begin with.
    "-" reads the settings from standard input.
    """
    if init is not None:
        _write_settings(init, events, resonance, overwrite)
        return
    if settings is None:
        raise click.UsageError("give a settings file, or --init to write one.")
    from skad.cli._search import repeat_search, results_folder, run_search
    from skad.cli._settings import read_settings

    if settings != "-" and Path(settings).is_dir():
        differences = repeat_search(settings, verbose=options["verbose"])
        text = "\n".join(differences) or "bitwise the same"
        _print({"same": not differences, "differences": differences}, as_json, text)
        if differences:
            sys.exit(DIFFERENT)
        return
    settings = read_settings(settings)
    folder = results_folder(settings, output)
    report = run_search(settings, folder, overwrite=overwrite, verbose=options["verbose"])
    answer = report.content["answer"]
    content = {"folder": str(folder), **answer}
    text = [f"{answer['verdict'].capitalize()}. {answer['text']}"]
    text += [f"- {caution}" for caution in report.content["cautions"]]
    text.append(f"{folder / 'report.html'}")
    _print(content, as_json, "\n".join(text))


@cli.command()
@click.argument("settings")
@click.option("-o", "--output", type=click.Path(), help="Folder of the results.")
@click.option("--overwrite", is_flag=True, help="Replace a limit that is there.")
@json_option
@click.pass_obj
def limit(options, settings, output, overwrite, as_json):
    """Set an upper limit on a signal.

    The search of SETTINGS is run, and again with the signal events that its table [limit] names
    injected into the data: what is found of them gives the limit. [limit] needs signal (a file) and
    strengths (numbers of events). The limit is a section of the report of the search. "-" reads the
    settings from standard input.
    """
    from skad.cli._limit import run_limit
    from skad.cli._search import results_folder
    from skad.cli._settings import read_settings
    from skad.report._json import plain

    settings = read_settings(settings)
    folder = results_folder(settings, output)
    found = run_limit(settings, folder, overwrite=overwrite, verbose=options["verbose"])
    low, median, high = found.expected[1:4]
    content = {
        "folder": str(folder),
        "observed": found.observed,
        "expected": found.expected,
        "limits": found.table.to_dict("records"),
    }
    text = [
        f"At {found.table['level'][0]:.0%} confidence no more than {found.observed:.0f} signal "
        f"events; expected without signal {median:.0f} ({low:.0f} to {high:.0f}).",
        f"{folder / 'report.html'}",
    ]
    _print(plain(content), as_json, "\n".join(text))


def _write_settings(init, events, resonance, overwrite):
    from skad.cli._init import settings_template

    if init == "-":
        click.echo(settings_template("search.toml", events, resonance=resonance), nl=False)
        return
    path = Path(init)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass --overwrite to replace it.")
    path.write_text(settings_template(init, events, resonance=resonance), encoding="utf-8")
    click.echo(f"wrote {path}; look it over, then run: skad search {path}")


@cli.command()
@click.argument("source", nargs=-1, required=True)
@click.option("-d", "--detector", help='The detector: "IsolationForest{n_estimators = 200}".')
@click.option("--coordinates", help="A transformer before it, for example RobustScaler.")
@click.option("--label", help="Column of the truth, which is left out.")
@click.option("--columns", help=_COLUMNS)
@click.option("--key", help="Tree or dataset, where a file has several.")
@click.option("-o", "--output", default="model.skad", show_default=True, help="The model file.")
@click.option("--overwrite", is_flag=True, help="Replace a model that is there.")
@json_option
def fit(source, detector, coordinates, label, columns, key, output, overwrite, as_json):
    """Fit a detector and store it in a model file.

    It is fitted to the events of SOURCE files. SOURCE may be a settings file instead; its
    [features], [coordinates] and [detector] become one
    model, which scores files of the same columns. Model files run no code when they are loaded.
    """
    from skad.cli._compare import settings_of
    from skad.cli._models import fit_model

    detectors = [] if detector is None else [detector]
    settings = settings_of(
        source,
        detectors,
        label=label,
        columns=columns,
        key=key,
        coordinates=coordinates,
        single=True,
    )
    done = fit_model(settings, output, overwrite=overwrite)
    _print(done, as_json, f"{done['model']}: {done['kind']}, {done['n_events']} events")


@cli.command()
@click.argument("model", type=click.Path(exists=True))
@click.argument("source", nargs=-1, required=True)
@click.argument("target")
@click.option(
    "--method",
    multiple=True,
    help="What to write; default: the first that the model has of anomaly_score (higher = more "
    "anomalous), score_samples (higher = more normal), predict_proba and decision_function.",
)
@click.option("--keep", default="", help="Columns to copy, with commas between them.")
@click.option("--key", help="Tree or dataset, where a file has several.")
@click.option("--batch-size", type=int, default=100_000, show_default=True)
@click.option("--n-jobs", type=int, default=1, show_default=True, help="-1 means all cores.")
@click.option("--keep-nan", is_flag=True, help="Events with NaN get the score NaN.")
@click.option("--overwrite", is_flag=True, help="Replace the target.")
@click.option("--restart", is_flag=True, help="Throw away what an interrupted call left.")
@json_option
@click.pass_obj
def score(options, model, source, target, method, keep, key, as_json, **settings):
    """Score event files with a stored model.

    The scores of SOURCE files by MODEL are written to TARGET. Files larger than memory stream
    through; after an interruption the same command goes on where it
    stopped. "-" is CSV on standard input or output.
    """
    from skad.cli._models import score_events

    done = score_events(
        model,
        source,
        target,
        method=list(method) or None,
        keep=_split(keep) or [],
        key=key,
        verbose=options["verbose"],
        **settings,
    )
    if target != "-":
        _print(done, as_json, f"{done['n_events']} events scored into {target}")


@cli.command()
@click.argument("source", nargs=-1, required=True)
@click.option(
    "-d",
    "--detector",
    "detectors",
    multiple=True,
    help='A detector to compare, with parameters in braces: "IsolationForest{n_estimators = 200}".',
)
@click.option(
    "--coordinates", help="A transformer before every detector, for example RobustScaler."
)
@click.option("--label", help="Column of the truth; default: the one that looks like it.")
@click.option("--columns", help=_COLUMNS)
@click.option("--key", help="Tree or dataset, where a file has several.")
@click.option("-o", "--output", default="comparison.html", show_default=True, help="The report.")
@json_option
@click.pass_obj
def compare(options, source, detectors, coordinates, label, columns, key, output, as_json):
    """Compare detectors side by side on the same events.

    Every detector is fitted without labels to half of the events and scores the other half, on
    several splits. With a column of truth (1 = signal) the report ranks them; without one it shows
    how well they describe the events, how stable they are and how far they agree. SOURCE may be a
    settings file with tables [detectors.NAME] instead. The numbers go to a .json file beside the
    report.
    """
    from skad.cli._compare import run_comparison, settings_of

    settings = settings_of(
        source, detectors, label=label, columns=columns, key=key, coordinates=coordinates
    )
    made = run_comparison(settings, verbose=options["verbose"])
    path = made.write_html(output)
    path.with_suffix(".json").write_text(made.json(), encoding="utf-8")
    if as_json:
        click.echo(made.json(), nl=False)
        return
    click.echo(_text_table(made.content))
    click.echo(made.content["answer"]["text"])
    click.echo(path)


def _text_table(content):
    """Return the detectors of a comparison as lines of text."""
    columns = [("max_sic", "max SIC"), ("auc", "AUC")] if content["labelled"] else []
    columns += [("fit_seconds", "fit [s]"), ("score_seconds", "score [s]")]
    width = max(len(row["name"]) for row in content["detectors"])
    lines = ["  ".join([" " * width, *(f"{title:>9}" for _, title in columns)])]
    for row in content["detectors"]:
        cells = ["–" if row[name] is None else f"{row[name]:.3f}" for name, _ in columns]
        lines.append("  ".join([f"{row['name']:<{width}}", *(f"{cell:>9}" for cell in cells)]))
    return "\n".join(lines)


@cli.command()
@click.argument("settings")
@click.option("-o", "--output", type=click.Path(), help="Folder of the plan and its results.")
@click.option("--tasks", "n_tasks", type=int, help="Number of tasks; default: 100 or fewer.")
@json_option
@click.pass_obj
def plan(options, settings, output, n_tasks, as_json):
    """Plan the pseudo-experiments of a search for a batch farm.

    The search of SETTINGS is run once, and the experiments that its [calibration] asks for are
    divided into tasks. Prints the plan, which `skad run` and `skad collect` take. `skad search`
    with the same folder in [calibration] then takes the experiments from there.
    """
    from skad.cli._plan import plan_search
    from skad.cli._settings import read_settings

    made = plan_search(read_settings(settings), output, n_tasks, verbose=options["verbose"])
    _print(made, as_json, f"{made['plan']}: tasks 0 to {made['n_tasks'] - 1}")


@cli.command()
@click.argument("plan", type=click.Path(exists=True))
@click.option(
    "--task",
    "tasks",
    type=_Tasks(),
    multiple=True,
    required=True,
    help="From 0 on, or several, as in 3,17-20.",
)
@click.option("--n-jobs", type=int, default=1, show_default=True, help="-1 means all cores.")
@json_option
@click.pass_obj
def run(options, plan, tasks, n_jobs, as_json):
    """Run tasks of a plan.

    What a task has finished is kept and not run again, so that a killed one is simply started once
    more. Any machine that sees the folder and has the same versions gives the same bits.
    """
    from skad.search import run_task

    done = {
        task: run_task(plan, task, n_jobs=n_jobs, verbose=options["verbose"])
        for several in tasks
        for task in several
    }
    text = "\n".join(f"task {task}: {n_run} experiments run" for task, n_run in done.items())
    _print({"n_run": done}, as_json, text)


@cli.command()
@click.argument("plan", type=click.Path(exists=True))
@click.option("-o", "--output", help="CSV file of the experiments; default: beside the plan.")
@click.option("--missing", is_flag=True, help="Only print the tasks that are left, as 0-2,7.")
@json_option
def collect(plan, output, missing, as_json):
    """Merge what the tasks of a plan have made, or say which ones are missing.

    The exit code is 5 while tasks are missing.
    """
    from skad.cli._plan import collect_plan, tasks_left

    if missing:
        left = tasks_left(plan)
        _print(left, as_json, left["missing"])
        if left["n_missing"]:
            sys.exit(UNFINISHED)
        return
    made = collect_plan(plan, output)
    _print(made, as_json, f"{made['output']}: {made['n_experiments']} experiments")


@cli.command()
@click.argument("results", type=click.Path(exists=True))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["html", "markdown", "json"]),
    default="html",
    show_default=True,
)
@click.option("-o", "--output", help='File to write, "-" for standard output.')
@click.option("--open", "opened", is_flag=True, help="Show it in the browser.")
def report(results, kind, output, opened):
    """Write the report of a search or comparison.

    RESULTS is a folder of `skad search` or a .json file of `skad compare`.
    Without an output it is report.html (.md, .json) in the folder.
    """
    from skad.report import read_report

    path = Path(results)
    made = read_report(path / "search.json" if path.is_dir() else path)
    if opened:
        click.echo(made.open())
        return
    text = {"html": made.html, "markdown": made.markdown, "json": made.json}[kind]()
    if output == "-":
        click.echo(text, nl=False)
        return
    suffix = {"html": ".html", "markdown": ".md", "json": ".json"}[kind]
    target = (
        Path(output) if output else (path if path.is_dir() else path.parent) / f"report{suffix}"
    )
    target.write_text(text, encoding="utf-8")
    click.echo(target)


@cli.command()
@json_option
def info(as_json):
    """Show versions, devices, threads and folders, for bug reports."""
    from skad.report import environment, show_versions

    if as_json:
        _print(environment(), as_json, "")
    else:
        show_versions()


def _split(text):
    """Return names from a text with commas between them, None for none."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else None
