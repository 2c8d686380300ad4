"""Public data to the files that the benchmarks read.

Run: python benchmarks/prepare.py --data FOLDER
Fetches the LHC Olympics R&D events, the Herwig simulation and the jets, and writes, for
``--data FOLDER`` of the other benchmarks:

- background.parquet, signal.parquet, simulation.parquet: all dijets;
- data_train.parquet, data_val.parquet, signal_extra.parquet: features of the signal region;
- jets/<kind>.parquet: constituents with the mass and transverse momentum of the jet.

``--parts`` chooses among dijets, region and jets; ``--events`` limits the events of each file;
``--quick`` writes the samples of the package instead, without any download.
"""

import argparse
from pathlib import Path

import numpy as np
from samples import read_dijets, region_samples

from skad.datasets import fetch_jets, fetch_lhco_herwig, fetch_lhco_rd, load_jets
from skad.kinematics import invariant_mass, split_constituents, transverse_momentum

JETS = ("qcd", "w_59", "w_80", "w_120", "w_174", "top_80", "top_174", "higgs_20", "higgs_80")


def dijets(quick, data_home):
    """Background, signal and a function that gives the simulation."""
    if quick:
        background, simulation, signal = read_dijets()
        return background, signal, lambda: simulation
    lhco = fetch_lhco_rd(as_frame=True, data_home=data_home)
    # A jet of one particle has no N-subjettiness ratio; the files mark it as NaN.
    known = lhco.data.notna().all(axis=1)
    background = lhco.data[known & (lhco.target == 0)]
    signal = lhco.data[known & (lhco.target == 1)]

    def simulation():
        herwig = fetch_lhco_herwig(as_frame=True, data_home=data_home).data
        return herwig[herwig.notna().all(axis=1)]

    return background, signal, simulation


def jets(kind, quick, n_events, data_home):
    """Constituents of one kind of jets, with their mass and transverse momentum."""
    if quick:
        table = load_jets(kinds=[kind], as_frame=True).data
        table = table[[column for column in table.columns if column[0] in "ep"][:80]]
    else:
        table = fetch_jets(kind, n_events=n_events, as_frame=True, data_home=data_home).data
    total = split_constituents(table.to_numpy(np.float64)).sum(axis=1)
    return table.assign(pt=transverse_momentum(total), m=invariant_mass(total))


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder to write to")
    parser.add_argument("--parts", nargs="+", default=["dijets", "region", "jets"],
                        choices=["dijets", "region", "jets"])  # fmt: skip
    parser.add_argument("--events", type=int, help="at most so many events of each file")
    parser.add_argument("--data-home", help="folder of the downloads, see get_data_home")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    options.data.mkdir(parents=True, exist_ok=True)

    def write(name, table):
        path = options.data / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        table[: options.events].reset_index(drop=True).astype(np.float32).to_parquet(path)
        print(f"{path}: {len(table[: options.events])} events", flush=True)

    if {"dijets", "region"} & set(options.parts):
        background, signal, simulation = dijets(options.quick, options.data_home)
        if "region" in options.parts:
            parts = region_samples(background, signal)
            for name, table in zip(("data_train", "data_val", "signal_extra"), parts, strict=True):
                write(name, table)
        if "dijets" in options.parts:
            write("background", background)
            write("signal", signal)
            # Last, because the record of this file could not be verified.
            write("simulation", simulation())
    if "jets" in options.parts:
        for kind in JETS:
            write(f"jets/{kind}", jets(kind, options.quick, options.events, options.data_home))


if __name__ == "__main__":
    main()
