"""Settings that drove the published flows to NaN."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skad.coordinates import LogitTransformer
from skad.density import FlowDensity, FramedDensity
from skad.exceptions import DivergenceError

FEATURES = ["mj1", "delta_mj", "tau21_j1", "tau21_j2"]


@pytest.mark.parametrize("scale_bound", [3.0, 1e6])
def test_fifteen_wide_blocks_at_a_high_rate_survive_real_events(scale_bound, shared_data):
    events = pd.read_parquet(shared_data / "lhco_sr" / "data_train.parquet")[
        [*FEATURES, "mjj"]
    ].astype(float)[:6000]
    flow = FlowDensity(
        "maf",
        n_transforms=15,
        hidden_layer_sizes=(128,),
        flow_options={"scale_bound": scale_bound},
        condition_features="mjj",
        max_epochs=2,
        batch_size=256,
        learning_rate=1e-3,
        schedule="constant",
        clip_norm=None,
        random_state=0,
    )
    density = FramedDensity(LogitTransformer(), flow).fit(events)
    losses = [entry["train_loss"] for entry in density.density_.history_[0]]
    assert np.isfinite(losses).all()
    assert losses[1] < losses[0]
    assert np.isfinite(density.score_samples(events)).all()


def test_a_hopeless_rate_is_rescued_or_fails_with_advice():
    X = np.random.RandomState(0).standard_cauchy(size=(2000, 2))
    flow = FlowDensity(
        "maf",
        flow_options={"scale_bound": 1e6},
        learning_rate=1e12,
        schedule="constant",
        clip_norm=None,
        max_epochs=15,
        random_state=0,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            flow.fit(X)
        except DivergenceError as error:
            assert "Lower learning_rate" in str(error)
            return
    assert any("Lower learning_rate or set clip_norm" in str(w.message) for w in caught)
    assert np.isfinite(flow.score_samples(X)).all()
