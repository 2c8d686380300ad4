"""The report of a comparison: detectors side by side on the same events."""

import numpy as np

from skad.report._comparison_content import COMPARISON_SCHEMA, comparison_content
from skad.report._document import Document, Report, Section, Table
from skad.report._figures import Figure, new_figure
from skad.report._record import record_sections

__all__ = ["ComparisonReport"]


class ComparisonReport(Report):
    """Report of detectors that were fitted to and tested on the same events.

    Use `from_detectors`.

    Parameters
    ----------
    content : dict
        The numbers, as `json` writes them:

        - `schema`: "skad-comparison-report-1"; `title`, `question`, `cautions`;
        - `answer`: `verdict` (name of the best detector, or "no labels") and `text`;
        - `labelled`, `n_events`, `n_signal`, `n_repeats`, `fraction`;
        - `detectors`: one entry each, the best first: `name`, `fit_seconds`, `score_seconds`, and
          with labels `auc`, `average_precision`, `max_sic` (medians over the splits, with `_low`
          and `_high` of the central 68 %), and the curve `sic` against `fpr`;
        - `shared`: list of `first`, `second`, `shared`, the part of the most anomalous `fraction`
          of the tested events that two detectors have in common;
        - `citations`, `versions`, and `record`: what the caller adds.

        What is not a number (NaN) is null.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.covariance import EllipticEnvelope
    >>> from skad.datasets import make_gaussian_anomaly
    >>> from skad.report import ComparisonReport
    >>> X, y = make_gaussian_anomaly(2000, 100, random_state=0, return_X_y=True)
    >>> detectors = {"forest": IsolationForest(), "ellipse": EllipticEnvelope()}
    >>> report = ComparisonReport.from_detectors(detectors, X, y, n_repeats=1, random_state=0)
    >>> [round(row["auc"], 1) for row in report.content["detectors"]]
    [0.7, 0.7]
    """

    def __init__(self, content):
        if content.get("schema") != COMPARISON_SCHEMA:
            raise ValueError(
                f"content must be of the schema {COMPARISON_SCHEMA!r}; got "
                f"{content.get('schema')!r}. Read it with the version of skad that wrote it."
            )
        super().__init__(content)

    @classmethod
    def from_detectors(
        cls,
        detectors,
        X,
        y=None,
        *,
        title=None,
        n_repeats=3,
        test_size=0.5,
        fraction=0.01,
        n_jobs=None,
        random_state=None,
        verbose=0,
        record=None,
    ):
        """Fit every detector on parts of the events, without labels, and score the rest.

        Parameters
        ----------
        detectors : dict of str to estimator
            Unfitted detectors, densities or pipelines.
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,), default=None
            Truth, 1 = signal and 0 = background, for the scores of the test alone.
        title : str, default=None
        n_repeats : int, default=3
            Splits, the same for all detectors.
        test_size : float, default=0.5
            Part of the events that is tested.
        fraction : float, default=0.01
            Most anomalous fraction, of which the overlap is measured.
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

        Raises
        ------
        TypeError
            A detector needs y to fit.
        ValueError
            Truth that is not 1 and 0.
        """
        return cls(
            comparison_content(
                detectors,
                X,
                y,
                title=title,
                n_repeats=n_repeats,
                test_size=test_size,
                fraction=fraction,
                n_jobs=n_jobs,
                random_state=random_state,
                verbose=verbose,
                record=record,
            )
        )

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
        }
    columns |= {"fit_seconds": "fit [s]", "score_seconds": "score [s]"}
    return Table(
        "Medians over the splits",
        list(columns.values()),
        [[row[name] for name in columns] for row in content["detectors"]],
    )


def _curves(content):
    if not content["labelled"]:
        return None
    figure = new_figure(6.4, 4.0)
    ax = figure.subplots()
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
    numbers = ", ".join(f"{row['name']} {row['max_sic']:.2f}" for row in content["detectors"])
    return Figure(
        "sic",
        "Significance improvement",
        "Factor by which a cut on the score improves the significance of the signal, where 25 "
        "background events or more pass. Medians over the splits.",
        f"Significance improvement against background efficiency. Largest values: {numbers}.",
        figure,
    )


def _overlap(content):
    names = [row["name"] for row in content["detectors"]]
    if len(names) < 2:
        return None
    matrix = np.eye(len(names))
    for row in content["shared"]:
        i, j = names.index(row["first"]), names.index(row["second"])
        matrix[i, j] = matrix[j, i] = row["shared"]
    side = 2.4 + 0.6 * len(names)
    figure = new_figure(side + 0.8, side)
    ax = figure.subplots()
    ax.imshow(matrix, vmin=0, vmax=1, cmap="cividis")
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(range(len(names)), names)
    for i, j in np.ndindex(matrix.shape):
        color = "black" if matrix[i, j] > 0.5 else "white"
        ax.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center", color=color, fontsize=8)
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
