"""Features of several samples, side by side and over a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_array

from skad.inspection._samples import check_some
from skad.metrics._checks import check_bins, check_weight, event_classes
from skad.resonant._region import check_region
from skad.utils._arguments import EVENTS, Events, checked
from skad.utils._children import rows_of
from skad.utils._columns import column_name, resolve_columns
from skad.utils._readable import readable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Floats

__all__ = ["FeatureHistograms", "feature_histograms", "region_samples"]


@readable
@dataclass(frozen=True)
class FeatureHistograms:
    """Result of `feature_histograms`.

    Every dict has the names of the features as keys.

    Attributes
    ----------
    edges : dict of str to ndarray of shape (n_bins + 1,)
        Bin edges, in the unit of the feature.
    density : dict of str to dict of str to ndarray of shape (n_bins,)
        Histogram of each sample; the integral of each is 1, events beyond the edges included.
    density_error : dict of str to dict of str to ndarray of shape (n_bins,)
        Standard errors, from sums of squared weights.
    ratio, ratio_error : dict of str to dict of str to ndarray of shape (n_bins,)
        Every sample over the reference, with the errors of both; NaN where the reference is
        empty. Empty dicts without a reference.
    reference : str or None
        Name of the reference.
    """

    edges: dict
    density: dict
    density_error: dict
    ratio: dict
    ratio_error: dict
    reference: str | None


@checked(reference=[str, None])
def feature_histograms(
    samples: Any,
    *,
    features: Sequence[int | str] | None = None,
    reference: str | None = None,
    bins: int | Mapping[str, ArrayLike] = 40,
) -> FeatureHistograms:
    """Histogram the features of several samples, and divide by those of a reference.

    Parameters
    ----------
    samples : dict of str to array-like of shape (n_events, n_features), or of (X, weight)
        Samples of the same features: regions, classes, templates, generated events.
    features : sequence of int or str, default=None
        The columns to show; None means all.
    reference : str, default=None
        Name of the sample to divide by.
    bins : int or dict of str to array-like, default=40
        Number of equal bins over the central 99 % of the reference (or of the first sample), or
        the edges of each feature.

    Returns
    -------
    histograms : FeatureHistograms

    See Also
    --------
    region_samples : Samples by region and class.
    skad.plotting.FeatureDisplay : Draws the result.

    References
    ----------
    .. [1] B. Nachman, D. Shih, "Anomaly detection with density estimation", arXiv:2001.04990,
       figures 2 and 3.
    .. [2] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, figures 3 and 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import feature_histograms
    >>> a, b = np.random.default_rng(0).normal(size=(2, 10_000, 1))
    >>> histograms = feature_histograms({"data": a, "template": b}, reference="data", bins=4)
    >>> histograms.ratio["column 0"]["template"].round(1)
    array([1., 1., 1., 1.])
    """
    if not isinstance(samples, Mapping) or not samples:
        raise ValueError("samples must be a dict of names and events, with at least one.")
    if reference is not None and reference not in samples:
        raise ValueError(f"reference must be one of {list(samples)}; got {reference!r}.")
    names, read = None, {}
    for name, sample in samples.items():
        X, weight = sample if isinstance(sample, tuple) else (sample, None)
        own = list(X.columns) if hasattr(X, "columns") else None
        if read and own is not None and names is not None and own != names:
            raise ValueError(f"samples[{name!r}] has the columns {own}, others {names}.")
        names = own if names is None else names
        X = check_array(X, dtype=np.float64, input_name=f"samples[{name!r}]")
        read[name] = X, check_weight(weight, X)
    widths = {name: X.shape[1] for name, (X, _) in read.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(f"samples must have the same features; got their numbers {widths}.")
    n_features = next(iter(widths.values()))
    features = range(n_features) if features is None else features
    positions = resolve_columns(features, names, n_features, parameter="features")
    check_some(positions)
    bins = bins if isinstance(bins, Mapping) else check_bins(bins)
    if not isinstance(bins, (int, Mapping)):
        raise ValueError("bins must be a number, or a dict of names and edges; got edges for all.")
    result = FeatureHistograms({}, {}, {}, {}, {}, reference)
    base = next(iter(read)) if reference is None else reference
    for position in positions:
        label = column_name(position, names) if names is None else str(names[position])
        if isinstance(bins, Mapping):
            if label not in bins:
                raise ValueError(f"bins must hold edges of {label!r}; it has {list(bins)}.")
            edges = check_bins(bins[label], name=f"bins[{label!r}]")
        else:
            low, high = np.percentile(read[base][0][:, position], [0.5, 99.5])
            # A feature that does not vary is one bar, as in NumPy's own histograms.
            spread = 0.0 if low < high else 0.5
            edges = np.linspace(low - spread, high + spread, bins + 1)
        result.edges[label] = edges
        heights, errors = {}, {}
        for name, (X, weight) in read.items():
            total, _ = np.histogram(X[:, position], edges, weights=weight)
            square, _ = np.histogram(X[:, position], edges, weights=weight**2)
            norm = weight.sum() * np.diff(edges)
            heights[name], errors[name] = total / norm, np.sqrt(square) / norm
        result.density[label], result.density_error[label] = heights, errors
        if reference is not None:
            result.ratio[label], result.ratio_error[label] = _over(heights, errors, reference)
    return result


def _over(heights, errors, reference):
    """Return ratios to the reference and their errors, that of the reference to itself its own."""
    below = np.where(heights[reference] > 0, heights[reference], np.nan)
    relative = errors[reference] / below
    ratio, ratio_error = {}, {}
    for name, height in heights.items():
        ratio[name] = height / below
        own = errors[name] / below
        ratio_error[name] = own if name == reference else np.hypot(own, ratio[name] * relative)
    return ratio, ratio_error


@checked(X=EVENTS, y_true=Events(like="X", or_none=True))
def region_samples(
    y_true: ArrayLike | None,
    X: ArrayLike,
    region: Floats | SignalRegion | None = None,
    *,
    resonance: int | str = 0,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | Sequence[int | str] | None = None,
    background_label: int | str | None = None,
) -> Any:
    """Split events by signal region and class, for `feature_histograms`.

    Parameters
    ----------
    y_true : array-like of shape (n_events,) or None
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`. None splits by
        region alone.
    X : array-like of shape (n_events, n_features)
        Events with the resonant feature.
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of the resonant feature.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str, list of them or None, default=None
        The label of signal, or those of several signals; required where the truth holds -1 and +1.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    samples : dict of str to (X, weight)
        "background, region", "background, sidebands", "signal, region", ... as far as there are
        events.

    Examples
    --------
    >>> from skad.datasets import make_resonance
    >>> from skad.inspection import region_samples
    >>> events = make_resonance(2000, 100, random_state=0)
    >>> samples = region_samples(events.target, events.data, (3.3, 3.7))
    >>> list(samples)
    ['background, region', 'background, sidebands', 'signal, region']
    """
    names = list(X.columns) if hasattr(X, "columns") else None
    values = check_array(X, dtype=np.float64, input_name="X")
    region, m = check_region(
        region, values, resonance=resonance, feature_names=names, sidebands=False
    )
    weight = check_weight(sample_weight, values)
    classes = {"events": np.ones(len(m), dtype=bool)}
    if y_true is not None:
        classes = event_classes(y_true, signal_label, background_label)
    samples = {}
    for kind, of_kind in classes.items():
        for where, there in (
            ("region", region.mask(m)),
            ("sidebands", region.sideband_mask(m)),
        ):
            rows = np.flatnonzero(of_kind & there)
            if len(rows):
                samples[f"{kind}, {where}"] = rows_of(X if names else values, rows), weight[rows]
    return samples
