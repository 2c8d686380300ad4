"""Signal regions: masks, quantiles, scans, clear errors."""

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone

from skad.exceptions import MissingColumnError, RegionError
from skad.resonant import RegionCounts, SignalRegion
from skad.resonant._region import check_region

M = np.array([1.0, 2.0, 3.0, 3.5, 4.0, 5.0, 6.0])


def test_region_is_half_open():
    region = SignalRegion(3, 4)
    assert M[region.mask(M)].tolist() == [3.0, 3.5]
    assert M[region.sideband_mask(M, "low")].tolist() == [1.0, 2.0]
    assert M[region.sideband_mask(M, "high")].tolist() == [4.0, 5.0, 6.0]
    assert region.width == 1 and region.center == 3.5


@pytest.mark.parametrize(
    "width, low, high",
    [(1, [2.0], [4.0]), ((2, 1), [1.0, 2.0], [4.0]), ((0.5, 9), [], [4.0, 5.0, 6.0])],
)
def test_sidebands_of_given_width(width, low, high):
    region = SignalRegion(3, 4, sideband_width=width)
    assert M[region.sideband_mask(M, "low")].tolist() == low
    assert M[region.sideband_mask(M, "high")].tolist() == high
    assert M[region.sideband_mask(M)].tolist() == low + high


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
)
def test_region_and_sidebands_partition_the_events(m, low, width):
    region = SignalRegion(low, low + width)
    sides = [region.sideband_mask(m, side).astype(int) for side in ("low", "high")]
    assert np.all(region.mask(m) + sides[0] + sides[1] == 1)
    assert sum(region.counts(m)) == len(m)


def test_adjacent_regions_share_no_event():
    regions = SignalRegion.scan(1, 6, width=1, step=1)
    assert sum(region.counts(M).signal for region in regions) == np.sum(M < 6)


def test_counts_and_weights():
    region = SignalRegion(3, 4)
    assert region.counts(M) == RegionCounts(2, 2, 3)
    assert region.counts(M, sample_weight=M) == RegionCounts(6.5, 3.0, 15.0)


def test_quantiles_hold_their_share():
    m = np.random.default_rng(0).exponential(size=10_000)
    region = SignalRegion(0.4, 0.6, quantile=True, sideband_width=0.1).resolve(m)
    assert not region.quantile
    assert region.counts(m) == pytest.approx((2000, 1000, 1000), abs=2)
    # Later events are judged by the same edges.
    assert region.mask(m + 10).sum() == 0


def test_quantile_sideband_that_leaves_the_data_is_cut():
    m = np.arange(100.0)
    region = SignalRegion(0.1, 0.5, quantile=True, sideband_width=0.3).resolve(m)
    assert region.counts(m) == pytest.approx((40, 10, 30), abs=2)


def test_quantile_one_includes_the_last_event():
    m = np.arange(10.0)
    region = SignalRegion(0.5, 1.0, quantile=True).resolve(m, sidebands=False)
    assert region.mask(m)[-1]


@pytest.mark.parametrize(
    "m, counts",
    [([0, 0, 0, 1, 2], (1, 3, 1)), ([0, 1, 2, 2, 2], (1, 1, 3)), ([0, 1, 1, 2], (2, 1, 1))],
)
def test_quantiles_of_few_values_keep_their_sidebands(m, counts):
    region = SignalRegion(0.4, 0.6, quantile=True).resolve(np.repeat(np.array(m, float), 4))
    assert region.counts(np.array(m, float)) == counts


def test_unresolved_quantiles_have_no_mask():
    with pytest.raises(RegionError, match=r"call region.resolve\(X\)"):
        SignalRegion(0.4, 0.6, quantile=True).mask(M)


@pytest.mark.parametrize("feature", [1, -1, "mjj"])
def test_feature_by_name_and_position(feature):
    X = pd.DataFrame({"tau": M[::-1], "mjj": M})
    assert (
        SignalRegion(3, 4, feature=feature).mask(X).tolist() == SignalRegion(3, 4).mask(M).tolist()
    )


def test_first_column_without_feature():
    X = np.column_stack([M, M[::-1]])
    assert SignalRegion(3, 4).values(X).tolist() == M.tolist()


def test_missing_column():
    with pytest.raises(MissingColumnError, match=r"feature='mjj' is not a column of X; it has"):
        SignalRegion(3, 4, feature="mjj").mask(pd.DataFrame({"a": M}))
    with pytest.raises(MissingColumnError, match="feature=3"):
        SignalRegion(3, 4, feature=3).mask(M[:, None])


@pytest.mark.parametrize(
    "region, message",
    [
        (SignalRegion(3300, 3700), r"outside the data, which span \[1, 6\].*GeV or TeV"),
        (SignalRegion(-2, -1), "outside the data"),
        (SignalRegion(4.1, 4.9), "holds none of the 7 events"),
        (SignalRegion(0, 4), "the low sideband .* holds no event"),
        (SignalRegion(3, 7), "the high sideband .* holds no event"),
        (SignalRegion(0, 7), "the low and the high sideband"),
        (SignalRegion(3, 4, sideband_width=0.5), "the low sideband"),
    ],
)
def test_errors_of_resolve(region, message):
    with pytest.raises(RegionError, match=message):
        region.resolve(M)


def test_sidebands_may_be_optional():
    assert SignalRegion(0, 7).resolve(M, sidebands=False) == SignalRegion(0, 7)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((4, 3), {}, "low < high"),
        ((3, np.inf), {}, "finite"),
        ((np.nan, 3), {}, "finite"),
        ((3, 4), {"quantile": True}, r"must lie in \[0, 1\]"),
        ((3, 4), {"sideband_width": 0}, "sideband_width"),
        ((3, 4), {"sideband_width": (1, -1)}, "sideband_width"),
        ((3, 4), {"sideband_width": (1, 2, 3)}, "sideband_width"),
    ],
)
def test_errors_of_construction(arguments, options, message):
    with pytest.raises(RegionError, match=message):
        SignalRegion(*arguments, **options)


def test_mass_that_is_not_a_number():
    with pytest.raises(RegionError, match=r"column 'm'\) is NaN or infinite in 1 of 3"):
        SignalRegion(3, 4, feature="m").mask(pd.DataFrame({"m": [3.0, np.nan, 3.5]}))
    with pytest.raises(RegionError, match="0 events"):
        SignalRegion(3, 4).resolve([])


def test_scan():
    regions = SignalRegion.scan(3.0, 4.0, width=0.4, step=0.1, sideband_width=0.2)
    # The edges a user would type, not sums with their rounding.
    assert [(r.low, r.high) for r in regions[:4]] == [
        (3.0, 3.4),
        (3.1, 3.5),
        (3.2, 3.6),
        (3.3, 3.7),
    ]
    assert len(regions) == 7
    assert regions[0] == SignalRegion(3.0, 3.4, sideband_width=0.2)
    assert regions[-1].high == pytest.approx(4.0) and regions[-1].high <= 4.0
    assert [len(SignalRegion.scan(0, 1, width=0.4)), len(SignalRegion.scan(0, 1, width=1))] == [
        4,
        1,
    ]
    with pytest.raises(RegionError, match="high - low >= width"):
        SignalRegion.scan(0, 1, width=2)


def test_region_is_a_plain_value():
    class Holder(BaseEstimator):
        def __init__(self, region=None):
            self.region = region

    region = SignalRegion(3, 4, sideband_width=(1, 2))
    assert clone(Holder(region)).region == region
    assert pickle.loads(pickle.dumps(region)) == region
    assert len({region, SignalRegion(3, 4, sideband_width=(1, 2)), SignalRegion(3, 5)}) == 2
    with pytest.raises(FrozenInstanceError):
        region.low = 1


def test_check_region_for_estimators():
    X = np.column_stack([M[::-1], M])
    names = ["tau", "mjj"]
    region, m = check_region((3, 4), X, resonance="mjj", feature_names=names)
    assert region == SignalRegion(3, 4, feature=1) and m.tolist() == M.tolist()
    assert check_region(SignalRegion(3, 4, feature="mjj"), X, resonance=1, feature_names=names)
    default, m = check_region(None, np.repeat(X, 10, axis=0))
    assert default.counts(m).signal == pytest.approx(0.2 * 70, abs=10)
    with pytest.raises(RegionError, match="the region is on column 'tau', but resonance='mjj'"):
        check_region(SignalRegion(3, 4, feature=0), X, resonance="mjj", feature_names=names)
    with pytest.raises(RegionError, match="2 sample"):
        check_region(None, X[:2])
