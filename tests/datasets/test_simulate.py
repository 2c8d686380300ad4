"""Simulation: recipes, detector, selection, chunks; with Pythia itself where it is installed."""

import importlib.util
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ks_2samp

from skad.datasets import (
    _simulate,
    _simulate_chunks,
    _simulate_pythia,
    simulate_dijets,
    simulate_jets,
)
from skad.datasets._simulate import boosted_parents
from skad.datasets._simulate_chunks import produce_in_chunks
from skad.datasets._simulate_pythia import Particles
from skad.datasets._simulate_recipes import dijet_recipe, jet_recipe
from skad.datasets._simulate_response import detector_response
from skad.datasets._simulate_selection import (
    Jets,
    boosted_jet_rows,
    dijet_rows,
    padded_constituents,
)
from skad.exceptions import DataFileError
from skad.kinematics._four_vectors import pseudorapidity, transverse_momentum
from skad.kinematics._subjettiness import n_subjettiness

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def installed(*names):
    return all(importlib.util.find_spec(name) is not None for name in names)


needs_fastjet = pytest.mark.skipif(not installed("fastjet", "awkward"), reason="no fastjet")
needs_pythia = pytest.mark.skipif(
    not installed("pythia8mc", "fastjet", "awkward"), reason="no pythia8mc"
)


def four_vectors(pt, eta, phi):
    pt, eta, phi = np.broadcast_arrays(pt, eta, phi)
    return np.stack(
        [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1
    )


class TestRecipes:
    def test_masses_reach_the_settings(self):
        settings = dijet_recipe("wprime", m_resonance=3000, m_x=400, m_y=150).settings
        for line in ("34:m0 = 3000", "34:mWidth = 30.0", "24:m0 = 400", "23:m0 = 150"):
            assert line in settings
        assert "34:onIfMatch = 24 23" in settings

    def test_the_variation_is_qcd_with_another_shower(self):
        masses = {"m_resonance": 3500, "m_x": 500, "m_y": 100}
        qcd = dijet_recipe("qcd", **masses).settings
        variation = dijet_recipe("qcd_variation", **masses).settings
        assert variation[: len(qcd)] == qcd
        assert "StringZ:bLund = 0.70" in variation[len(qcd) :]

    def test_boosted_parents(self):
        assert jet_recipe("qcd", None).parent_id is None
        assert jet_recipe("w", 80.0).parent_id == 24
        light_top = jet_recipe("top", 80.0)
        assert light_top.parent_id == 6
        assert {"6:m0 = 80.0", "24:m0 = 20.0"} <= set(light_top.settings)
        assert not any(line.startswith("24:m0") for line in jet_recipe("top", 174.0).settings)
        higgs = jet_recipe("higgs", 20.0)
        assert higgs.parent_id == 35
        assert {"25:m0 = 20.0", "35:m0 = 174.0", "25:onIfAny = 5"} <= set(higgs.settings)

    @pytest.mark.parametrize(
        ("kind", "mass", "message"),
        [
            ("qcd", 80.0, "mass must be None for kind='qcd'"),
            ("w", None, "mass must be given in GeV"),
            ("higgs", 90.0, r"must lie in \[15, 87\) GeV"),
            ("w", 5.0, r"must lie in \[15, 500\) GeV"),
            ("z", 91.0, "kind must be one of"),
        ],
    )
    def test_wrong_masses(self, kind, mass, message):
        with pytest.raises(ValueError, match=message):
            jet_recipe(kind, mass)

    def test_resonance_too_light_for_its_decay(self):
        with pytest.raises(ValueError, match="m_resonance must exceed m_x"):
            simulate_dijets("wprime", 10, m_resonance=500.0, m_x=400.0, m_y=100.0)

    @needs_pythia
    @pytest.mark.parametrize(
        "recipe",
        [
            dijet_recipe("qcd_variation", m_resonance=3500, m_x=500, m_y=100),
            dijet_recipe("wprime", m_resonance=3500, m_x=500, m_y=100),
            *[jet_recipe(k, m) for k, m in (("w", 80.0), ("top", 80.0), ("higgs", 20.0))],
        ],
        ids=["qcd_variation", "wprime", "w", "top", "higgs"],
    )
    def test_pythia_accepts_every_setting(self, recipe):
        import pythia8mc

        pythia = pythia8mc.Pythia("", False)
        assert all(pythia.readString(setting) for setting in recipe.settings)


class TestResponse:
    N = 40_000

    def measure(self, pdg_id, pt, eta, phi=1.0):
        p4 = four_vectors(np.full(self.N, pt), eta, phi)
        seen, measured = detector_response(p4, np.full(self.N, pdg_id), np.random.default_rng(0))
        assert len(measured) == seen.sum()
        return seen, measured

    @pytest.mark.parametrize(
        ("pdg_id", "pt", "eta", "resolution"),
        [
            (211, 50.0, 1.0, 0.01 + 1.5e-4 * 50),
            (-11, 400.0, -2.0, 0.01 + 1.5e-4 * 400),
            (22, 25.0, 0.0, np.hypot(0.1 / 5, 0.007)),
            (130, 64.0, 0.0, np.hypot(0.8 / 8, 0.05)),
            (-2112, 16.0, 2.0, np.hypot(0.8 / np.sqrt(16 * np.cosh(2)), 0.05)),
        ],
    )
    def test_resolution(self, pdg_id, pt, eta, resolution):
        _, measured = self.measure(pdg_id, pt, eta)
        found = transverse_momentum(measured) / pt
        assert abs(found.mean() - 1) < 5 * resolution / np.sqrt(self.N)
        assert_allclose(found.std(), resolution, rtol=5 / np.sqrt(2 * self.N))

    def test_directions(self):
        _, charged = self.measure(211, 20.0, 1.3, 2.0)
        assert_allclose(pseudorapidity(charged), 1.3)
        _, neutral = self.measure(22, 20.0, 1.3, 2.0)
        for blur in (pseudorapidity(neutral) - 1.3, np.arctan2(neutral[:, 2], neutral[:, 1]) - 2):
            assert ks_2samp(blur, np.linspace(-0.025, 0.025, 10_001)).statistic < 0.015

    @pytest.mark.parametrize(
        ("pdg_id", "pt", "eta", "fraction"),
        [
            (211, 5.0, 2.45, 1),
            (211, 5.0, 2.55, 0),
            (22, 5.0, 4.85, 1),
            (22, 5.0, 4.95, 0),
            (14, 100.0, 0.0, 0),
            (211, 0.45, 0.0, 0),
            (22, 0.5, 0.0, 0.02),
        ],
    )
    def test_acceptance(self, pdg_id, pt, eta, fraction):
        seen, _ = self.measure(pdg_id, pt, eta)
        assert abs(seen.mean() - fraction) < 0.02

    def test_particles_without_energy_are_not_seen(self):
        p4 = np.array([[0.0, 0, 0, 0], [1e-12, 1e-12, 0, 0], [50.0, 50.0, 0, 0]])
        with np.errstate(all="raise"):
            seen, measured = detector_response(p4, np.full(3, 22), np.random.default_rng(0))
        assert_array_equal(seen, [False, False, True])
        assert np.isfinite(measured).all()

    def test_measured_are_massless_and_the_input_is_unchanged(self):
        rng = np.random.default_rng(1)
        p4 = four_vectors(rng.exponential(10, 500), rng.normal(0, 2, 500), rng.uniform(-3, 3, 500))
        p4[:, 0] += 1.0
        before = p4.copy()
        seen, measured = detector_response(p4, rng.choice([211, 22, 2112, 12], 500), rng)
        assert_array_equal(p4, before)
        assert_allclose(measured[:, 0], np.linalg.norm(measured[:, 1:], axis=1))
        assert 0 < seen.sum() < 500


def jets_of(*events):
    """Jets from lists of (pt, eta, phi, n_constituents), collinear constituents apart by 0.1."""
    event, counts, constituents = [], [], []
    for i, jets in enumerate(events):
        for pt, eta, phi, n in jets:
            event.append(i)
            counts.append(n)
            constituents.append(
                four_vectors(np.full(n, pt / n), eta + 0.1 * (np.arange(n) - (n - 1) / 2), phi)
            )
    constituents = np.concatenate(constituents)
    p4 = np.add.reduceat(constituents, np.cumsum(counts) - counts)
    return Jets(np.array(event), p4, np.array(counts), constituents)


class TestSelection:
    def test_dijets(self):
        jets = jets_of(
            [(900.0, 0.0, 1.0, 2), (1500.0, 0.5, -2.0, 3), (1000.0, -0.5, 1.2, 4)],  # selected
            [(1500.0, 0.5, -2.0, 2)],  # one jet only
            [(1100.0, 0.5, -2.0, 2), (1000.0, 0.0, 1.0, 2)],  # too soft
            [(1300.0, 0.5, -2.0, 2), (1200.0, 2.7, 1.0, 2), (900.0, 0, 1.0, 2)],  # forward
            [(1300.0, 0.0, 0.0, 2), (1250.0, 0.0, 3.0, 2)],  # selected
        )
        rows = dijet_rows(jets)
        assert rows.shape == (2, 14)
        assert_allclose(rows[:, :3], jets.p4[[1, 9], 1:])
        assert_allclose(rows[:, 7:10], jets.p4[[2, 10], 1:])
        mass = np.sqrt(jets.p4[:, 0] ** 2 - (jets.p4[:, 1:] ** 2).sum(axis=1))
        assert_allclose(rows[:, [3, 10]], mass[[[1, 2], [9, 10]]])
        expected = n_subjettiness(padded_constituents(jets, [2]))
        assert_allclose(rows[0, 11:], expected[0])
        assert rows[1, 5] == 0 < rows[0, 5]  # two constituents: tau2 = 0

    def test_no_jets_at_all(self):
        empty = Jets(np.empty(0, int), np.empty((0, 4)), np.empty(0, int), np.empty((0, 4)))
        assert dijet_rows(empty).shape == (0, 14)
        assert boosted_jet_rows(empty, [], 20).shape == (0, 82)

    def test_boosted_jets(self):
        jets = jets_of(
            [(600.0, 0.0, 1.0, 3), (610.0, 0.1, -2.0, 25)],
            [(640.0, 1.0, 3.1, 5), (500.0, 0.0, 0.0, 2)],
            [(600.0, 2.2, 0.0, 2), (660.0, 0.0, 0.0, 2)],
        )
        rows = boosted_jet_rows(jets, [], 20)
        # The summed pT of constituents in one line is their jet's pT.
        assert_allclose(rows[:, -2], [600, 610, 640])
        p4 = rows[:, :-2].reshape(3, 20, 4)
        assert_array_equal((p4[..., 0] > 0).sum(axis=1), [3, 20, 5])
        assert (np.diff(transverse_momentum(p4), axis=1) <= 1e-9).all()
        # phi = 3.1 and -3.1 are 0.08 apart.
        parents = [four_vectors([600.0, 600.0, 600.0], [0.1, 1.1, 0.0], [1.5, -3.1, 0.0])]
        assert_allclose(boosted_jet_rows(jets, parents, 20)[:, -2], [600, 640])
        parents.append(four_vectors([600.0, np.nan, np.nan], [0.1, 0, 0], [-2.1, 0, 0]))
        assert_allclose(boosted_jet_rows(jets, parents, 20)[:, -2], [600, 610, 640])

    def test_last_copy_of_the_parent(self):
        particles = Particles(
            counts=np.array([3, 2, 2]),
            pdg_id=np.array([24, 24, 1, -24, 5, 24, 3]),
            status=np.array([-22, -62, 1, -62, 1, -62, 1]),
            p4=np.arange(28.0).reshape(7, 4),
        )
        plus, minus = boosted_parents(particles, 24)
        assert_array_equal(plus[[0, 2]], particles.p4[[1, 5]])
        assert_array_equal(minus[1], particles.p4[3])
        assert np.isnan(plus[1]).all() and np.isnan(minus[[0, 2]]).all()
        assert boosted_parents(particles, None) == []


class Numbers:
    """Produces a chunk of random numbers; fails at chosen calls; remembers its calls."""

    def __init__(self, fail_at=()):
        self.fail_at, self.calls = fail_at, []

    def __call__(self, n_rows, seed):
        self.calls.append(n_rows)
        if len(self.calls) in self.fail_at:
            raise KeyboardInterrupt
        return pd.DataFrame({"x": np.random.default_rng(seed).normal(size=n_rows)})


def produce(source, path=None, *, n_rows=25, random_state=0, n_jobs=None, **settings):
    return produce_in_chunks(
        source,
        n_rows=n_rows,
        chunk_size=10,
        settings=settings,
        random_state=random_state,
        path=path,
        n_jobs=n_jobs,
        verbose=0,
    )


class TestChunks:
    def test_sizes_seeds_and_jobs(self, tmp_path):
        source = Numbers()
        table = produce(source)
        assert source.calls == [10, 10, 5]
        assert len(np.unique(table["x"])) == 25
        with parallel_config(backend="threading"):
            assert_array_equal(produce(Numbers(), n_jobs=2), table)
        assert_array_equal(produce(Numbers(), tmp_path / "a.parquet"), table)
        assert_array_equal(produce(Numbers(), n_rows=30)[:20], table[:20])
        assert not np.isin(produce(Numbers(), random_state=1)["x"], table["x"]).any()

    def test_interrupted_run_resumes(self, tmp_path):
        path = tmp_path / "run.parquet"
        with pytest.raises(KeyboardInterrupt):
            produce(Numbers(fail_at=[2]), path)
        assert not path.exists()
        resumed = Numbers()
        table = produce(resumed, path)
        assert resumed.calls == [10, 5]
        assert_array_equal(table, produce(Numbers()))
        assert [p.name for p in tmp_path.iterdir()] == ["run.parquet"]
        assert pq.ParquetFile(path).num_row_groups == 3
        complete = Numbers()
        assert_array_equal(produce(complete, path), table)
        assert complete.calls == []

    def test_half_written_parts_are_made_again(self, tmp_path):
        path = tmp_path / "run.parquet"
        with pytest.raises(KeyboardInterrupt):
            produce(Numbers(fail_at=[2]), path)
        (tmp_path / "run.parquet.parts" / "part-00001.tmp").write_bytes(b"PAR1 half")
        (tmp_path / "run.parquet.tmp").write_bytes(b"PAR1 half")
        assert_array_equal(produce(Numbers(), path), produce(Numbers()))

    def test_without_seed_the_first_one_is_kept(self, tmp_path):
        path = tmp_path / "run.parquet"
        with pytest.raises(KeyboardInterrupt):
            produce(Numbers(fail_at=[2]), path, random_state=None)
        manifest = json.loads((tmp_path / "run.parquet.parts" / "settings.json").read_text())
        table = produce(Numbers(), path, random_state=None)
        seeds = [_simulate_chunks.chunk_seed(manifest["seed"], k) for k in range(3)]
        expected = [
            np.random.default_rng(s).normal(size=n) for s, n in zip(seeds, (10, 10, 5), strict=True)
        ]
        assert_array_equal(table["x"], np.concatenate(expected))

    def test_other_settings_are_refused(self, tmp_path):
        path = tmp_path / "run.parquet"
        with pytest.raises(KeyboardInterrupt):
            produce(Numbers(fail_at=[2]), path, mass=(80.0,))
        for changed in ({"mass": 90.0}, {"mass": (80.0,), "random_state": 1}):
            with pytest.raises(DataFileError, match=r"other settings \((mass|seed): there"):
                produce(Numbers(), path, **changed)
        produce(Numbers(), path, mass=(80.0,))
        with pytest.raises(DataFileError, match="n_rows: there 25, now 26"):
            produce(Numbers(), path, n_rows=26, mass=(80.0,))

    def test_a_foreign_file_is_not_touched(self, tmp_path):
        path = tmp_path / "mine.parquet"
        pd.DataFrame({"x": [1.0]}).to_parquet(path)
        before = path.read_bytes()
        with pytest.raises(DataFileError, match="not made by a simulation of skad"):
            produce(Numbers(), path)
        assert path.read_bytes() == before


class FakeSource:
    """In place of Pythia: two back-to-back jets of 12 pions and photons, and a neutrino."""

    PT = 1300.0
    parent_id = None

    def __init__(self, settings, seed):
        self.rng = np.random.default_rng(seed)

    def next_batch(self, n_events):
        rng, n = self.rng, 12
        fractions = rng.dirichlet(np.full(n, 5.0), (n_events, 2))
        axis_phi = rng.uniform(-np.pi, np.pi, n_events)
        phi = (
            axis_phi[:, None, None]
            + np.array([0.0, np.pi])[:, None]
            + rng.normal(0, 0.1, (n_events, 2, n))
        )
        eta = rng.normal(0, 0.1, (n_events, 2, n))
        jets = four_vectors(self.PT * fractions, eta, phi).reshape(n_events, -1, 4)
        parent = four_vectors(self.PT, 0.0, axis_phi)[:, None]
        neutrino = four_vectors(np.full((n_events, 1), 80.0), 0.0, 0.0)
        pdg_id = np.tile([24, *[211, 22] * n, 12], (n_events, 1))
        return Particles(
            counts=np.full(n_events, 2 * n + 2),
            pdg_id=pdg_id.ravel(),
            status=np.tile([-62, *[83] * 2 * n, 1], (n_events, 1)).ravel(),
            p4=np.concatenate([parent, jets, neutrino], axis=1).reshape(-1, 4),
        )


@pytest.fixture
def fake_pythia(monkeypatch):
    monkeypatch.setattr(_simulate_pythia, "PythiaSource", FakeSource)
    monkeypatch.setattr(_simulate, "BATCH_EVENTS", 50)
    monkeypatch.setattr(_simulate, "_CHUNK_ROWS", 80)


@needs_fastjet
class TestWithFakeGenerator:
    def test_chunks_travel_to_other_processes(self, fake_pythia):
        recipe = jet_recipe("w", 80.0)
        chunk = _simulate._JetChunk(recipe)
        assert pickle.loads(pickle.dumps(chunk)) == chunk

    def test_dijets(self, fake_pythia, tmp_path):
        events = simulate_dijets("wprime", 200, random_state=0)
        assert list(events.columns[:8]) == [
            "pxj1", "pyj1", "pzj1", "mj1", "tau1j1", "tau2j1", "tau3j1", "pxj2",
        ]  # fmt: skip
        assert events.shape == (200, 15) and (events["label"] == 1).all()
        assert set(events.dtypes.astype(str)) == {"float32", "int8"}
        pt1, pt2 = (np.hypot(events[f"pxj{j}"], events[f"pyj{j}"]) for j in (1, 2))
        assert (pt1 >= pt2).all() and (pt1 > 1200).all()
        assert abs(np.median(pt1) / 1300 - 1) < 0.05
        dphi = np.arctan2(events["pyj1"], events["pxj1"]) - np.arctan2(
            events["pyj2"], events["pxj2"]
        )
        assert (np.cos(dphi) < -0.95).all()
        assert (events["tau1j1"] > events["tau3j1"]).mean() > 0.99
        path = tmp_path / "events.parquet"
        pd.testing.assert_frame_equal(
            simulate_dijets("wprime", 200, random_state=0, path=path), events
        )
        pd.testing.assert_frame_equal(pd.read_parquet(path), events)

    def test_jets(self, fake_pythia, monkeypatch):
        monkeypatch.setattr(FakeSource, "PT", 600.0)
        jets = simulate_jets("w", 80.0, 100, random_state=0)
        assert list(jets.columns[-3:]) == ["pz19", "pt", "m"] and jets.shape == (100, 82)
        p4 = jets.iloc[:, :80].to_numpy(np.float64).reshape(-1, 20, 4)
        assert ((p4[..., 0] > 0).sum(axis=1) <= 12).all()
        summed = p4.sum(axis=1)
        assert_allclose(transverse_momentum(summed), jets["pt"], rtol=1e-5)
        # The parent is on the side of one of the two jets, so one jet per event is left.
        both = simulate_jets("qcd", None, 100, random_state=0)
        assert (both["pt"].between(550, 650)).all()
        assert not np.array_equal(both["pt"], jets["pt"])

    def test_cluster_agrees_with_one_event_at_a_time(self):
        import fastjet

        particles = FakeSource((), 3).next_batch(20)
        rng = np.random.default_rng(0)
        keep = rng.random(len(particles.p4)) < 0.9
        event = np.repeat(np.arange(20), particles.counts)[keep]
        keep_event = event != 7  # an event without particles
        p4, event = particles.p4[keep][keep_event], event[keep_event]
        counts = np.bincount(event, minlength=20)
        jets = _simulate_pythia.cluster(p4, counts, radius=1.0, min_pt=20.0)
        starts = np.cumsum(jets.counts) - jets.counts
        assert_allclose(np.add.reduceat(jets.constituents, starts), jets.p4, rtol=1e-9)
        definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 1.0)
        for i in range(20):
            one = [
                fastjet.PseudoJet(*(float(v) for v in (px, py, pz, e)))
                for e, px, py, pz in p4[event == i]
            ]
            found = fastjet.ClusterSequence(one, definition).inclusive_jets(20.0) if one else []
            expected = sorted(jet.pt() for jet in found)
            assert_allclose(np.sort(transverse_momentum(jets.p4[jets.event == i])), expected)

    def test_nothing_selected_is_an_error(self, fake_pythia, monkeypatch):
        monkeypatch.setattr(FakeSource, "PT", 300.0)
        monkeypatch.setattr(_simulate, "_PATIENCE", 100)
        with pytest.raises(RuntimeError, match="Only 0 of 100 generated events"):
            simulate_dijets("qcd", 10)


@pytest.mark.parametrize("missing", ["pythia8mc", "awkward"])
def test_missing_package_names_the_extra(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"needs the package '{missing}'.*skad\[sim\]"):
        simulate_dijets("qcd", 10)


def test_missing_fastjet_names_the_extra(fake_pythia, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastjet", None)
    monkeypatch.setitem(sys.modules, "awkward", object())
    with pytest.raises(ImportError, match=r"needs the package 'fastjet'.*skad\[sim\]"):
        simulate_jets("qcd", None, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate_dijets("zprime"), "'process' parameter"),
        (lambda: simulate_dijets("qcd", 0), "'n_events' parameter"),
        (lambda: simulate_dijets("wprime", 10, m_x=-1.0), "'m_x' parameter"),
        (lambda: simulate_jets("gluon"), "'kind' parameter"),
        (lambda: simulate_jets("w"), "mass must be given"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@needs_pythia
class TestWithPythia:
    """The real thing, few events; benchmarks/simulation.py validates with many."""

    def test_unknown_setting(self):
        with pytest.raises(ValueError, match="does not accept the setting 'NoSuch:flag = on'"):
            _simulate_pythia.PythiaSource(("NoSuch:flag = on",), 1)

    def test_dijets_agree_with_the_shared_sample(self, monkeypatch):
        monkeypatch.setattr(_simulate, "BATCH_EVENTS", 100)
        events = simulate_dijets("wprime", 300, random_state=0)
        again = simulate_dijets("wprime", 300, random_state=0)
        pd.testing.assert_frame_equal(events, again)
        if (SHARED / "dijets").is_dir():
            reference = pd.read_parquet(SHARED / "dijets" / "signal.parquet")
            for column in reference.columns[:-1]:
                # The 1e-4 quantile of the statistic for 300 events is 0.13.
                assert ks_2samp(events[column], reference[column]).statistic < 0.13, column

    def test_jets_agree_with_the_shared_sample(self, monkeypatch):
        monkeypatch.setattr(_simulate, "BATCH_EVENTS", 100)
        jets = simulate_jets("w", 80.0, 300, random_state=0)
        if (SHARED / "jets").is_dir():
            reference = pd.read_parquet(SHARED / "jets" / "w_80.parquet")
            for column in ("m", "pt", "e00", "e05"):
                assert ks_2samp(jets[column], reference[column]).statistic < 0.13, column
