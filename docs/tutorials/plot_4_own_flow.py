"""
Bring your own flow
===================

Does a flow that you built yourself work where the flows of the package do? As a density, in other
coordinates, as a detector, and as the background of a resonant search?
"""

# %%
# A function that builds it
# -------------------------
# ``flow=`` takes a function of the numbers of features and conditions. It returns a transform of
# nflows or a flow of zuko; training, seeds, batches and early stopping are those of every network
# of the package. Here coupling layers of nflows, with a small residual network in each.

from nflows.nn.nets import ResidualNet
from nflows.transforms import AffineCouplingTransform, CompositeTransform
from nflows.utils import create_alternating_binary_mask

from skad.coordinates import DijetCoordinates, LogTransformer
from skad.datasets import load_dijets
from skad.density import FlowDensity, FramedDensity
from skad.detectors import DensityDetector
from skad.inspection import template_closure
from skad.metrics import shared_fraction
from skad.plotting import ClosureDisplay, SICDisplay
from skad.resonant import CATHODE, SignalRegion


def couplings(n_features, n_conditions):
    """Four affine couplings, each moving every other feature."""

    def network(n_in, n_out):
        return ResidualNet(
            n_in, n_out, hidden_features=32, context_features=n_conditions or None, num_blocks=1
        )

    return CompositeTransform(
        [
            AffineCouplingTransform(create_alternating_binary_mask(n_features, even), network)
            for even in (True, False, True, False)
        ]
    )


# %%
# Two flows side by side
# ----------------------
# Dijets of the sample inside the package, in logarithms of the masses of the two jets. The mean log
# density of events that neither has seen says which describes them better. Seven of these
# events hold a jet without mass, which has no logarithm, and are left out.

dijets = load_dijets(n_background=20_000, n_signal=400, random_state=0, as_frame=True)
masses = DijetCoordinates(features=("mj1", "mj2")).set_output(transform="pandas")
X, T = masses.fit_transform(dijets.data), masses.transform(dijets.test_data)
massive = (T["mj1"] > 0).to_numpy()
T, truth = T[massive], dijets.test_target[massive]

options = {"max_epochs": 8, "batch_size": 1024, "random_state": 0}
densities = {
    "own couplings": FramedDensity(LogTransformer(), FlowDensity(couplings, **options)).fit(X),
    "default": FramedDensity(LogTransformer(), FlowDensity(**options)).fit(X),
}
for name, density in densities.items():
    print(f"{name:14s} mean log p(x) of new background: {density.score(T[truth == 0]):.3f}")

# %%
# As a detector, in two frames
# ----------------------------
# ``DensityDetector`` calls events of low density anomalous, in the coordinates that ``frame``
# names: one fit, read twice.

scores = {
    "in log m": DensityDetector(densities["own couplings"], frame=LogTransformer()).fit(X),
    "in m": DensityDetector(densities["own couplings"]).fit(X),
}
low, high = (detector.anomaly_score(T) for detector in scores.values())
print(f"shared among the rarest 1 %: {shared_fraction(low, high, fraction=0.01):.0%}")
SICDisplay.from_estimator(scores, T, truth)

# %%
# As the background of a search
# -----------------------------
# CATHODE learns the events of the sidebands as a conditional density p(x|m) and draws events inside
# the region from it. The flow need not know: the condition arrives as the second number of the
# function. What it draws should look like the background of the region, which only the truth of a
# simulation can show.

region = SignalRegion(3.3, 3.7)  # TeV
coordinates = DijetCoordinates().set_output(transform="pandas")
X5, T5 = coordinates.fit_transform(dijets.data), coordinates.transform(dijets.test_data)
template = CATHODE(FlowDensity(couplings, **options), region=region, random_state=0).fit(X5)
background = T5[region.mask(T5) & (dijets.test_target == 0)]
closure = template_closure({"own couplings": template}, background, random_state=0)
ClosureDisplay.from_study(closure)
