"""Ctrl-C: one fit keeps its best state and says so, a fit among others stops what is around it."""

import warnings

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from skad.coordinates import AffineTransformer
from skad.density import FlowDensity, FramedDensity
from skad.detectors import (
    AutoencoderDetector,
    CWoLaDetector,
    DensityDetector,
    NetworkClassifier,
    VAEDetector,
    VotingDetector,
)
from skad.exceptions import InterruptedFitWarning
from skad.resonant import ANODE, CATHODE, CURTAINS, FETA, SALAD, ResidualANODE, TemplateDetector
from skad.search import BumpHunt

rng = np.random.RandomState(0)
X = np.column_stack([rng.uniform(0, 1, 400), rng.normal(size=(400, 2))])
y = np.arange(400) % 2
REGION = (0.4, 0.6)


class Interrupt(Callback):
    """Ctrl-C before the third epoch of the n-th training from now on."""

    left = 0

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            Interrupt.left -= 1
            if Interrupt.left == 0:
                raise KeyboardInterrupt


SMALL = {"max_epochs": 4, "batch_size": 200, "callbacks": [Interrupt()], "random_state": 0}


def flow(kind="maf", **options):
    return FlowDensity(kind, n_transforms=1, hidden_layer_sizes=(4,), **SMALL | options)


def classifier():
    return NetworkClassifier((4,), **SMALL)


ALONE = {
    "FlowDensity": lambda: flow(),
    "AutoencoderDetector": lambda: AutoencoderDetector(hidden_layer_sizes=(4,), **SMALL),
    "VAEDetector": lambda: VAEDetector(hidden_layer_sizes=(4,), n_latent=1, **SMALL),
    "NetworkClassifier": classifier,
    "FramedDensity": lambda: FramedDensity(AffineTransformer(scale=2.0), flow()),
    "DensityDetector": lambda: DensityDetector(flow()),
    "Pipeline": lambda: make_pipeline(StandardScaler(), flow()),
}


@pytest.mark.parametrize("name", ALONE)
def test_one_fit_keeps_the_best_state_and_says_so(name):
    Interrupt.left = 1
    with pytest.warns(InterruptedFitWarning, match="from the keyboard after 2 of 4 epochs; the"):
        model = ALONE[name]().fit(X, y)
    check_is_fitted(model)
    score = getattr(model, "score_samples", None) or model.decision_function
    assert np.isfinite(score(X)).all()


def test_networks_that_are_missing_are_counted():
    Interrupt.left = 2
    options = {"flow_options": {"solver": "dopri5"}, "n_estimators": 3}
    with pytest.warns(InterruptedFitWarning, match="and 1 of 3 networks are missing"):
        model = flow("cnf", **options).fit(X)
    assert len(model.trained_.networks) == 2


def search(model, scoring):
    grid = {"learning_rate": [1e-3, 1e-2]}
    return GridSearchCV(model, grid, cv=2, scoring=scoring)


COMPOSITES = {
    "GridSearchCV": (2, lambda: search(flow(), None).fit(X)),
    "GridSearchCV, last fit": (5, lambda: search(flow(), None).fit(X)),
    "cross_val_score": (2, lambda: cross_val_score(flow(), X, cv=2)),
    "joblib": (2, lambda: Parallel(n_jobs=1)(delayed(flow().fit)(X) for _ in range(2))),
    "Pipeline in a search": (
        1, lambda: cross_val_score(make_pipeline(StandardScaler(), flow()), X, cv=2),
    ),
    "VotingDetector": (
        2, lambda: VotingDetector([("a", DensityDetector(flow())), ("b", DensityDetector(flow()))])
        .fit(X),
    ),
    "CWoLaDetector": (1, lambda: CWoLaDetector(classifier(), cv=2).fit(X, y)),
    "ANODE": (2, lambda: ANODE(flow(), flow(), region=REGION).fit(X)),
    "ResidualANODE": (2, lambda: ResidualANODE(flow(), flow(), region=REGION, n_folds=2).fit(X)),
    "CURTAINS": (
        2, lambda: CURTAINS(flow(), flow(), region=REGION, mass_spectrum="kde").fit(X),
    ),
    "FETA": (
        2, lambda: FETA(flow(), flow(), region=REGION, sidebands_only=False).fit(X, y),
    ),
    "SALAD": (1, lambda: SALAD(classifier(), region=REGION, sidebands_only=False).fit(X, y)),
    "TemplateDetector": (
        2, lambda: TemplateDetector(CATHODE(flow(), region=REGION), classifier(), cv=None).fit(X),
    ),
    "BumpHunt": (
        3, lambda: BumpHunt(DensityDetector(flow()), [REGION], n_folds=2, n_seeds=2,
                            efficiencies=(0.5,), spectrum="polynomial", n_parameters=1).fit(X),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_fit_among_others_stops_them(name):
    number, run = COMPOSITES[name]
    Interrupt.left = number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(KeyboardInterrupt):
            run()
    assert Interrupt.left == 0


def test_a_checkpoint_holds_nothing_half_trained(tmp_path):
    def hunt(**options):
        return BumpHunt(
            DensityDetector(flow()), [REGION], n_folds=2, efficiencies=(0.5,), n_parameters=1,
            spectrum="polynomial", n_global_toys=100, random_state=0, **options,
        )  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Interrupt.left = 0
        expected = hunt().fit(X).scores_
        Interrupt.left = 2
        with pytest.raises(KeyboardInterrupt):
            hunt(checkpoint=tmp_path).fit(X)
        assert len(list(tmp_path.iterdir())) == 1
        found = hunt(checkpoint=tmp_path).fit(X).scores_
    np.testing.assert_array_equal(found, expected)
