"""A density of columns whose values repeat warns of them by name."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skad.density import FlowDensity
from skad.detectors import DensityDetector
from skad.exceptions import DiscreteColumnWarning

OPTIONS = {"max_epochs": 1, "n_transforms": 1, "hidden_layer_sizes": (4,), "random_state": 0}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "smooth": rng.normal(size=500),
            "count": rng.poisson(3, 500),
            "lump": np.where(rng.random(500) < 0.2, 0.0, rng.normal(size=500)),
            "rounded": rng.normal(size=500).round(2),
        }
    )


def test_columns_that_repeat_are_named(table):
    n_values = table["count"].nunique(), table["lump"].nunique()
    said = rf"in column 'count' \({n_values[0]} values\), column 'lump' \({n_values[1]} values\)\."
    with pytest.warns(DiscreteColumnWarning, match=said) as caught:
        DensityDetector(FlowDensity(**OPTIONS)).fit(table)
    assert caught[0].filename == __file__


def test_columns_without_repetition_and_conditions_are_not(table):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DiscreteColumnWarning)
        FlowDensity(**OPTIONS).fit(table[["smooth", "rounded"]])
        FlowDensity(condition_features=["count"], **OPTIONS).fit(table[["smooth", "count"]])
        # A few events given twice are no lump.
        FlowDensity(**OPTIONS).fit(np.repeat(table[["smooth"]].to_numpy()[:20], 3, axis=0))
