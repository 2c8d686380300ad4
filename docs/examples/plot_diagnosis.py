"""
Can the result of a weakly supervised search be trusted?
========================================================

A detector that tells data from a background template finds signal only if the template is right
and if the data hold enough signal to learn from. Both can be tested. Here two templates of
simulated dijets go through all tests: the sidebands as they are, and CATHODE's sideband density,
interpolated into the signal region.
"""

# %%
# Two searches
# ------------
# The truth of the test events, which no detector has seen, serves the diagnosis only.

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from skad.coordinates import DijetCoordinates, LogitTransformer
from skad.datasets import load_dijets
from skad.density import FlowDensity
from skad.inspection import (
    breakdown_test,
    closure_auc,
    log_posterior_test,
    overlap_study,
    score_correlation,
    template_closure,
)
from skad.plotting import (
    BreakdownDisplay,
    ClosureAUCDisplay,
    ClosureDisplay,
    LogPosteriorDisplay,
    OverlapStudyDisplay,
    ScoreCorrelationDisplay,
)
from skad.resonant import CATHODE, Sidebands, SignalRegion, TemplateDetector

dijets = load_dijets(n_background=60_000, n_signal=250, random_state=0, as_frame=True)
coordinates = DijetCoordinates().set_output(transform="pandas").fit(dijets.data)
X, test = coordinates.transform(dijets.data), coordinates.transform(dijets.test_data)
region = SignalRegion(3.3, 3.7)

classifier = HistGradientBoostingClassifier(
    max_iter=40, max_leaf_nodes=16, min_samples_leaf=50, max_bins=63, early_stopping=False
)
templates = {
    "sidebands": Sidebands(region.with_sidebands(0.2)),
    "CATHODE": CATHODE(
        FlowDensity(max_epochs=10), region=region, coordinates=LogitTransformer(margin=0.1)
    ),
}
detectors = {
    name: [
        TemplateDetector(template, classifier, cv=3, random_state=seed).fit(X) for seed in (0, 1)
    ]
    for name, template in templates.items()
}
inside = detectors["CATHODE"][0].region_.mask(test)
test, truth = test[inside], dijets.test_target[inside]
background = test[truth == 0]
print(f"{len(background)} true background events, {truth.sum()} of signal in the test")

# %%
# Is every feature right?
# -----------------------
# The distances of the marginals to true background, beside those expected from the numbers of
# events. The two seeds of a detector are two fits of its template.

closure = template_closure(detectors, background, random_state=0)
print(closure.pivot_table(index="feature", columns="template", values="statistic").round(4))
ClosureDisplay.from_study(closure)

# %%
# And all features together?
# --------------------------
# A classifier of template against truth, over the band of truth against truth.

auc = closure_auc(detectors, background, cv=3, n_null=10, random_state=0)
print(auc.auc.round(4).to_string(index=False))
ClosureAUCDisplay.from_study(auc)

# %%
# Which template does the truth look like?
# ----------------------------------------

posterior = log_posterior_test(detectors, background, n_seeds=2, random_state=0)
LogPosteriorDisplay.from_study(posterior)

# %%
# Do methods and seeds agree?
# ---------------------------
# On signal they should, on background they need not: what they share there is a fluctuation of the
# data, which all of them see, or an artefact of the templates.

scores = {
    name: np.array([detector.anomaly_score(test) for detector in seeds])
    for name, seeds in detectors.items()
}
ScoreCorrelationDisplay.from_study(score_correlation(truth, scores))

# %%
OverlapStudyDisplay.from_study(overlap_study(truth, scores))

# %%
# Do the data hold enough signal?
# -------------------------------
# The last test needs no truth: do independent trainings select the same events, more than they do
# once data and template are relabelled at random?

result = breakdown_test(
    detectors["CATHODE"][0], X, strategy="parts", sequential=False, random_state=0
)
print(f"p = {result.p_value:.2f}, trusted: {result.trusted}")
BreakdownDisplay.from_test(result)
