"""Write the sample of `skad.datasets.load_jets` from the simulated jets in ../shared/data/jets.

Run: python benchmarks/make_jets_sample.py ../shared/data/jets skad/datasets/data/jets.parquet
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

# Jets per kind, the first of each file, and the mass of the boosted parent in GeV.
KINDS = {
    "qcd": (30_000, np.nan),
    "w_59": (2_000, 59),
    "w_80": (2_000, 80),
    "w_120": (2_000, 120),
    "w_174": (2_000, 174),
    "top_80": (2_000, 80),
    "top_174": (2_000, 174),
    "higgs_20": (2_000, 174),
    "higgs_80": (2_000, 174),
    "outlier_w": (8_000, None),
}
MOMENTA = [f"{component}{i:02d}" for i in range(20) for component in ("px", "py", "pz")]
BITS = 12


def round_mantissa(values):
    """Round to `BITS` significant bits; the zeros behind compress away."""
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    return np.ldexp(np.rint(mantissa * 2**BITS) / 2**BITS, exponent).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()

    names = [*MOMENTA, "pt", "m", "parent_mass"]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with pq.ParquetWriter(
        args.target,
        schema,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding=dict.fromkeys(names, "BYTE_STREAM_SPLIT"),
        write_statistics=False,
    ) as writer:
        for kind, (n_jets, parent_mass) in KINDS.items():
            jets = pd.read_parquet(args.source / f"{kind}.parquet").iloc[:n_jets]
            columns = {name: round_mantissa(jets[name]) for name in [*MOMENTA, "pt", "m"]}
            if parent_mass is None:
                columns["parent_mass"] = jets["w_mass"].to_numpy(np.float32)
            else:
                columns["parent_mass"] = np.full(n_jets, parent_mass, dtype=np.float32)
            writer.write_table(pa.table(columns, schema=schema), row_group_size=n_jets)
    digest = hashlib.sha256(args.target.read_bytes()).hexdigest()
    print(f"{args.target}: {args.target.stat().st_size} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
