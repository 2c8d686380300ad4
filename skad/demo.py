"""The demo behind ``make demo`` on simulated dijets: rarity, coordinates, a resonance search."""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skad.coordinates import DijetCoordinates, LogTransformer
from skad.datasets import load_dijets
from skad.density import FlowDensity, FramedDensity
from skad.detectors import TreeEnsembleClassifier
from skad.exceptions import (
    FiducialWarning,
    LowStatisticsWarning,
    SculptingWarning,
    SpectrumFitWarning,
)
from skad.inspection import frame_overlap
from skad.metrics import anomaly_response, max_significance_improvement
from skad.plotting import BumpHuntDisplay, FrameDisplay, SICDisplay
from skad.resonant import (
    ANODE,
    GivenReference,
    ResidualANODE,
    Sidebands,
    SignalRegion,
    TemplateDetector,
)
from skad.search import BumpHunt

__all__ = ["main", "run_frames", "run_search"]

# TeV; below it a jet mass is a rounding error of the jet's momentum.
_LOWEST_MASS = 1e-3
# TeV
_REGION = SignalRegion(3.3, 3.7)
_SEARCH_FEATURES = ("mjj", "mj1", "delta_mj", "tau21_j1", "tau21_j2")


def main(arguments=None):
    """Run the demo and write a figure and a JSON file.

    Parameters
    ----------
    arguments : list of str, default=None
        Command line; None takes that of the process.

    Returns
    -------
    results : dict
        What was written as JSON.
    """
    parser = argparse.ArgumentParser(prog="python -m skad.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    parser.add_argument("--events", type=int, default=60_000, help="events of the first fits")
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each flow")
    parser.add_argument(
        "--search-events", type=int, default=200_000, help="background events of the search"
    )
    parser.add_argument("--trees", type=int, default=10, help="boosted ensembles per classifier")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    results = {"frames": run_frames(options), "search": run_search(options)}
    results["seconds"] = round(time.perf_counter() - started, 1)
    path = options.output / "demo.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nwrote {path} after {results['seconds']} s")
    return results


def run_frames(options):
    """Find the rarest events of one density in m and in log m; compare with IsolationForest."""
    print("== Dijets: the masses of both jets, in m and in log m")
    dijets = load_dijets(random_state=options.seed, as_frame=True)
    masses = DijetCoordinates(features=("mj1", "mj2")).set_output(transform="pandas")
    X, y = _events_with_mass(masses.fit_transform(dijets.data), dijets.target, options.events)
    T, truth = _events_with_mass(masses.transform(dijets.test_data), dijets.test_target, None)
    print(f"   fit on {len(X)} events ({int(y.sum())} of them signal), tested on {len(T)}")

    log_m = LogTransformer(unit=1.0)
    flow = FlowDensity(
        max_epochs=options.epochs, random_state=options.seed, verbose=1, device="cpu"
    )
    print("   a flow fitted in m")
    in_m = FramedDensity(None, flow).fit(X)
    print("   the same flow fitted in log m")
    in_log_m = FramedDensity(log_m, flow).fit(X)
    frames = {"m": None, "log m": log_m}
    overlap = frame_overlap(in_log_m, frames, T)
    shared = float(overlap.shared.loc["m", "log m"])
    print(f"   of the 1 % rarest events in m and in log m, {shared:.0%} are the same")

    forest = IsolationForest(random_state=options.seed).fit(X)
    forest_log = IsolationForest(random_state=options.seed).fit(np.log(X))
    rarity_in_m, rarity_in_log_m = (anomaly_response(each, T) for each in (in_m, in_log_m))
    jacobian = np.log(T).to_numpy().sum(axis=1)
    scores = {
        "flow fitted in m": (rarity_in_m, rarity_in_m - jacobian),
        "flow fitted in log m": (rarity_in_log_m, rarity_in_log_m - jacobian),
        "IsolationForest": (
            anomaly_response(forest, T),
            anomaly_response(forest_log, np.log(T)),
        ),
    }
    table = {}
    print("   detector              rare in    AUC   max SIC")
    for name, of_frames in scores.items():
        for frame, score in zip(frames, of_frames, strict=True):
            auc = float(roc_auc_score(truth, score))
            sic = float(max_significance_improvement(truth, score))
            table[f"{name}, rare in {frame}"] = {"auc": auc, "max_sic": sic}
            print(f"   {name:<21} {frame:<8} {auc:6.3f}   {sic:7.2f}")
    print("   The two flows agree frame by frame: the coordinates of the fit do not matter,")
    print("   those in which rarity is judged do.")

    figure = options.output / "frames.png"
    display = FrameDisplay.from_overlap(overlap)
    _save(display, figure)
    return {"shared_fraction_of_rarest_percent": shared, "detectors": table}


def run_search(options):
    """Look for the resonance: methods by their SIC, and a bump hunt before and after a cut."""
    print("\n== The resonance search: a signal of 3.5 TeV in the signal region 3.3 to 3.7 TeV")
    n_signal = round(options.search_events / 500)
    dijets = load_dijets(
        n_background=options.search_events, n_signal=n_signal, random_state=options.seed
    )
    coordinates = DijetCoordinates(features=_SEARCH_FEATURES)
    X = coordinates.fit_transform(dijets.data)
    T, truth = _in_region(coordinates.transform(dijets.test_data), dijets.test_target)
    inside = _REGION.mask(X)
    n_inside = int(dijets.target[inside].sum())
    print(f"   {len(X)} events, {inside.sum()} in the region, {n_inside} of them signal")
    # One half of the test events is the reference of the two idealised methods.
    given, T, given_truth, truth = T[::2], T[1::2], truth[::2], truth[1::2]
    scores = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FiducialWarning)
        warnings.simplefilter("ignore", LowStatisticsWarning)
        # The table below says what they say.
        warnings.simplefilter("ignore", SculptingWarning)
        warnings.simplefilter("ignore", SpectrumFitWarning)
        for name, fit in _search_methods(X, given, given_truth, options).items():
            started = time.perf_counter()
            scores[name] = fit(T)
            print(f"   {name}: {time.perf_counter() - started:.0f} s", flush=True)
        table = _search_table(truth, scores)
        hunt = _hunt(X, options)
    display = SICDisplay.from_predictions(truth, scores)
    _save(display, options.output / "sic.png")
    display = BumpHuntDisplay.from_estimator(hunt, feature_name="$m_{jj}$ [TeV]")
    _save(display, options.output / "bump_hunt.png")
    columns = ["efficiency", "n_selected", "n_observed", "background", "stat", "z_local"]
    rows = hunt.results_[[*columns, "trusted", "reason"]]
    print("   bump hunt of CWoLa hunting: fraction of the events kept, events and expected")
    print("   background in the region, local significance")
    for row in rows.itertuples():
        print(
            f"   {row.efficiency:7.3f}  {row.n_observed:6.0f}  {row.background:8.1f} +- "
            f"{row.stat:.1f}  {row.z_local:5.1f} sigma"
            + ("" if row.trusted else f", not to be trusted: {row.reason}")
        )
    # NaN, where too few events passed for a fit, is no JSON.
    hunt_rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return {"signal_in_region": n_inside, "detectors": table, "bump_hunt": hunt_rows}


def _search_methods(X, given, given_truth, options):
    """Return for every method a function that fits it and scores events."""
    common = {"region": _REGION, "random_state": options.seed, "threshold": 1.0}
    flow = {"max_epochs": options.epochs, "device": "cpu"}
    inside = X[_REGION.mask(X)]
    trees = TreeEnsembleClassifier(options.trees, n_forest_trees=3 * options.trees)
    background = given[given_truth == 0]
    fitted = {}

    def anode(T):
        fitted["anode"] = ANODE(
            FlowDensity(n_estimators=4, **flow), FlowDensity(batch_size=2048, **flow), **common
        ).fit(X)
        return fitted["anode"].anomaly_score(T)

    def residual(T):
        signal = FlowDensity(
            "maf",
            n_transforms=4,
            hidden_layer_sizes=(32, 32),
            max_epochs=5 * options.epochs,
            batch_size=2048,
            learning_rate=3e-3,
            device="cpu",
        )
        shared = FrozenEstimator(fitted["anode"].background_density_)
        detector = ResidualANODE(signal, shared, **common).fit(X)
        print(
            f"   ResidualANODE fits {detector.signal_fraction_:.2%} of signal, with a gain in "
            f"2 log L of {detector.signal_gain_:.0f}"
        )
        return detector.anomaly_score(T)

    def with_reference(target):
        def score(T):
            events = np.concatenate([target, background])
            y = np.repeat([1, 0], [len(target), len(background)])
            detector = TemplateDetector(
                GivenReference(_REGION), trees, cv=None, random_state=options.seed
            )
            return detector.fit(events, y).anomaly_score(T)

        return score

    def cwola(T):
        return _cwola(options).fit(X).anomaly_score(T)

    def forest(T):
        forest = IsolationForest(random_state=options.seed).fit(inside[:, 1:])
        return anomaly_response(forest, T[:, 1:])

    return {
        "ANODE": anode,
        "ResidualANODE": residual,
        "CWoLa hunting": cwola,
        "idealised": with_reference(inside),
        "supervised": with_reference(given[given_truth == 1]),
        "IsolationForest": forest,
    }


def _cwola(options):
    return TemplateDetector(
        Sidebands(_REGION.with_sidebands(0.2)),
        TreeEnsembleClassifier(options.trees, n_forest_trees=3 * options.trees),
        cv=None,
        random_state=options.seed,
    )


def _hunt(X, options):
    return BumpHunt(
        _cwola(options),
        [_REGION],
        efficiencies=(1.0, 1e-2, 1e-3),
        random_state=options.seed,
    ).fit(X)


def _search_table(truth, scores):
    table = {}
    print("   detector           AUC   max SIC")
    for name, score in scores.items():
        auc = float(roc_auc_score(truth, score))
        sic = float(max_significance_improvement(truth, score, min_background_events=25))
        table[name] = {"auc": auc, "max_sic": sic}
        print(f"   {name:<16} {auc:6.3f}   {sic:7.2f}")
    return table


def _in_region(X, truth):
    inside = _REGION.mask(X)
    return X[inside], np.asarray(truth)[inside]


def _save(display, path):
    display.figure_.savefig(path, dpi=150, bbox_inches="tight")
    print(f"   wrote {path}")


def _events_with_mass(masses, truth, n_events):
    good = (masses > _LOWEST_MASS).all(axis=1).to_numpy()
    if not good.all():
        print(f"   {np.sum(~good)} events with a massless jet have no log m and are left out")
    X, y = masses[good], np.asarray(truth)[good]
    return X.iloc[:n_events], y[:n_events]


if __name__ == "__main__":
    main()
