"""Several background templates put together into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skad.exceptions import RegionError
from skad.resonant._region import check_region
from skad.resonant._template import Template
from skad.utils import _sklearn as sk
from skad.utils._children import (
    fit_child,
    requires_y,
    rows_of,
    seeded_child,
    shared_parameters,
)
from skad.utils._labels import read_labels
from skad.utils._random import draw_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator, Seed

__all__ = ["CombinedTemplate"]


class CombinedTemplate(Template, sk.BaseComposition):
    """Events of several templates, each with its share of the weight.

    Templates err in different places, so that a classifier trained against all of them follows the
    errors of none; the combination is as good as its members and varies less [1]_.

    Parameters
    ----------
    templates : list of (str, template)
        Unfitted templates of the same signal region and resonant feature.
    shares : None or array-like of shape (n_templates,), default=None
        Positive shares of the weight, in any unit. None means equal ones.
    n_jobs : int, default=None
        Templates fitted in parallel.
    random_state : int, RandomState or None, default=None
        Seed of the members.

    Attributes
    ----------
    templates_ : list of estimators
        Fitted templates.
    shares_ : ndarray of shape (n_templates,)
        Shares of the weight, of sum 1.
    region_ : SignalRegion
        Resolved region.
    support_ : ndarray of float64, shape (2, n_features)
        Smallest and largest value of each feature in the data, of the sidebands where there are
        any.
    resonance_index_ : int
        Position of m in X.
    feature_indices_ : ndarray of int
        Positions of the other columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Raises
    ------
    RegionError
        Members with other regions or resonant features than the first.

    Notes
    -----
    If one member requires y (1 = data, 0 = simulation), the others are fitted to the data alone.
    ``sample_background(None)`` takes the events that each member gives by itself, and weights them;
    a number of events is divided by the shares. Parameters of a member are reached as
    ``<name>__<parameter>``.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly detection
       methods", Eur. Phys. J. C 84 (2024) 241, arXiv:2307.11157, section 5.

    Examples
    --------
    >>> from skad.datasets import make_resonance
    >>> from skad.density import FlowDensity
    >>> from skad.resonant import CATHODE, CombinedTemplate, Sidebands, SignalRegion
    >>> X, _ = make_resonance(5000, 0, random_state=0, return_X_y=True)
    >>> flow = FlowDensity(n_transforms=1, max_epochs=3)
    >>> template = CombinedTemplate(
    ...     [
    ...         ("sidebands", Sidebands(SignalRegion(3.3, 3.7, sideband_width=0.2))),
    ...         ("cathode", CATHODE(flow, region=(3.3, 3.7))),
    ...     ],
    ...     shares=[1, 3],
    ...     random_state=0,
    ... ).fit(X)
    >>> events, weight = template.sample_background(1000, random_state=0)
    >>> in_region = template.region_.mask(events)
    >>> len(events), float(weight[in_region].sum())
    (1000, 750.0)
    """

    _parameter_constraints: dict = {
        "templates": [list, tuple],
        "shares": [None, "array-like"],
        "n_jobs": [int, None],
        "random_state": ["random_state"],
    }

    _needs_sidebands = False
    # The members warn, each by its own share of strange events.
    _learns_support = False

    def __init__(
        self,
        templates: Sequence[tuple[str, Estimator]],
        *,
        shares: ArrayLike | None = None,
        n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.templates = templates
        self.shares = shares
        self.n_jobs = n_jobs
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[Any, Any]:
        """Get the parameters, those of the templates as ``<name>__<parameter>``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the templates and their parameters.

        Returns
        -------
        params : dict
        """
        return self._get_params("templates", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also of the templates by ``<name>__<parameter>``.

        Parameters
        ----------
        **params : dict
            New values; the name of a template replaces it.

        Returns
        -------
        self : CombinedTemplate
        """
        self._set_params("templates", **params)
        return self

    @property
    def region(self):
        """Signal region of the first template, as it is given there."""
        self._check_templates()
        return self.templates[0][1].region

    @property
    def resonance(self):
        """Resonant feature of the first template, as it is given there."""
        self._check_templates()
        return self.templates[0][1].resonance

    @property
    def _needs_simulation(self):
        return any(requires_y(template) for _, template in self.templates)

    def _warn_few(self, events):
        """Leave it to the members, each of which needs other events."""

    def _check_templates(self):
        if not self.templates:
            raise ValueError("templates must hold at least one (name, template); it is empty.")
        self._validate_names([name for name, _ in self.templates])
        for name, template in self.templates:
            missing = [
                attribute
                for attribute in ("fit", "sample_background", "region", "resonance")
                if not hasattr(template, attribute)
            ]
            if missing:
                raise TypeError(
                    f"template {name!r} must have {' and '.join(missing)}; "
                    f"{type(template).__name__} is no template."
                )

    def _check_regions(self, events):
        """Check before any training that all members look at the same region."""
        X, weight = events.X[events.data], events.weights(events.data)
        first, _ = self.templates[0]
        edges = self.region_.low, self.region_.high
        for name, template in self.templates[1:]:
            region, _ = check_region(
                template.region,
                X,
                resonance=template.resonance,
                feature_names=getattr(self, "feature_names_in_", None),
                sidebands=False,
                sample_weight=weight,
            )
            if region.feature != self.resonance_index_:
                raise RegionError(
                    f"templates must share one resonant feature; {first!r} takes column "
                    f"{self.resonance_index_} and {name!r} column {region.feature}. Set "
                    f"{name}__resonance."
                )
            if (region.low, region.high) != edges:
                raise RegionError(
                    f"templates must share one signal region; {first!r} has "
                    f"[{edges[0]:g}, {edges[1]:g}) and {name!r} [{region.low:g}, "
                    f"{region.high:g}). Set {name}__region."
                )

    def _check_shares(self):
        shares = np.ones(len(self.templates))
        if self.shares is not None:
            shares = np.asarray(self.shares, dtype=np.float64)
        if shares.shape != (len(self.templates),) or not (np.isfinite(shares) & (shares > 0)).all():
            raise ValueError(
                f"shares must hold one positive number for each of the {len(self.templates)} "
                f"templates; got {self.shares!r}. Leave a template out rather than give it none."
            )
        return shares / shares.sum()

    def _fit(self, events, rng):
        self.shares_ = self._check_shares()
        self._check_regions(events)
        self.templates_ = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_member)(template, self._named(events.X), events, seed)
            for (_, template), seed in zip(
                self.templates, draw_seeds(rng, len(self.templates)), strict=True
            )
        )

    def _sample(self, n_samples, rng):
        sizes = [None] * len(self.templates_)
        if n_samples is not None:
            sizes = np.diff(np.rint(n_samples * np.cumsum([0.0, *self.shares_]))).astype(int)
        drawn = [
            None if size == 0 else template.sample_background(size and int(size), rng)
            for template, size in zip(self.templates_, sizes, strict=True)
        ]
        return self._joined(drawn)

    def _existing_rows(self, events):
        rows = []
        for template in self.templates_:
            own = template._rows
            if own is None:
                own = np.full(template._n_background(), -1)
            elif not requires_y(template):
                own = np.flatnonzero(events.data)[own]
            rows.append(own)
        return np.concatenate(rows)

    def fit_shared(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> dict[Any, Any]:
        """Learn what all regions of the same events can share, for the members that do.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
        y : array-like of shape (n_events,), default=None
        sample_weight : array-like of shape (n_events,), default=None

        Returns
        -------
        parameters : dict
            For `set_params`.
        """
        self._check_templates()
        data = slice(None)
        if self._needs_simulation:
            data = read_labels(y, len(X), owner=type(self).__name__)
        shared = {}
        for name, template in self.templates:
            if shared_parameters(template):
                weight = None if sample_weight is None else np.asarray(sample_weight)[data]
                own = seeded_child(template, self.random_state)
                fitted = own.fit_shared(rows_of(X, data), None, weight)
                shared |= {f"{name}__{key}": value for key, value in fitted.items()}
        return shared

    def held_out_background(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        n_samples: int | None = None,
        random_state: Seed = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return background of the signal region that no classifier of the template has seen.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events as for `fit`, but others.
        y : array-like of shape (n_events,), default=None
            1 = data, 0 = simulation or reference, where a member needs it.
        sample_weight : array-like of shape (n_events,), default=None
        n_samples : int, default=None
            Of each member that draws.
        random_state : int, RandomState or None, default=None

        Returns
        -------
        X : ndarray of float64, shape (n_background, n_columns)
        sample_weight : ndarray of float64, shape (n_background,)
        """
        check_is_fitted(self)
        rng = check_random_state(random_state)
        events = self._read_others(X, y, sample_weight)
        held_out = []
        for template in self.templates_:
            labels, rows = None, events.data
            if requires_y(template):
                labels, rows = events.data.astype(int), slice(None)
            own = self._named(events.X[rows]), labels, events.weights(rows)
            held_out.append(template.held_out_background(*own, n_samples, rng))
        return self._joined(held_out)

    @property
    def interpolates(self):
        """Whether the events of all members are those of the region's masses."""
        return all(template.interpolates for _, template in self.templates)

    @property
    def is_learned(self):
        """Whether the events of any member, or their weights, come from a training."""
        return any(template.is_learned for _, template in self.templates)

    def _joined(self, parts):
        """Put together events and weights of the members by their shares."""
        parts = [(*part, share) for part, share in zip(parts, self.shares_, strict=True) if part]
        weight = np.concatenate([weight * share / weight.sum() for _, weight, share in parts])
        return np.concatenate([X for X, _, _ in parts]), weight / weight.mean()


def _fit_member(template, X, events, seed):
    y, rows = None, events.data
    if requires_y(template):
        y, rows = events.data.astype(int), slice(None)
    return fit_child(
        template,
        X[rows],
        y,
        sample_weight=events.weights(rows),
        random_state=np.random.RandomState(seed),
    )
