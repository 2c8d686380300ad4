"""
Your table in ten lines
=======================

Measurements of 569 tumours, 30 columns, from a table that scikit-learn ships. A detector that has
seen benign ones alone marks the others, at a rate of false alarms that is known beforehand, and
says which measurement is odd.
"""

# %%
# Which detector?
# ---------------
# Labels are for the comparison; no fit sees them. Without labels the table would hold only the
# volume and the stability of each detector.

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.detectors import ConformalDetector, TabularDetector
from skad.inspection import explain
from skad.plotting import ExplanationDisplay
from skad.report import compare_detectors

X, benign = load_breast_cancer(return_X_y=True, as_frame=True)
truth = 1 - benign
# One malignant tumour for ten benign ones, as a screening might have.
malignant = truth.index[truth == 1][:36]
rows = truth.index[truth == 0].union(malignant)
detectors = {
    "TabularDetector": TabularDetector(random_state=0),
    "forest": IsolationForest(random_state=0),
    "LOF": make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
    "Gaussian": make_pipeline(StandardScaler(), GaussianMixture(reg_covar=1e-2, random_state=0)),
}
report = compare_detectors(
    detectors,
    X.loc[rows],
    truth.loc[rows],
    by="average_precision",
    fraction=0.05,
    random_state=0,
)
print(report.table[["auc", "average_precision", "precision_at_n", "stability"]].round(2))
print(report.content["answer"]["text"])

# %%
# p-values
# --------
# The detector is fitted to 250 benign tumours in five folds. The scores of tumours that a fit has
# not seen say how benign ones score.

normal = X[truth == 0].iloc[:250]
later = X.drop(normal.index)
best = detectors[report.table.index[0]]
detector = ConformalDetector(best, cv=5, false_alarm_rate=0.05, random_state=0).fit(normal)
odd = detector.predict(later) == -1
is_benign = (truth[later.index] == 0).to_numpy()
marked = odd[is_benign].mean(), odd[~is_benign].mean()
print(f"marked: {marked[0]:.0%} of the benign, {marked[1]:.0%} of the others")
chosen = detector.select(later, fdr=0.1)
print(f"{chosen.sum()} chosen at a false discovery rate of 0.1, {chosen[is_benign].sum()} benign")

# %%
# Why?
# ----
# How far the score falls if a measurement is replaced by that of benign tumours that are alike in
# all others: a row for each tumour, and one of them alone.

most = later.iloc[np.argsort(-detector.anomaly_score(later))[:12]]
table = explain(best.fit(normal), most, background=normal)
ExplanationDisplay.from_explanation(table, n_columns=10)

# %%
# The first of them:

ExplanationDisplay.from_explanation(table, event=0, n_columns=8)
print(table.iloc[0].nlargest(3).round(3).to_dict())
