"""The whole matrix of inputs: every public estimator, function, display and command, with counts.

    OMP_NUM_THREADS=1 python benchmarks/fuzz.py > benchmarks/results/fuzz.md

`tests/test_fuzz.py` makes a sample of the same calls; `tests/fuzz.py` says what is right.
"""

import argparse
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", help="names of estimators and functions")
    arguments = parser.parse_args()
    from fast_estimators import fast_estimators
    from fuzz import Judge
    from fuzz_commands import COMMANDS, READS, fuzz_command, fuzz_settings
    from fuzz_estimators import fuzz_estimator
    from fuzz_functions import ALLOWED, CALLS, fuzz_function

    logging.disable()
    print("# Every estimator, function, display and command against a matrix of inputs\n")
    print("    OMP_NUM_THREADS=1 python benchmarks/fuzz.py > benchmarks/results/fuzz.md\n")
    print(
        "A call is right, or refused by an error that skad or scikit-learn wrote; what is neither"
    )
    print(f"is a finding. {len(ALLOWED)} kinds of calls are left out, which")
    print(
        "`tests/fuzz_functions.py`, `tests/fuzz_files.py` and `tests/fuzz_studies.py` list with the"
    )
    print("reason. A command is refused by an exit code and a message, without a traceback.\n")
    print(
        "| name | calls | right | refused | findings | s |\n| --- | --- | --- | --- | --- | --- |"
    )
    kinds = [(fuzz_function, {name: (name,) for name in CALLS})]
    kinds.append((fuzz_estimator, {name: (name, e) for name, e in fast_estimators().items()}))
    kinds += [
        (fuzz_command, {f"skad {name}": (name,) for name in COMMANDS}),
        (fuzz_settings, {f"settings of skad {name}": (name,) for name in READS}),
    ]
    totals, findings = [0, 0, 0], []
    for fuzz, table in kinds:
        for name, given in table.items():
            if arguments.only and name not in arguments.only:
                continue
            judge, start = Judge(), time.process_time()
            fuzz(judge, *given)
            counts = [judge.right, judge.refused, len(judge.findings)]
            totals = [a + b for a, b in zip(totals, counts, strict=True)]
            findings += judge.findings
            cells = [sum(counts), *counts, f"{time.process_time() - start:.1f}"]
            print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)
    print(f"| all | {sum(totals)} | {' | '.join(map(str, totals))} | |")
    for finding in findings:
        print(f"- {finding}")


if __name__ == "__main__":
    main()
