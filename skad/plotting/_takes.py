"""What several displays are made from."""

from skad.utils._arguments import NOT_NEGATIVE, Having, Made

__all__ = ["ESTIMATOR", "ESTIMATORS", "FOLDS", "HUNT", "MINIMUM", "MODELS", "RATIO", "STUDY"]

_CROSS = "sklearn.model_selection.cross_validate"

FOLDS = Made(
    f"{_CROSS}(..., return_estimator=True, return_indices=True)",
    "builtins.dict",
    ("estimator", "indices"),
)
MODELS = Made(f"{_CROSS}(..., return_estimator=True)", "builtins.dict", ("estimator",))
_SCORED = "a fitted detector, density or classifier, such as AutoencoderDetector().fit(X)"
ESTIMATOR = Having(_SCORED, ("fit",))
ESTIMATORS = Having(_SCORED, ("fit",), several=True)
HUNT = Made("skad.search.BumpHunt(detector, windows).fit(X)", "skad.BumpHunt")
MINIMUM = [*NOT_NEGATIVE, None]
RATIO = Having(
    "a fitted ANODE or ResidualANODE, as skad.resonant.ANODE(...).fit(X) returns it",
    ("density_ratio", "log_background_density"),
)
STUDY = Made(
    "skad.inspection.coordinate_study or injection_study with keep_scores=True",
    "pandas.DataFrame",
    ("scores", "truth"),
)
