"""What a user may not write: mypy and pyright find every line that is marked.

Estimators inherit from classes of scikit-learn, which have no types: mypy lets any attribute pass.
"""

from skad.coordinates import LogTransformer
from skad.datasets import load_dijets
from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, DensityDetector, VAEDetector
from skad.io import read_events
from skad.metrics import significance_improvement_curve
from skad.papers import cathode
from skad.resonant import CATHODE, SignalRegion
from skad.search import fit_spectrum

AutoencoderDetector(max_epochs="ten")  # wrong
AutoencoderDetector(max_epoch=10)  # wrong
AutoencoderDetector(activation="ReLU")  # wrong
AutoencoderDetector(hidden_layer_sizes="64")  # wrong
AutoencoderDetector(random_state="zero")  # wrong
FlowDensity(flow="glow")  # wrong
FlowDensity(early_stopping="yes")  # wrong
DensityDetector(density="flow")  # wrong
DensityDetector(contamination=None)  # wrong
VAEDetector(decorrelation=0.5)  # wrong
CATHODE(region=3.5)  # wrong
CATHODE(region=("3.3", "3.7"))  # wrong
SignalRegion("3.3", 3.7)  # wrong
LogTransformer(outside="clip")  # wrong
AutoencoderDetector().fit()  # wrong
AutoencoderDetector().fit([[0.0]]).anomaly_score([[0.0]]).colour  # wrong
SignalRegion(3.3, 3.7).lower  # wrong
significance_improvement_curve([0, 1])  # wrong
significance_improvement_curve([0, 1], [0.0, 1.0]).colour  # wrong
fit_spectrum([9, 5], [2.0, 2.5, 3.0], function="cubic")  # wrong
load_dijets(n_background="all")  # wrong
read_events(3)  # wrong
cathode((3.3, 3.7)).transform([[0.0]])  # wrong: pyright
