"""Limits from counts against pyhf, sums of Poisson probabilities, and pseudo-experiments."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from skad.exceptions import LowStatisticsWarning
from skad.search import counting_limit, limit_table, pyhf_workspace, write_limits
from skad.search._counting import CountingData, CountingModel
from skad.search._limits import asymptotic_cls

pyhf = pytest.importorskip("pyhf")
yaml = pytest.importorskip("yaml")
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver")


def pyhf_cls(limit, strength, at=None):
    """Observed CLs of pyhf, and the expected values from -2 to +2 standard deviations."""
    workspace = pyhf.Workspace(pyhf_workspace(limit, strength=at))
    model = workspace.model()
    bounds = model.config.suggested_bounds()
    bounds[model.config.poi_index] = (0, 100)
    observed, expected = pyhf.infer.hypotest(
        strength,
        workspace.data(model),
        model,
        test_stat="qtilde",
        par_bounds=bounds,
        return_expected_set=True,
    )
    return float(observed), np.array(expected)


@pytest.mark.parametrize("number", range(8))
def test_cls_and_limits_are_those_of_pyhf(number):
    rng = np.random.default_rng(number)
    n_channels = 1 + number % 3
    background = rng.uniform(2, 80, n_channels)
    uncertainty = background * rng.uniform(0.02, 0.25, n_channels) * (number != 3)
    signal = rng.uniform(2, 20, n_channels)
    limit = counting_limit(
        rng.poisson(background + 0.5 * signal),
        background,
        signal,
        uncertainty=uncertainty,
        signal_uncertainty=0.0 if number == 4 else rng.uniform(0.05, 0.3, n_channels),
        constraint=("gamma", "gaussian")[number // 2 % 2],
    )
    assert pyhf_cls(limit, limit.observed)[0] == pytest.approx(0.05, abs=5e-5)
    for i in (0, 2, 4):
        assert pyhf_cls(limit, limit.expected[i])[1][i] == pytest.approx(0.05, abs=5e-5)
    i = len(limit.scan_strength) // 3
    observed, expected = pyhf_cls(limit, limit.scan_strength[i])
    assert limit.scan_observed[i] == pytest.approx(observed, abs=1e-4)
    assert limit.scan_expected[i] == pytest.approx(expected, abs=1e-4)


def exact_limit(n, b):
    """Limit on signal events over a known background: for counts q~ orders as the count."""

    def excess(s):
        return stats.poisson.cdf(n, s + b) / stats.poisson.cdf(n, b) - 0.05

    return optimize.brentq(excess, 0, 100)


@pytest.mark.parametrize("n, b", [(0, 0.0), (3, 2.0), (15, 10.0)])
def test_toys_give_the_exact_limit_over_a_known_background(n, b):
    limit = counting_limit(n, b, 2.0, method="toys", n_toys=20_000, random_state=0)
    assert 2 * limit.observed == pytest.approx(exact_limit(n, b), rel=0.03)
    median = exact_limit(stats.poisson.ppf(0.5, b), b)
    assert 2 * limit.expected[2] == pytest.approx(median, rel=0.03)


def test_toys_agree_with_formulae_where_counts_are_large():
    options = {"uncertainty": [20.0, 15.0], "signal_uncertainty": [0.1, 0.2]}
    numbers = [410, 130], [400.0, 120.0], [50.0, 10.0]
    exact = counting_limit(*numbers, **options)
    toys = counting_limit(*numbers, **options, method="toys", n_toys=4000, random_state=0)
    assert toys.observed == pytest.approx(exact.observed, rel=0.05)
    assert toys.expected[1:] == pytest.approx(exact.expected[1:], rel=0.07)
    # Five experiments in 4000 lie beyond this limit.
    assert toys.expected[0] == pytest.approx(exact.expected[0], rel=0.3)


def test_limit_in_events_does_not_depend_on_how_the_signal_grows():
    options = {"uncertainty": 3.0, "signal_uncertainty": 0.1}
    linear = counting_limit(30, 25.0, 5.0, **options)
    points = np.array([0.5, 1.0, 2.0, 3.0, 6.0])
    bent = counting_limit(30, 25.0, 2 * points**2, strengths=points, **options)
    events = linear.expected_signal(linear.observed)
    assert bent.expected_signal(bent.observed) == pytest.approx(events, rel=1e-4)
    assert bent.expected_signal(1.5) == pytest.approx(0.5 * (2 + 8))
    assert bent.expected_signal(0.25) == pytest.approx(0.25)
    strongest = [bent.expected_signal(value)[0] for value in bent.expected]
    assert strongest == pytest.approx(5 * linear.expected, rel=1e-4)


def test_unit_order_and_splitting_do_not_matter():
    limit = counting_limit([8, 30], [10.0, 25.0], [2.0, 3.0], uncertainty=[1.0, 2.0])
    other = counting_limit([30, 8], [25.0, 10.0], [0.3, 0.2], uncertainty=[2.0, 1.0])
    assert other.observed == pytest.approx(10 * limit.observed, rel=1e-5)
    one = counting_limit(40, 30.0, 9.0)
    two = counting_limit([14, 26], [10.0, 20.0], [3.0, 6.0])
    assert two.observed == pytest.approx(one.observed, rel=1e-2)
    assert one.best_strength() == pytest.approx(10 / 9)
    assert counting_limit(40, 30.0, 9.0, level=0.9).observed < one.observed


def test_more_uncertainty_weakens_the_limit():
    limits = [
        counting_limit(100, 100.0, 10.0, uncertainty=sigma, signal_uncertainty=delta).observed
        for sigma, delta in [(0, 0), (0, 0.3), (10, 0.3), (30, 0.3)]
    ]
    assert np.all(np.diff(limits) > 0.01)


def test_a_signal_whose_uncertainty_depends_on_its_strength():
    points, events = [20.0, 40.0, 80.0], [10.0, 25.0, 60.0]
    options = {"uncertainty": 6.0, "strengths": points}
    limit = counting_limit(85, 60.0, events, signal_uncertainty=[0.5, 0.2, 0.1], **options)
    assert limit.relative_uncertainty(10.0) == pytest.approx(0.5)
    assert limit.relative_uncertainty(60.0) == pytest.approx(np.sqrt(1.2 * 1.1) - 1)
    # A linear ln(1 + delta) may also be constant, and then it is one number.
    same = counting_limit(85, 60.0, events, signal_uncertainty=[0.2] * 3, **options)
    plain = counting_limit(85, 60.0, events, signal_uncertainty=0.2, **options)
    assert same.observed == plain.observed
    certain = counting_limit(85, 60.0, events, signal_uncertainty=0.1, **options)
    assert certain.observed < limit.observed < plain.observed
    assert limit.expected[2] > certain.expected[2]
    # The slope of the profiled likelihood, by differences.
    model = limit._model()
    data, strength, step = model.observed(limit.n_observed), np.array([55.0]), 1e-4
    high, low = (model.profile(strength + d, data).deviance[0] for d in (step, -step))
    slope = model.profile(strength, data).slope[0]
    assert slope == pytest.approx((high - low) / (4 * step), rel=1e-5)


@pytest.mark.parametrize("constraint", ["gamma", "gaussian"])
def test_limits_cover(constraint):
    """95 % of the limits on data with a visible signal lie above its strength."""
    rng = np.random.RandomState(0)
    b, sigma, s, delta, n_data = 100.0, 8.0, 55.0, 0.1, 500
    tau = b / sigma**2
    if constraint == "gamma":
        measured = rng.poisson(tau * b, n_data) / tau
    else:
        measured = np.maximum(rng.normal(b, sigma, n_data), 0.0)
    n = rng.poisson(b + s * (1 + delta) ** rng.normal(size=n_data)).astype(float)
    model = CountingModel(
        *np.array([[b], [sigma]]), np.ones(1), np.array([[s]]), np.array([[delta]]), constraint
    )
    data = CountingData(n[:, None], measured[:, None], np.zeros(n_data))
    covered = asymptotic_cls(model, data, np.ones(n_data))[0] >= 0.05
    assert 0.93 <= covered.mean() <= 0.97
    for i in range(12):
        # What stays fixed is the off region, not the error of what is counted there.
        uncertainty = np.sqrt(measured[i] / tau) if constraint == "gamma" else sigma
        options = {"signal_uncertainty": delta, "constraint": constraint}
        limit = counting_limit(n[i], measured[i], s, uncertainty=uncertainty, **options)
        assert (limit.observed >= 1) == covered[i]


def test_limits_outside_what_was_measured_say_so():
    with pytest.warns(LowStatisticsWarning, match="above 2, the largest"):
        limit = counting_limit(100, 50.0, [1.0, 2.0], strengths=[1.0, 2.0])
    assert limit.observed == np.inf and np.all(np.isinf(limit.expected))
    with pytest.warns(LowStatisticsWarning, match="below 10, the smallest"):
        limit = counting_limit(5, 5.0, [100.0, 200.0], strengths=[10.0, 20.0])
    assert limit.observed == pytest.approx(counting_limit(5, 5.0, 10.0).observed, rel=1e-4)
    with pytest.warns(LowStatisticsWarning, match="fewer than 10 show as few events"):
        limit = counting_limit(0, 15.0, 5.0, method="toys", n_toys=1000, random_state=0)
    assert np.isnan(limit.observed) and np.all(np.isfinite(limit.expected))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"signal": 0.0}, "signal must be above 0"),
        ({"signal": [1.0, 2.0]}, None),
        ({"n_observed": [1, 2, 3], "signal": [1.0, 2.0]}, "one for each of the 2 channels"),
        ({"signal": [[1.0], [2.0]]}, "give strengths"),
        ({"signal": [1.0, 2.0], "strengths": [2.0, 1.0]}, "strengths must be increasing"),
        ({"signal": [2.0, 1.0], "strengths": [1.0, 2.0]}, "must not fall"),
        ({"signal": [2.0], "strengths": [1.0, 2.0]}, "one row for each of 2 strengths"),
        ({"background": 0.0, "uncertainty": 1.0}, "no gamma constraint"),
        ({"constraint": "normal"}, "constraint"),
        ({"level": 1.5}, "level"),
    ],
)
def test_wrong_numbers_are_refused(arguments, message):
    arguments = {"n_observed": 10, "background": 9.0, "signal": 1.0, "level": 0.95} | arguments
    if message is None:
        assert counting_limit(**arguments).signal.shape == (1, 2)
        return
    with pytest.raises(ValueError, match=message):
        counting_limit(**arguments)


def test_workspace_of_a_bent_signal_gives_the_same_cls_at_the_limit(tmp_path):
    limit = counting_limit(
        [12, 40],
        [10.0, 35.0],
        [[0.5, 1.0], [6.0, 8.0], [20.0, 18.0]],
        strengths=[1, 2, 4],
        uncertainty=[1.0, 3.0],
        signal_uncertainty=0.1,
    )
    path = tmp_path / "workspace.json"
    workspace = pyhf_workspace(limit, channels=["loose", "tight"], path=path)
    pyhf.schema.validate(json.loads(path.read_text()), "workspace.json")
    assert json.loads(path.read_text()) == workspace
    assert [channel["name"] for channel in workspace["channels"]] == ["loose", "tight"]
    signal = [channel["samples"][0]["data"][0] for channel in workspace["channels"]]
    assert signal == pytest.approx(limit.expected_signal(limit.observed) / limit.observed)
    # Two channels of which one grows faster are not proportional: the free fits differ a little.
    assert pyhf_cls(limit, limit.observed)[0] == pytest.approx(0.05, abs=3e-3)
    one = counting_limit(12, 10.0, [0.5, 6.0, 20.0], strengths=[1, 2, 4], uncertainty=1.0)
    assert pyhf_cls(one, one.observed)[0] == pytest.approx(0.05, abs=1e-4)
    with pytest.raises(ValueError, match="2 different names"):
        pyhf_workspace(limit, channels=["a", "a"])
    with pytest.raises(ValueError, match="'strength' parameter of pyhf_workspace"):
        pyhf_workspace(limit, strength=0.0)


@pytest.fixture(scope="module")
def table():
    limits = [counting_limit(n, 10.0, 5.0, uncertainty=2.0) for n in (8, 15, 11)]
    return limit_table(limits, [2.0, 2.5, 3.0], name="m")


def test_tables_hold_the_limits_of_every_row(table, tmp_path):
    assert list(table["m"]) == [2.0, 2.5, 3.0]
    for n, row in zip((8, 15, 11), table.itertuples(), strict=True):
        limit = counting_limit(n, 10.0, 5.0, uncertainty=2.0)
        assert row.observed == limit.observed and row.expected == limit.expected[2]
    back = pd.read_csv(write_limits(table, tmp_path / "limits.csv"))
    pd.testing.assert_frame_equal(back, table, rtol=1e-12)
    text = write_limits(table, tmp_path / "limits.tex", unit="TeV").read_text()
    body = text[text.index("midrule") : text.index("bottomrule")]
    first = [float(cell) for cell in body.splitlines()[1].rstrip(" \\").split("&")]
    columns = ["m", "observed", *(f"expected{band}" for band in ("_-2", "_-1", "", "_+1", "_+2"))]
    assert first == pytest.approx(table[columns].iloc[0].tolist(), rel=5e-3)
    assert "m [TeV]" in text and r"95\,\%" in text


def test_table_of_hepdata_holds_limits_and_bands(table, tmp_path):
    path = write_limits(
        table, tmp_path / "limits.yaml", unit="TeV", quantity="cross section", quantity_unit="fb"
    )
    content = yaml.safe_load(path.read_text())
    (mass,) = content["independent_variables"]
    observed, expected = content["dependent_variables"]
    assert mass["header"] == {"name": "m", "units": "TeV"}
    assert [value["value"] for value in mass["values"]] == [2.0, 2.5, 3.0]
    assert observed["header"]["units"] == "fb" and observed["qualifiers"][0]["value"] == "95"
    for row, value in zip(table.itertuples(index=False), expected["values"], strict=True):
        two, one, median, up, far = row[2:7]
        assert value["value"] == median
        errors = [error["asymerror"] for error in value["errors"]]
        assert [median + error["minus"] for error in errors] == pytest.approx([one, two])
        assert [median + error["plus"] for error in errors] == pytest.approx([up, far])
    bad = table.assign(observed=[1.0, np.inf, 2.0])
    with pytest.raises(ValueError, match=r"rows \[1\]"):
        write_limits(bad, tmp_path / "bad.yaml")
    assert "--" in write_limits(bad, tmp_path / "bad.tex").read_text()
    assert not (tmp_path / "bad.yaml").exists()
    with pytest.raises(ValueError, match="confidence level"):
        write_limits(table.assign(level=[0.9, 0.95, 0.95]), tmp_path / "bad.yaml")
    with pytest.raises(ValueError, match="must end in one of"):
        write_limits(table, tmp_path / "limits.txt")


def test_tables_are_made_of_limits_only():
    limit = counting_limit(8, 10.0, 5.0)
    with pytest.raises(TypeError, match="list of what counting_limit returns"):
        limit_table(limit)
    with pytest.raises(TypeError, match=r"limits\[1\] must be the CountingLimit"):
        limit_table([limit, 3.0])
    with pytest.raises(ValueError, match="one number for each of 1 limits"):
        limit_table([limit], [1.0, 2.0])


def test_scan_falls_from_one_and_crosses_at_the_limit():
    limit = counting_limit(12, 10.0, 5.0, uncertainty=2.0)
    curves = np.column_stack([limit.scan_observed, limit.scan_expected])
    assert np.all(np.diff(curves, axis=0) < 1e-9) and curves.max() <= 1
    for curve, end in zip(curves.T, itertools.chain([limit.observed], limit.expected), strict=True):
        at = np.exp(np.interp(end, limit.scan_strength, np.log(curve)))
        assert at == pytest.approx(0.05, rel=0.02)
