"""The selection of a bump hunt, applied to events that it was not fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skad.search._folds import Cut, events_for, mean_score
from skad.search._kept import kept
from skad.utils import _sklearn as sk
from skad.utils._events import check_events
from skad.utils._tasks import run_tasks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame

__all__ = ["SelectionMixin"]


def _keeps(hunt):
    """Whether a hunt keeps what its selection needs."""
    if hunt.keep_detectors is False and np.min(hunt.efficiencies) < 1:
        raise AttributeError(
            "this BumpHunt does not keep its detectors, so that no other events can be selected. "
            "Fit it with keep_detectors=True, or with the path of a folder for their files."
        )
    return True


class SelectionMixin:
    """`anomaly_score`, `select` and `signal_efficiency` of a fitted `BumpHunt`."""

    @available_if(_keeps)
    def anomaly_score(self, X: ArrayLike, window: int | None = None) -> NDArray[np.float64]:
        """Score events in a window: the mean over its detectors.

        For events that the search was not fitted on: each of its own is unknown to the detectors of
        one fold only, and `scores_` holds what these say. A cut belongs to the scores of one
        fold; `select` makes it.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        window : int, default=None
            Position in `regions_`; None means the window of `best_`, or the only one.

        Returns
        -------
        scores : ndarray of float64, shape (n_events,)
            Higher = more anomalous; NaN outside of region and sidebands, where no detector of the
            window is asked.
        """
        X, m = self._read_new(X)
        window = self._window(window)
        if not self._cuts():
            raise ValueError("efficiencies=(1.0,) fits no detector; there are no scores.")
        rows, scores = self._new_scores(X, m, [window])[window]
        found = np.full(len(m), np.nan)
        found[rows] = scores.mean(axis=0)
        return found

    @available_if(_keeps)
    def select(self, X: ArrayLike) -> NDArray[np.float64]:
        """Apply every cut to events that the search was not fitted on.

        An event of the data is judged by the detector and the threshold of one fold. Another event
        could be in any of them, so it counts with the share of the folds in which it passes: sums
        and histograms of these numbers compare with those of the data that passed, and a detector
        that learned more in one fold than in the others counts as much as it does there.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            A signal sample, simulation, a control region; with the columns of `fit`.

        Returns
        -------
        share : ndarray of float64, shape (n_rows, n_events)
            One row for each of `results_`: 1 where the event passes in all folds, 0 where in none,
            or outside of region and sidebands; with `weighting` the mean of what it counts.
        """
        X, m = self._read_new(X)
        return np.array([shares.mean(axis=0) for shares in self._new_shares(X, m)])

    @available_if(_keeps)
    def signal_efficiency(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> DataFrame:
        """Measure which part of a signal every row of `results_` counts.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Signal events at all masses, none of which the search was fitted on: an event that a
            detector has seen passes more often.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative, in any unit.

        Returns
        -------
        table : DataFrame
            `window`, `low`, `high` and `efficiency` as in `results_`;

            - `acceptance`: part of the signal in the window, before the cut;
            - `signal_efficiency`: part of the signal that is in the window and passes, with its
              `error` from the number of events;
            - `spread`: standard deviation of it over the folds, whose detectors differ;
            - `absorbed`: by how much the estimated background grows for each signal event, since
              some lie in the sidebands, with "direct" in the region, where they are taken for
              background: ``signal_efficiency - absorbed`` is the excess for each signal event. NaN
              where the background could not be estimated.

        Notes
        -----
        It is the efficiency of these detectors. A search in data that hold more of the signal
        learns to find it better: limits need its efficiency at the strength that they exclude.
        """
        import pandas as pd

        X, m = self._read_new(X)
        weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        total = weight.sum()
        rows = []
        for row, shares in enumerate(self._new_shares(X, m)):
            result = self.results_.loc[row]  # type: ignore[attr-defined]
            inside = self.regions_[result["window"]].mask(m)  # type: ignore[attr-defined]
            share = shares.mean(axis=0)
            counted = share * inside
            efficiency = weight @ counted / total
            variance = weight**2 @ (counted - efficiency) ** 2 / total**2
            acceptance = weight @ inside / total
            rows.append(
                {
                    **{name: result[name] for name in ("window", "low", "high", "efficiency")},
                    "acceptance": acceptance,
                    "signal_efficiency": efficiency,
                    "error": np.sqrt(variance),
                    "spread": np.std(shares @ (weight * inside) / total, ddof=1),
                    "absorbed": self._absorbed(row, result, m, weight * share / total, acceptance),
                }
            )
        return pd.DataFrame(rows)

    def _absorbed(self, row, result, m, counted, acceptance):
        """Growth of the background of a row for each event of a signal."""
        if result["method"] == "direct":
            return acceptance * result["background_efficiency"]
        fit, region = self.fits_[row], self.regions_[result["window"]]
        if fit is None:
            return np.nan
        response = fit.yield_response(region.low, region.high)
        return float(np.histogram(m, fit.edges, weights=counted)[0] @ response)

    def _cuts(self):
        return self.results_["efficiency"].min() < 1

    def _window(self, window):
        if window is None and len(self.regions_) == 1:
            return 0
        if window is None and self.best_ is not None:
            return int(self.results_["window"][self.best_])
        if window not in range(len(self.regions_)):
            none = " No row is trusted, so that there is no best one." if window is None else ""
            raise ValueError(
                f"window must be one of the {len(self.regions_)} windows, 0 to "
                f"{len(self.regions_) - 1}; got {window!r}.{none}"
            )
        return window

    def _read_new(self, X):
        """Return events as the detectors read them, and their m."""
        check_is_fitted(self, "results_")
        values = check_events(self, X, dtype=np.float64, reset=False)
        names = getattr(self, "feature_names_in_", None)
        m = self.regions_[0].values(values)
        if names is None:
            return values, m
        import pandas as pd

        return X if hasattr(X, "iloc") else pd.DataFrame(values, columns=names), m

    def _new_scores(self, X, m, windows):
        """Score events by every fold of windows: dicts of rows of X and (n_folds, n) scores."""
        if not windows:
            return {}
        if self.detectors_ is None:
            raise ValueError(
                "this fit did not keep its detectors; fit again with "
                f"keep_detectors={self.keep_detectors!r}."
            )
        rows = {i: np.flatnonzero(_in_range(self.regions_[i], m)) for i in windows}
        tasks = [(i, entries) for i in windows for entries in self.detectors_[i]]
        scores = run_tasks(
            [
                (_scores_of, (entries, self.keep_detectors, X, rows[i], self.regions_[i]))
                for i, entries in tasks
            ],
            name="scores of new events",
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        found = {i: [] for i in windows}
        for (i, _), each in zip(tasks, scores, strict=True):
            found[i].append(each)
        return {i: (rows[i], np.array(found[i])) for i in windows}

    def _new_shares(self, X, m):
        """Yield, for every row of the results, what each event counts in each fold."""
        windows = sorted(set(self.results_["window"])) if self._cuts() else []
        scores = self._new_scores(X, m, windows)
        for row, (window, efficiency) in enumerate(
            zip(self.results_["window"], self.results_["efficiency"], strict=True)
        ):
            if efficiency == 1:
                yield np.tile(_in_range(self.regions_[window], m).astype(float), (self.n_folds, 1))
                continue
            shares = np.zeros((self.n_folds, len(m)))
            rows, of_folds = scores[window]
            cuts = map(Cut, self.thresholds_[row], self._units[row])
            shares[:, rows] = [
                cut.counts(scores) for cut, scores in zip(cuts, of_folds, strict=True)
            ]
            yield shares


def _in_range(region, m):
    return region.mask(m) | region.sideband_mask(m)


def _scores_of(entries, where, X, rows, region):
    members = [kept(entry, where) for entry in entries]
    if not len(rows):
        return np.empty(0)
    return mean_score(members, X, events_for(members[0], X, rows, region))
