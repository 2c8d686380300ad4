"""Weak supervision with a given reference."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, RepeatedStratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.coordinates import NormalCDFTransformer, TanhTransformer
from skad.detectors import CWoLaDetector, NetworkClassifier, TreeEnsembleClassifier

FRACTION = 0.2


def samples(n_mixed, n_reference, seed=0):
    """Mixed N(0,1) with a fraction of N(1,1), in two dimensions, against N(0,1)."""
    rng = np.random.RandomState(seed)
    truth = np.r_[rng.uniform(size=n_mixed) < FRACTION, np.zeros(n_reference, bool)]
    X = rng.normal(size=(n_mixed + n_reference, 2)) + truth[:, None]
    return X, np.repeat([1, 0], [n_mixed, n_reference]), truth.astype(int)


def exact_log_ratio(X):
    signal_over_background = norm.logpdf(X, 1).sum(1) - norm.logpdf(X).sum(1)
    return np.log(1 - FRACTION + FRACTION * np.exp(signal_over_background))


@pytest.mark.parametrize(
    "classifier",
    [
        NetworkClassifier(max_epochs=10, random_state=0),
        GaussianNB(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        TreeEnsembleClassifier(4, n_forest_trees=20),
    ],
    ids=lambda c: type(c).__name__,
)
@pytest.mark.parametrize("n_reference", [6000, 18_000])
def test_score_is_the_ratio_of_normalised_densities(classifier, n_reference):
    X, y, _ = samples(6000, n_reference)
    detector = CWoLaDetector(classifier, cv=None, random_state=0).fit(X, y)
    T, _, _ = samples(4000, 4000, seed=1)
    learned = np.log(detector.anomaly_score(T))
    # Unequal sample sizes must not shift the ratio: log 3 = 1.1 would be off by ten sigma.
    assert np.median(learned - exact_log_ratio(T)) == pytest.approx(0, abs=0.12)
    assert np.corrcoef(learned, exact_log_ratio(T))[0, 1] > 0.8
    np.testing.assert_allclose(detector.score_samples(T), -learned)


def test_trees_rank_alike_in_every_frame():
    X, y, _ = samples(4000, 4000)
    T, _, truth = samples(4000, 4000, seed=1)
    classifier = TreeEnsembleClassifier(2, n_forest_trees=0, max_leaf_nodes=4)
    scores = [CWoLaDetector(classifier, cv=2, random_state=0).fit(X, y).anomaly_score(T)]
    for frame in (NormalCDFTransformer(), TanhTransformer(shift=2.0)):
        moved = CWoLaDetector(classifier, cv=2, random_state=0).fit(frame.fit_transform(X), y)
        scores.append(moved.anomaly_score(frame.transform(T)))
    # The exact likelihood ratio reaches 0.841 in every frame.
    aucs = [roc_auc_score(truth, score) for score in scores]
    assert min(aucs) > 0.78
    assert np.ptp(aucs) < 0.002


def test_training_events_are_scored_out_of_fold():
    X, y, _ = samples(300, 300)
    memory = KNeighborsClassifier(1)
    in_sample = CWoLaDetector(memory, cv=None).fit(X, y)
    crossed = CWoLaDetector(memory, cv=KFold(5, shuffle=True, random_state=0)).fit(X, y)
    assert roc_auc_score(y, in_sample.training_scores_) == 1
    assert roc_auc_score(y, crossed.training_scores_) < 0.7
    for classifier, (train, test) in zip(
        crossed.classifiers_, KFold(5, shuffle=True, random_state=0).split(X), strict=True
    ):
        alone = memory.fit(X[train], y[train])
        np.testing.assert_array_equal(alone.predict(X[test]), classifier.predict(X[test]))


def test_repeated_folds_average_what_has_not_seen_an_event():
    X, y, _ = samples(300, 300)
    folds = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    detector = CWoLaDetector(GaussianNB(), cv=folds).fit(X, y)
    splits = list(folds.split(X, y))
    held_out = [k for k, (_, test) in enumerate(splits) if 5 in test]
    assert len(held_out) == 2
    p = [detector.classifiers_[k].predict_proba(X[[5]])[0] for k in held_out]
    expected = np.mean([np.log(mixed / reference) for reference, mixed in p])
    assert np.log(detector.training_scores_[5]) == pytest.approx(expected)


def test_folds_of_networks_train_as_one_and_as_alone():
    X, y, _ = samples(400, 400)
    network = NetworkClassifier((8,), max_epochs=5, n_estimators=2, random_state=3)
    folds = [np.arange(0, 700), np.arange(100, 800)]
    together = network.fit_folds(X, y, folds)
    assert [len(c.trained_.networks) for c in together] == [2, 2]
    for classifier, fold in zip(together, folds, strict=True):
        # Standardised by its own events alone.
        mean = classifier.trained_.networks[0][0][0].mean.numpy()
        weights = np.ones(len(fold))
        np.testing.assert_allclose(mean, np.average(X[fold], axis=0, weights=weights))
        assert roc_auc_score(y[fold], classifier.decision_function(X[fold])) > 0.5


def test_contamination_counts_mixed_events():
    X, y, _ = samples(2000, 6000)
    detector = CWoLaDetector(GaussianNB(), cv=None, contamination=0.1).fit(X, y)
    assert (detector.predict(X[y == 1]) == -1).mean() == pytest.approx(0.1, abs=0.002)
    absolute = CWoLaDetector(GaussianNB(), cv=None, threshold=1.5).fit(X, y)
    np.testing.assert_array_equal(absolute.predict(X) == -1, absolute.anomaly_score(X) > 1.5)


def test_certain_classifiers_give_finite_scores():
    X = np.r_[np.zeros((50, 1)), np.ones((50, 1))]
    y = np.repeat([0, 1], 50)
    detector = CWoLaDetector(KNeighborsClassifier(3), cv=None).fit(X, y)
    assert np.isfinite(detector.anomaly_score(X)).all()
    assert (detector.anomaly_score(X)[y == 1] > 1e6).all()


def test_weights_need_a_classifier_that_takes_them():
    X, y, _ = samples(200, 200)
    with pytest.raises(TypeError, match=r"fit of KNeighborsClassifier takes none"):
        CWoLaDetector(KNeighborsClassifier()).fit(X, y, sample_weight=np.arange(400) % 3 + 1)
    weighted = CWoLaDetector(GaussianNB(), cv=None).fit(X, y, sample_weight=y + 1.0)
    plain = CWoLaDetector(GaussianNB(), cv=None).fit(X, y)
    # A common factor of one sample is no information.
    np.testing.assert_allclose(weighted.anomaly_score(X), plain.anomaly_score(X))


def test_labels_that_can_be_read_both_ways_are_refused():
    X, y, _ = samples(100, 100)
    for labels in (2 * y - 1, y + 1, np.where(y, "data", "simulation"), np.arange(200) % 3):
        with pytest.raises(ValueError, match=r"y must be 1 for mixed events and 0 .* Pass y == "):
            CWoLaDetector().fit(X, labels)
    with pytest.raises(ValueError, match="one class only"):
        CWoLaDetector().fit(X, np.ones(200))
