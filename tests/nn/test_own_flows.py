"""Flows of nflows and zuko that a user builds: seam, density, frames and methods."""

import pickle

import numpy as np
import pytest
import torch
import zuko
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow as NflowsFlow
from nflows.transforms import (
    AffineCouplingTransform,
    CompositeTransform,
    MaskedAffineAutoregressiveTransform,
    PointwiseAffineTransform,
    ReversePermutation,
)
from scipy.stats import norm
from sklearn.base import clone
from torch import nn

from skad.coordinates import LogTransformer
from skad.density import FlowDensity, FramedDensity
from skad.nn import build_flow
from skad.resonant import ANODE, CATHODE, FETA


class Conditioner(nn.Module):
    def __init__(self, n_in, n_context, n_out):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_in + n_context, 16), nn.Tanh(), nn.Linear(16, n_out)
        )

    def forward(self, x, context=None):
        return self.layers(x if context is None else torch.cat([x, context], dim=1))


def nflows_coupling(n_features, n_context):
    mask = torch.arange(n_features) % 2
    return AffineCouplingTransform(mask, lambda i, o: Conditioner(i, n_context, o))


def nflows_maf(n_features, n_context, n_steps=3):
    steps = []
    for _ in range(n_steps):
        made = MaskedAffineAutoregressiveTransform(
            n_features, hidden_features=16, context_features=n_context or None
        )
        steps += [made, ReversePermutation(n_features)]
    return CompositeTransform(steps)


def zuko_nsf(n_features, n_context):
    return zuko.flows.NSF(n_features, n_context, transforms=2, hidden_features=(16,))


def zuko_gaussianization(n_features, n_context):
    return zuko.flows.GF(n_features, n_context, transforms=2, components=4, hidden_features=(16,))


def zuko_continuous(n_features, n_context):
    return zuko.flows.CNF(n_features, n_context, hidden_features=(8,))


BUILDERS = [nflows_coupling, nflows_maf, zuko_nsf, zuko_gaussianization, zuko_continuous]
every_builder = pytest.mark.parametrize("build", BUILDERS)


def make_flow(build, n_features=3, n_context=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = build_flow(build, n_features, n_context).double()
        with torch.no_grad():
            for p in flow.parameters():
                p += 0.1 * torch.randn_like(p)
    return flow.eval()


def draw(n, n_features=3, n_context=2):
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(n, n_features, generator=rng, dtype=torch.float64)
    return x, torch.randn(n, n_context, generator=rng, dtype=torch.float64) if n_context else None


@every_builder
@pytest.mark.parametrize("n_context", [0, 2])
def test_log_det_against_autograd_and_round_trip(build, n_context):
    flow = make_flow(build, n_context=n_context)
    x, context = draw(8, n_context=n_context)
    x.requires_grad_()
    z, log_abs_det = flow(x, context)
    rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in z.T]
    expected = torch.linalg.slogdet(torch.stack(rows, dim=1))[1]
    # The continuous flow is as exact as its solver.
    atol = 2e-3 if build is zuko_continuous else 1e-5
    torch.testing.assert_close(log_abs_det, expected, rtol=1e-5, atol=atol)
    back, inverse_log_det = flow.inverse(z, context)
    torch.testing.assert_close(back, x, rtol=1e-5, atol=atol)
    torch.testing.assert_close(inverse_log_det, -log_abs_det, rtol=1e-5, atol=atol)
    assert not flow.stackable


def conditional_events(m, rng):
    x = np.sin(m) + (0.3 + 0.1 * m) * rng.normal(size=len(m))
    return np.column_stack([x, 0.8 * x + 0.4 * rng.normal(size=len(m)), m])


def exact_log_density(X):
    x, y, m = X.T
    return norm.logpdf(x, np.sin(m), 0.3 + 0.1 * m) + norm.logpdf(y, 0.8 * x, 0.4)


@pytest.fixture(scope="module")
def events():
    rng = np.random.RandomState(0)
    return conditional_events(rng.uniform(-2, 2, size=4000), rng)


@pytest.mark.parametrize("build", [nflows_maf, zuko_nsf])
def test_conditional_density(build, events):
    density = FlowDensity(
        build, condition_features=[2], max_epochs=12, batch_size=256, random_state=0
    )
    density = clone(density).fit(events)
    rng = np.random.RandomState(1)
    T = conditional_events(rng.uniform(-2, 2, size=4000), rng)
    assert exact_log_density(T).mean() - 0.1 < density.score(T) < exact_log_density(T).mean() + 0.05
    drawn = density.sample(4000, random_state=0, conditions=np.full(4000, 1.0))
    assert (drawn[:, 2] == 1.0).all()
    assert drawn[:, 0].mean() == pytest.approx(np.sin(1.0), abs=0.08)
    assert drawn[:, 0].std() == pytest.approx(0.4, rel=0.15)
    assert drawn[:, 1].mean() == pytest.approx(0.8 * np.sin(1.0), abs=0.08)
    assert (drawn == density.sample(4000, random_state=0, conditions=np.full(4000, 1.0))).all()
    Z = density.transform(T)
    np.testing.assert_allclose(density.inverse_transform(Z), T, atol=1e-3)
    assert np.abs(np.cov(Z[:, :2].T) - np.eye(2)).max() < 0.2
    loaded = pickle.loads(pickle.dumps(density))
    assert (loaded.score_samples(T) == density.score_samples(T)).all()


def test_averages_options_and_the_same_seed(events):
    density = FlowDensity(
        nflows_maf,
        flow_options={"n_steps": 2},
        condition_features=[2],
        n_estimators=2,
        n_averaged=2,
        max_epochs=2,
        random_state=0,
    ).fit(events)
    steps = density.trained_.networks[0][0].flow.transforms[0].transform._transforms
    assert len(steps) == 4
    one, two = (density.trained_.groups(1)[k].networks[0][-1] for k in range(2))
    assert not torch.equal(next(one.parameters()), next(two.parameters()))
    again = clone(density).fit(events)
    assert (again.score_samples(events) == density.score_samples(events)).all()


def test_in_frames(events):
    X = np.exp(events)
    flow = FlowDensity(zuko_nsf, condition_features=[2], max_epochs=4, random_state=0)
    framed = FramedDensity(LogTransformer(), flow).fit(np.column_stack([X[:, :2], events[:, 2]]))
    direct = clone(flow).fit(events)
    T = np.column_stack([X[:500, :2], events[:500, 2]])
    np.testing.assert_allclose(
        framed.score_samples(T),
        direct.score_samples(events[:500]) - events[:500, :2].sum(axis=1),
        rtol=1e-6,
    )
    in_log = framed.in_frame(LogTransformer().fit(X[:, :2]))
    np.testing.assert_allclose(
        in_log.score_samples(events[:500]), direct.score_samples(events[:500]), rtol=1e-6
    )


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
@pytest.mark.filterwarnings("ignore::skad.exceptions.FiducialWarning")
@pytest.mark.parametrize("build", [nflows_maf, zuko_nsf])
def test_in_methods(build, events):
    flow = FlowDensity(build, max_epochs=1)
    options = {"region": (-0.5, 0.5), "resonance": 2, "random_state": 0}
    detector = ANODE(flow, flow, **options).fit(events)
    assert np.isfinite(detector.score_samples(events)).all()
    drawn, _ = CATHODE(flow, **options).fit(events).sample_background(100, random_state=0)
    assert ((drawn[:, 2] >= -0.5) & (drawn[:, 2] < 0.5)).all()
    y = np.arange(len(events)) % 2
    drawn, _ = FETA(flow, flow, **options).fit(events, y).sample_background(100, random_state=0)
    assert np.isfinite(drawn).all()


def test_a_flow_of_skad_is_one_too():
    density = FlowDensity(
        lambda n, c: build_flow("maf", n, c, n_transforms=2), max_epochs=2, random_state=0
    )
    X = np.random.RandomState(0).normal(size=(500, 2))
    built_in = FlowDensity("maf", n_transforms=2, max_epochs=2, random_state=0).fit(X)
    assert (density.fit(X).score_samples(X) == built_in.score_samples(X)).all()


def whole_nflows_flow(n, c):
    return NflowsFlow(nflows_maf(n, c), StandardNormal([n]))


def one_feature_too_many(n, c):
    return nflows_maf(n + 1, c)


def blind_to_the_context(n, c):
    return zuko.flows.NSF(n)


def nothing_to_learn(n, c):
    return PointwiseAffineTransform(0.0, 2.0)


def learned_base(n, c):
    flow = zuko.flows.MAF(n, c)
    flow.base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(n), torch.ones(n)
    )
    return flow


def wide_base(n, c):
    flow = zuko.flows.MAF(n, c)
    flow.base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(n), 2 * torch.ones(n), buffer=True
    )
    return flow


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (whole_nflows_flow, TypeError, "flow=whole_nflows_flow must return .* what it is made"),
        (lambda n, c: nn.Linear(n, n), TypeError, "flow=<lambda> must return .* got Linear"),
        (lambda n, c: zuko.flows.GMM(n, c), TypeError, "got GMM"),
        (one_feature_too_many, ValueError, "built no flow of 2 features and 1 conditions"),
        (blind_to_the_context, ValueError, "built no flow of 2 features and 1 conditions"),
        (nothing_to_learn, ValueError, "no parameters to learn"),
        (zuko.flows.NCSF, ValueError, "flow=NCSF .* its base is BoxUniform.* standard normal"),
        (wide_base, ValueError, "its base is DiagNormal"),
        (learned_base, ValueError, "its base has parameters"),
        (lambda n, c: build_flow("maf", n), ValueError, "context must have shape None"),
    ],
)
def test_what_does_not_fit_is_refused(build, error, message):
    X = np.random.RandomState(0).normal(size=(50, 3))
    with pytest.raises(error, match=message):
        FlowDensity(build, condition_features=[2], max_epochs=1).fit(X)
