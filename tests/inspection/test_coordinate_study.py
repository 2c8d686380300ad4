"""The study against hand-made fits and exact areas under the curve."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.coordinates import ExpTransformer, NormalCDFTransformer
from skad.inspection import coordinate_study
from skad.metrics import max_significance_improvement, shared_fraction, significance_improvement_at
from skad.utils._random import draw_seeds

FRAMES = {"x": None, "exp x": ExpTransformer()}


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(3000, 2)), rng.normal(1, 1, size=(300, 2))])
    return X, np.repeat([0, 1], [3000, 300])


@pytest.fixture(scope="module")
def study(events):
    detectors = {"forest": IsolationForest(n_estimators=20), "density": GaussianMixture()}
    return coordinate_study(
        detectors, FRAMES, *events, n_seeds=2, random_state=3, fraction=0.05, rejection=5
    )


def test_one_tidy_row_per_fit(study):
    assert len(study) == 2 * 2 * 2
    assert not study.duplicated(["detector", "frame", "seed"]).any()
    assert list(study.columns) == [
        "detector",
        "frame",
        "seed",
        "roc_auc",
        "max_sic",
        "sic_at_rejection",
        "fit_seconds",
        "fraction",
        "shared_with_x",
        "shared_with_exp x",
        "jaccard_with_x",
        "jaccard_with_exp x",
    ]
    assert (study["fraction"] == 0.05).all()


def test_values_are_those_of_fits_by_hand(events, study):
    X, y = events
    seed = draw_seeds(3, 2)[1]
    train, test = train_test_split(np.arange(len(y)), test_size=0.5, stratify=y, random_state=seed)
    scores = {}
    for frame, transform in {"x": lambda v: v, "exp x": np.exp}.items():
        own = draw_seeds(seed, 1)[0]
        forest = IsolationForest(n_estimators=20, random_state=own).fit(transform(X[train]))
        scores[frame] = -forest.score_samples(transform(X[test]))
    truth = y[test]
    row = study.query("detector == 'forest' and frame == 'exp x' and seed == 1").iloc[0]
    assert row["roc_auc"] == roc_auc_score(truth, scores["exp x"])
    assert row["max_sic"] == max_significance_improvement(truth, scores["exp x"])
    expected = significance_improvement_at(truth, scores["exp x"], rejection=5)
    assert row["sic_at_rejection"] == expected
    background = {name: s[truth == 0] for name, s in scores.items()}
    shared = shared_fraction(background["x"], background["exp x"], fraction=0.05)
    assert row["shared_with_x"] == shared
    assert row["shared_with_exp x"] == 1


def test_seeds_repeat_and_differ(events, study):
    again = coordinate_study(
        {"forest": IsolationForest(n_estimators=20), "density": GaussianMixture()},
        FRAMES,
        *events,
        n_seeds=2,
        random_state=3,
        fraction=0.05,
        rejection=5,
        n_jobs=2,
    )
    pd.testing.assert_frame_equal(
        study.drop(columns="fit_seconds"), again.drop(columns="fit_seconds")
    )
    by_seed = study.groupby("seed")["roc_auc"].sum()
    assert by_seed[0] != by_seed[1]


def test_exact_areas_of_the_paper():
    """Density of the background in x and in Phi(x): 0.697 and 0.5; the ratio: 0.841 in both."""
    rng = np.random.default_rng(1)
    n = 20_000
    reference, background = rng.normal(size=(2, n, 2))
    signal, test_signal = rng.normal(1, 1, size=(2, n, 2))
    X = np.concatenate([reference, background, signal[: n // 5]])
    truth = np.repeat([0, 1], [2 * n, n // 5])
    mixed = np.repeat([0, 1], [n, n + n // 5])
    study = coordinate_study(
        {"density": GaussianMixture(), "CWoLa": LogisticRegression()},
        {"x": None, "CDF": NormalCDFTransformer()},
        X,
        truth,
        X_test=np.concatenate([rng.normal(size=(n, 2)), test_signal]),
        y_test=np.repeat([0, 1], n),
        fit_y=mixed,
        fit_on=mixed == 0,
        n_seeds=1,
        random_state=0,
    ).set_index(["detector", "frame"])
    auc = study["roc_auc"]
    assert auc["density", "x"] == pytest.approx(0.697, abs=0.01)
    assert auc["CWoLa", "x"] == pytest.approx(norm.cdf(1), abs=0.01)
    assert auc["CWoLa", "CDF"] == pytest.approx(norm.cdf(1), abs=0.02)


def test_truth_is_not_shown_to_the_fit(events):
    X, y = events
    options = {"n_seeds": 1, "random_state": 0, "X_test": X, "y_test": y}
    detectors = {"forest": IsolationForest(n_estimators=5)}
    shuffled = np.random.default_rng(0).permutation(y)
    a = coordinate_study(detectors, FRAMES, X, y, **options)
    b = coordinate_study(detectors, FRAMES, X, shuffled, **options)
    pd.testing.assert_frame_equal(a.drop(columns="fit_seconds"), b.drop(columns="fit_seconds"))


def test_fit_on_restricts_unsupervised_fits(events):
    X, y = events
    seen = []

    class Recording(KernelDensity):
        def fit(self, X, y=None, sample_weight=None):
            seen.append((len(X), y, None if sample_weight is None else sample_weight.sum()))
            return super().fit(X, y, sample_weight)

    weight = np.where(y == 1, 2.0, 1.0)
    coordinate_study(
        {"kde": Recording()},
        {"x": None},
        X,
        y,
        X_test=X[::5],
        y_test=y[::5],
        fit_on=y == 0,
        sample_weight=weight,
        n_seeds=1,
    )
    assert seen == [(3000, None, None)]  # equal weights are none


def test_pipelines_are_treated_as_their_last_step(events):
    """What needs y gets it, weights arrive, seeds of the steps are set for every repetition."""
    X, y = events
    weight = np.where(y == 1, 2.0, 1.0)
    seen = []

    class Recording(RandomForestClassifier):
        def fit(self, X, y, sample_weight=None):
            seen.append((len(X), y.sum(), sample_weight.sum()))
            return super().fit(X, y, sample_weight)

    detectors = {
        "weak": make_pipeline(StandardScaler(), Recording(5)),
        "forest": make_pipeline(StandardScaler(), IsolationForest(n_estimators=5)),
    }
    options = {
        "X_test": X[::5],
        "y_test": y[::5],
        "fit_y": y,
        "fit_on": y == 0,
        "sample_weight": weight,
        "n_seeds": 2,
        "random_state": 0,
    }
    study = coordinate_study(detectors, {"x": None}, X, y, **options)
    assert seen == [(3300, 300, 3300.0)] * 2  # weights have no unit
    assert study.groupby("detector")["roc_auc"].nunique().tolist() == [2, 2]
    again = coordinate_study(detectors, {"x": None}, X, y, **options)
    pd.testing.assert_series_equal(study["roc_auc"], again["roc_auc"])
    with pytest.raises(ValueError, match="pass fit_y"):
        coordinate_study(detectors, {"x": None}, X, y)


def test_weights_reach_the_metrics(events):
    X, y = events
    keep = np.random.default_rng(5).random(len(y)) < 0.7
    detectors, options = {"density": GaussianMixture()}, {"n_seeds": 1, "random_state": 0}
    study = coordinate_study(detectors, {"x": None}, X, y, sample_weight=keep, **options)
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.5, stratify=y, random_state=draw_seeds(0, 1)[0]
    )
    mixture = GaussianMixture(random_state=draw_seeds(draw_seeds(0, 1)[0], 1)[0])
    scores = -mixture.fit(X[train][keep[train]]).score_samples(X[test])
    expected = roc_auc_score(y[test], scores, sample_weight=keep[test])
    assert study["roc_auc"].item() == pytest.approx(expected, rel=1e-9)


def test_data_frames_and_other_labels(events):
    X, y = events
    frame = pd.DataFrame(X, columns=["a", "b"])
    labels = pd.Series(np.where(y == 1, "signal", "qcd"))
    options = {"n_seeds": 1, "random_state": 0}
    detectors = {"density": GaussianMixture()}
    named = coordinate_study(detectors, FRAMES, frame, labels, signal_label="signal", **options)
    plain = coordinate_study(detectors, FRAMES, X, y, **options)
    pd.testing.assert_series_equal(named["roc_auc"], plain["roc_auc"])


def test_kept_scores_are_those_that_were_measured(events):
    X, y = events
    kinds = np.where(y == 1, "signal", "qcd").astype(object)
    kinds[::7] = "other"
    study = coordinate_study(
        {"density": GaussianMixture()},
        {"x": None},
        X[:, :1],
        kinds,
        sample_weight=np.ones(len(y)),
        signal_label="signal",
        background_label="qcd",
        keep_scores=True,
        n_seeds=2,
        random_state=0,
    )
    used = kinds != "other"
    for _, row in study.iterrows():
        assert len(row["scores"]) == len(row["truth"]) == round(used.sum() / 2)
        assert row["roc_auc"] == roc_auc_score(row["truth"], row["scores"])
        assert (row["sample_weight"] == 1).all()
    # The rows of other labels are in neither part.
    plain = coordinate_study(
        {"density": GaussianMixture()}, {"x": None}, X[used, :1], y[used], n_seeds=2, random_state=0
    )
    pd.testing.assert_series_equal(study["roc_auc"], plain["roc_auc"])
    assert "scores" not in plain.columns
    tested = coordinate_study(
        {"density": GaussianMixture()},
        {"x": None},
        X,
        y,
        X_test=X,
        y_test=kinds == "signal",
        keep_scores=True,
        n_seeds=1,
        random_state=0,
    )
    assert len(tested["scores"].item()) == len(y) and "sample_weight" not in tested


def test_jaccard_index_follows_from_the_shared_fraction(study):
    shared, index = study["shared_with_exp x"], study["jaccard_with_exp x"]
    np.testing.assert_allclose(index, shared / (2 - shared))


def test_failures_say_where(events):
    X, y = events
    with pytest.raises(ValueError) as info:
        coordinate_study({"mix": GaussianMixture(-1)}, {"x": None}, X, y, n_seeds=1)
    assert info.value.__notes__ == ["In coordinate_study: 'mix' in frame 'x'."]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"detectors": [GaussianMixture()]}, "detectors must be a dict"),
        ({"frames": {}}, "frames must be a dict"),
        ({"X_test": np.zeros((3, 2))}, "given together"),
        ({"n_seeds": 0}, "n_seeds.* must be an int in the range"),
        ({"fit_on": np.arange(3300)}, "fit_on must be boolean"),
        ({"detectors": {"c": LogisticRegression()}}, "pass fit_y"),
        ({"y": np.tile([-1, 1], 1650)}, "read both ways"),
        ({"y": np.zeros(3)}, "inconsistent numbers"),
    ],
)
def test_bad_input(events, kwargs, message):
    X, y = events
    arguments = {"detectors": {"d": GaussianMixture()}, "frames": FRAMES, "X": X, "y": y}
    with pytest.raises(ValueError, match=message):
        coordinate_study(**{**arguments, **kwargs})
