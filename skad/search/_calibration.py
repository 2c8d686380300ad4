"""Pseudo-experiments of a whole bump hunt, and the calibration of its significances with them."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skad.exceptions import LowStatisticsWarning, SkadWarning
from skad.utils._children import seeded_child
from skad.utils._random import draw_seeds

__all__ = ["SignificanceCalibration", "pseudo_experiments"]

# Fewer experiments know the width of the null distribution to worse than about 10 %.
_MIN_EXPERIMENTS = 50


@dataclass(frozen=True)
class SignificanceCalibration:
    """Map of significances so that they are standard normal without signal.

    k-fold selection under-covers slightly: the classifiers of two folds learn from
    overlapping events, so the counts of the folds are correlated and their sum varies more than
    a Poisson number. ``z' = (z - mean) / std`` with mean and std of background-only
    pseudo-experiments corrects this and any bias of the background estimate.

    Parameters
    ----------
    mean, std : float
        Of the significances without signal; 0 and 1 change nothing.
    n_experiments : int
        Pseudo-experiments behind them.

    Examples
    --------
    >>> from skad.search import SignificanceCalibration
    >>> SignificanceCalibration(mean=0.5, std=1.25, n_experiments=300).apply(3.0)
    2.0
    """

    mean: float
    std: float
    n_experiments: int

    @classmethod
    def from_significances(cls, significances):
        """Measure mean and standard deviation of background-only significances.

        Parameters
        ----------
        significances : array-like
            Local significances without signal, one per pseudo-experiment; NaN are left out.

        Returns
        -------
        calibration : SignificanceCalibration

        Warns
        -----
        LowStatisticsWarning
            Fewer than 50 experiments.
        """
        z = np.asarray(significances, dtype=np.float64).ravel()
        n_bad = np.count_nonzero(~np.isfinite(z))
        if n_bad or len(z) < 2:
            raise ValueError(
                f"a calibration needs at least 2 significances, all finite; got {len(z)}, of which "
                f"{n_bad} are NaN or infinite. A test that fails in some experiments cannot be "
                "calibrated: raise its efficiency, or leave it out."
            )
        if len(z) < _MIN_EXPERIMENTS:
            warnings.warn(
                f"a calibration from {len(z)} pseudo-experiments knows the width of the null "
                f"distribution only to {1 / np.sqrt(2 * len(z)):.0%}; throw at least "
                f"{_MIN_EXPERIMENTS}.",
                LowStatisticsWarning,
                stacklevel=2,
            )
        return cls(float(z.mean()), float(z.std(ddof=1)), len(z))

    @classmethod
    def by_efficiency(cls, results):
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

    def apply(self, significance):
        """Return the calibrated significance."""
        return (significance - self.mean) / self.std


def pseudo_experiments(hunt, generate, n_experiments, *, n_jobs=None, random_state=None, verbose=0):
    """Run a bump hunt on generated data sets, everything retrained each time.

    Without signal the local p-values must be uniform (coverage); with signal the significances
    are the power of the search.

    Parameters
    ----------
    hunt : BumpHunt
        The search; it is cloned, without its checkpoint.
    generate : callable
        ``generate(random_state)`` returns the events X of one experiment, or (X, y);
        `random_state` is a fresh RandomState.
    n_experiments : int
    n_jobs : int, default=None
        Experiments at a time; `generate` must be picklable unless it is 1.
    random_state : None, int or RandomState, default=None
    verbose : int, default=0

    Returns
    -------
    results : DataFrame
        `hunt.results_` of every experiment with the columns `experiment` and `p_global`.
        The warnings of single experiments are left to the columns (`sculpting_p`, NaN).

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.search import BumpHunt, pseudo_experiments
    >>> hunt = BumpHunt(
    ...     IsolationForest(n_estimators=5), efficiencies=(0.1,), n_folds=2
    ... )
    >>> def background(random_state):
    ...     return make_resonance(2000, 0, random_state=random_state).data
    >>> table = pseudo_experiments(hunt, background, 3, random_state=0)
    >>> table["experiment"].tolist()
    [0, 1, 2]
    """
    import pandas as pd

    seeds = draw_seeds(random_state, n_experiments)
    tables = Parallel(n_jobs=n_jobs, verbose=verbose)(
        delayed(_experiment)(hunt, generate, seed, number) for number, seed in enumerate(seeds)
    )
    return pd.concat(
        [table.assign(experiment=i) for i, table in enumerate(tables)], ignore_index=True
    )


def _experiment(hunt, generate, seed, number):
    data = generate(check_random_state(seed))
    hunt = seeded_child(hunt, seed, copy=number)
    hunt.set_params(n_jobs=1, checkpoint=None, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkadWarning)
        hunt.fit(*data) if isinstance(data, tuple) else hunt.fit(data)
    return hunt.results_.assign(p_global=hunt.p_global_)
