"""A commented settings file, with the columns of the user's events where they are known."""

import json
import re
from pathlib import Path

import numpy as np

from skad.cli._events import looks_like_truth
from skad.cli._settings import nearest
from skad.exceptions import MissingColumnError

__all__ = ["settings_template"]

# Rows that suggest windows.
_SAMPLE = 100_000
# Columns that hold the mass of a resonance, where a file has one of them: lower case, no signs.
_MASSES = ("mjj", "m", "mass", "mll", "mgg", "minv", "invmass", "invariantmass", "massinv")
# Columns that number the events, which no detector may learn.
_NUMBERS = ("event", "eventnumber", "eventid", "run", "runnumber", "lumi", "lumiblock", "id")
# A mass in TeV is below; what is above is in GeV.
_HIGHEST_TEV = 13.0


def settings_template(name, path=None, *, resonance=None):
    """Return the text of a settings file.

    Parameters
    ----------
    name : str
        Name that the file will have.
    path : str, default=None
        Event file; its columns, the range of its masses and their unit enter the text.
    resonance : str, default=None
        Column of the resonant feature; None takes one that is named like a mass.

    Returns
    -------
    text : str

    Raises
    ------
    MissingColumnError
        The file has no column `resonance`, or none that is named like a mass.
    """
    values = {
        "name": Path(name).name,
        "path": "events.parquet",
        "columns": '# columns = ["mjj", "mj1", "mj2"]          # default: all',
        "label": '# label = "truth"                           # never shown to the search',
        "resonance": resonance or "mjj",
        "low": 3.0,
        "high": 4.0,
        "width": 0.4,
        "spectrum": "dijet",
        "sqrt_s": "sqrt_s = 13.0                               # 13.0 for TeV, 13000.0 for GeV",
    }
    if path is not None:
        values |= _of_file(path, resonance)
    text = (Path(__file__).parent / "search.toml").read_text(encoding="utf-8")
    return text.format(**values)


def _of_file(path, resonance):
    from skad.io import read_events

    sample = read_events(path, columns="flat", rows=slice(0, _SAMPLE), on_nan="keep")
    names = [str(name) for name in sample.columns]
    truth = [name for name in names if looks_like_truth(name)]
    features = [name for name in names if name not in truth]
    if resonance is None:
        resonance = _mass_among(features)
        if resonance is None:
            raise MissingColumnError(
                f"{path} has no column that is named like a mass. Name the resonant feature by "
                f"--resonance; there are: {', '.join(features)}."
            )
    elif resonance not in features:
        raise MissingColumnError(
            f"{path} has no column {resonance!r}.{nearest(resonance, features)} There are: "
            f"{', '.join(features)}."
        )
    numbers = [
        name for name in features if name != resonance and _numbers_events(name, sample[name])
    ]
    features = [name for name in features if name not in numbers]
    m = sample[resonance].to_numpy(dtype=np.float64)
    m = m[np.isfinite(m)]
    low, high = np.quantile(m, [0.3, 0.95])
    width = _round(0.25 * (high - low))
    values = {
        "path": json.dumps(path)[1:-1],
        "columns": f"columns = {json.dumps(features, ensure_ascii=False)}",
        "resonance": resonance,
        "low": _round(low),
        "high": _round(low) + 4 * width,
        "width": width,
    }
    values["high"] = float(f"{values['high']:.6g}")
    if truth:
        values["label"] = f'label = "{truth[0]}"  # truth, never shown to the search'
    left_out = [*truth[1:], *numbers]
    if left_out:
        values["columns"] += f"  # left out: {', '.join(left_out)}"
    return values | _spectrum(m)


def _plain(name):
    """Letters and digits of a name in lower case, without a unit at its end."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[gtm]ev\W*$", "", name.lower()))


def _mass_among(names):
    """The column that is named like the mass of a resonance; None where none or several are."""
    plain = {name: _plain(name) for name in names}
    for known in _MASSES:
        found = [name for name in names if plain[name] == known]
        if found:
            return found[0]
    found = [name for name in names if "mass" in plain[name]]
    return found[0] if len(found) == 1 else None


def _numbers_events(name, column):
    """Whether a column numbers the events: by its name, or as it counts them one by one."""
    if column.dtype.kind not in "iu":
        return False
    counts = len(column) > 100 and column.is_unique and np.ptp(column) == len(column) - 1
    return _plain(name) in _NUMBERS or counts


def _spectrum(m):
    """Suggest a function: the dijet function for masses of hundreds of GeV and more."""
    median = np.median(m)
    if m.min() > 0 and median > 0.2 and m.max() < _HIGHEST_TEV:
        line = "sqrt_s = 13.0                               # masses in TeV"
        return {"spectrum": "dijet", "sqrt_s": line}
    if m.min() > 0 and median > 200 and m.max() < 1000 * _HIGHEST_TEV:
        line = "sqrt_s = 13000.0                            # masses in GeV"
        return {"spectrum": "dijet", "sqrt_s": line}
    line = "# sqrt_s = 13.0                             # of the dijet function alone"
    return {"spectrum": "polynomial", "sqrt_s": line}


def _round(value):
    return float(f"{value:.2g}")
