"""Several histograms on one axes, with error bands."""

import numpy as np

from skad.plotting._axes import merge_style

__all__ = ["draw_histograms"]


def draw_histograms(
    ax, edges, labels, heights, *, curve_kwargs=None, errors=None, band_kwargs=None
):
    """Draw histograms of the same bins; return the steps, and the bands where errors are given."""
    from matplotlib.patches import StepPatch

    n = len(heights)
    styles = curve_kwargs if isinstance(curve_kwargs, (list, tuple)) else [curve_kwargs] * n
    if len(styles) != n:
        raise ValueError(
            f"curve_kwargs must be a dict or a list of {n}, one per histogram; got {len(styles)}."
        )
    lines, bands = [], []
    errors = [None] * n if errors is None else errors
    for label, height, error, style in zip(labels, heights, errors, styles, strict=True):
        style = merge_style(StepPatch, {"linewidth": 1.5, "label": label}, style)
        lines.append(ax.stairs(height, edges, **style))
        if error is not None:
            band_style = {"color": lines[-1].get_edgecolor(), "alpha": 0.25, "linewidth": 0}
            low, high = height - error, height + error
            bands.append(
                ax.fill_between(
                    edges,
                    np.append(low, low[-1]),
                    np.append(high, high[-1]),
                    step="post",
                    **band_style | (band_kwargs or {}),
                )
            )
    return lines, bands
