"""The report of a comparison: detectors side by side on the same events."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from skad.inspection._coordinate_study import named_estimators
from skad.plotting._axes import get_axes
from skad.report._comparison_content import COMPARISON_SCHEMA, MEASURES, comparison_content
from skad.report._document import Document, Report, Section, Table, check_schema
from skad.report._figures import Figure, new_figure
from skad.report._record import record_sections
from skad.utils import _sklearn as sk
from skad.utils._arguments import EVENTS, checked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from skad.utils._types import Estimator, Seed

__all__ = ["ComparisonReport", "compare_detectors"]


@checked(
    X=EVENTS,
    cv=[
        sk.Interval(Integral, 2, None, closed="left"),
        sk.HasMethods(["split", "get_n_splits"]),
        "array-like",
        None,
    ],
    by=[sk.StrOptions(set(MEASURES))],
    title=[str, None],
    fraction=[sk.Interval(Real, 0, 1, closed="right")],
    n_jobs=[Integral, None],
    random_state=["random_state"],
    record=[dict, None],
)
def compare_detectors(
    detectors: Mapping[str, Estimator],
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    cv: Any = None,
    by: Literal["max_sic", "auc", "average_precision", "precision_at_n"] = "max_sic",
    title: str | None = None,
    fraction: float = 0.01,
    n_jobs: int | None = None,
    random_state: Seed = None,
    verbose: int = 0,
    record: dict[Any, Any] | None = None,
) -> ComparisonReport:
    """Compare detectors on the same events, with or without labels: table, figure and report.

    Every detector is fitted without labels to one part of the events, and scores the other.

    Parameters
    ----------
    detectors : dict of str to estimator
        Unfitted detectors, densities or pipelines.
    X : array-like of shape (n_events, n_features)
    y : array-like of shape (n_events,), default=None
        Truth, 1 = signal and 0 = background, for the scores of the test alone. Without it, the
        volume that a score needs for the events (`mass_volume_curve`), the stability and the
        agreement of the selections are compared.
    cv : int, splitter, iterable or None, default=None
        Splits, the same for all detectors: None is three random halves, an int as many folds
        (stratified with labels), else as in scikit-learn. Stability needs splits whose test sets
        overlap, as those of None do.
    by : {"max_sic", "auc", "average_precision", "precision_at_n"}, default="max_sic"
        What the order goes by, with labels.
    title : str, default=None
    fraction : float in (0, 1], default=0.01
        Most anomalous fraction, of which overlap and stability are measured.
    n_jobs : int, default=None
        Fits at a time.
    random_state : None, int or RandomState, default=None
        Of splits and detectors.
    verbose : int, default=0
        Show the progress when positive.
    record : dict, default=None
        As in `SearchReport.from_hunt`.

    Returns
    -------
    report : ComparisonReport
        ``report.table`` is a DataFrame, ``report.plot()`` the figure, ``report.html()``,
        ``write_html``, ``markdown`` and ``json`` the report.

    Raises
    ------
    TypeError
        A detector needs y to fit, or `detectors` is no dict of estimators.
    ValueError
        Truth that is not 1 and 0.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.neighbors import LocalOutlierFactor
    >>> from skad.report import compare_detectors
    >>> X, malignant = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> malignant = 1 - malignant
    >>> detectors = {"forest": IsolationForest(), "LOF": LocalOutlierFactor(novelty=True)}
    >>> report = compare_detectors(detectors, X, malignant, by="auc", random_state=0)
    >>> report.table["auc"].round(1).to_dict()
    {'forest': 0.8, 'LOF': 0.7}
    """
    detectors = named_estimators(detectors, "detectors", needs_scores=True)
    return ComparisonReport(
        comparison_content(
            detectors,
            X if hasattr(X, "iloc") else np.asarray(X),
            y,
            cv=cv,
            by=by,
            title=title,
            fraction=fraction,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
            record=record,
        )
    )


class ComparisonReport(Report):
    """Report of detectors that were fitted to and tested on the same events.

    `compare_detectors` makes it.

    Parameters
    ----------
    content : dict
        The numbers, as `json` writes them:

        - `schema`: "skad-comparison-report-1"; `title`, `question`, `cautions`;
        - `answer`: `verdict` (name of the best detector, or "no labels") and `text`;
        - `labelled`, `n_events`, `n_signal`, `n_splits`, `fraction`; `by`: what the order goes by;
        - `detectors`: one entry each, the best first: `name`, `fit_seconds`, `score_seconds`, and
          with labels `auc`, `average_precision`, `precision_at_n`, `max_sic` (medians over the
          splits, with `_low` and `_high` of the central 68 %), and the curve `sic` against `fpr`;
          without labels `mass_volume`, the mean volume of the mass-volume curve, small for a score
          that follows the density; `stability`, the part of the most anomalous `fraction` that
          fits to different events have in common, null where no event is in two test sets;
        - `shared`: list of `first`, `second`, `shared`, the part of the most anomalous `fraction`
          of the tested events that two detectors have in common;
        - `citations`, `bibtex`, `versions`, and `record`: what the caller adds.

        What is not a number (NaN) is null.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.covariance import EllipticEnvelope
    >>> from skad.datasets import make_gaussian_anomaly
    >>> from skad.report import compare_detectors
    >>> X, y = make_gaussian_anomaly(2000, 100, random_state=0, return_X_y=True)
    >>> detectors = {"forest": IsolationForest(), "ellipse": EllipticEnvelope()}
    >>> report = compare_detectors(detectors, X, y, cv=2, random_state=0)
    >>> report.table["auc"].round(1).tolist()
    [0.7, 0.7]
    """

    def __init__(self, content: dict[Any, Any]) -> None:
        check_schema(content, COMPARISON_SCHEMA)
        super().__init__(content)

    @property
    def table(self):
        """The numbers of the detectors, the best first.

        Returns
        -------
        table : pandas.DataFrame
            One row for each detector with the numbers of `content`, without the curves.
        """
        import pandas as pd

        rows = [
            {name: value for name, value in row.items() if not isinstance(value, list)}
            for row in self.content["detectors"]
        ]
        return pd.DataFrame(rows).set_index("name").astype(float)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the comparison: significance improvement with labels, shared events without.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None draws into a new figure.

        Returns
        -------
        ax : matplotlib Axes
        """
        ax, _ = get_axes(ax, self)
        (_draw_curves if self.content["labelled"] else _draw_overlap)(self.content, ax)
        return ax

    def _document(self, *, figures):
        content = self.content
        sections = [Section("All detectors", tables=[_table(content)])]
        if figures:
            makers = (_curves, _overlap)
            drawn = [figure for make in makers if (figure := make(content)) is not None]
            sections += [Section(figure.heading, figures=[figure]) for figure in drawn]
        if content["shared"]:
            table = Table(
                f"Shared part of the {content['fraction']:.2g} most anomalous events",
                ["first", "second", "shared"],
                [list(row.values()) for row in content["shared"]],
            )
            sections.append(Section("Agreement", tables=[table]))
        sections += record_sections(content)
        return Document(
            title=content["title"],
            question=content["question"],
            verdict=content["answer"]["verdict"],
            answer=content["answer"]["text"],
            cautions=content["cautions"],
            sections=sections,
        )


def _table(content):
    columns = {"name": "detector"}
    if content["labelled"]:
        columns |= {
            "max_sic": "max SIC",
            "max_sic_low": "16 %",
            "max_sic_high": "84 %",
            "auc": "AUC",
            "auc_low": "AUC 16 %",
            "auc_high": "AUC 84 %",
            "average_precision": "average precision",
            "precision_at_n": "precision at n",
        }
    else:
        columns |= {"mass_volume": "mass-volume"}
    columns |= {"stability": "stability", "fit_seconds": "fit [s]", "score_seconds": "score [s]"}
    return Table(
        "Medians over the splits",
        list(columns.values()),
        [[row[name] for name in columns] for row in content["detectors"]],
    )


def _curves(content):
    if not content["labelled"]:
        return None
    figure = new_figure(6.4, 4.0)
    _draw_curves(content, figure.subplots())
    numbers = ", ".join(
        f"{row['name']} {np.nan if row['max_sic'] is None else row['max_sic']:.2f}"
        for row in content["detectors"]
    )
    return Figure(
        "sic",
        "Significance improvement",
        "Factor by which a cut on the score improves the significance of the signal, where 25 "
        "background events or more pass. Medians over the splits.",
        f"Significance improvement against background efficiency. Largest values: {numbers}.",
        figure,
    )


def _draw_curves(content, ax):
    colors = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black")
    for i, row in enumerate(content["detectors"]):
        sic = np.array([np.nan if value is None else value for value in row["sic"]])
        ax.plot(
            row["fpr"],
            sic,
            color=colors[i % len(colors)],
            linestyle=("-", "--", ":", "-.")[i % 4],
            label=row["name"],
        )
    ax.axhline(1, color="0.6", linewidth=0.8)
    ax.set(xscale="log", xlabel="background efficiency", ylabel="significance improvement")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=8, frameon=False)


def _overlap(content):
    names = [row["name"] for row in content["detectors"]]
    if len(names) < 2:
        return None
    side = 2.4 + 0.6 * len(names)
    figure = new_figure(side + 0.8, side)
    _draw_overlap(content, figure.subplots())
    pairs = ", ".join(
        f"{row['first']} and {row['second']} {row['shared']:.2f}" for row in content["shared"]
    )
    return Figure(
        "overlap",
        "Overlap",
        f"Part of the {content['fraction']:.2g} most anomalous events that two detectors share.",
        f"Shared parts: {pairs}.",
        figure,
    )


def _draw_overlap(content, ax):
    names = [row["name"] for row in content["detectors"]]
    matrix = np.eye(len(names))
    for row in content["shared"]:
        i, j = names.index(row["first"]), names.index(row["second"])
        matrix[i, j] = matrix[j, i] = row["shared"]
    ax.imshow(matrix, vmin=0, vmax=1, cmap="cividis")
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(range(len(names)), names)
    for i, j in np.ndindex(matrix.shape):
        color = "black" if matrix[i, j] > 0.5 else "white"
        ax.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center", color=color, fontsize=8)
