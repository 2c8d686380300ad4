"""A sample of the matrix of inputs; `benchmarks/fuzz.py` makes all calls."""

import zlib

import numpy as np
import pytest
from fast_estimators import fast_estimators
from fuzz import Judge
from fuzz_commands import COMMANDS, READS, fuzz_command, fuzz_settings
from fuzz_displays import DISPLAYS, methods
from fuzz_estimators import CASES, fuzz_estimator
from fuzz_functions import CALLS, OWN_TESTS, fuzz_function, fuzzed, public_callables

from skad.cli._main import cli
from skad.utils import all_estimators

ESTIMATORS = fast_estimators()
# Every n-th call; which of them differs from name to name.
FUNCTION_CALLS, ESTIMATOR_CALLS, COMMAND_CALLS = 9, 12, 40


def sampled(name, n):
    start = zlib.crc32(name.encode()) % n
    return lambda number: number % n == start


@pytest.mark.parametrize("name", CALLS)
def test_functions(name):
    judge = Judge()
    fuzz_function(judge, name, sampled(name, FUNCTION_CALLS))
    assert not judge.findings, "\n".join(map(str, judge.findings))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(name):
    judge = Judge()
    fuzz_estimator(judge, name, ESTIMATORS[name], sampled(name, ESTIMATOR_CALLS))
    assert not judge.findings, "\n".join(map(str, judge.findings))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command):
    judge = Judge()
    fuzz_command(judge, command, sampled(command, COMMAND_CALLS))
    assert not judge.findings, "\n".join(map(str, judge.findings))


@pytest.mark.parametrize("command", READS)
def test_settings(command):
    judge = Judge()
    fuzz_settings(judge, command, sampled(command, COMMAND_CALLS))
    assert not judge.findings, "\n".join(map(str, judge.findings))


def test_every_function_estimator_and_case_is_there():
    public = set(public_callables())
    missing = public - fuzzed() - set(OWN_TESTS)
    assert not missing, f"give {missing} ordinary arguments in CALLS of tests/fuzz_functions.py"
    assert set(OWN_TESTS) <= public - fuzzed(), "a reason too many in OWN_TESTS"
    assert set(methods()) == set(DISPLAYS), "see ARGUMENTS of tests/fuzz_displays.py"
    assert set(COMMANDS) == set(cli.commands), "see COMMANDS of tests/fuzz_commands.py"
    assert {name for name, _ in all_estimators()} == set(ESTIMATORS)
    assert len(CASES) > 40


def raw(X):
    return np.linalg.inv(X)


def silent(X):
    return X * np.nan


def deaf(X):
    return 1.0


@pytest.mark.parametrize(
    "function, why",
    [(raw, "LinAlgError"), (silent, "numbers are NaN"), (deaf, "accepted")],
)
def test_the_judge_finds_what_is_wrong(function, why):
    judge = Judge()
    judge("function", "case", lambda: function(np.ones((2, 2))), must_refuse=function is deaf)
    assert [why in str(finding) for finding in judge.findings] == [True]
    assert judge.right == judge.refused == 0
