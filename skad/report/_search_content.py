"""The numbers behind the report of a search, from a fitted bump hunt and its events."""

from dataclasses import asdict, replace

import numpy as np

from skad.inspection import most_signal_like
from skad.plotting import BumpHuntSpectrum
from skad.plotting._bump_hunt import best_row, mass_label
from skad.plotting._labels import axis_label, unit_of
from skad.report._cite import papers_of
from skad.report._json import plain
from skad.report._versions import versions
from skad.search import SignificanceCalibration, sideband_sculpting_test
from skad.utils._arguments import Numbers

__all__ = ["SCHEMA", "search_content"]

SCHEMA = "skad-search-report-1"

_N_BINS = 40
# Standard deviations from which an untrusted test is named in the answer.
_LOUD = 3.0
# More panels than these are no help; the features that the selection changes most come first.
_MOST_FEATURES = 12


def search_content(
    hunt, X, weight=None, *, title=None, labels=None, unit=None, n_events=20, record=None
):
    """Return the numbers of the report as a dict that JSON holds, see `SearchReport`."""
    names = _names(hunt)
    values = Numbers(2).read(X, "X")
    m = values[:, hunt.regions_[0].feature]
    label = mass_label(hunt, unit, labels)
    mass = names[hunt.regions_[0].feature]
    unit = unit_of(label) if unit is None else unit
    shown = best_row(hunt)
    results = hunt.results_
    best = None if shown is None else results.loc[shown]
    content = {
        "schema": SCHEMA,
        "title": title or "Search for a resonance",
        "mass": {"name": mass, "label": label, "unit": unit},
        "question": _question(hunt, mass, unit, len(values)),
        "answer": _answer(hunt, unit),
        "cautions": _cautions(hunt),
        "shown": shown,
        "best": hunt.best_,
        "p_global": hunt.p_global_,
        "p_global_error": hunt.p_global_error_,
        "z_global": hunt.z_global_,
        "results": results.to_dict("records"),
        "global": hunt.global_.to_dict("records"),
        "spectra": [
            None if fit is None else asdict(BumpHuntSpectrum.from_hunt(hunt, row))
            for row, fit in enumerate(hunt.fits_)
        ],
        "sculpting": [
            _sculpting(hunt.regions_[row.window], row, m, hunt.selected_[index], weight)
            for index, row in enumerate(results.itertuples())
        ],
        "calibration": _calibration(hunt),
    }
    content |= _scores_of(hunt, m, weight, shown)
    content |= _features_of(hunt, values, names, m, weight, shown, labels, unit)
    content["events"] = _most_anomalous(hunt, values, names, best, n_events)
    content["limit"] = None
    papers = papers_of(hunt)
    content["citations"] = [paper.line() for paper in papers]
    content["bibtex"] = [paper.bibtex() for paper in papers]
    content["versions"] = versions()
    content["record"] = record or {}
    return plain(content)


def _names(hunt):
    names = getattr(hunt, "feature_names_in_", None)
    if names is None:
        return [f"x{i}" for i in range(hunt.n_features_in_)]
    return [str(name) for name in names]


def _with_unit(value, unit):
    return f"{value:.4g} {unit}" if unit else f"{value:.4g}"


def _question(hunt, mass, unit, n_events):
    low = min(region.low for region in hunt.regions_)
    high = max(region.high for region in hunt.regions_)
    return (
        f"Is there a resonance in {mass} between {low:.4g} and {_with_unit(high, unit)}? "
        f"{n_events} events, {len(hunt.regions_)} "
        f"{'window' if len(hunt.regions_) == 1 else 'windows'}, "
        f"{len(hunt.results_)} tests."
    )


def _answer(hunt, unit):
    """Say what the search found: the verdict, one sentence, and the numbers behind it."""
    results = hunt.results_
    n_trusted, n_tests = int(results["trusted"].sum()), len(results)
    if hunt.best_ is None:
        reasons = _reasons(results)
        return {
            "verdict": "no statement",
            "text": (
                f"None of the {n_tests} tests can be trusted, so the search says nothing. Most "
                f"frequent reason: {reasons.index[0]}.{_untrusted_claim(results, None, unit)}"
            ),
            "n_trusted": 0,
            "n_tests": n_tests,
        }
    row = results.loc[hunt.best_]
    z = hunt.z_global_
    louder = _untrusted_claim(results, row["p_local"], unit)
    verdict = "significant excess" if z >= 5 else "hint of an excess" if z >= 3 else "no excess"
    if louder and z < 3:
        verdict = "no excess in the trusted tests"
    where = f"from {row['low']:.4g} to {_with_unit(row['high'], unit)}"
    cut = (
        "without a cut" if row["efficiency"] == 1 else f"at an efficiency of {row['efficiency']:g}"
    )
    return {
        "verdict": verdict,
        "text": (
            f"The smallest p-value is that of the window {where} {cut}: "
            f"{row['n_observed']:.6g} events, {row['background']:.1f} ± "
            f"{np.hypot(row['stat'], row['syst']):.1f} expected, {row['z_local']:.1f} standard "
            f"deviations there, {z:.1f} once all trusted tests are counted "
            f"(global p = {hunt.p_global_:.2g}). {n_trusted} of {n_tests} tests are trusted."
            f"{louder}"
        ),
        "low": row["low"],
        "high": row["high"],
        "efficiency": row["efficiency"],
        "z_local": row["z_local"],
        "z_global": z,
        "p_global": hunt.p_global_,
        "n_trusted": n_trusted,
        "n_tests": n_tests,
    }


def _untrusted_claim(results, p_trusted, unit):
    """Name the untrusted test that claims more than the best trusted one, and how to decide.

    `p_trusted` is None where no test is trusted.
    """
    claims = results[~results["trusted"] & (results["z_local"] > _LOUD)]
    if p_trusted is not None:
        claims = claims[claims["p_local"] < p_trusted]
    if claims.empty:
        return ""
    row = claims.loc[claims["p_local"].idxmin()]
    claimant = "A test that is not trusted claims more,"
    if p_trusted is None:
        claimant = "The strongest claim among them is"
    decide = ""
    if "sculpts" in row["reason"]:
        decide = " A detector of decorrelated features (QuantileDecorrelator) can decide."
    return (
        f" {claimant} {row['z_local']:.1f} standard deviations from "
        f"{row['low']:.4g} to {_with_unit(row['high'], unit)} at an efficiency of "
        f"{row['efficiency']:g}: {row['reason']}.{decide}"
    )


def _cautions(hunt):
    """List what a reader has to know before he believes a number."""
    cautions = []
    results = hunt.results_
    untrusted = results[~results["trusted"]]
    for reason, count in _reasons(untrusted).items():
        cautions.append(f"{count} of {len(results)} tests are not trusted: {reason}.")
    if hunt.calibration is None and (results["efficiency"] < 1).any():
        cautions.append(
            "The significances are not calibrated: without signal those of cross-fitted cuts are "
            "about a tenth wider than 1. Pseudo-experiments measure the width."
        )
    if hunt.spurious_signal is None and (results["method"] == "sideband").any():
        cautions.append(
            "What the background function invents (spurious signal) is not in the errors."
        )
    if hunt.z_global_ > 6:
        cautions.append(
            "So small a p-value rests on tails that no sideband confirms; its size is not to be "
            "taken at its word."
        )
    return cautions


def _reasons(rows):
    """Count the reasons why rows are not trusted, without their numbers."""
    return rows["reason"].str.replace(r" \(p = .*?\)", "", regex=True).value_counts()


def _sculpting(region, row, m, passed, weight):
    """Efficiency of a cut against m, in the sidebands that its fit saw."""
    seen = replace(region, sideband_width=(region.low - row.fit_low, row.fit_high - region.high))
    test = sideband_sculpting_test(m, passed, seen, sample_weight=weight)
    return {
        "low": test.edges[:, 0],
        "high": test.edges[:, 1],
        "efficiency": test.efficiency,
        "uncertainty": test.uncertainty,
        "p_value": test.p_value,
        "spread": test.spread,
    }


def _calibration(hunt):
    calibration = hunt.calibration
    if calibration is None:
        return []
    if isinstance(calibration, SignificanceCalibration):
        calibration = dict.fromkeys(hunt.results_["efficiency"].unique(), calibration)
    return [{"efficiency": float(key), **asdict(value)} for key, value in calibration.items()]


def _scores_of(hunt, m, weight, shown):
    """Histograms of the held-out scores in the shown window: region and sidebands."""
    if shown is None:
        return {"scores": None}
    window = int(hunt.results_["window"][shown])
    scores = hunt.scores_[window]
    region = hunt.regions_[window]
    known = np.isfinite(scores)
    if not known.any():
        return {"scores": None}
    # The last per mille would stretch the axis over nothing.
    edges = np.linspace(*_range(scores[known]), _N_BINS + 1)
    inside = region.mask(m)
    clipped = np.clip(scores, edges[0], edges[-1])
    cut = scores[hunt.selected_[shown] & known]
    return {
        "scores": {
            "edges": edges,
            "region": _histogram(clipped, edges, known & inside, weight),
            "sidebands": _histogram(clipped, edges, known & ~inside, weight),
            "threshold": float(cut.min()) if hunt.results_["efficiency"][shown] < 1 else None,
        }
    }


def _histogram(values, edges, rows, weight):
    weights = None if weight is None else weight[rows]
    return np.histogram(values[rows], edges, weights=weights)[0]


def _range(values):
    low, high = np.quantile(values, [0.0005, 0.9995])
    if not low < high:
        low, high = values.min(), values.max()
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _features_of(hunt, values, names, m, weight, shown, labels, unit):
    """Histograms of every feature: events of the window, and those that pass the cut."""
    if shown is None or hunt.results_["efficiency"][shown] == 1:
        # Without a cut nothing is selected.
        return {"features": []}
    region = hunt.regions_[int(hunt.results_["window"][shown])]
    inside = region.mask(m)
    passed = hunt.selected_[shown] & inside
    around = hunt.selected_[shown] & ~inside
    features = []
    for position, name in enumerate(names):
        if position == region.feature or not passed.any():
            continue
        column = values[:, position]
        edges = np.linspace(*_range(column[inside]), _N_BINS // 2 + 1)
        column = np.clip(column, edges[0], edges[-1])
        counts = {
            kind: _histogram(column, edges, rows, weight)
            for kind, rows in (("window", inside), ("selected", passed), ("sidebands", around))
        }
        shift = np.abs(
            np.cumsum(counts["window"]) / max(counts["window"].sum(), 1)
            - np.cumsum(counts["selected"]) / max(counts["selected"].sum(), 1)
        ).max()
        features.append(
            {
                "name": name,
                "label": axis_label(name, unit, labels),
                "edges": edges,
                "shift": shift,
                **counts,
            }
        )
    features.sort(key=lambda feature: -feature["shift"])
    return {"features": features[:_MOST_FEATURES]}


def _most_anomalous(hunt, values, names, best, n_events):
    """Table of the events of the shown window with the highest scores."""
    columns = ["event", "score", *names]
    if best is None or not np.isfinite(hunt.scores_[int(best["window"])]).any():
        return {"columns": columns, "rows": []}
    table = most_signal_like(hunt, values, n_events, row=int(best.name))
    rows = table.drop(columns="passes").to_numpy(np.float64).tolist()
    return {"columns": columns, "rows": [[int(event), *rest] for event, *rest in rows]}
