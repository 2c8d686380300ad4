"""What a user may write: mypy and pyright find nothing."""

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

import skad
from skad.coordinates import LogTransformer
from skad.datasets import load_dijets
from skad.density import FlowDensity, FramedDensity
from skad.detectors import AutoencoderDetector, DensityDetector, PyODDetector, VAEDetector
from skad.io import iter_events, read_events
from skad.metrics import max_significance_improvement, significance_improvement_curve
from skad.resonant import CATHODE, CombinedTemplate, SignalRegion, TemplateDetector
from skad.search import BumpHunt, fit_spectrum

X = np.ones((100, 2))
detector = AutoencoderDetector(max_epochs=10, hidden_layer_sizes=(8, 4), random_state=0)
scores = detector.fit(X).anomaly_score(X) * 2.0
n_rare = int((detector.predict([[0.0, 1.0]]) == -1).sum())
detector.fit(X, sample_weight=[1.0] * 100).set_params(max_epochs=3)

flow = FlowDensity(flow="maf", schedule={3: 0.1}, condition_features="mjj", verbose=True)
framed = FramedDensity(StandardScaler(), flow)
DensityDetector(framed, frame=LogTransformer(unit=1000.0), contamination=0.05, threshold=None)
VAEDetector(hidden_layer_sizes=16, random_state=np.random.RandomState(0))
PyODDetector(IsolationForest())

region = SignalRegion(3.3, 3.7, sideband_width=0.4)
template = CATHODE(region=(3.3, 3.7), resonance="mjj")
search = TemplateDetector(CombinedTemplate([("first", template), ("again", CATHODE())]), cv=None)
hunt = BumpHunt(search, windows=[region, (3.5, 3.9)], efficiencies=np.logspace(-3, -1, 3))
low = region.resolve(X).low + 1.0
fit = fit_spectrum([9, 5, 3], [2.0, 2.5, 3.0, 3.5], exclude=region, function="polynomial")
chi2 = fit.deviance / fit.ndof
events = load_dijets(n_background=10, as_frame=True).data

curve = significance_improvement_curve([0, 1], scores, signal_label="qcd")
best = max_significance_improvement([0, 1], [0.1, 0.2]) > 3.0
for batch in iter_events("events.parquet", batch_size=1000):
    batch.columns
frame = read_events(["a.root", "b.root"], columns=["mjj"])
names: list[str] = skad.cite("CATHODE", search).splitlines()
