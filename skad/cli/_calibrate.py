"""Calibration of a search by pseudo-experiments without signal, as [calibration] asks for it."""

import inspect
import tempfile

from skad.cli._build import check_parameters
from skad.utils import _sklearn as sk

__all__ = ["experiment_options", "fit_calibrated"]


def experiment_options(settings):
    """Return the arguments of `pseudo_experiments` that [calibration] gives, checked.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    options : dict
    """
    from skad.search import pseudo_experiments

    table = settings.table("calibration")
    if "n_experiments" not in table:
        raise settings.error(
            ["calibration"], "calibration needs n_experiments, for example n_experiments = 100."
        )
    if not isinstance(table.get("global", False), bool):
        raise settings.error(
            ["calibration", "global"],
            f"calibration.global must be true or false; got {table['global']!r}.",
        )
    known = inspect.signature(pseudo_experiments).parameters
    options = {name: value for name, value in table.items() if name in known}
    options = check_parameters(
        settings,
        ["calibration"],
        "pseudo_experiments",
        sk.function_constraints(pseudo_experiments),
        options,
    )
    if "folder" in options:
        options["folder"] = settings.path(options["folder"])
    return options


def fit_calibrated(settings, hunt, fit, *, verbose=0):
    """Fit a hunt, and where the settings have [calibration], calibrate it and fit it again.

    Parameters
    ----------
    settings : Settings
    hunt : BumpHunt
    fit : callable
        ``fit(hunt)`` fits it to the events.
    verbose : int, default=0

    Returns
    -------
    hunt : BumpHunt
        The same object, fitted.
    """
    if "calibration" not in settings.values:
        return fit(hunt)
    from skad.search import GlobalCalibration, SignificanceCalibration, pseudo_experiments

    options = experiment_options(settings)
    checkpoint = hunt.checkpoint
    with tempfile.TemporaryDirectory() as folder:
        # The detectors of the search itself are fitted once.
        hunt.set_params(checkpoint=folder if checkpoint is None else checkpoint)
        fit(hunt)
        experiments = pseudo_experiments(
            hunt, random_state=hunt.random_state, verbose=verbose, **options
        )
        calibration = SignificanceCalibration.by_efficiency(experiments)
        overall = None
        if settings.table("calibration").get("global", False):
            overall = GlobalCalibration.from_experiments(experiments, calibration)
        fit(hunt.set_params(calibration=calibration, global_calibration=overall))
    return hunt.set_params(checkpoint=checkpoint)
