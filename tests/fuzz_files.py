"""Functions of files, samples, networks, papers and reports with ordinary arguments."""

import functools
import inspect
import json
import warnings

import numpy as np
import pandas as pd
import torch
from fuzz import FOLDER, WRITTEN
from fuzz_studies import hunt
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import KernelDensity
from small_analysis import SETTINGS

from skad import cli, datasets, io, nn, papers, report, search
from skad.datasets import make_resonance

rng = np.random.RandomState(2)
X = rng.normal(size=(60, 2))
y = np.arange(60) % 2
table = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]})
files = {kind: FOLDER / f"events.{kind}" for kind in ("parquet", "csv", "h5", "npz", "root")}
for path in files.values():
    io.write_events(table, path)
forest = IsolationForest(n_estimators=3, random_state=0).fit(X)
model = FOLDER / "model.skad"
io.save_model(forest, model)
settings = FOLDER / "search.toml"
settings.write_text(SETTINGS)
searched = make_resonance(900, 0, random_state=0).data
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    of_search = report.SearchReport.from_hunt(hunt, searched)
    of_detectors = report.compare_detectors({"forest": forest}, X, y, cv=2, random_state=0)
limit = search.counting_limit(12, 10.0, 5.0, uncertainty=2.0)
estimate = search.importance_background(np.exp(rng.normal(size=200)), np.array([1.0, 2.0]))
stored = FOLDER / "report.json"
stored.write_text(of_search.json())
results = FOLDER / "results"
results.mkdir()
content = json.loads(of_search.json())
content["record"] = {"settings": SETTINGS, "folder": str(FOLDER)}
(results / "search.json").write_text(json.dumps(content))

generator = torch.Generator().manual_seed(0)
tensors = torch.randn(2, 30, 2, generator=generator)
with torch.random.fork_rng():
    torch.manual_seed(0)
    flow = nn.build_flow("maf", 2, n_context=1, n_transforms=1, hidden_features=4)
flow.requires_grad_(False)
context = torch.linspace(0, 1, 30)[:, None]


def offline(fetch):
    """Return a fetcher that is never allowed to download; 0 where it would have."""

    @functools.wraps(fetch)
    def call(**options):
        try:
            return fetch(**options, download_if_missing=False)
        except OSError as exc:
            if "is missing and download_if_missing=False" not in str(exc):
                raise
        return 0.0

    return call


def done(function):
    """Return a function that gives 0 in place of what has no numbers to compare."""

    @functools.wraps(function)
    def call(*args, **options):
        function(*args, **options)
        return 0.0

    return call


def each(function):
    """Return a function that goes through an iterator."""

    @functools.wraps(function)
    def call(**options):
        return list(function(**options))

    return call


_FETCH = {"data_home": FOLDER / "data", "n_retries": 1, "delay": 1.0, "as_frame": False}


def validated(paper):
    """Return a function that makes the detector of a paper and checks all of its parameters."""

    @functools.wraps(paper)
    def call(**options):
        detector = paper(**options)
        for part in [detector, *detector.get_params(deep=True).values()]:
            if hasattr(part, "_parameter_constraints"):
                part._validate_params()
        return 0.0

    return call


_ORDINARY = {
    "method": "cathode", "region": [3.3, 3.7], "resonance": 0, "metric": "mse", "column": 0,
    "random_state": 0,
}  # fmt: skip
_PAPERS = {
    f"papers.{name}": (
        validated(paper),
        {
            argument: _ORDINARY[argument]
            for argument in inspect.signature(paper).parameters
            if argument in _ORDINARY
        },
    )
    for name, paper in ((name, getattr(papers, name)) for name in papers.__all__)
    if name != "coordinate_frames"
}

FILES = {
    **{
        f"read_events, {kind}": (io.read_events, {"path": path}) for kind, path in files.items()
    },
    "read_events": (
        io.read_events,
        {
            "path": files["parquet"], "columns": ["a"], "rows": slice(0, 20),
            "filters": [("b", ">", -1.0)], "on_nan": "raise",
        },
    ),
    "iter_events": (
        each(io.iter_events), {"path": files["csv"], "batch_size": 25, "columns": ["a"]},
    ),
    "write_events": (
        io.write_events,
        {"events": X, "path": WRITTEN / "written.parquet", "column_names": ["a", "b"],
         "overwrite": True},
    ),
    "write_events, a table": (
        io.write_events, {"events": table, "path": WRITTEN / "written.csv", "overwrite": True},
    ),
    "save_model": (
        done(io.save_model),
        {"model": forest, "path": WRITTEN / "new.skad", "units": None, "overwrite": True},
    ),
    "load_model": (done(io.load_model), {"path": model}),
    "model_info": (done(io.model_info), {"path": model}),
    "score_file": (
        io.score_file,
        {
            "detector": forest, "source": files["parquet"], "target": WRITTEN / "scores.parquet",
            "columns": ["a", "b"], "method": "score_samples", "keep": ["a"], "batch_size": 25,
            "on_nan": "raise", "overwrite": True, "restart": True,
        },
    ),
    "load_dijets": (
        datasets.load_dijets,
        {"n_background": 50, "n_signal": 5, "random_state": 0, "return_X_y": True,
         "as_frame": False},
    ),
    "load_jets": (datasets.load_jets, {"kinds": ["qcd"], "return_X_y": True, "as_frame": False}),
    "fetch_jets": (
        offline(datasets.fetch_jets),
        {"kind": "qcd", "n_events": 10, "n_constituents": 5, "jet": 0, **_FETCH},
    ),
    "fetch_lhco_black_box": (
        offline(datasets.fetch_lhco_black_box), {"box": 1, "n_events": 10, **_FETCH},
    ),
    "fetch_lhco_rd": (offline(datasets.fetch_lhco_rd), {"signal": "two_prong", **_FETCH}),
    "fetch_lhco_extra_background": (offline(datasets.fetch_lhco_extra_background), _FETCH),
    "fetch_lhco_herwig": (offline(datasets.fetch_lhco_herwig), _FETCH),
    "get_data_home": (done(datasets.get_data_home), {"data_home": FOLDER / "data"}),
    "clear_data_home": (done(datasets.clear_data_home), {"data_home": FOLDER / "data"}),
    "build_flow": (
        done(nn.build_flow),
        {"kind": "maf", "n_features": 2, "n_context": 1, "n_frequencies": 1, "n_transforms": 1,
         "hidden_features": 4},
    ),
    "Flow.log_prob": (flow.log_prob, {"x": tensors[0], "context": context}),
    "Flow.inverse": (flow.inverse, {"z": tensors[0], "context": context}),
    "Flow.sample": (
        lambda **options: flow.sample(**options, generator=torch.Generator().manual_seed(0)),
        {"n": 30, "context": context},
    ),
    "nn.distance_correlation": (
        nn.distance_correlation,
        {"x": tensors[0, :, 0], "y": tensors[0, :, 1], "weight": context[:, 0], "power": 1},
    ),
    "sinkhorn_divergence": (
        nn.sinkhorn_divergence,
        {"x": tensors[0], "y": tensors[1], "x_weight": context[:, 0], "blur": 0.1, "scaling": 0.5,
         "n_final": 2},
    ),
    "cite": (lambda method: done(report.cite)(method), {"method": "CATHODE"}),
    "compare_detectors": (
        lambda **options: report.compare_detectors(**options).content["labelled"],
        {
            "detectors": {"forest": KernelDensity()}, "X": X, "y": y, "cv": 2, "by": "auc",
            "fraction": 0.1, "random_state": 0,
        },
    ),
    "read_report": (done(report.read_report), {"path": stored}),
    "show_versions": (
        done(report.show_versions), {"file": (FOLDER / "versions.txt").open("w")},
    ),
    "SearchReport": (done(report.SearchReport), {"content": of_search.content}),
    "SearchReport.from_hunt": (
        done(report.SearchReport.from_hunt),
        {"hunt": hunt, "X": searched, "n_events": 5},
    ),
    "SearchReport.from_json": (done(report.SearchReport.from_json), {"path": stored}),
    "ComparisonReport": (done(report.ComparisonReport), {"content": of_detectors.content}),
    "combine_seeds": (search.combine_seeds, {"estimates": [estimate, estimate]}),
    "limit_table": (
        search.limit_table,
        {"limits": [limit, limit], "values": np.array([2.0, 3.0])},
    ),
    "pyhf_workspace": (
        search.pyhf_workspace,
        {"limit": limit, "channels": ["a"], "strength": 1.0, "path": WRITTEN / "limit.json"},
    ),
    "write_limits": (
        done(search.write_limits),
        {"table": search.limit_table([limit, limit]), "path": WRITTEN / "limits.csv"},
    ),
    "run_task": (done(search.run_task), {"plan": stored, "task": 0}),
    "missing_tasks": (done(search.missing_tasks), {"plan": stored}),
    "collect": (done(search.collect), {"plan": stored}),
    "read_settings": (done(cli.read_settings), {"path": settings}),
    "load_search": (done(cli.load_search), {"folder": results}),
    "repeat_search": (done(cli.repeat_search), {"folder": results}),
    "run_search": (done(cli.run_search), {"path": settings}),
    "run_limit": (done(cli.run_limit), {"path": settings}),
    **_PAPERS,
}  # fmt: skip
# Their ordinary calls are whole searches, which tests/cli and tests/search make.
SLOW = ("collect", "missing_tasks", "repeat_search", "run_limit", "run_search", "run_task")

_NUMBERS = frozenset({"nan", "inf", "-inf", "huge", "-huge", "all huge", "negative"})
_TENSORS = "a step of a training does not look at numbers"
_CUT = "where a text file ends is not known"
# As `ALLOWED` of tests/fuzz_functions.py.
ALLOWED = {
    ("read_events, csv", "path", frozenset({"half a file"})): _CUT,
    ("read_events", "filters", frozenset({"nothing"})): "no condition",
    ("score_file", "keep", frozenset({"nothing"})): "no column",
    ("iter_events", "path", frozenset({"half a file"})): _CUT,
    ("write_events", "events", frozenset({"nan", "inf", "-inf"})): "written as they are",
    ("write_events, a table", "events", frozenset({"array", "a table"})): "what it takes",
    ("save_model", "model", frozenset({"of another kind"})): "an estimator as any other",
    ("save_model", "units", frozenset({"names"})): "documented: names that the model may not know",
    ("compare_detectors", "detectors", frozenset({"first is not fitted"})): "the one it is",
    **{
        (name, "region", frozenset({"nothing"})): "a list, whose edges the fit reads"
        for name in _PAPERS
    },
    **{
        (name, argument, frozenset({"text"})): "documented: name of a column"
        for name in _PAPERS
        for argument in ("resonance", "column")
    },
    ("read_settings", "path", frozenset({"an empty file"})): "no settings",
    **{
        (name, "data_home", frozenset({"a folder", "in a folder that is missing",
                                       "a missing file"})): "a folder is made"
        for name in (*(n for n in FILES if n.startswith("fetch_")), "get_data_home",
                     "clear_data_home")
    },
    **{
        (name, argument, _NUMBERS): _TENSORS
        for name, argument in (
            ("Flow.log_prob", "x"), ("Flow.log_prob", "context"), ("Flow.inverse", "z"),
            ("Flow.inverse", "context"), ("nn.distance_correlation", "x"),
            ("nn.distance_correlation", "y"), ("nn.distance_correlation", "weight"),
            ("sinkhorn_divergence", "x"), ("sinkhorn_divergence", "y"),
            ("sinkhorn_divergence", "x_weight"),
        )
    },
    ("sinkhorn_divergence", "x_weight", frozenset({"tiny", "constant", "zeros"})): _TENSORS,
    ("sinkhorn_divergence", "blur", frozenset({"huge"})): "its square is no float32",
}  # fmt: skip
