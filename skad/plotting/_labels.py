"""Names of columns as axes show them: one mapping for every display."""

import re

__all__ = ["LABELS", "axis_label", "unit_of"]

# Symbol, and whether the quantity has the unit of the events (TeV or GeV).
LABELS = {
    "m": ("$m$", True),
    "mjj": ("$m_{jj}$", True),
    "mj1": (r"$m_{J_1}$", True),
    "mj2": (r"$m_{J_2}$", True),
    "delta_mj": (r"$m_{J_2} - m_{J_1}$", True),
    "tau21_j1": (r"$\tau_{21}^{J_1}$", False),
    "tau21_j2": (r"$\tau_{21}^{J_2}$", False),
    "tau32_j1": (r"$\tau_{32}^{J_1}$", False),
    "tau32_j2": (r"$\tau_{32}^{J_2}$", False),
    "pt_j1": (r"$p_T^{J_1}$", True),
    "pt_j2": (r"$p_T^{J_2}$", True),
    "eta_j1": (r"$\eta^{J_1}$", False),
    "eta_j2": (r"$\eta^{J_2}$", False),
    "delta_eta": (r"$|\Delta\eta|$", False),
    "delta_r": (r"$\Delta R$", False),
    "pt": ("$p_T$", True),
    "mass": ("$m$", True),
    "tau21": (r"$\tau_{21}$", False),
    "tau32": (r"$\tau_{32}$", False),
    "n_constituents": ("constituents", False),
}


def axis_label(name, unit=None, labels=None):
    """Return the label of an axis that shows a column.

    Parameters
    ----------
    name : str
        Name of the column.
    unit : str, default=None
        Unit of masses and momenta, "TeV" or "GeV"; None names none.
    labels : dict of str to str, default=None
        Whole labels of the user, which win.

    Returns
    -------
    label : str
        As "$m_{jj}$ [TeV]"; a name that nobody knows stays as it is.
    """
    if labels and name in labels:
        return labels[name]
    symbol, dimensional = LABELS.get(name, (str(name), False))
    return f"{symbol} [{unit}]" if dimensional and unit else symbol


def unit_of(label):
    """Return the unit in square brackets at the end of a label, or None."""
    unit = re.search(r"\[([^\[\]]+)\]\s*$", label)
    return None if unit is None else unit[1]
