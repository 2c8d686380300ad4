"""What every display shares: lazy matplotlib, axes, styles and legends."""

import numpy as np

from skad.utils._arguments import Made
from skad.utils._optional import import_optional

__all__ = ["check_options", "draw_legend", "get_axes", "given_axes", "grid_of_axes", "merge_style"]


_AXES = Made("matplotlib.pyplot.subplots()", "matplotlib.Axes")


def get_axes(ax, display):
    """Return the axes to draw on, new ones for None, and their figure."""
    pyplot = import_optional(
        "matplotlib.pyplot", extra="plot", purpose=f"{type(display).__name__}.plot"
    )
    if ax is None:
        _, ax = pyplot.subplots(layout="constrained")
    return _AXES.read(ax, "ax"), ax.figure


def grid_of_axes(axes, n, display, *, width, height, n_columns=3, **options):
    """Return `n` axes in a flat array, new ones in a grid for None, and their figure."""
    pyplot = import_optional(
        "matplotlib.pyplot", extra="plot", purpose=f"{type(display).__name__}.plot"
    )
    if axes is None:
        columns = min(n, n_columns)
        rows = -(-n // columns)
        figure, axes = pyplot.subplots(
            rows,
            columns,
            figsize=(width * columns, height * rows),
            layout="constrained",
            squeeze=False,
            **options,
        )
        for spare in axes.ravel()[n:]:
            spare.remove()
        return axes.ravel()[:n], figure
    axes = given_axes(axes)
    if len(axes) != n:
        raise ValueError(f"axes must hold {n} axes, one for each panel; got {len(axes)}.")
    return axes, axes[0].figure


def given_axes(axes):
    """Return the axes that a user gives, an array of any shape or a sequence, in a flat array."""
    axes = np.ravel(np.asarray(axes, dtype=object))
    for i, ax in enumerate(axes):
        _AXES.read(ax, f"axes[{i}]")
    return axes


def merge_style(artist, *styles):
    """Merge keyword arguments of a matplotlib artist, the last wins, aliases ("lw") resolved."""
    cbook = import_optional("matplotlib.cbook", extra="plot", purpose="A display")
    merged = {}
    for style in styles:
        merged.update(cbook.normalize_kwargs(style or {}, artist))
    return merged


def check_options(value, options, *, name):
    """Refuse a value that is not among the options."""
    if value not in options:
        raise ValueError(f"{name} must be one of {list(options)}; got {value!r}.")


def draw_legend(ax, loc, legend_kwargs):
    """Draw a legend at `loc`, an upper corner with room for it, where the user names no place."""
    legend_kwargs = legend_kwargs or {}
    legend = ax.legend(**{"loc": loc, "fontsize": "small"} | legend_kwargs)
    if "loc" in legend_kwargs or not loc.startswith("upper") or not ax.get_autoscaley_on():
        return
    box = legend.get_window_extent().transformed(ax.transAxes.inverted())
    outlines = [line.get_path().vertices for line in ax.lines]
    outlines += [path.vertices for band in ax.collections for path in band.get_paths()]
    x, y = np.concatenate(outlines).T
    low, high = ax.get_ylim()
    # Where a band or curve has no value on the scale, or none at all, there is nothing to cover.
    drawn = np.isfinite(y) & (y > low)
    x, y = (ax.transData + ax.transAxes.inverted()).transform(np.column_stack([x, y])[drawn]).T
    under = y[(x > box.x0 - 0.02) & (x < box.x1 + 0.02)]
    # A legend that fills small axes may cover curves rather than squeeze them flat.
    excess = under.max(initial=0) / max(box.y0 - 0.02, 0.4)
    if excess > 1:
        scale = ax.yaxis.get_transform()
        low, high = scale.transform([low, high])
        top = scale.inverted().transform([low + excess * (high - low)])[0]
        # With auto=None the limit still follows what is drawn on the same axes later.
        ax.set_ylim(top=top, auto=None)
