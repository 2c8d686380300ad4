"""The limits in the report of a search: their numbers, the figure and the section."""

import numpy as np
import pandas as pd

from skad.plotting import LimitDisplay
from skad.report._document import Section, Table
from skad.report._figures import Figure, new_figure
from skad.report._json import plain

__all__ = ["limit_content", "limit_figure", "limit_section"]

_ROWS = {
    "low": "from",
    "high": "to",
    "efficiency": "efficiency",
    "n_observed": "observed",
    "background": "background",
    "uncertainty": "uncertainty",
    "signal_uncertainty": "of signal",
    "observed": "limit",
    "expected_-2": "expected -2σ",
    "expected_-1": "expected -1σ",
    "expected": "expected limit",
    "expected_+1": "expected +1σ",
    "expected_+2": "expected +2σ",
}
_REFITS = {
    "strength": "injected",
    "refits": "refits",
    "signal_efficiency": "efficiency of signal",
    "spread": "spread",
    "z_local": "median z local",
}
_INTO = {
    "resampled": "data without signal: features of the data, dealt out to other masses",
    "morphed": "data without signal: features of the data, moved to other masses",
    "callable": "data without signal that the analyst draws",
    "data": "the data themselves: what they hold of a signal adds to it, and makes the limit seem "
    "stronger than it is",
}


def limit_content(limit, signal=None):
    """Return the numbers of a `SearchLimit` as a dict that JSON holds, see `SearchReport`."""
    best = limit.limits[limit.best]
    return plain(
        {
            "signal": signal,
            "into": limit.into,
            "observed": limit.observed,
            "expected": limit.expected,
            "level": best.level,
            "largest": limit.efficiencies["strength"].max(),
            "best": limit.best,
            "limits": limit.table.to_dict("records"),
            "refits": _of_refits(limit).to_dict("records"),
            "scan": {
                "strength": best.scan_strength,
                "observed": best.scan_observed,
                "expected": best.scan_expected,
            },
        }
    )


def _of_refits(limit):
    """One row for each strength: what the refits found of the signal in the best row."""
    found = limit.efficiencies
    found = found[found["efficiency"] == limit.table["efficiency"][limit.best]]
    groups = found.groupby("strength")
    return pd.DataFrame(
        {
            "refits": groups.size(),
            "signal_efficiency": groups["signal_efficiency"].mean(),
            "spread": groups["signal_efficiency"].std(),
            "z_local": groups["z_local"].median(),
        }
    ).reset_index()


def limit_figure(content):
    """Draw CLs of the best row against the number of signal events."""
    limit, scan = content["limit"], content["limit"]["scan"]
    figure = new_figure(6.4, 3.8)
    LimitDisplay(
        x=np.array(scan["strength"], dtype=float),
        observed=np.array(scan["observed"], dtype=float),
        expected=np.array(scan["expected"], dtype=float),
        xlabel="signal events in the data",
        ylabel="CLs",
        level=limit["level"],
    ).plot(figure.subplots())
    return Figure(
        "limit",
        "Upper limit",
        "CLs against the number of signal events, in the test with the strongest expected limit, "
        "with one and two standard deviations of what is expected without signal. What lies below "
        "the dotted line is excluded.",
        "CLs against the number of signal events. " + _answer(limit),
        figure,
    )


def limit_section(content, figures=()):
    """Return the section of the limits."""
    limit = content["limit"]
    tables = [
        Table(
            "Upper limits on the number of signal events, at all masses; the uncertainty of signal "
            "is relative; where a number is missing, the limit is above all that was injected",
            list(_ROWS.values()),
            [[row[name] for name in _ROWS] for row in limit["limits"]],
        ),
        Table(
            "Searches of data with signal injected, in the test of the limit quoted: "
            "the part of the signal that passes",
            list(_REFITS.values()),
            [[row[name] for name in _REFITS] for row in limit["refits"]],
        ),
    ]
    text = [_answer(limit), f"Signal was injected into {_INTO[limit['into']]}."]
    if limit["signal"]:
        text.append(f"The signal: {limit['signal']}.")
    return Section("Upper limit", text=text, figures=list(figures), tables=tables)


def _answer(limit):
    low, median, high = limit["expected"][1:4]
    largest = f"above {limit['largest']:.4g}, the largest number that was injected"
    if limit["observed"] is None:
        found = f"The limit is {largest}"
    else:
        found = f"The data hold no more than {limit['observed']:.3g} events of this signal"
    without = largest if median is None else f"{median:.3g}{_band(low, high)}"
    level = f"{100 * limit['level']:.4g} % confidence (CLs)"
    return f"{found}, at {level}; expected without signal: {without}."


def _band(low, high):
    """The 68 % band where both of its ends are finite."""
    return "" if low is None or high is None else f" ({low:.3g} to {high:.3g})"
