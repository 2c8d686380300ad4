"""SIC, ROC and overlap displays: the numbers that are drawn."""

import sys

import numpy as np
import pytest
from scipy.integrate import trapezoid
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.metrics import (
    anomaly_response,
    anomaly_roc_curve,
    max_significance_improvement,
    shared_fraction,
    significance_improvement_at,
    significance_improvement_curve,
)
from skad.plotting import OverlapDisplay, ROCDisplay, SICDisplay

plt = pytest.importorskip("matplotlib.pyplot")
to_rgb = pytest.importorskip("matplotlib.colors").to_rgb


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(900, 2)), rng.normal(2.5, 0.7, size=(100, 2))])
    return X, np.repeat([0, 1], [900, 100])


@pytest.fixture(scope="module")
def models(events):
    return {
        "forest": IsolationForest(n_estimators=10, random_state=0).fit(events[0]),
        "mixture": GaussianMixture().fit(events[0]),
    }


@pytest.fixture(scope="module")
def folds(events):
    return cross_validate(
        IsolationForest(n_estimators=10, random_state=0),
        *events,
        scoring=lambda *_: 0.0,
        cv=StratifiedKFold(4, shuffle=True, random_state=0),
        return_estimator=True,
        return_indices=True,
    )


def labels(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def band_edges(band):
    """Return x, lower and upper of a fill_between."""
    vertices = band.get_paths()[0].vertices
    n = (len(vertices) - 3) // 2
    return vertices[1 : n + 1, 0], vertices[1 : n + 1, 1], vertices[-2 : -n - 2 : -1, 1]


def test_sic_curve_is_the_metric(events, models):
    X, y = events
    display = SICDisplay.from_estimator(models["forest"], X, y)
    curve = significance_improvement_curve(y, anomaly_response(models["forest"], X))
    allowed = curve.background_events >= 25
    drawn_tpr, drawn_sic = display.line_.get_data()
    np.testing.assert_array_equal(drawn_tpr, curve.tpr[allowed])
    np.testing.assert_array_equal(drawn_sic, curve.sic[allowed])
    x, lower, upper = band_edges(display.band_)
    error = curve.sic_error[allowed]
    # matplotlib closes the outline on its first and last points.
    inside = slice(1, len(x) - 1)
    np.testing.assert_allclose(lower[inside], (drawn_sic - error)[inside], atol=1e-9)
    np.testing.assert_allclose(upper[inside], (drawn_sic + error)[inside], atol=1e-9)
    best = max_significance_improvement(y, anomaly_response(models["forest"], X))
    assert display.max_sic == [best]
    assert labels(display) == [f"IsolationForest (max SIC = {best:.3g})", "random"]
    random_x, random_sic = display.chance_level_.get_data()
    np.testing.assert_allclose(random_sic, np.sqrt(random_x))


@pytest.mark.parametrize("x", ["fpr", "rejection"])
def test_sic_against_background(events, models, x):
    X, y = events
    scores = anomaly_response(models["forest"], X)
    display = SICDisplay.from_predictions(y, scores, kind=x, name="a", plot_chance_level=False)
    drawn_x, drawn_sic = display.line_.get_data()
    curve = significance_improvement_curve(y, scores)
    allowed = curve.background_events >= 25
    fpr = curve.fpr[allowed]
    np.testing.assert_allclose(drawn_x, fpr if x == "fpr" else 1 / fpr)
    np.testing.assert_array_equal(drawn_sic, curve.sic[allowed])
    assert display.ax_.get_xscale() == "log"
    assert display.chance_level_ is None
    assert labels(display)[0].startswith("a (max SIC")


def test_thinning_keeps_the_curve_and_its_maximum():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], [100_000, 3000])
    scores = rng.normal(2 * y)
    display = SICDisplay.from_predictions(y, scores)
    tpr, sic = display.line_.get_data()
    assert len(tpr) <= 1003
    assert sic.max() == max_significance_improvement(y, scores)
    grid = np.linspace(tpr[0] + 0.01, 0.99, 50)
    exact = significance_improvement_at(y, scores, tpr=grid)
    np.testing.assert_allclose(np.interp(grid, tpr, sic), exact, rtol=0.02)
    roc = ROCDisplay.from_predictions(y, scores)
    fpr, tpr = roc.line_.get_data()
    assert len(fpr) <= 1002
    assert trapezoid(tpr, fpr) == pytest.approx(roc_auc_score(y, scores), abs=1e-4)


@pytest.mark.parametrize("display_class", [SICDisplay, ROCDisplay])
def test_several_curves_on_one_axes(events, models, display_class):
    X, y = events
    display = display_class.from_estimator(models, X, y)
    assert len(display.line_) == len(display.band_) == 2
    assert len({line.get_color() for line in display.line_}) == 2
    assert [text.split(" (")[0] for text in labels(display)] == ["forest", "mixture", "random"]
    again = display_class.from_estimator(models["mixture"], X, y, ax=display.ax_, name="again")
    assert again.ax_ is display.ax_ and again.figure_ is display.figure_
    np.testing.assert_array_equal(again.line_.get_ydata(), display.line_[1].get_ydata())
    scores = {name: anomaly_response(model, X) for name, model in models.items()}
    same = display_class.from_predictions(y, scores)
    for a, b in zip(same.line_, display.line_, strict=True):
        np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())


def test_roc_curve_is_sklearns(events, models):
    X, y = events
    weight = np.random.default_rng(0).random(len(y))
    scores = anomaly_response(models["forest"], X)
    display = ROCDisplay.from_predictions(y, scores, sample_weight=weight, name="forest")
    fpr, tpr, _ = roc_curve(y, scores, sample_weight=weight, drop_intermediate=False)
    np.testing.assert_allclose(display.line_.get_data(), (fpr, tpr), atol=1e-12)
    auc = roc_auc_score(y, scores, sample_weight=weight)
    assert display.roc_auc == [pytest.approx(auc)]
    assert labels(display) == [f"forest (AUC = {auc:.3g})", "random"]


def test_roc_of_cuts_that_leave_enough_background(events, models):
    X, y = events
    display = ROCDisplay.from_estimator(models["forest"], X, y, min_background_events=25)
    curve = anomaly_roc_curve(y, anomaly_response(models["forest"], X))
    allowed = curve.background_events >= 25
    np.testing.assert_array_equal(display.line_.get_xdata(), curve.fpr[allowed])
    assert display.line_.get_xdata()[0] == pytest.approx(25 / 900)
    assert display.roc_auc == [curve.roc_auc]


def test_rejection(events, models):
    X, y = events
    display = ROCDisplay.from_estimator(models["forest"], X, y, kind="rejection")
    tpr, rejection = display.line_.get_data()
    np.testing.assert_allclose(rejection, 1 / display.fpr[0][display.fpr[0] > 0])
    np.testing.assert_allclose(tpr, display.tpr[0][display.fpr[0] > 0])
    _, _, upper = band_edges(display.band_)
    assert np.nanmax(upper) < 1e6
    x, chance = display.chance_level_.get_data()
    np.testing.assert_allclose(chance, 1 / x)


def test_detectors_in_pipelines_have_the_name_of_the_last_step(events):
    X, y = events
    pipeline = make_pipeline(StandardScaler(), IsolationForest(n_estimators=5)).fit(X)
    assert ROCDisplay.from_estimator(pipeline, X, y).name == "IsolationForest"


@pytest.mark.parametrize("display_class", [SICDisplay, ROCDisplay])
def test_folds_as_a_band(events, folds, display_class):
    X, y = events
    display = display_class.from_cv_results(folds, X, y, name="forest")
    x, middle = display.line_.get_data()
    _, lower, upper = band_edges(display.band_)
    assert np.isfinite(middle).all()
    values = []
    for estimator, test in zip(folds["estimator"], folds["indices"]["test"], strict=True):
        scores = anomaly_response(estimator, X[test])
        if display_class is SICDisplay:
            curve = significance_improvement_curve(y[test], scores)
            allowed = curve.background_events >= 25
            values.append(np.interp(x[150], curve.tpr[allowed], curve.sic[allowed]))
        else:
            fpr, tpr, _ = roc_curve(y[test], scores, drop_intermediate=False)
            values.append(np.interp(x[150], fpr, tpr))
    expected = np.percentile(values, [16, 50, 84])
    assert (lower[150], middle[150], upper[150]) == pytest.approx(tuple(expected))
    metrics = display.max_sic if display_class is SICDisplay else display.roc_auc
    low, median, high = np.percentile(metrics, [16, 50, 84])
    assert f"= {median:.3g} [{low:.3g}, {high:.3g}]" in labels(display)[0]


def test_folds_one_by_one_look_alike(events, folds):
    display = ROCDisplay.from_cv_results(folds, *events, aggregate=False, name="forest")
    assert len(display.line_) == 4
    assert len({line.get_color() for line in display.line_}) == 1
    assert len(labels(display)) == 2
    separate = display.plot(name=list("abcd"), curve_kwargs=[{"c": f"C{i}"} for i in range(4)])
    assert [text.split(" (")[0] for text in labels(separate)] == ["a", "b", "c", "d", "random"]
    assert [line.get_color() for line in separate.line_] == ["C0", "C1", "C2", "C3"]


@pytest.fixture(scope="module")
def trainings(events):
    X, y = events
    rng = np.random.default_rng(3)
    return {
        "weak": X[:, 0] + rng.normal(0, [[0.8], [1.0], [1.5], [2.0], [2.5]], size=(5, len(y))),
        "strong": X.sum(axis=1) + rng.normal(0, 0.8, size=(4, len(y))),
    }


def curve_of(display_class, y, scores):
    """Return x and y of one training, straight from the metrics."""
    if display_class is SICDisplay:
        curve = significance_improvement_curve(y, scores)
        allowed = curve.background_events >= 25
        return curve.tpr[allowed], curve.sic[allowed]
    return roc_curve(y, scores, drop_intermediate=False)[:2]


@pytest.mark.parametrize("display_class", [SICDisplay, ROCDisplay])
def test_trainings_as_bands(events, trainings, display_class):
    _, y = events
    one = trainings["strong"][0] + 1.0
    display = display_class.from_predictions(y, trainings | {"one": one})
    assert len(display.line_) == 3
    # One training has no spread.
    assert len(display.band_) == 2
    assert len({line.get_color() for line in display.line_}) == 3
    for line, band, scores in zip(display.line_, display.band_, trainings.values(), strict=False):
        curves = [curve_of(display_class, y, row) for row in scores]
        grid, middle = line.get_data()
        assert grid[0] == pytest.approx(max(x[0] for x, _ in curves))
        assert grid[-1] == pytest.approx(1)
        values = [np.interp(grid, *curve) for curve in curves]
        expected = np.quantile(values, [0.16, 0.5, 0.84], axis=0)
        np.testing.assert_allclose(middle, expected[1], atol=1e-12)
        _, lower, upper = band_edges(band)
        # matplotlib closes the outline on its first and last points.
        inside = slice(1, len(lower) - 1)
        np.testing.assert_allclose(lower[inside], expected[0][inside], atol=1e-9)
        np.testing.assert_allclose(upper[inside], expected[2][inside], atol=1e-9)
        np.testing.assert_array_equal(band.get_facecolor()[0, :3], to_rgb(line.get_color()))
    np.testing.assert_allclose(display.line_[2].get_data(), curve_of(display_class, y, one))
    metrics = display.max_sic if display_class is SICDisplay else display.roc_auc
    for label, part in zip(labels(display), (metrics[:5], metrics[5:9]), strict=False):
        low, median, high = np.quantile(part, [0.16, 0.5, 0.84])
        assert f"= {median:.3g} [{low:.3g}, {high:.3g}]" in label
    assert labels(display)[2].startswith("one (") and "[" not in labels(display)[2]


def test_trainings_of_one_method_need_no_name(events, trainings):
    _, y = events
    alone = ROCDisplay.from_predictions(y, list(trainings["weak"]), kind="rejection")
    named = ROCDisplay.from_predictions(y, {"weak": trainings["weak"]}, kind="rejection")
    np.testing.assert_array_equal(alone.line_.get_xydata(), named.line_.get_xydata())
    assert (alone.name, named.name) == (None, "weak")
    column = ROCDisplay.from_predictions(y, trainings["weak"][0][:, None])
    row = ROCDisplay.from_predictions(y, trainings["weak"][0])
    np.testing.assert_array_equal(column.line_.get_xydata(), row.line_.get_xydata())
    assert len(column.roc_auc) == 1 and column.band_ is not None


def test_trainings_one_by_one_look_alike(events, trainings):
    _, y = events
    display = SICDisplay.from_predictions(
        y, trainings, aggregate=False, curve_kwargs=[{"color": "red"}, {"color": "blue", "lw": 3}]
    )
    assert [line.get_color() for line in display.line_] == ["red"] * 5 + ["blue"] * 4
    assert [line.get_linewidth() for line in display.line_[5:]] == [3] * 4
    assert len(display.band_) == 9
    assert [label.split(" (")[0] for label in labels(display)] == ["weak", "strong", "random"]
    for line, scores in zip(display.line_, np.concatenate([*trainings.values()]), strict=True):
        np.testing.assert_array_equal(line.get_data(), curve_of(SICDisplay, y, scores))


@pytest.mark.parametrize("display_class", [SICDisplay, ROCDisplay])
def test_methods_drawn_one_after_the_other(events, folds, trainings, display_class):
    X, y = events
    option = {"kind": "rejection"} if display_class is ROCDisplay else {}
    first = display_class.from_predictions(y, trainings["weak"], name="weak", **option)
    second = display_class.from_cv_results(
        folds, X, y, name="forest", ax=first.ax_, plot_chance_level=False, **option
    )
    third = display_class.from_predictions(
        y,
        trainings["strong"] + 20 * y,
        name="perfect",
        ax=first.ax_,
        plot_chance_level=False,
        **option,
    )
    names = [label.split(" (")[0] for label in labels(third)]
    assert names == ["weak", "random", "forest", "perfect"]
    assert len({d.line_.get_color() for d in (first, second, third)}) == 3
    bottom, top = third.ax_.get_ylim()
    assert bottom == (1 if display_class is ROCDisplay else 0)
    assert top > third.line_.get_ydata().max()


@pytest.mark.parametrize(
    ("display_class", "option", "corner"),
    [
        (SICDisplay, {"kind": "tpr"}, (1, 1)),
        (SICDisplay, {"kind": "fpr"}, (1, 1)),
        (SICDisplay, {"kind": "rejection"}, (0, 1)),
        (ROCDisplay, {"kind": "roc"}, (1, 0)),
        (ROCDisplay, {"kind": "rejection"}, (1, 1)),
    ],
)
def test_legend_covers_no_curve(events, trainings, display_class, option, corner):
    _, y = events
    many = {f"a rather long name, {key} {i}": trainings[key] for key in trainings for i in (0, 1)}
    display = display_class.from_predictions(y, many, **option)
    display.figure_.canvas.draw()
    box = display.ax_.get_legend().get_window_extent()
    frame = display.ax_.get_window_extent()
    assert ((box.x0 + box.x1) / 2 > (frame.x0 + frame.x1) / 2) == corner[0]
    assert ((box.y0 + box.y1) / 2 > (frame.y0 + frame.y1) / 2) == corner[1]
    for line, band in zip(display.line_, display.band_, strict=True):
        outline = np.concatenate([line.get_xydata(), band.get_paths()[0].vertices])
        outline = outline[np.isfinite(outline).all(axis=1) & (outline[:, 1] > 0)]
        x, height = display.ax_.transData.transform(outline).T
        covered = (x > box.x0) & (x < box.x1) & (height > box.y0) & (height < box.y1)
        assert not covered.any()


def test_users_legend_and_limits_stay(events, models):
    X, y = events
    options = {"legend_kwargs": {"loc": "lower left", "fontsize": 5, "title": "methods"}}
    for display in (
        SICDisplay.from_estimator(models, X, y, **options),
        ROCDisplay.from_estimator(models, X, y, **options),
    ):
        display.figure_.canvas.draw()
        legend, frame = display.ax_.get_legend(), display.ax_.get_window_extent()
        assert legend.get_title().get_text() == "methods"
        assert {text.get_fontsize() for text in legend.get_texts()} == {5}
        box = legend.get_window_extent()
        assert box.x0 - frame.x0 < 10 and box.y0 - frame.y0 < 10
    _, ax = plt.subplots()
    ax.set_ylim(0, 1.5)
    SICDisplay.from_estimator(models, X, y, ax=ax)
    assert ax.get_ylim() == (0, 1.5)


def test_styles_reach_the_artists(events, models):
    X, y = events
    display = SICDisplay.from_estimator(
        models["forest"],
        X,
        y,
        curve_kwargs={"lw": 3, "color": "red"},
        band_kwargs={"alpha": 0.5},
        chance_level_kw={"color": "black"},
    )
    assert display.line_.get_linewidth() == 3
    assert display.line_.get_color() == "red"
    assert display.band_.get_alpha() == 0.5
    assert display.chance_level_.get_color() == "black"
    assert SICDisplay.from_estimator(models["forest"], X, y, error_band=False).band_ is None


def test_overlap_curves(events, models):
    X, _ = events
    scores = {name: anomaly_response(model, X) for name, model in models.items()}
    scores["random"] = np.random.default_rng(0).random(len(X))
    fractions = [0.02, 0.1, 0.5, 1.0]
    display = OverlapDisplay.from_predictions(scores, fractions=fractions)
    assert display.name == ["forest, mixture", "forest, random", "mixture, random"]
    expected = shared_fraction(scores["forest"], scores["mixture"], fraction=fractions)
    np.testing.assert_allclose(display.line_[0].get_data(), (fractions, expected))
    x, chance = display.chance_level_.get_data()
    np.testing.assert_allclose(chance, x)
    excess = display.plot(kind="excess")
    np.testing.assert_allclose(excess.line_[0].get_ydata(), expected - fractions)
    together = OverlapDisplay.from_predictions(scores, fractions=fractions, together=True)
    all_three = shared_fraction(*scores.values(), fraction=fractions)
    np.testing.assert_allclose(together.line_.get_ydata(), all_three)
    x, chance = together.chance_level_.get_data()
    np.testing.assert_allclose(chance, x**2)


def test_overlap_of_estimators_and_folds(events, models, folds):
    X, _ = events
    display = OverlapDisplay.from_estimator(models, X)
    scores = {name: anomaly_response(model, X) for name, model in models.items()}
    same = OverlapDisplay.from_predictions(scores)
    np.testing.assert_array_equal(display.line_.get_xydata(), same.line_.get_xydata())
    stability = OverlapDisplay.from_cv_results(folds, X, fractions=[0.1, 1.0])
    pairs = [s[0] for s in stability.shared]
    assert len(pairs) == 6
    assert stability.line_.get_ydata()[0] == pytest.approx(np.median(pairs))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X, y, m, f: SICDisplay.from_estimator(m, X, y, kind="mass"), "kind must be one of"),
        (lambda X, y, m, f: ROCDisplay.from_estimator(m, X, y, kind="det"), "kind must be one of"),
        (lambda X, y, m, f: ROCDisplay.from_estimator(m, X, y, name="a"), "name must be None"),
        (lambda X, y, m, f: ROCDisplay.from_cv_results({}, X, y), "return_indices=True"),
        (lambda X, y, m, f: ROCDisplay.from_cv_results(f, X[:10], y[:10]), "pass the X of"),
        (lambda X, y, m, f: OverlapDisplay.from_cv_results({}, X), "return_estimator=True"),
        (lambda X, y, m, f: OverlapDisplay.from_predictions({"a": y}), "at least two"),
        (lambda X, y, m, f: SICDisplay.from_estimator(m, X, 2 * y - 1), "read both ways"),
        (
            lambda X, y, m, f: ROCDisplay(tpr=[y, y], fpr=[y]).plot(),
            "one entry per curve in each list; got tpr: 2, fpr: 1",
        ),
        (
            lambda X, y, m, f: SICDisplay.from_predictions(y, np.zeros((3, 7))),
            r"shape \(n_seeds, n_events\), with 1000 events; got \(3, 7\)",
        ),
        (
            lambda X, y, m, f: ROCDisplay.from_estimator(m, X, y, aggregate=True),
            r"each has its own: \['forest', 'mixture'\]",
        ),
        (
            lambda X, y, m, f: ROCDisplay.from_estimator(m, X, y).plot(name=["a"]),
            "name must be one str or 2, one per curve",
        ),
        (
            lambda X, y, m, f: ROCDisplay.from_estimator(m, X, y, curve_kwargs=[{}]),
            "list of 2, one per drawn curve; got 1",
        ),
    ],
)
def test_bad_input(events, models, folds, call, message):
    with pytest.raises(ValueError, match=message):
        call(*events, models, folds)


def test_missing_matplotlib_says_what_to_install(events, models, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"SICDisplay.plot needs.*pip install 'skad\[plot\]'"):
        SICDisplay.from_estimator(models["forest"], *events)
