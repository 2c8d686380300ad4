"""Columns that are the same for all training events, in detectors that reconstruct."""

import warnings

import numpy as np
import pytest

from skad.detectors import AutoencoderDetector, VAEDetector


@pytest.mark.parametrize("scaling", ["standard", "robust"])
@pytest.mark.parametrize("kind", [AutoencoderDetector, VAEDetector])
def test_a_constant_column_has_no_error_until_another_value_comes(kind, scaling):
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.normal(size=(300, 2)), np.full(300, 1e5)])
    detector = kind(scaling=scaling, max_epochs=30, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.fit(X)
    errors = detector.reconstruction_errors(X)
    assert errors[:, 2].mean() < 0.1 * errors[:, :2].mean()
    odd = X + np.array([0, 0, 30])
    assert (detector.predict(odd) == -1).all()
    # In the units of X; the network itself is hardly moved by what it has never seen move.
    np.testing.assert_allclose(detector.reconstruction_errors(odd)[:, 2], 900, rtol=0.5)
