"""The small fast detectors of the benchmarks serve the tests too."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# At the end: benchmarks/coverage.py must not hide the package coverage.
if str(BENCHMARKS) not in sys.path:
    sys.path.append(str(BENCHMARKS))
