"""The demo behind ``make demo``: what is rare depends on the coordinates, on simulated dijets."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from skad.coordinates import DijetCoordinates, LogTransformer
from skad.datasets import load_dijets
from skad.density import FlowDensity, FramedDensity
from skad.inspection import frame_overlap
from skad.metrics import max_significance_improvement
from skad.plotting import FrameDisplay

__all__ = ["main", "run_frames"]

# TeV; below it a jet mass is a rounding error of the jet's momentum.
_LOWEST_MASS = 1e-3


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
    parser.add_argument("--events", type=int, default=60_000, help="events of the fit")
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each flow")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    results = {"frames": run_frames(options)}
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
    jacobian = np.log(T).to_numpy().sum(axis=1)
    scores = {
        "flow fitted in m": (-in_m.score_samples(T), -in_m.score_samples(T) - jacobian),
        "flow fitted in log m": (
            -in_log_m.score_samples(T),
            -in_log_m.score_samples(T) - jacobian,
        ),
        "IsolationForest": (-forest.score_samples(T), -forest_log.score_samples(np.log(T))),
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
    display.figure_.savefig(figure, dpi=150, bbox_inches="tight")
    print(f"   wrote {figure}")
    return {"shared_fraction_of_rarest_percent": shared, "detectors": table}


def _events_with_mass(masses, truth, n_events):
    good = (masses > _LOWEST_MASS).all(axis=1).to_numpy()
    if not good.all():
        print(f"   {np.sum(~good)} events with a massless jet have no log m and are left out")
    X, y = masses[good], np.asarray(truth)[good]
    return X.iloc[:n_events], y[:n_events]


if __name__ == "__main__":
    main()
