"""The sidebands as background template: CWoLa hunting."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from skad.exceptions import RegionError
from skad.resonant._template import Template, draw_rows
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from skad.resonant._region import SignalRegion
    from skad.utils._types import Floats, Seed

__all__ = ["Sidebands"]


class Sidebands(Template):
    """Template of CWoLa hunting: the data of the sidebands, as they are.

    Right where the features do not depend on m, or are compared as a `QuantileDecorrelator` makes
    them (`TemplateDetector`). Each sideband weighs half, whatever its number of events, so that a
    linear dependence on m cancels to first order.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region; its `sideband_width` limits the sidebands, which the paper has half as wide
        as the region [2]_. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    reach : float, default=None
        How far beside the region events are taken from, in its widths, within its sidebands; None
        takes them all.
    random_state : None, int or RandomState, default=None
        Not used by the fit; here for a common interface.

    Attributes
    ----------
    region_ : SignalRegion
        Resolved region with its sidebands.
    events_, sample_weight_ : ndarray
        Events of the sidebands and their weights, of mean 1.
    support_ : ndarray of float64, shape (2, n_features)
        Smallest and largest value of each feature in the sidebands of the data.
    resonance_index_ : int
        Position of m in X.
    feature_indices_ : ndarray of int
        Positions of the other columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    The events keep their own m, outside the signal region.

    References
    ----------
    .. [1] J. Collins, K. Howe, B. Nachman, arXiv:1902.02634.
    .. [2] B. Nachman, D. Shih, arXiv:2001.04990, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.resonant import Sidebands, SignalRegion
    >>> X = np.column_stack([np.linspace(2, 4, 4001), np.ones(4001)])
    >>> template = Sidebands(SignalRegion(2.8, 3.2, sideband_width=0.2)).fit(X)
    >>> events, weight = template.sample_background()
    >>> float(events[:, 0].min()), float(events[:, 0].max())
    (2.6, 3.3995)
    """

    _parameter_constraints: dict = {
        **Template._template_constraints,
        "reach": [None, sk.Interval(Real, 0, None, closed="neither")],
    }
    # The features are taken to be the same beside the region.
    interpolates = False
    is_learned = False
    _draws = False

    def __init__(
        self,
        region: Floats | SignalRegion | None = None,
        *,
        resonance: int | str = 0,
        reach: float | None = None,
        random_state: Seed = None,
    ) -> None:
        self.region = region
        self.resonance = resonance
        self.reach = reach
        self.random_state = random_state

    def _fit(self, events, rng):
        self.events_, self.sample_weight_ = self._held_out(events, rng)

    def _existing_rows(self, events):
        return np.flatnonzero(self._rows_of(events))

    def _sides(self, events):
        """Return the events of each sideband, without those out of reach; empty ones left out."""
        near = events.weighing
        if self.reach is not None:
            distance = self.reach * self.region_.width
            near = near & (abs(events.m - self.region_.center) < distance + self.region_.width / 2)
        sides = [near & self.region_.sideband_mask(events.m, side) for side in ("low", "high")]
        return [side for side in sides if side.any()]

    def _rows_of(self, events):
        sides = self._sides(events)
        if not sides:
            raise RegionError(
                "no event of positive weight lies in the sidebands of the signal region "
                f"[{self.region_.low:g}, {self.region_.high:g}) within reach={self.reach} of its "
                "widths; raise reach."
            )
        return np.any(sides, axis=0)

    def _held_out(self, events, rng):
        weight = events.weights_or_ones(slice(None))
        rows, factor = self._rows_of(events), np.ones(len(weight))
        for side in self._sides(events):
            factor[side] = 0.5 / weight[side].sum()
        return events.X[rows], (weight * factor)[rows] * rows.sum()

    def _sample(self, n_samples, rng):
        rows = draw_rows(len(self.events_), n_samples, rng)
        return self.events_[rows], self.sample_weight_[rows]
