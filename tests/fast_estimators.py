"""An instance of every public estimator that fits in well under a second."""

import importlib

from sklearn.base import clone

from skad.utils import all_estimators

# Ends the messages about what an estimator lacks.
GUIDE = 'docs/contributing.md, "A new estimator", says how'

# Constructor arguments that make an instance fast, or a function that returns
# them where they hold other estimators. Classes without an entry are built
# with their defaults.
_FAST: dict = {
    "AutoencoderDetector": {"max_epochs": 2, "hidden_layer_sizes": (8,)},
    "VAEDetector": {"max_epochs": 2, "hidden_layer_sizes": (8,), "n_latent": 2},
    "FlowDensity": {"max_epochs": 2, "n_transforms": 2, "hidden_layer_sizes": (8,)},
    "CascadeClassifier": lambda: {"classifier": _tree(), "final_classifier": _tree(), "cv": 2},
    "CWoLaDetector": lambda: {"classifier": _tree(), "cv": 2},
    # A hundred events calibrate no smaller rate.
    "ConformalDetector": lambda: {
        "detector": instance("detectors", "DensityDetector", density=_density("KernelDensity")),
        "false_alarm_rate": 0.1,
    },
    "DensityDetector": lambda: {"density": _density("KernelDensity")},
    "ExcessSelector": {"max_features": 2, "n_shuffles": 1},
    "NetworkClassifier": {"hidden_layer_sizes": (8,), "max_epochs": 15, "learning_rate": 0.1},
    "PyODDetector": lambda: {"estimator": _pyod()},
    "TabularDetector": lambda: {
        "detectors": [
            (name, instance("detectors", "DensityDetector", density=_density("KernelDensity")))
            for name in ("first", "second")
        ]
    },
    "TreeEnsembleClassifier": {
        "n_estimators": 2,
        "n_forest_trees": 5,
        "max_iter": 20,
        "min_samples_leaf": 5,
    },
    "FramedDensity": lambda: {"density": _density("KernelDensity")},
    "VotingDetector": lambda: {
        "detectors": [
            (name, instance("detectors", "DensityDetector", density=_density("KernelDensity")))
            for name in ("first", "second")
        ]
    },
    # The classes of the common tests need not overlap in any column.
    "GivenReference": lambda: {"region": (-1e3, 1e3)},
    "ANODE": lambda: {"data_density": _flow(), **_density_ratio()},
    "ResidualANODE": lambda: {"signal_density": _flow(), "n_folds": 2, **_density_ratio()},
    "CATHODE": lambda: {"density": _flow()},
    "LaCATHODE": lambda: {"density": _flow()},
    # The events of the common tests are few and far apart.
    "QuantileMorphing": {"reach": 1e9},
    "SIGMA": lambda: {"density": _flow()},
    "CombinedTemplate": lambda: {
        "templates": [(name, instance("resonant", "Sidebands")) for name in ("first", "second")]
    },
    "CURTAINS": lambda: {"density": _flow(), "transport": _flow(), "mass_spectrum": "kde"},
    "FETA": lambda: {
        "density": _flow(),
        "transport": _flow(),
        "region": (-1e3, 1e3),
        # In one common test the other column is constant in a class.
        "resonance": 1,
        "sidebands_only": False,
    },
    "SALAD": lambda: {"region": (-1e3, 1e3), "classifier": _tree(), "sidebands_only": False},
    "TemplateDetector": lambda: {
        "template": instance("resonant", "Sidebands"),
        "classifier": _tree(),
        "cv": None,
    },
    "BumpHunt": lambda: {
        "detector": _forest(),
        "efficiencies": (1.0, 0.5),
        "n_folds": 2,
        "n_global_toys": 100,
        # A hundred events of no spectrum in particular are described by no function.
        "fit_alpha": 0.0,
        # The features of the common tests are negative too, and few.
        "spectrum": "polynomial",
        "n_parameters": 1,
    },
    "ColumnCoordinates": lambda: {
        "transformers": [("first", instance("coordinates", "AffineTransformer", scale=2.0), [0])]
    },
    # The common tests send three columns that have other names.
    "DijetCoordinates": {
        "features": ("pt_j1",),
        "order": "given",
        "columns": {"pxj1": 0, "pyj1": 1},
    },
    "FunctionCoordinates": lambda: {
        "func": importlib.import_module("torch").asinh,
        "inverse_func": importlib.import_module("torch").sinh,
    },
    "InverseCoordinates": lambda: {
        "transformer": instance("coordinates", "AffineTransformer", scale=2.0)
    },
    # The common tests send numbers outside the domain of these.
    "LogTransformer": {"outside": "nan"},
    "LogitTransformer": {"margin": 1.0},
    "RatioTransformer": {"regulariser": 0.37},
    # The common tests send numbers that are no four-vectors.
    "ConstituentCoordinates": {"unphysical": "ignore"},
    "JetFrame": {"unphysical": "ignore"},
    "JetObservables": {"unphysical": "ignore"},
}


def _density(name):
    from sklearn import neighbors

    return getattr(neighbors, name)()


def _forest():
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=3)


def _flow():
    return instance("density", "FlowDensity", n_transforms=2, hidden_layer_sizes=(8,), max_epochs=2)


def _density_ratio():
    # Some of the common tests have a few distinct events, and others far outside of them.
    return {
        "background_density": _flow(),
        "region": instance("resonant", "SignalRegion", low=0.3, high=0.9, quantile=True),
        "coordinates": "passthrough",
        # Out of fold, another number of the training events is called outliers by predict.
        "cv": None,
    }


def _tree():
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=3, random_state=0)


def _pyod():
    from pyod.models.pca import PCA

    return PCA()


def instance(room, name, **params):
    return getattr(importlib.import_module(f"skad.{room}"), name)(**params)


def build(cls):
    """Return a fresh unfitted instance of a class with the arguments of its row."""
    params = _FAST.get(cls.__name__, {})
    try:
        return clone(cls(**(params() if callable(params) else params)))
    except TypeError as exc:
        raise TypeError(
            f"{cls.__name__} cannot be built ({exc}); give it a row of arguments in _FAST of "
            f"tests/fast_estimators.py: {GUIDE}."
        ) from exc


def fast_estimators():
    """Return fresh unfitted instances by class name."""
    return {name: build(cls) for name, cls in all_estimators()}
