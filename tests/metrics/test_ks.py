"""Weighted Kolmogorov-Smirnov tables against SciPy and repeated events."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, kstest

from skad.exceptions import MissingColumnError
from skad.metrics import ks_table


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    reference = rng.normal([0, 0.2, 0], [1, 1, 2], size=(700, 3))
    return X.round(2), reference.round(2)


def test_unweighted_is_scipys(samples):
    X, reference = samples
    table = ks_table(X, reference)
    for i in range(3):
        expected = ks_2samp(X[:, i], reference[:, i], method="asymp")
        assert table.loc[i, "statistic"] == pytest.approx(expected.statistic)
        assert table.loc[i, "p_value"] == pytest.approx(expected.pvalue)
        assert table.loc[i, "location"] == expected.statistic_location
        assert table.loc[i, "sign"] == expected.statistic_sign


def test_integer_weights_repeat_events(samples):
    X, reference = samples
    rng = np.random.default_rng(1)
    weight, reference_weight = rng.integers(0, 3, 400), rng.integers(0, 3, 700)
    weighted = ks_table(X, reference, sample_weight=weight, reference_weight=reference_weight)
    repeated = ks_table(
        np.repeat(X, weight, axis=0), np.repeat(reference, reference_weight, axis=0)
    )
    np.testing.assert_allclose(weighted["statistic"], repeated["statistic"])
    # Repeated events are not new information, so the weighted p-value is larger.
    assert (weighted["n_effective"] < repeated["n_effective"]).all()
    assert (weighted["p_value"] > repeated["p_value"]).all()


def test_weighted_p_values_are_uniform():
    rng = np.random.default_rng(2)
    p_values = [
        ks_table(
            rng.normal(size=(600, 1)),
            rng.normal(size=(900, 1)),
            sample_weight=rng.gamma(2, size=600),
        ).loc[0, "p_value"]
        for _ in range(300)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_columns_are_matched_by_name(samples):
    X, reference = samples
    X = pd.DataFrame(X, columns=["mj1", "mj2", "tau"])
    reference = pd.DataFrame(reference, columns=["mj1", "mj2", "tau"])[["tau", "mj1", "mj2"]]
    table = ks_table(X, reference)
    assert list(table.index) == ["mj1", "mj2", "tau"]
    plain = ks_table(*samples)
    np.testing.assert_array_equal(table.to_numpy(), plain.to_numpy())
    named = ks_table(X, samples[1])
    assert list(named.index) == ["mj1", "mj2", "tau"]


def test_bad_input(samples):
    X, reference = samples
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    with pytest.raises(MissingColumnError, match=r"only in X: \['a'\], only in reference: \['d'\]"):
        ks_table(frame, frame.rename(columns={"a": "d"}))
    with pytest.raises(ValueError, match="X has 3 features and reference has 2"):
        ks_table(X, reference[:, :2])
    broken = frame.assign(b=np.nan)
    with pytest.raises(ValueError, match="reference holds NaN or infinite values in column 'b'"):
        ks_table(frame, broken)
    with pytest.raises(ValueError, match="reference_weight is not valid"):
        ks_table(X, reference, reference_weight=np.full(700, -1.0))


def test_real_data_without_pandas_warnings(samples, recwarn):
    ks_table(*samples)
    assert not recwarn.list


def test_simulated_dijets_against_lhc_olympics(shared_data):
    """The distances that the README of the simulated sample states."""
    real = pd.read_parquet(shared_data / "lhco_sr" / "data_train.parquet").query("label == 0")
    jets = pd.read_parquet(shared_data / "dijets" / "background.parquet")
    p = [jets[[f"p{axis}j{i}" for axis in "xyz"]].to_numpy(float) for i in (1, 2)]
    m = [jets[f"mj{i}"].to_numpy(float) for i in (1, 2)]
    energy = sum(np.sqrt((q**2).sum(axis=1) + mass**2) for q, mass in zip(p, m, strict=True))
    mjj = np.sqrt(energy**2 - ((p[0] + p[1]) ** 2).sum(axis=1)) / 1000
    tau = [jets[f"tau2j{i}"] / (jets[f"tau1j{i}"] + 1e-5) for i in (1, 2)]
    swapped = m[0] > m[1]
    simulated = pd.DataFrame(
        {
            "mjj": mjj,
            "mj1": np.minimum(*m) / 1000,
            "delta_mj": np.abs(m[0] - m[1]) / 1000,
            "tau21_j1": np.where(swapped, tau[1], tau[0]),
            "tau21_j2": np.where(swapped, tau[0], tau[1]),
        }
    )[(mjj > 3.3) & (mjj < 3.7)]
    table = ks_table(simulated, real.drop(columns="label"))
    stated = {"mjj": 0.01, "mj1": 0.06, "delta_mj": 0.02, "tau21_j1": 0.20, "tau21_j2": 0.08}
    np.testing.assert_allclose(table["statistic"], pd.Series(stated), atol=0.008)
