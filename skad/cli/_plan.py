"""The pseudo-experiments of a settings file as a plan for a batch farm."""

import json
import logging
from pathlib import Path

from skad.cli._calibrate import experiment_options
from skad.cli._events import check_column, read_input
from skad.cli._search import build_hunt
from skad.utils._replacing import replacing

__all__ = ["collect_plan", "plan_search", "tasks_left"]

_logger = logging.getLogger("skad")


def plan_search(settings, output=None, n_tasks=None, *, verbose=0):
    """Run the search of the settings once and plan its pseudo-experiments.

    Parameters
    ----------
    settings : Settings
        With [calibration], whose `folder` is the default of `output`.
    output : str or path-like, default=None
    n_tasks : int, default=None
    verbose : int, default=0

    Returns
    -------
    made : dict
        `plan`, the path, `n_tasks` and `n_experiments`.
    """
    from skad.search import plan_experiments

    options = experiment_options(settings)
    folder = options.pop("folder", None) if output is None else output
    if folder is None:
        raise settings.error(
            ["calibration"], 'a plan needs a folder: -o FOLDER, or folder = "..." in [calibration].'
        )
    options = {name: options[name] for name in ("n_experiments", "generate") if name in options}
    hunt = build_hunt(settings)
    events = read_input(settings)
    check_column(settings, ["search", "resonance"], hunt.resonance, events.X)
    if verbose and "verbose" not in settings.table("search"):
        hunt.set_params(verbose=verbose)
    _logger.info("the search itself is run once; its experiments are planned from it")
    hunt.fit(events.X, events.y, events.weight)
    plan = plan_experiments(
        hunt, **options, folder=folder, n_tasks=n_tasks, random_state=hunt.random_state
    )
    n_planned = len(json.loads(plan.read_text())["tasks"])
    return {"plan": str(plan), "n_tasks": n_planned, "n_experiments": options["n_experiments"]}


def tasks_left(plan):
    """Return the tasks of a plan that are not finished, as batch systems write them.

    Parameters
    ----------
    plan : str or path-like

    Returns
    -------
    left : dict
        `missing`, for example "0-2,7", and `n_missing`.
    """
    from skad.search import missing_tasks
    from skad.search._plan import ranges

    missing = missing_tasks(plan)
    return {"missing": ranges(missing), "n_missing": len(missing)}


def collect_plan(plan, output=None):
    """Write the experiments of a plan to a CSV file, by default ``experiments.csv`` beside it.

    Parameters
    ----------
    plan : str or path-like
    output : str or path-like, default=None

    Returns
    -------
    made : dict
        `output` and `n_experiments`.
    """
    from skad.search import collect

    results = collect(plan)
    output = Path(plan).parent / "experiments.csv" if output is None else Path(output)
    with replacing(output) as part:
        results.to_csv(part, index=False)
    return {"output": str(output), "n_experiments": int(results["experiment"].nunique())}
