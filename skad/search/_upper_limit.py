"""Upper limits of a whole search: inject a signal, search again, measure what is found of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import clone
from sklearn.isotonic import isotonic_regression
from sklearn.utils import check_random_state

from skad.exceptions import SkadWarning
from skad.search._archive import open_archive
from skad.search._limit_files import limit_table
from skad.search._limits import counting_limit
from skad.search._pseudo_data import METHODS, background_generator
from skad.search._pseudo_experiments import RUN_ONLY
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, EVENTS, Made, Numbers, checked
from skad.utils._children import rows_of, seeded_child
from skad.utils._events import check_events
from skad.utils._random import draw_seeds
from skad.utils._readable import readable
from skad.utils._tasks import outer_stacklevel, run_tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.search._bump_hunt import BumpHunt
    from skad.utils._types import FilePath, Seed

__all__ = ["SearchLimit", "limits_of", "upper_limit"]

_INTO = (*METHODS, "data")
# The part of the signal sample that may be injected; the rest measures the efficiency.
_LARGEST_PART = 0.5


@readable
@dataclass(frozen=True)
class SearchLimit:
    """Upper limits on a signal from a search, as `upper_limit` returns them.

    Attributes
    ----------
    table : DataFrame
        One row for each trusted row of the search in the window of the signal: `row` of
        `results_`, `low`, `high`, `efficiency`; `n_observed`, `background` and its `uncertainty`,
        `signal_uncertainty` (relative, at the observed limit), and the limits `observed`,
        `expected_-2` to `expected_+2` with their `level`, all in numbers of signal events.
    limits : tuple of CountingLimit
        One for each row of `table`.
    best : int
        Position in `table` of the strongest expected limit, which does not depend on what is
        observed: quote this one.
    efficiencies : DataFrame
        For each refit and row what `BumpHunt.signal_efficiency` says, with the `strength`, the
        number `refit`, `n_injected` events and the `z_local` of the search with them.
    into : {"resampled", "morphed", "data", "callable"}
        What the signal was injected into, see `upper_limit`.

    Examples
    --------
    See `upper_limit`.
    """

    table: DataFrame
    limits: tuple = field(repr=False)
    best: int
    efficiencies: DataFrame = field(repr=False)
    into: str = "data"

    @property
    def observed(self):
        """Observed limit of the best row, a number of signal events."""
        return float(self.table["observed"][self.best])

    @property
    def expected(self):
        """Expected limits of the best row, from -2 to +2 standard deviations."""
        return self.limits[self.best].expected


@dataclass(frozen=True)
class _Injection:
    """Draws one data set with a signal, and the signal events that are left."""

    generate: object
    signal: object
    weight: np.ndarray | None
    strength: float

    def __call__(self, rng):
        data = self.generate(rng)
        X, y = data if isinstance(data, tuple) else (data, None)
        n_signal = len(self.signal)
        n = min(rng.poisson(self.strength), n_signal - 1)
        chance = None if self.weight is None else self.weight / self.weight.sum()
        chosen = rng.choice(n_signal, n, replace=False, p=chance)
        left = np.setdiff1d(np.arange(n_signal), chosen)
        order = rng.permutation(len(X) + n)
        if y is not None:
            y = np.concatenate([y, np.ones(n, dtype=int)])[order]
        return self._joined(X, rows_of(self.signal, chosen), order), y, left, n

    def _joined(self, X, signal, order):
        if not hasattr(X, "iloc"):
            return np.concatenate([X, signal])[order]
        import pandas as pd

        return pd.concat([X, signal], ignore_index=True).iloc[order].reset_index(drop=True)


@checked(
    hunt=Made("skad.search.BumpHunt(detector, windows).fit(X)", "skad.BumpHunt"),
    signal_events=EVENTS,
    strengths=Numbers(1, lowest=0.0),
    sample_weight=Numbers(1, lowest=0.0),
    n_refits=COUNT,
    n_jobs=[Integral, None],
    random_state=["random_state"],
    verbose=["verbose"],
)
def upper_limit(
    hunt: BumpHunt,
    signal_events: ArrayLike,
    strengths: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    n_refits: int = 5,
    into: Literal["auto", "resampled", "morphed", "data"] | Callable[..., Any] = "auto",
    method: Literal["asymptotic", "toys"] = "asymptotic",
    level: float = 0.95,
    n_toys: int = 10_000,
    folder: FilePath | None = None,
    n_jobs: int | None = None,
    random_state: Seed = None,
    verbose: int = 0,
) -> SearchLimit:
    """Upper limit on the number of signal events that the data of a search hold.

    A detector that learns from data finds more of a strong signal than of a weak one, so a limit
    needs its efficiency at the strength that is excluded. For each strength signal events are
    injected and the whole search is run again, `n_refits` times; what passes of signal events that
    were not injected gives the efficiency. CLs then compares the counts of the fitted search with
    the signal at every strength (`counting_limit`).

    Parameters
    ----------
    hunt : BumpHunt
        Fitted; its counts and backgrounds are the observation. Of its windows the one that
        holds most of the signal is taken.
    signal_events : array-like of shape (n_signal, n_features)
        Signal at all masses, with the columns of the fit; more than twice the largest strength.
    strengths : array-like of shape (n_strengths,)
        Increasing numbers of signal events to inject, above 0: best around the limit, which is
        infinite above the largest. Each refit draws a Poisson number.
    sample_weight : array-like of shape (n_signal,), default=None
        Weights of the signal events: of what is injected and of the efficiency.
    n_refits : int, default=5
        Searches at every strength. How far their efficiencies differ is an uncertainty of the
        signal, since the search of the data is one of them.
    into : {"auto", "resampled", "morphed", "data"} or callable, default="auto"
        What the signal is injected into:

        - "resampled", "morphed" or a callable of your own: data without signal as in
          `pseudo_experiments`, drawn anew for each refit;
        - "data": the data of the fit. Right where these hold little of the signal: what they
          have adds to what is injected, and makes the search seem better than it is;
        - "auto": data without signal as `background_generator` makes them; "data", with a warning,
          where it cannot.
    method : {"asymptotic", "toys"}, default="asymptotic"
        As in `counting_limit`.
    level : float, default=0.95
    n_toys : int, default=10000
        Of method "toys".
    folder : None or path, default=None
        Every finished refit is saved there, and a later call with the same search, signal and
        seed runs only those that are missing; needs an int `random_state`.
    n_jobs : int, default=None
        Refits at a time.
    random_state : None, int or RandomState, default=None
    verbose : int, default=0
        Show the progress when positive.

    Returns
    -------
    limit : SearchLimit

    Raises
    ------
    ValueError
        No trusted row in the window of the signal, too few signal events, no signal that passes, or
        a search of weighted data.

    Warns
    -----
    SkadWarning
        No data without signal could be made, so that the signal went into the data.

    See Also
    --------
    background_generator, counting_limit, limit_table, pyhf_workspace, write_limits

    Notes
    -----
    The signal of a row is strength x (`signal_efficiency` - `absorbed`), the mean over refits, made
    to rise with the strength (isotonic regression). Its relative uncertainty at each strength is
    the standard deviation over refits and the statistical error in quadrature. Without enough
    training the efficiency is that of chance, so that a search sets limits about where it would
    have found the signal.

    References
    ----------
    ATLAS Collaboration, "Dijet resonance search with weak supervision using sqrt(s) = 13 TeV pp
    collisions in the ATLAS detector", Phys. Rev. Lett. 125 (2020) 131801, arXiv:2005.02983.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skad.datasets import make_resonance
    >>> from skad.resonant import Sidebands, TemplateDetector
    >>> from skad.search import BumpHunt, upper_limit
    >>> X = make_resonance(8000, 0, random_state=0).data
    >>> signal = make_resonance(0, 1000, random_state=1).data
    >>> hunt = BumpHunt(
    ...     TemplateDetector(Sidebands((3.3, 3.7)), GaussianNB(), cv=None),
    ...     [(3.3, 3.7)],
    ...     efficiencies=(0.1,),
    ...     n_folds=2,
    ...     random_state=0,
    ... ).fit(X)
    >>> limit = upper_limit(hunt, signal, [40, 80, 160], n_refits=2, random_state=0)
    >>> bool(0 < limit.observed < 160), limit.expected.shape
    (True, (5,))
    """
    values, weight = _read_signal(hunt, signal_events, sample_weight)
    if not len(strengths) or strengths[0] <= 0 or not np.all(np.diff(strengths) > 0):
        raise ValueError(f"strengths must be increasing and above 0; got {strengths}.")
    if strengths[-1] > _LARGEST_PART * len(values):
        raise ValueError(
            f"signal_events holds {len(values)} events; strengths up to {strengths[-1]:g} need "
            f"twice as many, half to inject and half to measure with. Give more of them, or "
            "smaller strengths."
        )
    window = _window_of(hunt, values, weight)
    rows = np.flatnonzero(hunt.results_["window"] == window)
    trusted = rows[hunt.results_["trusted"][rows]]
    if not len(trusted):
        reasons = sorted({hunt.results_["reason"][row] for row in rows})
        low, high = hunt.results_.loc[rows[0], ["low", "high"]]
        raise ValueError(
            f"no row of the window [{low:g}, {high:g}), which holds most of the signal, is "
            f"trusted: {'; '.join(reasons)}."
        )
    generate, into = _generator(hunt, into)
    efficiencies = _measured(
        hunt, window, values, weight, strengths, n_refits, generate,
        folder, n_jobs, random_state, verbose,
    )  # fmt: skip
    options = {"method": method, "level": level, "n_toys": n_toys}
    limit = limits_of(
        hunt, trusted, trusted - rows[0], efficiencies, random_state=random_state, **options
    )
    return replace(limit, into=into)


def limits_of(hunt, rows, measured_rows, efficiencies, *, level=0.95, random_state=None, **options):
    """Return the limits of rows of a search from the efficiencies of refits.

    Parameters
    ----------
    hunt : BumpHunt
        Fitted.
    rows, measured_rows : sequence of int
        Rows of its results, and what they are called in `efficiencies`.
    efficiencies : DataFrame
        As of `SearchLimit`.
    level : float, default=0.95
    random_state : None, int or RandomState, default=None
    **options
        Of `counting_limit`.

    Returns
    -------
    limit : SearchLimit
    """
    limits, lines = [], []
    rng = check_random_state(random_state)
    strengths = np.unique(efficiencies["strength"])
    for row, measured in zip(rows, measured_rows, strict=True):
        found = efficiencies[efficiencies["row"] == measured]
        result = hunt.results_.loc[row]
        signal, relative = _signal_of(found, strengths, result["scale"])
        if not signal[-1] > 0:
            continue
        counts = {
            "n_observed": result["n_observed"] / result["scale"],
            "background": result["background"] / result["scale"],
            "uncertainty": float(np.hypot(result["stat"], result["syst"])) / result["scale"],
        }
        limit = counting_limit(
            **counts,
            signal=signal,
            signal_uncertainty=relative[:, None],
            strengths=strengths,
            level=level,
            random_state=rng,
            **options,
        )
        limits.append(limit)
        at = limit.observed if np.isfinite(limit.observed) else strengths[-1]
        lines.append(
            {"row": int(row)}
            | {name: result[name] for name in ("low", "high", "efficiency")}
            | counts
            | {"signal_uncertainty": float(limit.relative_uncertainty(at)[0])}
        )
    if not limits:
        raise ValueError(
            f"of the signal nothing is in excess at the largest strength, {strengths[-1]:g} "
            "events: give larger ones, or a search that finds it."
        )
    table = _table(lines, limits)
    return SearchLimit(table, tuple(limits), int(table["expected"].argmin()), efficiencies)


def _read_signal(hunt, signal_events, sample_weight):
    """Return the signal as the hunt reads events, and its weights."""
    _, _, data_weight = hunt._events
    if data_weight is not None and np.ptp(data_weight) > 0:
        raise ValueError(
            "the search was fitted with sample_weight: a signal cannot be injected into weighted "
            "events. Fit it on events without weights."
        )
    values = check_events(hunt, signal_events, dtype=np.float64, reset=False)
    weight = None
    if sample_weight is not None:
        weight = sk.check_sample_weight(sample_weight, values, dtype=np.float64)
    return _framed(hunt, values), weight


def _framed(hunt, values):
    names = getattr(hunt, "feature_names_in_", None)
    if names is None:
        return values
    import pandas as pd

    return pd.DataFrame(values, columns=names)


def _window_of(hunt, signal, weight):
    """Return the window that holds most of the signal."""
    m = hunt.regions_[0].values(np.asarray(signal))
    held = [np.average(region.mask(m), weights=weight) for region in hunt.regions_]
    if not max(held) > 0:
        raise ValueError(
            "no signal event lies in a window of the search: signal_events must have its columns, "
            f"with m between {hunt.results_['low'].min():g} and {hunt.results_['high'].max():g}."
        )
    return int(np.argmax(held))


def _generator(hunt, into):
    """Return a callable that draws the events into which the signal goes, and of what kind."""
    if callable(into):
        return into, "callable"
    if into not in _INTO:
        raise ValueError(f"into must be a callable or one of {_INTO}; got {into!r}.")
    if into != "data":
        try:
            generator = background_generator(hunt, into)
            return generator, generator.method
        except ValueError as error:
            if into != "auto":
                raise
            warnings.warn(
                f"signal is injected into the data, to which a signal that they hold adds: {error}",
                SkadWarning,
                stacklevel=outer_stacklevel(),
            )
    values, y, _ = hunt._events
    return partial(_the_data, _framed(hunt, values), y), "data"


def _the_data(X, y, rng):
    return X if y is None else (X, y)


def _measured(
    hunt, window, signal, weight, strengths, n_refits, generate, folder, n_jobs, random_state,
    verbose,
):  # fmt: skip
    """Return the table of efficiencies of all refits."""
    import pandas as pd

    single = clone(hunt).set_params(
        **RUN_ONLY,
        windows=[hunt.regions_[window]],
        n_toys=0,
        n_global_toys=1,
        global_calibration=None,
    )
    injections = [
        _Injection(generate, signal, weight, float(strength))
        for strength in np.repeat(strengths, n_refits)
    ]
    seeds = draw_seeds(random_state, len(injections))
    archive = open_archive(folder, single, (injections[:: int(n_refits)], n_refits), random_state)
    tables = {} if archive is None else archive.load(seeds)
    missing = [number for number in range(len(injections)) if number not in tables]
    found = run_tasks(
        [
            (_refit, (single, injections[number], seeds[number], number, archive))
            for number in missing
        ],
        name=f"searches with {len(strengths)} strengths x {n_refits} injected signals",
        n_jobs=n_jobs,
        verbose=verbose,
    )
    tables.update(zip(missing, found, strict=True))
    return pd.concat(
        [
            tables[number].assign(strength=injection.strength, refit=number % n_refits)
            for number, injection in enumerate(injections)
        ],
        ignore_index=True,
    )


def _refit(hunt, injection, seed, number, archive):
    """Inject, search, measure: one row for each row of the search."""
    X, y, left, n_injected = injection(check_random_state(seed))
    hunt = seeded_child(hunt, seed, copy=number).set_params(keep_detectors=True, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkadWarning)
        hunt.fit(X, y)
    weight = None if injection.weight is None else injection.weight[left]
    table = hunt.signal_efficiency(rows_of(injection.signal, left), weight)
    table = table.drop(columns="window").assign(
        row=np.arange(len(table)),
        n_injected=n_injected,
        z_local=hunt.results_["z_local"],
        trusted=hunt.results_["trusted"],
    )
    if archive is not None:
        archive.save(number, seed, table)
    return table


def _signal_of(found, strengths, scale):
    """Return signal events at each strength, which do not fall, and their relative errors."""
    excess = (found["signal_efficiency"] - found["absorbed"]).groupby(found["strength"])
    mean = excess.mean().to_numpy()
    error = found["error"].groupby(found["strength"]).mean().to_numpy()
    spread = np.hypot(np.nan_to_num(excess.std(ddof=1).to_numpy()), error)
    signal = isotonic_regression(np.maximum(np.nan_to_num(strengths * mean), 0.0)) / scale
    efficiency = signal * scale / strengths
    relative = np.divide(spread, efficiency, out=np.ones(len(mean)), where=efficiency > 0)
    return signal, np.minimum(np.nan_to_num(relative, nan=1.0), 1.0)


def _table(lines, limits):
    import pandas as pd

    found = limit_table(limits).drop(columns="mass")
    return pd.concat([pd.DataFrame(lines), found], axis=1)
