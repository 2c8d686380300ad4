"""Figures of the reports, as SVG with a text that says what they show."""

import base64
import functools
import io
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from skad.plotting import BumpHuntDisplay, BumpHuntSpectrum
from skad.search import local_significance
from skad.utils._optional import import_optional

__all__ = ["Figure", "new_figure", "search_figures"]

_BLUE, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#009E73"


@dataclass
class Figure:
    """One figure: its name, a heading, a caption, a text for those who do not see it, and itself.

    `drawn` is a matplotlib figure.
    """

    name: str
    heading: str
    caption: str
    alt: str
    drawn: object

    @functools.cached_property
    def svg(self):
        """The figure as SVG; text is drawn as outlines, so that it looks the same everywhere."""
        rc_context = import_optional(
            "matplotlib", extra="plot", purpose="A report with figures"
        ).rc_context
        text = io.StringIO()
        # The same numbers must give the same file.
        with rc_context({"svg.hashsalt": self.name, "svg.fonttype": "path"}):
            self.drawn.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()

    @property
    def data_uri(self):
        """The SVG as an address that holds it."""
        packed = base64.b64encode(self.svg.encode()).decode()
        return f"data:image/svg+xml;base64,{packed}"


def new_figure(width, height):
    """Return a matplotlib figure that belongs to no window."""
    figure = import_optional("matplotlib.figure", extra="plot", purpose="A report with figures")
    return figure.Figure(figsize=(width, height), layout="constrained")


def search_figures(content):
    """Draw the figures of a report of a search.

    Parameters
    ----------
    content : dict
        As `SearchReport.content`.

    Returns
    -------
    figures : list of Figure
    """
    makers = (_scan, _before, _after, _closure, _sculpting, _calibration, _scores, _features)
    return [figure for maker in makers if (figure := maker(content)) is not None]


def _spectrum(content, row):
    numbers = content["spectra"][row]
    if numbers is None:
        return None
    arrays = ("edges", "counts", "scale", "expected", "pulls", "fitted", "m", "density", "error")
    numbers = numbers | {name: np.array(numbers[name]) for name in arrays}
    numbers["region"] = tuple(numbers["region"])
    return BumpHuntSpectrum(**numbers)


def _rows_of_window(content):
    """Rows of the window that is shown, the loosest cut first."""
    results, shown = content["results"], content["shown"]
    window = results[shown]["window"]
    rows = [i for i, row in enumerate(results) if row["window"] == window]
    return sorted(rows, key=lambda row: -results[row]["efficiency"])


def _scan(content):
    results = content["results"]
    if len({row["window"] for row in results}) < 2:
        return None
    scan = {}
    for efficiency in dict.fromkeys(row["efficiency"] for row in results):
        rows = [row for row in results if row["efficiency"] == efficiency]
        columns = {
            name: np.array([np.nan if row[name] is None else row[name] for row in rows])
            for name in ("low", "high", "p_local")
        }
        trusted = np.array([row["trusted"] for row in rows])
        scan[efficiency] = (*columns.values(), trusted)
    figure = new_figure(6.4, 3.8)
    BumpHuntDisplay(
        spectra=[],
        scan=scan,
        p_global=content["p_global"],
        feature_name=content["mass"]["label"],
    ).plot(figure.subplots(1, 1, squeeze=False))
    known = [row for row in results if row["p_local"] is not None]
    smallest = min(known, key=lambda row: row["p_local"], default=None)
    alt = f"Local p-values of {len(results)} tests against {content['mass']['name']}."
    if smallest is not None:
        alt += (
            f" The smallest is {smallest['p_local']:.2g} between {smallest['low']:.4g} and "
            f"{smallest['high']:.4g} at an efficiency of {smallest['efficiency']:g}"
            f"{'' if smallest['trusted'] else ', and is not trusted'}."
        )
    return Figure(
        "p-values",
        "p-values against mass",
        "Chance of an excess as large in every window, for every cut. Pale lines are tests that "
        "are not trusted and do not count in the global p-value.",
        alt,
        figure,
    )


def _spectrum_figure(content, row, name, heading):
    spectrum = _spectrum(content, row)
    if spectrum is None:
        return None
    figure = new_figure(6.4, 5.0)
    axes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    BumpHuntDisplay(spectra=[spectrum], feature_name=content["mass"]["label"]).plot(axes)
    low, high = spectrum.region
    alt = (
        f"Spectrum of {content['mass']['name']}, {spectrum.title}: {spectrum.n_observed:.6g} "
        f"events between {low:.4g} and {high:.4g} where {spectrum.background:.1f} plus or minus "
        f"{spectrum.uncertainty:.1f} are expected. The largest pull outside the window is "
        f"{np.abs(spectrum.pulls[spectrum.fitted]).max():.1f} standard deviations."
    )
    return Figure(
        name,
        heading,
        "Events with Poisson intervals, the fit of the sidebands with one standard deviation, and "
        "the Poisson significance of every bin. The grey window was not fitted.",
        alt,
        figure,
    )


def _before(content):
    if content["shown"] is None:
        return None
    rows = _rows_of_window(content)
    if rows[0] == content["shown"]:
        return None
    return _spectrum_figure(content, rows[0], "before", "Spectrum before the cut")


def _after(content):
    if content["shown"] is None:
        return None
    loose = content["results"][content["shown"]]["efficiency"] == 1
    heading = "Spectrum" if loose else "Spectrum after the cut"
    return _spectrum_figure(content, content["shown"], "after", heading)


def _closure(content):
    """Pulls of all sidebands against the normal distribution."""
    pulls, p_values = [], []
    for row, numbers in zip(content["results"], content["spectra"], strict=True):
        if numbers is None:
            continue
        fitted = np.array(numbers["fitted"])
        # In units of an event of mean weight.
        scale = np.array(numbers["scale"])
        counts, expected = (np.array(numbers[name]) / scale for name in ("counts", "expected"))
        # Bins with few expected events have no normal pulls, and exact ones pile up at zero.
        seen = fitted & (expected >= 5)
        pulls += local_significance(counts[seen], expected[seen]).tolist()
        p_values.append(row["fit_p"])
    if len(pulls) < 10:
        return None
    figure = new_figure(6.4, 3.2)
    ax = figure.subplots()
    edges = np.linspace(-4, 4, 25)
    ax.hist(
        np.clip(pulls, -3.99, 3.99), edges, density=True, color=_BLUE, alpha=0.6, label="sidebands"
    )
    z = np.linspace(-4, 4, 200)
    ax.plot(z, norm.pdf(z), color="black", label="standard normal")
    ax.set(xlabel="pull of a sideband bin [σ]", ylabel="density", xlim=(-4, 4))
    ax.legend(loc="upper right", fontsize="small")
    known = [p for p in p_values if p is not None]
    return Figure(
        "closure",
        "Background closure",
        "Does the background function describe the sidebands? Signed roots of the likelihood "
        "ratio of all bins with five expected events or more, against the standard normal "
        "distribution.",
        f"Histogram of {len(pulls)} pulls: mean {np.mean(pulls):.2f}, standard deviation "
        f"{np.std(pulls):.2f}. The p-values of the fits range from {min(known):.2g} to "
        f"{max(known):.2g}.",
        figure,
    )


def _sculpting(content):
    if content["shown"] is None:
        return None
    rows = [
        row
        for row in _rows_of_window(content)
        if content["results"][row]["efficiency"] < 1 and content["sculpting"][row]["low"]
    ]
    if not rows:
        return None
    figure = new_figure(6.4, 3.4)
    ax = figure.subplots()
    alts = []
    for i, row in enumerate(rows):
        test = {key: np.array(value) for key, value in content["sculpting"][row].items()}
        efficiency = content["results"][row]["efficiency"]
        mean = np.average(test["efficiency"])
        ax.errorbar(
            0.5 * (test["low"] + test["high"]),
            test["efficiency"] / mean,
            yerr=test["uncertainty"] / mean,
            xerr=0.5 * (test["high"] - test["low"]),
            fmt="os^Dv"[i % 5],
            color=(_BLUE, _ORANGE, _GREEN, "#CC79A7", "black")[i % 5],
            markersize=4,
            linewidth=1,
            label=f"efficiency {efficiency:g}, p = {test['p_value']:.2g}",
        )
        alts.append(f"efficiency {efficiency:g}: p-value {test['p_value']:.2g}")
    shown = content["results"][content["shown"]]
    ax.axvspan(shown["low"], shown["high"], color="0.85", zorder=0, linewidth=0)
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set(xlabel=content["mass"]["label"], ylabel="efficiency / mean")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=8, frameon=False)
    return Figure(
        "sculpting",
        "Sculpting",
        "Does the cut change the spectrum? Fraction of the events that pass against the mass, in "
        "the sidebands of the window shown. A cut that keeps the shape gives one everywhere.",
        "Relative efficiency against mass in the sidebands. " + "; ".join(alts) + ".",
        figure,
    )


def _calibration(content):
    if not content["calibration"]:
        return None
    figure = new_figure(6.4, 3.2)
    ax = figure.subplots()
    z = np.linspace(-5, 5, 300)
    ax.plot(z, norm.pdf(z), color="black", label="standard normal")
    alts = []
    for i, each in enumerate(content["calibration"]):
        color = (_BLUE, _ORANGE, _GREEN, "#CC79A7", "#E69F00", "#56B4E9")[i % 6]
        ax.plot(
            z,
            norm.pdf(z, each["mean"], each["std"]),
            color=color,
            linestyle=("--", ":", "-.")[i % 3],
            label=f"efficiency {each['efficiency']:g}",
        )
        alts.append(
            f"efficiency {each['efficiency']:g}: mean {each['mean']:.2f}, width {each['std']:.2f} "
            f"from {each['n_experiments']} experiments"
        )
    ax.set(xlabel="significance without signal [σ]", ylabel="density", xlim=(-5, 5))
    ax.legend(loc="upper right", fontsize="small")
    return Figure(
        "calibration",
        "Calibration",
        "Significances of background-only pseudo-experiments, by which those of the search are "
        "corrected.",
        "Distribution of significances without signal. " + "; ".join(alts) + ".",
        figure,
    )


def _scores(content):
    scores = content["scores"]
    if scores is None:
        return None
    edges = np.array(scores["edges"])
    figure = new_figure(6.4, 3.4)
    ax = figure.subplots()
    for kind, color, style in (("region", _ORANGE, "-"), ("sidebands", _BLUE, "--")):
        counts = np.array(scores[kind], dtype=float)
        density = counts / max(counts.sum(), 1) / np.diff(edges)
        name = "window" if kind == "region" else kind
        ax.stairs(density, edges, color=color, linestyle=style, linewidth=1.5, label=name)
    if scores["threshold"] is not None:
        ax.axvline(
            scores["threshold"], color="black", linestyle=":", label="lowest score that passes"
        )
    ax.set(xlabel="anomaly score, held-out events", ylabel="density", yscale="log")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8, frameon=False)
    return Figure(
        "scores",
        "Scores",
        "Scores of events that the detector was not fitted to, in the window shown and beside it. "
        "Scores beyond the ends are counted in the last bins.",
        f"Distributions of the anomaly score from {edges[0]:.3g} to {edges[-1]:.3g} of "
        f"{sum(scores['region']):.6g} events of the window and "
        f"{sum(scores['sidebands']):.6g} of the sidebands.",
        figure,
    )


def _features(content):
    features = content["features"]
    if not features:
        return None
    columns = min(2, len(features))
    rows = -(-len(features) // columns)
    figure = new_figure(3.6 * columns, 2.5 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    kinds = (
        ("window", "0.4", "-", "window, all"),
        ("sidebands", _BLUE, "--", "sidebands, selected"),
        ("selected", _ORANGE, "-", "window, selected"),
    )
    for ax, feature in zip(axes, features, strict=False):
        edges = np.array(feature["edges"])
        for kind, color, style, name in kinds:
            counts = np.array(feature[kind], dtype=float)
            density = counts / max(counts.sum(), 1) / np.diff(edges)
            ax.stairs(density, edges, color=color, linestyle=style, linewidth=1.4, label=name)
        ax.set(xlabel=feature["label"], ylabel="density")
    for spare in axes[len(features) :]:
        spare.remove()
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    return Figure(
        "features",
        "Features",
        "What the selected events look like: all events of the window, those that pass, and those "
        "that pass beside it. Features that the selection changes most come first.",
        "Distributions of "
        + ", ".join(
            f"{feature['name']} (largest difference of the cumulative distributions "
            f"{feature['shift']:.2f})"
            for feature in features
        )
        + ".",
        figure,
    )
