"""ARGOS against its relation to SIC and brute force."""

import numpy as np
import pytest

from skad.exceptions import LowStatisticsWarning
from skad.metrics import argos_score, max_significance_improvement, significance_improvement_at


def brute_force(data, template, minimum):
    values = []
    for cut in np.concatenate([data, template]):
        n = (template >= cut).sum()
        if n >= minimum:
            bt, sr = n / len(template), (data >= cut).mean()
            values.append(sr / np.sqrt(bt) - np.sqrt(bt))
    return max(values)


@pytest.mark.parametrize("minimum", [5, 25])
def test_is_the_largest_over_all_cuts(minimum):
    rng = np.random.default_rng(0)
    template = rng.normal(size=800).round(2)
    data = np.append(rng.normal(size=500), rng.normal(3, 1, size=20)).round(2)
    value = argos_score(data, template, min_background_events=minimum)
    assert value == pytest.approx(brute_force(data, template, minimum))
    error = argos_score(data, template, max_relative_error=minimum**-0.5)
    assert error == pytest.approx(value)


def test_exact_template_gives_signal_fraction_times_sic_above_random():
    """With the template equal to the background in data, ARGOS = f (SIC - sqrt(fpr))."""
    rng = np.random.default_rng(1)
    background, signal = rng.normal(size=4000), rng.normal(2, 1, size=300)
    data = np.append(background, signal)
    y = np.repeat([0, 1], [4000, 300])
    for fpr in (0.02, 0.3):
        sic = significance_improvement_at(y, data, fpr=fpr)
        value = argos_score(data, background, background_efficiency=fpr)
        # The template does not resolve where between two of its events the data lie.
        assert value == pytest.approx(300 / 4300 * (sic - np.sqrt(fpr)), abs=2e-3)


def test_ranks_detectors_as_max_sic_does():
    rng = np.random.default_rng(2)
    y = np.repeat([0, 1], [20_000, 200])
    events = rng.normal(loc=2.5 * y)
    template = rng.normal(size=20_000)
    argos, sic = [], []
    for noise in (0, 0.5, 1, 2):
        smeared = events + noise * rng.normal(size=len(events))
        argos.append(argos_score(smeared, template + noise * rng.normal(size=len(template))))
        sic.append(max_significance_improvement(y, smeared))
    assert (np.diff(argos) < 0).all() and (np.diff(sic) < 0).all()


def test_no_difference_is_zero():
    scores = np.random.default_rng(3).normal(size=1000)
    assert argos_score(scores, scores) == pytest.approx(0.0, abs=1e-12)
    assert argos_score(np.ones(30), np.ones(40)) == 0


def test_weights_repeat_events():
    rng = np.random.default_rng(4)
    data, template = rng.normal(0.5, 1, size=300), rng.normal(size=400)
    weight, template_weight = rng.integers(0, 3, 300), rng.integers(0, 3, 400)
    value = argos_score(
        data,
        template,
        sample_weight=weight,
        background_weight=template_weight,
        background_efficiency=0.3,
    )
    repeated = argos_score(
        np.repeat(data, weight), np.repeat(template, template_weight), background_efficiency=0.3
    )
    assert value == pytest.approx(repeated)


def test_low_statistics():
    with pytest.warns(LowStatisticsWarning, match="No cut leaves 25 template events"):
        assert np.isnan(argos_score(np.arange(100.0), np.arange(10.0)))
    with pytest.warns(LowStatisticsWarning, match="Only 5.0 template events pass"):
        argos_score(np.arange(100.0), np.arange(100.0), background_efficiency=0.05)


@pytest.mark.parametrize(
    ("scores", "template", "kwargs", "message"),
    [
        ([np.nan], [1.0], {}, "scores must be finite"),
        ([1.0], [np.inf], {}, "background_scores must be finite"),
        ([1.0], [], {}, "background_scores is empty"),
        ([1.0], [1.0], {"background_efficiency": 0}, "background_efficiency must lie in"),
        ([1.0], [1.0], {"background_weight": [-1]}, "background_weight is not valid"),
    ],
)
def test_bad_input(scores, template, kwargs, message):
    with pytest.raises(ValueError, match=message):
        argos_score(scores, template, **kwargs)
