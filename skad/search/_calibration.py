"""Calibration of the significances and of the global p-value of a bump hunt."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skad.exceptions import LowStatisticsWarning
from skad.search._p_values import z_to_p
from skad.search._trust import LEARNED
from skad.utils._arguments import Numbers, checked
from skad.utils._readable import readable

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike
    from pandas import DataFrame

__all__ = ["GlobalCalibration", "SignificanceCalibration", "calibrated"]

# Fewer experiments know the width of the null distribution to worse than about 10 %.
_MIN_EXPERIMENTS = 50


@readable
@dataclass(frozen=True)
class SignificanceCalibration:
    """Map of significances so that they are standard normal without signal.

    k-fold selection can under-cover: the classifiers of two folds learn from
    overlapping events, so the counts of the folds are correlated and their sum varies more than
    a Poisson number. ``z' = (z - mean) / std`` with mean and std of background-only
    pseudo-experiments corrects this and any bias of the background estimate. z is the `z_raw` of
    `BumpHunt`, in which nothing is assumed of this correlation.

    Parameters
    ----------
    mean, std : float
        Of the significances without signal; 0 and 1 change nothing.
    n_experiments : int
        Pseudo-experiments behind them.

    Examples
    --------
    >>> from skad.search import SignificanceCalibration
    >>> float(SignificanceCalibration(mean=0.5, std=1.25, n_experiments=300).apply(3.0))
    2.0
    """

    mean: float
    std: float
    n_experiments: int

    @classmethod
    @checked(significances=Numbers(None, finite=False))
    def from_significances(cls, significances: ArrayLike) -> SignificanceCalibration:
        """Measure mean and standard deviation of background-only significances.

        Parameters
        ----------
        significances : array-like
            Local significances `z_raw` without signal, one per pseudo-experiment, all finite.

        Returns
        -------
        calibration : SignificanceCalibration

        Warns
        -----
        LowStatisticsWarning
            Fewer than 50 experiments.
        """
        z = significances.ravel()
        n_bad = np.count_nonzero(~np.isfinite(z))
        if n_bad or len(z) < 2:
            raise ValueError(
                f"a calibration needs at least 2 significances, all finite; got {len(z)}, of which "
                f"{n_bad} are NaN or infinite. A test that fails in some experiments cannot be "
                "calibrated: raise its efficiency, or leave it out."
            )
        _warn_few(
            len(z), f"the width of the null distribution only to {1 / np.sqrt(2 * len(z)):.0%}"
        )
        return cls(float(z.mean()), float(z.std(ddof=1)), len(z))

    @classmethod
    def by_efficiency(cls, results: DataFrame) -> dict[float, SignificanceCalibration]:
        """Measure one calibration for every efficiency of background-only pseudo-experiments.

        Without signal mean and width differ between loose and tight cuts.

        Parameters
        ----------
        results : DataFrame
            What `pseudo_experiments` returns; all windows of an efficiency count together.

        Returns
        -------
        calibrations : dict of float to SignificanceCalibration
            For the parameter `calibration` of `BumpHunt`.

        Warns
        -----
        LowStatisticsWarning
            Fewer than 50 experiments.
        """
        return {
            float(efficiency): cls.from_significances(part["z_raw"])
            for efficiency, part in results.groupby("efficiency")
        }

    @checked(significance=Numbers(None, finite=False))
    def apply(self, significance: Any) -> Any:
        """Return the calibrated significance."""
        return ((significance - self.mean) / self.std)[()]


def calibrated(z_raw, efficiency, calibration):
    """Return a local significance after the `calibration` of a search: one, or a dict."""
    if isinstance(calibration, dict):
        calibration = calibration[efficiency]
    return calibration.apply(z_raw)


@readable
@dataclass(frozen=True)
class GlobalCalibration:
    """Global p-value from how often searches without signal claim as much.

    The smallest local p-value of the trusted rows of a search is compared with those of
    background-only pseudo-experiments. It needs no model of how windows and cuts are correlated,
    but it cannot tell p-values apart that are smaller than one in the number of experiments.

    Attributes
    ----------
    minima : dict of float or None to tuple of float
        Smallest trusted local p-value of every experiment, for each efficiency and, under None, for
        the whole search; 1 where an experiment has no trusted row and so claims nothing.
    n_rows : int
        Rows of a search.
    calibration : None, SignificanceCalibration or dict
        Local calibration that the p-values passed first.

    Examples
    --------
    >>> import pandas as pd
    >>> from skad.search import GlobalCalibration
    >>> table = pd.DataFrame({"experiment": range(99), "z_local": [0.02 * k for k in range(99)]})
    >>> table = table.assign(window=0, efficiency=0.1, trusted=True, reason="")
    >>> calibration = GlobalCalibration.from_experiments(table)
    >>> p, error = calibration.p_value(0.0455)  # z = 1.69, passed by 14 of 99
    >>> round(p, 3), round(error, 3)
    (0.15, 0.036)
    """

    minima: dict
    n_rows: int
    calibration: object = None

    @classmethod
    def from_experiments(
        cls, results: DataFrame, calibration: SignificanceCalibration | dict[Any, Any] | None = None
    ) -> GlobalCalibration:
        """Take the smallest trusted p-values of background-only pseudo-experiments.

        Parameters
        ----------
        results : DataFrame
            What `pseudo_experiments` returns.
        calibration : None, SignificanceCalibration or dict, default=None
            The local calibration of the search, applied to the `z_raw` of the experiments too.
            With one, rows count that nothing but a learned background keeps from being trusted.
            Without, their `z_local` counts, which must then be of searches without one.

        Returns
        -------
        calibration : GlobalCalibration
            For the parameter `global_calibration` of `BumpHunt`.

        Raises
        ------
        ValueError
            A trusted row without a finite significance, experiments of different searches, or no
            trusted row in more than half of the experiments.

        Warns
        -----
        LowStatisticsWarning
            Fewer than 50 experiments.
        """
        sizes = results.groupby("experiment").size()
        if not len(sizes) or sizes.nunique() > 1:
            raise ValueError(
                "a global calibration needs experiments of one search, with as many rows each; got "
                f"{len(sizes)} experiments with {sorted(set(sizes))} rows."
            )
        trusted = results["trusted"].to_numpy(dtype=bool)
        if calibration is not None:
            trusted = trusted | (results["reason"] == LEARNED).to_numpy()
        name = "z_local" if calibration is None else "z_raw"
        z = results[name].to_numpy(dtype=np.float64)
        if calibration is not None:
            pairs = zip(z, results["efficiency"], strict=True)
            z = np.array([calibrated(*pair, calibration) for pair in pairs])
        n_bad = np.count_nonzero(trusted & ~np.isfinite(z))
        if n_bad:
            raise ValueError(f"{n_bad} trusted rows have no finite {name}.")
        p_value = results[["experiment", "efficiency"]].assign(
            p=np.where(trusted, z_to_p(z), 1.0), trusted=trusted
        )
        claimed = p_value.groupby("experiment")["trusted"].any()
        if claimed.mean() < 0.5:
            raise ValueError(
                f"only {claimed.sum()} of {len(claimed)} experiments have a trusted row: this "
                "search rarely claims anything. Raise its efficiencies, or look at `reason`."
            )
        _warn_few(len(sizes), f"no global p-value below {1 / (1 + len(sizes)):.2g}")
        parts = {None: p_value} | {float(e): part for e, part in p_value.groupby("efficiency")}
        minima = {
            key: tuple(float(p) for p in part.groupby("experiment")["p"].min())
            for key, part in parts.items()
        }
        return cls(minima, int(sizes.iloc[0]), calibration)

    def p_value(self, p_local: float, efficiency: float | None = None) -> tuple[float, float]:
        """Return the global p-value of a smallest local one, and its binomial error.

        Parameters
        ----------
        p_local : float
            Smallest local p-value of the trusted rows, NaN without any.
        efficiency : float, default=None
            Of the rows; None for those of all.

        Returns
        -------
        p_value : float
            ``(1 + experiments with a smaller one) / (1 + experiments)``.
        error : float
            ``sqrt(p (1 - p) / experiments)``.
        """
        minima = np.array(self.minima[efficiency])
        if np.isnan(p_local):
            return np.nan, np.nan
        p = (1 + np.count_nonzero(minima <= p_local)) / (1 + len(minima))
        return float(p), float(np.sqrt(p * (1 - p) / len(minima)))

    def check(self, n_rows: Any, efficiencies: Any, calibration: Any) -> None:
        """Refuse a search that is not that of the experiments."""
        own = sorted(key for key in self.minima if key is not None)
        if n_rows != self.n_rows or sorted(efficiencies) != own:
            raise ValueError(
                f"global_calibration is of a search with {self.n_rows} rows at the efficiencies "
                f"{own}; this one has {n_rows} at {sorted(efficiencies)}. Run the "
                "pseudo-experiments with the windows and efficiencies of the search."
            )
        if calibration != self.calibration:
            raise ValueError(
                "global_calibration was made with another local calibration than this search has; "
                "pass it to GlobalCalibration.from_experiments."
            )


def _warn_few(n_experiments, what):
    if n_experiments < _MIN_EXPERIMENTS:
        warnings.warn(
            f"a calibration from {n_experiments} pseudo-experiments knows {what}; throw at least "
            f"{_MIN_EXPERIMENTS}.",
            LowStatisticsWarning,
            stacklevel=3,
        )
