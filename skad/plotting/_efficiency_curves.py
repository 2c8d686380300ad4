"""What displays of signal against background efficiency share: ROC and significance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._curves import CurveDisplay
from skad.plotting._scores import (
    each_signal,
    joined,
    named_scores,
    responses,
    score_folds,
    study_rows,
)
from skad.plotting._takes import ESTIMATORS, FOLDS, MINIMUM, STUDY
from skad.utils._arguments import EVENTS, Events, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.utils._types import Estimator

__all__ = ["EfficiencyCurveDisplay"]


class EfficiencyCurveDisplay(CurveDisplay):
    """Curves over the cuts on a score, from estimators, scores or folds.

    A subclass implements `_read`, which returns the attributes of one curve, and sets the number
    of background events below which its cuts are not drawn.
    """

    _min_background_events = 0.0

    @classmethod
    def _read(cls, y_true, scores, minimum, **options):
        raise NotImplementedError

    @classmethod
    @checked(estimator=ESTIMATORS)
    def from_estimator(
        cls,
        estimator: Estimator | Mapping[str, Estimator],
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        min_background_events: float | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> Self:
        """Draw the curve of a fitted estimator, or of several.

        Parameters
        ----------
        estimator : fitted estimator, or dict of str to fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals, of which each is drawn; None with
            `background_label` means all others. Required for y in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        min_background_events : float, default=None
            Cuts that leave fewer background events are not drawn; None means 25 for the
            significance improvement and 0 for the ROC curve.
        name : str, default=None
            By default the name of the class.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : display
        """
        scores, name = responses(estimator, X, name=name, signal_label=signal_label)
        return cls.from_predictions(
            y,
            scores,
            sample_weight=sample_weight,
            signal_label=signal_label,
            background_label=background_label,
            min_background_events=min_background_events,
            name=name,
            ax=ax,
            **plot_options,
        )

    @classmethod
    @checked(y_true=EVENTS, min_background_events=MINIMUM)
    def from_predictions(
        cls,
        y_true: ArrayLike,
        scores: ArrayLike | Mapping[str, Any],
        *,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        min_background_events: float | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        aggregate: bool | None = None,
        **plot_options: Any,
    ) -> Self:
        """Draw the curve of anomaly scores, or of several.

        Parameters
        ----------
        y_true : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        scores : array-like of shape (n_events,) or (n_seeds, n_events), or dict of str to such
            Anomaly scores, higher = more anomalous. The rows of a two-dimensional array are those
            of several trainings, for the same events.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals, of which each is drawn; None with
            `background_label` means all others. Required for y in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        min_background_events : float, default=None
            As for `from_estimator`.
        name : str, default=None
        ax : matplotlib Axes, default=None
        aggregate : bool, default=None
            Draw the median and the 16-84 % band over the trainings of each method; False draws
            every training. None means True where any method has several.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : display
        """
        scores, names, several = named_scores(scores, name, len(y_true))
        samples = [(s, y_true, sample_weight) for s in scores]
        labels = (signal_label, background_label)
        display = cls._from_samples(samples, names, labels, min_background_events)
        aggregate = several if aggregate is None else aggregate
        return display.plot(ax, aggregate=aggregate, **plot_options)

    @classmethod
    @checked(
        min_background_events=MINIMUM,
        cv_results=FOLDS,
        X=EVENTS,
        y=Events(like="X"),
        sample_weight=Events(like="X"),
    )
    def from_cv_results(
        cls,
        cv_results: dict[Any, Any],
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        min_background_events: float | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        aggregate: bool = True,
        **plot_options: Any,
    ) -> Self:
        """Draw the median and 16-84 % band over the folds of a cross-validation.

        Parameters
        ----------
        cv_results : dict
            Of `cross_validate` with ``return_estimator=True, return_indices=True``.
        X : array-like of shape (n_events, n_features)
            The events that were cross-validated.
        y : array-like of shape (n_events,)
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals, of which each is drawn; None with
            `background_label` means all others. Required for y in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        min_background_events : float, default=None
            As for `from_estimator`.
        name : str, default=None
        ax : matplotlib Axes, default=None
        aggregate : bool, default=True
            False draws every fold.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : display
        """
        folds = list(score_folds(cv_results, X, y, sample_weight, signal_label=signal_label))
        labels = (signal_label, background_label)
        display = cls._from_samples(folds, name, labels, min_background_events)
        return display.plot(ax, aggregate=aggregate, **plot_options)

    @classmethod
    @checked(study=STUDY, min_background_events=MINIMUM)
    def from_study(
        cls,
        study: DataFrame,
        *,
        min_background_events: float | None = None,
        ax: Axes | None = None,
        aggregate: bool = True,
        **plot_options: Any,
    ) -> Self:
        """Draw the scores that a study kept: median and 16-84 % band over its seeds.

        Parameters
        ----------
        study : pandas.DataFrame
            Result of `skad.inspection.coordinate_study` or `skad.inspection.injection_study` with
            ``keep_scores=True``, or some of its rows, as of one frame.
        min_background_events : float, default=None
            As for `from_estimator`.
        ax : matplotlib Axes, default=None
        aggregate : bool, default=True
            False draws every seed.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : display
        """
        rows = list(study_rows(study))
        samples = [(scores, truth, weight) for _, scores, truth, weight in rows]
        names = [name for name, *_ in rows]
        display = cls._from_samples(samples, names, (None, None), min_background_events)
        aggregate = aggregate and len(set(names)) < len(names)
        return display.plot(ax, aggregate=aggregate, **plot_options)

    @classmethod
    def _from_samples(cls, samples, names, labels, minimum):
        minimum = cls._min_background_events if minimum is None else minimum
        names = [names] * len(samples) if isinstance(names, (str, type(None))) else names
        curves, curve_names = [], []
        for (scores, y, weight), name in zip(samples, names, strict=True):
            for signal, label in each_signal(y, *labels):
                curves.append(
                    cls._read(
                        y,
                        scores,
                        minimum,
                        sample_weight=weight,
                        signal_label=label,
                        background_label=labels[1],
                    )
                )
                curve_names.append(joined(name, signal))
        return cls._from_curves(curves, curve_names)

    @staticmethod
    def _thinned(curve, minimum, best=None):
        """Return about a thousand allowed cuts, dense in both efficiencies, with the best one."""
        # Rounding must not turn 25 events into too few.
        allowed = np.flatnonzero(curve.background_events >= minimum * (1 - 1e-9))
        if len(allowed) < 2000:
            return allowed
        tpr, fpr = curve.tpr[allowed], curve.fpr[allowed]
        chosen = [
            np.searchsorted(tpr, np.linspace(tpr[0], 1, 500)),
            np.searchsorted(fpr, np.geomspace(fpr[fpr > 0][0], 1, 500)),
            [0, len(allowed) - 1],
        ]
        if best is not None:
            chosen.append([np.nanargmax(best[allowed])])
        return allowed[np.unique(np.minimum(np.concatenate(chosen).astype(int), len(allowed) - 1))]
