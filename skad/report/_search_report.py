"""The report of a search: question, answer, what supports it and what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.report._document import Document, Report, Section, Table, check_schema
from skad.report._figures import search_figures
from skad.report._json import read_json
from skad.report._limit import limit_content, limit_figure, limit_section
from skad.report._record import record_sections
from skad.report._search_content import SCHEMA, search_content
from skad.utils._arguments import EVENTS, NUMBER, PATH, Made, Numbers, checked
from skad.utils._children import requires_y, rows_of
from skad.utils._labels import read_labels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import ArrayLike

    from skad.search._bump_hunt import BumpHunt
    from skad.search._upper_limit import SearchLimit
    from skad.utils._types import FilePath

__all__ = ["SearchReport"]

_ALL_TESTS = "All tests"
_COLUMNS = {
    "low": "from",
    "high": "to",
    "efficiency": "efficiency",
    "n_observed": "observed",
    "background": "expected",
    "stat": "stat",
    "syst": "syst",
    "z_local": "z local",
    "p_local": "p local",
    "trusted": "trusted",
    "reason": "why not",
    "method": "method",
    "fit_p": "p of fit",
    "sculpting_p": "p of sculpting",
}


class SearchReport(Report):
    """Report of a fitted `BumpHunt`: where, how significant, trusted or not and why.

    Use `from_hunt` or `from_json`.

    Parameters
    ----------
    content : dict
        The numbers, as `json` writes them:

        - `schema`: "skad-search-report-1"; another schema has another number;
        - `title`, `question`;
        - `answer`: `verdict` ("significant excess" from 5 global standard deviations, "hint of an
          excess" from 3, "no excess", "no excess in the trusted tests" where an untrusted one
          claims more than three, or "no statement" without a trusted test), `text`, and where
          there is a trusted test `low`, `high`, `efficiency`, `z_local`, `z_global`, `p_global`;
          `n_trusted`, `n_tests`;
        - `cautions`: list of sentences;
        - `mass`: `name`, `label`, `unit` of the resonant feature;
        - `results`, `global`: rows of `BumpHunt.results_` and `global_`; `p_global`, `z_global`,
          `p_global_error` (of pseudo-experiments), `best`, and `shown`, the row that figures show;
        - `spectra`: for every row the attributes of `BumpHuntSpectrum`, or null;
        - `sculpting`: for every row `low`, `high`, `efficiency`, `uncertainty` of bins in the
          sidebands, `p_value`, `spread`;
        - `calibration`: list of `efficiency`, `mean`, `std`, `n_experiments`;
        - `scores`: `edges`, counts of `region` and `sidebands` (sums of weights where there
          are any), `threshold`, or null;
        - `features`: list of `name`, `label`, `edges`, counts of `window`, `selected` (both in the
          window shown) and `sidebands` (selected), `shift`;
        - `events`: `columns` and `rows` of the most anomalous events;
        - `limit`: null, or from `with_limit` `signal` (what it is), `into` (as of `SearchLimit`),
          `observed`, `expected` (-2 to +2 standard deviations), `level`, the `largest` number
          injected, `best` (position of the row quoted), `limits` (rows of `SearchLimit.table`),
          `refits` (of the best row for every `strength`: number of `refits`, mean
          `signal_efficiency` with its `spread`, median `z_local`), `scan` (CLs of the best row:
          `strength`, `observed`, `expected`); a limit above the largest number is null;
        - `citations`, `bibtex`, `versions`, and `record`: what the caller adds (settings, data,
          seeds, warnings, timings).

        What is not a number (NaN) is null.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.report import SearchReport
    >>> from skad.search import BumpHunt
    >>> X = make_resonance(5000, 0, random_state=0).data
    >>> hunt = BumpHunt(
    ...     IsolationForest(n_estimators=10), [(3.3, 3.7)], efficiencies=(1.0, 0.1), random_state=0
    ... ).fit(X)
    >>> report = SearchReport.from_hunt(hunt, X, title="Without signal")
    >>> report.content["answer"]["verdict"]
    'no excess'
    """

    def __init__(self, content: dict[Any, Any]) -> None:
        check_schema(content, SCHEMA)
        super().__init__(content)

    @classmethod
    @checked(
        hunt=Made("skad.search.BumpHunt(detector, windows).fit(X)", "skad.BumpHunt"),
        X=EVENTS,
        y=EVENTS,
        sample_weight=Numbers(),
        title=[str, None],
        labels=[dict, None],
        unit=[str, None],
        n_events=NUMBER,
        record=[dict, None],
    )
    def from_hunt(
        cls,
        hunt: BumpHunt,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        title: str | None = None,
        labels: Mapping[str, str] | None = None,
        unit: str | None = None,
        n_events: int = 20,
        record: dict[Any, Any] | None = None,
    ) -> SearchReport:
        """Collect the numbers of a fitted hunt.

        Parameters
        ----------
        hunt : BumpHunt
            Fitted.
        X : array-like of shape (n_events, n_features)
            The events of the fit.
        y : array-like of shape (n_events,), default=None
            As in the fit: 1 = data, 0 = simulation, where the detector requires it.
        sample_weight : array-like of shape (n_events,), default=None
            As in the fit.
        title : str, default=None
        labels : dict of str to str, default=None
            Labels of columns on axes, with their unit in square brackets.
        unit : str, default=None
            Unit of the masses, "TeV" or "GeV"; None takes it from `sqrt_s` where that is an energy
            of the Large Hadron Collider.
        n_events : int, default=20
            Most anomalous events to list.
        record : dict, default=None
            What else belongs to the result: `settings` (text), `data`, `seed`, `warnings`,
            `timings`.

        Returns
        -------
        report : SearchReport

        Raises
        ------
        ValueError
            X has another number of events than the fit.
        """
        weight = sample_weight
        if y is not None and requires_y(hunt.detector):
            data = read_labels(y, len(np.asarray(y)), owner="SearchReport").astype(bool)
            X = rows_of(X, data)
            weight = None if weight is None else weight[data]
        if len(X) != hunt.scores_.shape[1]:
            raise ValueError(
                f"X must hold the {hunt.scores_.shape[1]} data events of the fit; got {len(X)}. "
                "Where the detector takes simulation, pass y as well."
            )
        return cls(
            search_content(
                hunt,
                X,
                weight,
                title=title,
                labels=labels,
                unit=unit,
                n_events=n_events,
                record=record,
            )
        )

    @classmethod
    @checked(path=PATH)
    def from_json(cls, path: FilePath) -> SearchReport:
        """Read what `json` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        report : SearchReport

        Raises
        ------
        DataFileError
            The file is no JSON.
        ValueError
            It holds something else than such a report.
        """
        return cls(read_json(path))

    @checked(
        limit=Made("skad.search.upper_limit", "skad.SearchLimit"),
        signal=[str, None],
    )
    def with_limit(self, limit: SearchLimit, *, signal: str | None = None) -> SearchReport:
        """Return the report with a section on upper limits.

        Parameters
        ----------
        limit : SearchLimit
            From `skad.search.upper_limit`, of the same search.
        signal : str, default=None
            What the signal is, in words.

        Returns
        -------
        report : SearchReport
            Another one; this one stays as it is.

        Raises
        ------
        ValueError
            The limit is of another search: its counts are not those of the report.

        Examples
        --------
        >>> from sklearn.ensemble import IsolationForest
        >>> from skad.datasets import make_resonance
        >>> from skad.report import SearchReport
        >>> from skad.search import BumpHunt, upper_limit
        >>> X = make_resonance(5000, 0, random_state=0).data
        >>> hunt = BumpHunt(
        ...     IsolationForest(n_estimators=10), [(3.3, 3.7)], efficiencies=(0.1,), random_state=0
        ... ).fit(X)
        >>> signal = make_resonance(0, 1000, random_state=1).data
        >>> limit = upper_limit(hunt, signal, [10, 300], n_refits=1, random_state=0)
        >>> report = SearchReport.from_hunt(hunt, X).with_limit(limit, signal="3.5 TeV")
        >>> report.content["limit"]["observed"] == limit.observed
        True
        """
        results = self.content["results"]
        for row in limit.table.to_dict("records"):
            number = int(row["row"])
            own = results[number] if number < len(results) else {}
            if any(own.get(name) != row[name] for name in ("low", "high", "efficiency")) or (
                own["n_observed"] / own["scale"] != row["n_observed"]
            ):
                raise ValueError(
                    f"limit is of another search: its row {number} has {row['n_observed']:g} "
                    f"events from {row['low']:g} to {row['high']:g}, not those of the report. Take "
                    "the hunt that the report is of."
                )
        return SearchReport(self.content | {"limit": limit_content(limit, signal)})

    def _document(self, *, figures):
        content = self.content
        drawn = search_figures(content) if figures else []
        sections = [_section(figure) for figure in drawn]
        columns = list(_COLUMNS) + ["p_toys"] * ("p_toys" in content["results"][0])
        tests = Table(
            "Every window and cut; z is negative for a deficit",
            [_COLUMNS.get(name, name) for name in columns],
            [[row[name] for name in columns] for row in content["results"]],
        )
        scans = Table(
            "All trusted windows at one efficiency",
            ["efficiency", "tests", "window", "p global", "z global"],
            [list(row.values()) for row in content["global"]],
        )
        sections.insert(
            1 if drawn and drawn[0].name == "p-values" else 0,
            Section(_ALL_TESTS, tables=[tests, scans]),
        )
        if content["limit"] is not None:
            place = 1 + [section.heading for section in sections].index(_ALL_TESTS)
            of_limit = [limit_figure(content)] if figures else []
            sections.insert(place, limit_section(content, of_limit))
        events = content["events"]
        if events["rows"]:
            table = Table(
                "Events of the window with the highest scores, numbered as in the data",
                events["columns"],
                events["rows"],
            )
            sections.append(Section("Most anomalous events", tables=[table]))
        sections += record_sections(content)
        answer = content["answer"]
        return Document(
            title=content["title"],
            question=content["question"],
            verdict=answer["verdict"],
            answer=answer["text"],
            cautions=content["cautions"],
            sections=sections,
        )


def _section(figure):
    return Section(figure.heading, figures=[figure])
