"""Limits as tables and files: pyhf workspace, HEPData, CSV and LaTeX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skad.search._limits import BANDS
from skad.utils._arguments import PATH, POSITIVE, Made, Numbers, checked
from skad.utils._optional import import_optional
from skad.utils._replacing import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.search._limits import CountingLimit
    from skad.utils._types import FilePath

__all__ = ["limit_table", "pyhf_workspace", "write_limits"]

_EXPECTED = [f"expected_{band:+d}" if band else "expected" for band in BANDS]
_TABLE = Made("skad.search.limit_table", "pandas.DataFrame", ("observed", "expected"))
_SUFFIXES = (".csv", ".tex", ".yaml")
# Digits of numbers in tables for people; files for machines hold all.
_DIGITS = 3


@checked(name=[str])
def limit_table(
    limits: Sequence[CountingLimit], values: ArrayLike | None = None, *, name: str = "mass"
) -> DataFrame:
    """Table of limits, for example one for each window of a search.

    Parameters
    ----------
    limits : sequence of CountingLimit
    values : array-like of shape (n_limits,), default=None
        What the limits are for, such as masses; None numbers them.
    name : str, default="mass"
        Name of the column of `values`.

    Returns
    -------
    table : pandas.DataFrame
        One row per limit: `name`, `observed`, `expected_-2`, `expected_-1`, `expected`,
        `expected_+1`, `expected_+2`, and `level`.

    Examples
    --------
    >>> from skad.search import counting_limit, limit_table
    >>> limits = [counting_limit(n, 10.0, 5.0, uncertainty=2.0) for n in (8, 15)]
    >>> limit_table(limits, [2.0, 2.5])[["mass", "observed", "expected"]].round(2)
       mass  observed  expected
    0   2.0      1.34      1.62
    1   2.5      2.65      1.76
    """
    import pandas as pd

    if not isinstance(limits, (list, tuple)) or not limits:
        raise TypeError(
            "limits must be a list of what counting_limit returns, at least one; got an object of "
            f"type {type(limits).__name__}."
        )
    read = Made("skad.search.counting_limit", "skad.CountingLimit")
    for i, limit in enumerate(limits):
        read.read(limit, f"limits[{i}]")
    values = np.arange(len(limits)) if values is None else Numbers().read(values, "values")
    if len(values) != len(limits):
        raise ValueError(
            f"values must hold one number for each of {len(limits)} limits; got {len(values)}."
        )
    return pd.DataFrame(
        {name: values, "observed": [limit.observed for limit in limits]}
        | dict(zip(_EXPECTED, np.array([limit.expected for limit in limits]).T, strict=True))
        | {"level": [limit.level for limit in limits]}
    )


@checked(
    limit=Made("skad.search.counting_limit", "skad.CountingLimit"),
    channels=[list, tuple, None],
    strength=[*POSITIVE, None],
    path=[*PATH, None],
)
def pyhf_workspace(
    limit: CountingLimit,
    *,
    channels: Sequence[str] | None = None,
    strength: float | None = None,
    path: FilePath | None = None,
) -> dict[Any, Any]:
    """Likelihood of a limit as a workspace of pyhf, checked against its schema.

    Parameters
    ----------
    limit : CountingLimit
    channels : sequence of str, default=None
        Names of the channels; None calls them "channel_0" and so on.
    strength : float, default=None
        Where the signal depends on the strength other than linearly, the strength whose signal is
        written, scaled to strength 1: there this likelihood and pyhf's are the same. None means the
        observed limit, or the median expected where that is not finite.
    path : None or path, default=None
        JSON file to write.

    Returns
    -------
    workspace : dict
        Parameter of interest "mu". The signal has a normfactor and, where it is uncertain, the
        normsys "signal"; an uncertain background a shapesys ("gamma") or histosys ("gaussian") of
        its own.

    Raises
    ------
    ImportError
        Without pyhf (extra `limits`).
    ValueError
        No finite strength.

    References
    ----------
    L. Heinrich, M. Feickert, G. Stark, K. Cranmer, "pyhf: pure-Python implementation of
    HistFactory statistical models", J. Open Source Softw. 6 (2021) 2823.

    Examples
    --------
    >>> from skad.search import counting_limit, pyhf_workspace
    >>> limit = counting_limit(12, 10.0, 5.0, uncertainty=2.0, signal_uncertainty=0.1)
    >>> workspace = pyhf_workspace(limit, channels=["window"])
    >>> import pyhf
    >>> model = pyhf.Workspace(workspace).model()
    >>> data = [*workspace["observations"][0]["data"], *model.config.auxdata]
    >>> round(float(pyhf.infer.hypotest(limit.observed, data, model, test_stat="qtilde")), 3)
    0.05
    """
    pyhf = import_optional("pyhf", extra="limits", purpose="pyhf_workspace")
    n_channels = len(limit.n_observed)
    names = [f"channel_{i}" for i in range(n_channels)] if channels is None else list(channels)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != n_channels:
        raise ValueError(
            f"channels must hold {n_channels} different names, one for each channel of the limit; "
            f"got {channels!r}."
        )
    if limit.is_linear:
        signal, relative = limit.signal[0], limit.signal_uncertainty[0]
    else:
        if strength is None:
            candidates = [limit.observed, limit.expected[len(BANDS) // 2]]
            strength = next((value for value in candidates if np.isfinite(value)), np.nan)
        if not np.isfinite(strength) or strength <= 0:
            raise ValueError(
                "strength must be positive and finite, for the signal grows other than linearly "
                f"with it; got {strength!r}."
            )
        signal = limit.expected_signal(strength) / strength
        relative = limit.relative_uncertainty(strength)
    workspace = {
        "channels": [
            {"name": name, "samples": _samples(limit, i, signal[i], relative[i], name)}
            for i, name in enumerate(names)
        ],
        "observations": [
            {"name": name, "data": [float(n)]}
            for name, n in zip(names, limit.n_observed, strict=True)
        ],
        "measurements": [{"name": "limit", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }
    pyhf.schema.validate(workspace, "workspace.json")
    if path is not None:
        _write(path, json.dumps(workspace, indent=2) + "\n")
    return workspace


def _samples(limit, i, signal, relative, name):
    of_signal = [{"name": "mu", "type": "normfactor", "data": None}]
    if relative:
        high = 1 + float(relative)
        of_signal.append(
            {"name": "signal", "type": "normsys", "data": {"hi": high, "lo": 1 / high}}
        )
    b0, sigma = float(limit.background[i]), float(limit.uncertainty[i])
    of_background = []
    if sigma and limit.constraint == "gamma":
        of_background = [{"name": f"background_{name}", "type": "shapesys", "data": [sigma]}]
    elif sigma:
        data = {"hi_data": [b0 + sigma], "lo_data": [b0 - sigma]}
        of_background = [{"name": f"background_{name}", "type": "histosys", "data": data}]
    return [
        {"name": "signal", "data": [float(signal)], "modifiers": of_signal},
        {"name": "background", "data": [b0], "modifiers": of_background},
    ]


@checked(table=_TABLE, path=PATH, unit=[str], quantity=[str], quantity_unit=[str])
def write_limits(
    table: DataFrame,
    path: FilePath,
    *,
    unit: str = "",
    quantity: str = "signal strength",
    quantity_unit: str = "",
) -> Path:
    """Write a table of limits for readers, spreadsheets, papers and HEPData.

    Parameters
    ----------
    table : pandas.DataFrame
        What `limit_table` returns; its first column is what the limits are for.
    path : path
        Its suffix says what is written: ".csv" all digits; ".tex" a LaTeX table of three digits;
        ".yaml" a data table of a HEPData submission, the expected limits with their bands as
        asymmetric errors.
    unit : str, default=""
        Of the first column, for example "TeV".
    quantity : str, default="signal strength"
        What is limited, for example "cross section".
    quantity_unit : str, default=""
        Its unit, for example "fb".

    Returns
    -------
    path : Path

    Raises
    ------
    ValueError
        Another suffix, or a limit that is not finite for HEPData: leave its row out.
    ImportError
        HEPData without PyYAML (extra `limits`).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from skad.search import counting_limit, limit_table, write_limits
    >>> limits = [counting_limit(n, 10.0, 5.0, uncertainty=2.0) for n in (8, 15)]
    >>> path = write_limits(limit_table(limits, [2.0, 2.5]), Path(mkdtemp()) / "limits.csv")
    >>> path.read_text().splitlines()[0]
    'mass,observed,expected_-2,expected_-1,expected,expected_+1,expected_+2,level'
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"path must end in one of {_SUFFIXES}; got {str(path)!r}.")
    if path.suffix == ".csv":
        return _write(path, table.to_csv(index=False))
    labels = _label(table.columns[0], unit), _label(quantity, quantity_unit)
    if path.suffix == ".tex":
        return _write(path, _latex(table, *labels))
    yaml = import_optional("yaml", extra="limits", purpose="write_limits to a .yaml file")
    content = _hepdata(table, unit, quantity, quantity_unit)
    return _write(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _label(name, unit):
    return f"{name} [{unit}]" if unit else str(name)


def _latex(table, first, second):
    numbers = table[[table.columns[0], "observed", *_EXPECTED]]
    numbers.columns = [first, "observed", r"$-2\sigma$", r"$-1\sigma$", "median",
                       r"$+1\sigma$", r"$+2\sigma$"]  # fmt: skip
    level = ", ".join(f"{100 * value:g}" for value in sorted(set(table["level"])))
    return numbers.to_latex(
        index=False,
        formatters={first: "{:g}".format},
        float_format=lambda value: f"{value:#.{_DIGITS}g}".rstrip(".") if value < np.inf else "--",
        caption=f"Upper limits on the {second} at {level}\\,\\% CL, observed and expected without "
        "signal.",
        label="tab:limits",
    )


def _hepdata(table, unit, quantity, quantity_unit):
    numbers = table[["observed", *_EXPECTED]]
    if not np.all(np.isfinite(numbers)):
        rows = table.index[~np.isfinite(numbers).all(axis=1)].tolist()
        raise ValueError(
            f"HEPData takes finite numbers only; the limits of rows {rows} are not. Leave these "
            "rows out, or measure the signal at larger strengths."
        )

    def header(name, its_unit):
        return {"name": str(name), "units": its_unit} if its_unit else {"name": str(name)}

    expected = table["expected"]
    errors = [
        [
            {
                "asymerror": {
                    "plus": float(table[f"expected_+{band}"][row] - expected[row]),
                    "minus": float(table[f"expected_-{band}"][row] - expected[row]),
                },
                "label": f"{band} standard deviation{'s' if band > 1 else ''}",
            }
            for band in (1, 2)
        ]
        for row in table.index
    ]
    level = float(table["level"].iloc[0])
    if not np.all(table["level"] == level):
        raise ValueError(
            "a table of HEPData holds limits of one confidence level; got "
            f"{sorted(set(table['level']))}."
        )
    qualifiers = [{"name": "confidence level", "value": f"{100 * level:g}", "units": "%"}]
    return {
        "independent_variables": [
            {
                "header": header(table.columns[0], unit),
                "values": [{"value": float(value)} for value in table.iloc[:, 0]],
            }
        ],
        "dependent_variables": [
            {
                "header": header(f"observed upper limit on the {quantity}", quantity_unit),
                "qualifiers": qualifiers,
                "values": [{"value": float(value)} for value in table["observed"]],
            },
            {
                "header": header(f"expected upper limit on the {quantity}", quantity_unit),
                "qualifiers": [dict(each) for each in qualifiers],
                "values": [
                    {"value": float(value), "errors": error}
                    for value, error in zip(expected, errors, strict=True)
                ],
            },
        ],
    }


def _write(path, text):
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
