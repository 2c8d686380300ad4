"""Make the dijet sample that the package ships, from the full simulated files.

Usage: python benchmarks/make_dijets_sample.py SOURCE_FOLDER [TARGET_FILE]

SOURCE_FOLDER holds background.parquet, simulation.parquet and signal.parquet. Prints the
checksum that `skad.datasets.load_dijets` and its test expect.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = [
    f"{quantity}j{jet}"
    for jet in (1, 2)
    for quantity in ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
]
EVENTS = {"background": 260_000, "simulation": 140_000, "signal": 12_000}
# Below, the threshold on the leading jet's momentum bends the mass spectrum.
MIN_MASS = 2700.0  # GeV
# Mantissa bits kept: a relative rounding error of at most 2**-10 (momenta, masses) and 2**-9.
MANTISSA_BITS = {name: 8 if name.startswith("tau") else 9 for name in FEATURES}
TARGET = Path(__file__).parent.parent / "skad/datasets/data/dijets.parquet"


def dijet_mass(table):
    column = {name: table[name].to_numpy().astype(np.float64) for name in FEATURES}
    momentum = [np.stack([column[f"p{axis}j{jet}"] for axis in "xyz"]) for jet in (1, 2)]
    energy = [
        np.sqrt((momentum[jet - 1] ** 2).sum(axis=0) + column[f"mj{jet}"] ** 2) for jet in (1, 2)
    ]
    return np.sqrt(sum(energy) ** 2 - (sum(momentum) ** 2).sum(axis=0))


def round_mantissa(values, bits):
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(mantissa, bits + 1)), exponent - bits - 1)


def select(folder, name, rng):
    table = pq.read_table(folder / f"{name}.parquet", columns=FEATURES)
    kept = np.flatnonzero(dijet_mass(table) > MIN_MASS)
    chosen = np.sort(rng.choice(kept, size=EVENTS[name], replace=False))
    columns = {
        feature: round_mantissa(table[feature].to_numpy()[chosen], MANTISSA_BITS[feature])
        for feature in FEATURES
    }
    # Sorted rows compress a tenth better; load_dijets shuffles them.
    order = np.argsort(columns["pxj1"], kind="stable")
    n_events = len(order)
    return pa.table(
        {
            **{feature: values[order].astype(np.float32) for feature, values in columns.items()},
            "label": np.full(n_events, name == "signal", dtype=np.int8),
            "sample": pa.array([name] * n_events).dictionary_encode(),
        }
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path, nargs="?", default=TARGET)
    arguments = parser.parse_args()
    rng = np.random.default_rng(20220613)
    tables = [select(arguments.source, name, rng) for name in EVENTS]
    with pq.ParquetWriter(
        arguments.target,
        tables[0].schema,
        compression="zstd",
        compression_level=22,
        use_dictionary=["sample"],
        use_byte_stream_split=FEATURES,
        write_statistics=["sample"],
    ) as writer:
        for table in tables:  # one row group for each process
            writer.write_table(table, row_group_size=table.num_rows)
    content = arguments.target.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    print(f"{arguments.target.name}: {len(content)} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
