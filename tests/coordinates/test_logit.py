"""LogitTransformer: learned and given bounds, events outside, the fiducial region."""

import numpy as np
import pytest
from jacobian_reference import assert_jacobian, reference_log_det

from skad.coordinates import LogitTransformer, inverse_transform
from skad.exceptions import DomainError, FiducialWarning


def events(n_events=200, seed=0):
    return np.random.default_rng(seed).uniform([-3.0, 100.0], [5.0, 900.0], size=(n_events, 2))


def test_learned_bounds_lie_a_margin_outside_the_events():
    X = events()
    logit = LogitTransformer(margin=0.25).fit(X)
    width = np.ptp(X, axis=0)
    np.testing.assert_allclose(logit.lower_, X.min(axis=0) - 0.25 * width)
    np.testing.assert_allclose(logit.upper_, X.max(axis=0) + 0.25 * width)
    Z = logit.transform(X)
    expected, converged = reference_log_det(logit.transform, X, step=1e-3)
    assert converged.sum() > 150
    assert_jacobian(logit.log_abs_det_jacobian(X)[converged], expected[converged])
    np.testing.assert_allclose(logit.inverse_transform(Z), X, rtol=1e-9)


def test_given_and_learned_bounds_mix():
    X = events()
    logit = LogitTransformer(lower=[None, 0.0], upper=[10.0, None], margin=0.1).fit(X)
    assert logit.lower_[1] == 0.0 and logit.upper_[0] == 10.0
    low, high = X[:, 0].min(), X[:, 1].max()
    # The margin is a fraction of the range between a given bound and the extreme event.
    assert logit.lower_[0] == pytest.approx(low - 0.1 * (10.0 - low))
    assert logit.upper_[1] == pytest.approx(high + 0.1 * high)


def test_constant_column_maps_to_zero():
    X = np.column_stack([np.full(5, 7.0), np.arange(5.0)])
    Z = LogitTransformer().fit_transform(X)
    np.testing.assert_array_equal(Z[:, 0], 0.0)


@pytest.mark.parametrize("near", [1e-12, 1e-6, 1e-2])
def test_both_ends_keep_their_digits(near):
    X = np.array([[near], [1 - near]])
    logit = LogitTransformer(lower=0.0, upper=1.0).fit(X)
    Z = logit.transform(X)
    # log1p(-near) - log(near) is accurate; the upper event has only the digits of 1 - near.
    np.testing.assert_allclose(Z[0], np.log(near) - np.log1p(-near), rtol=1e-14)
    np.testing.assert_allclose(Z[1], -Z[0], rtol=1e-4)
    np.testing.assert_allclose(logit.inverse_transform(Z), X, rtol=1e-14)


def test_events_outside_raise_by_default():
    X = events()
    logit = LogitTransformer().fit(X)
    outside = X.copy()
    outside[3, 1] = 1000.0
    with pytest.raises(
        DomainError,
        match=r"LogitTransformer: column 1 holds 1000 in row 3, outside the domain \(.*\); 1 of "
        r"200 rows are outside\. Widen lower, upper or margin, drop these events, or pass",
    ):
        logit.transform(outside)
    with pytest.raises(DomainError, match=r"column 1 holds 1000 in row 3"):
        logit.log_abs_det_jacobian(outside)


def test_margin_zero_leaves_out_the_extreme_events():
    X = events()
    with pytest.raises(DomainError, match=r"outside the domain"):
        LogitTransformer(margin=0).fit_transform(X)
    Z = LogitTransformer(margin=0, outside="nan").fit_transform(X)
    np.testing.assert_array_equal(np.isnan(Z).sum(axis=0), [2, 2])


def test_events_outside_can_be_flagged():
    X = events()
    logit = LogitTransformer(outside="nan").fit(X)
    outside = X.copy()
    outside[3, 1] = 1000.0
    Z = logit.transform(outside)
    assert np.isnan(Z[3, 1]) and np.isnan(Z).sum() == 1
    assert np.flatnonzero(np.isnan(logit.log_abs_det_jacobian(outside))).tolist() == [3]
    back = logit.inverse_transform(Z)
    np.testing.assert_array_equal(np.isnan(back), np.isnan(Z))
    np.testing.assert_allclose(np.delete(back, 3, axis=0), np.delete(X, 3, axis=0), rtol=1e-9)
    Z[0, 0] = np.inf
    with pytest.raises(DomainError, match=r"infinity: column 0, row 0"):
        logit.inverse_transform(Z)


def test_events_outside_can_be_clipped():
    X = events()
    logit = LogitTransformer(outside="clip", margin=0.01).fit(X)
    outside = X.copy()
    outside[3] = [6.0, -50.0]
    Z = logit.transform(outside)
    np.testing.assert_allclose(Z[3], [Z[:, 0].max(), Z[:, 1].min()])
    # Learned bounds clip at the extreme training values and leave those alone.
    np.testing.assert_allclose(logit.inverse_transform(Z)[3], [X[:, 0].max(), X[:, 1].min()])
    with pytest.warns(FiducialWarning, match=r"clips 1 of 200 events, first row 3"):
        jacobian = logit.log_abs_det_jacobian(outside)
    assert np.isneginf(jacobian[3]) and np.isfinite(np.delete(jacobian, 3)).all()
    with pytest.raises(ValueError, match=r"outside='clip' needs margin > 0"):
        LogitTransformer(outside="clip", margin=0).fit(X)


def test_clipping_leaves_every_training_event_alone():
    for seed in range(20):
        X = events(seed=seed)
        logit = LogitTransformer(outside="clip", margin=0.003).fit(X)
        assert np.isfinite(logit.log_abs_det_jacobian(X)).all()


def test_fiducial_mask_is_that_of_anode():
    X = np.array([[0.0, 0.5], [0.04, 0.5], [0.06, 0.94], [0.5, 0.96], [2.0, 0.5]])
    logit = LogitTransformer(lower=0.0, upper=1.0).fit(np.array([[0.1, 0.1]]))
    np.testing.assert_array_equal(logit.fiducial_mask(X), [False, False, True, False, False])
    np.testing.assert_array_equal(
        logit.fiducial_mask(X, low=0.01, high=0.99), [False, True, True, True, False]
    )
    with pytest.raises(ValueError, match=r"0 <= low < high <= 1; got low=0.9, high=0.1"):
        logit.fiducial_mask(X, low=0.9, high=0.1)


def test_samples_far_in_the_tails_stay_inside_the_bounds():
    logit = LogitTransformer(lower=0.2, upper=0.7).fit(np.array([[0.5]]))
    back = inverse_transform(logit, np.array([[-800.0], [-40.0], [40.0], [800.0]]))
    assert ((back > 0.2) & (back < 0.7)).all()
    assert np.isfinite(logit.transform(back)).all()


def test_bounds_are_checked():
    with pytest.raises(ValueError, match=r"lower must be below upper.*column 1 has lower=1"):
        LogitTransformer(lower=[0.0, 1.0], upper=1.0).fit(events())
    with pytest.raises(ValueError, match=r"upper must be a number or hold one number for each of"):
        LogitTransformer(upper=[1.0, 2.0, 3.0]).fit(events())
