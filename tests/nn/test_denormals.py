"""Numbers below full precision: zero while a network is trained, as before elsewhere."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skad.detectors import AutoencoderDetector
from skad.nn._denormals import flushed_denormals


def flushed():
    return float(torch.tensor(1e-38) * 0.1) == 0.0


class Watch(Callback):
    """Note whether denormals are zero at the end of an epoch."""

    seen: list = []  # copies of it are called

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(flushed())


@pytest.mark.parametrize("before", [True, False])
def test_as_before_after_the_context(before):
    torch.set_flush_denormal(before)
    try:
        with pytest.raises(ValueError, match="inside"), flushed_denormals():
            assert flushed()
            raise ValueError("inside")
        assert flushed() == before
    finally:
        torch.set_flush_denormal(False)


def test_training_flushes_and_scoring_does_not():
    X = np.random.RandomState(0).normal(size=(600, 3))
    Watch.seen.clear()
    AutoencoderDetector(max_epochs=2, callbacks=[Watch()], random_state=0).fit(X)
    assert Watch.seen == [True, True]
    assert not flushed()
