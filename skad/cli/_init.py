"""A commented settings file, with the columns of the user's events where they are known."""

import json
from pathlib import Path

import numpy as np

from skad.cli._events import looks_like_truth
from skad.cli._settings import nearest
from skad.exceptions import MissingColumnError

__all__ = ["settings_template"]

# Rows that suggest windows.
_SAMPLE = 100_000
# Columns that hold the mass of a resonance, where a file has one of them.
_MASSES = ("mjj", "m_jj", "m", "mass", "mll", "m_ll", "mgg", "m_gg", "invariant_mass")
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
        Column of the resonant feature; None takes one with a usual name, or the first.

    Returns
    -------
    text : str
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
        resonance = next((name for name in _MASSES if name in features), features[0])
    elif resonance not in features:
        raise MissingColumnError(
            f"{path} has no column {resonance!r}.{nearest(resonance, features)} There are: "
            f"{', '.join(features)}."
        )
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
    if len(truth) > 1:
        values["columns"] += f"  # left out: {', '.join(truth[1:])}"
    return values | _spectrum(m)


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
