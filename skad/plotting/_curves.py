"""What every display of one curve per score shares."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skad.plotting._axes import check_options, draw_legend, get_axes, merge_style
from skad.plotting._scores import as_list

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes

__all__ = ["CurveDisplay", "Kind", "with_band"]


class Kind(NamedTuple):
    """One way to draw the curves.

    Attributes
    ----------
    axes : dict
        Options of ``Axes.set``.
    legend : str
        Place of the legend.
    bottom : float
        Lowest value of the vertical axis, whose upper end follows what is drawn.
    """

    axes: dict
    legend: str = "best"
    bottom: float | None = None


class CurveDisplay:
    """Curves of one or several scores on one axes, with error bands.

    A subclass sets `_lists`, the names of the attributes that hold one array per curve; `_kinds`,
    what `plot` can draw, the first by default; where the legend shows a number per curve,
    `_value`, its attribute and its name. It implements `_curves` and, where there is one,
    `_chance`.
    """

    _lists = ()
    _kinds: dict = {}
    _value = None
    _chance_label = "random"

    @classmethod
    def _from_curves(cls, curves, names, **options):
        """Return a display of curves, each a dict of attributes."""
        lists = {key: [curve[key] for curve in curves] for key in curves[0]}
        if not isinstance(names, (str, type(None))) and len(set(names)) == 1:
            names = names[0]
        return cls(**lists, name=names, **options)

    def _curves(self, kind):
        """Return ``(x, y, lower, upper)`` of each curve."""
        raise NotImplementedError

    def _chance(self, kind):
        """Return x and y of a score that knows nothing, or None."""
        return None

    def plot(
        self,
        ax: Axes | None = None,
        *,
        kind: str | None = None,
        name: str | Sequence[str] | None = None,
        curve_kwargs: dict[Any, Any] | Sequence[dict[Any, Any]] | None = None,
        error_band: bool = True,
        band_kwargs: dict[Any, Any] | None = None,
        aggregate: bool = False,
        plot_chance_level: bool = True,
        chance_level_kw: dict[Any, Any] | None = None,
        legend_kwargs: dict[Any, Any] | None = None,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        kind : str, default=None
            One of the kinds that the class lists; None is the first.
        name : str or list of str, default=None
            Replaces `name` of the display. Curves of the same name share one entry in the legend.
            Where it shows a number, it is then the median with the 16 % and 84 % quantiles.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `plot`, for all curves, or one for each curve or
            name.
        error_band : bool, default=True
            Draw the bands.
        band_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`.
        aggregate : bool, default=False
            Draw the median of the curves of each name with their 16-84 % band (over folds, seeds
            or pairs), instead of each with its own band. It is drawn where all of them have
            values; the curve of a name that has only one gets no band.
        plot_chance_level : bool, default=True
            Draw the curve of a score that knows nothing, for displays that have one; False where
            the axes already show it.
        chance_level_kw : dict, default=None
            Keyword arguments of its line.
        legend_kwargs : dict, default=None
            Keyword arguments of matplotlib's `legend`. Without "loc" it stands where the curves
            of this kind leave room; in an upper corner the vertical axis is extended until no
            curve is under it, unless its limits have been set.

        Returns
        -------
        self : display
        """
        if kind is None:
            kind = next(iter(self._kinds))
        check_options(kind, self._kinds, name="kind")
        look = self._kinds[kind]
        self._check_lengths()
        median = None
        if aggregate:
            median = partial(_median_band, logarithmic=look.axes.get("xscale") == "log")
        groups = self._grouped(self._curves(kind), name, median)
        self.ax_, self.figure_ = get_axes(ax, self)
        legend = self._draw(groups, curve_kwargs, band_kwargs, error_band=error_band)
        self.chance_level_ = None
        chance = self._chance(kind) if plot_chance_level else None
        if chance is not None:
            style = {"color": "0.5", "linestyle": ":", "label": self._chance_label}
            (self.chance_level_,) = self.ax_.plot(*chance, **style | (chance_level_kw or {}))
        self.ax_.set(**look.axes)
        if look.bottom is not None:
            # With auto=None the upper limit still follows what is drawn on the same axes later.
            self.ax_.set_ylim(bottom=look.bottom, auto=None)
        if legend or chance is not None:
            draw_legend(self.ax_, look.legend, legend_kwargs)
        return self

    def _check_lengths(self):
        lengths = {name: len(as_list(getattr(self, name))) for name in self._lists}
        if len(set(lengths.values())) != 1:
            shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
            raise ValueError(
                f"{type(self).__name__} needs one entry per curve in each list; got {shown}."
            )

    def _columns(self, *names):
        """Return an iterator over the arrays of each curve; an attribute may be None."""
        n_curves = len(as_list(getattr(self, self._lists[0])))
        columns = [getattr(self, name) for name in names]
        lists = ([None] * n_curves if c is None else as_list(c) for c in columns)
        for row in zip(*lists, strict=True):
            yield [None if value is None else np.asarray(value) for value in row]

    def _grouped(self, curves, name, median):
        """Return ``(label, curves)`` of every name, in the order of their first curves.

        With `median`, a function of a list of curves, it replaces them. One curve has no spread
        then: its own error would look like the band of the others and mean something else.
        """
        name = self.name if name is None else name
        names = [name] * len(curves) if isinstance(name, (str, type(None))) else list(name)
        if len(names) != len(curves):
            raise ValueError(f"name must be one str or {len(curves)}, one per curve; got {names}.")
        members = {}
        for i, n in enumerate(names):
            members.setdefault(n, []).append(i)
        if median is not None and 1 < len(members) == len(curves):
            raise ValueError(
                "aggregate=True takes the median of the curves of one name, but each has its own: "
                f"{names}. Give one name to those that belong together."
            )
        groups = []
        for n, index in members.items():
            group = [curves[i] for i in index]
            if median is not None:
                group = [median(group) if len(group) > 1 else (*group[0][:2], None, None)]
            groups.append((self._label(n, index), group))
        return groups

    def _label(self, name, index):
        """Return the name with the value of one curve, or median and 68 % range of several."""
        attribute, metric = self._value or (None, None)
        values = None if attribute is None else getattr(self, attribute)
        if values is None:
            return name
        values = [as_list(values)[i] for i in index]
        text = f"{metric} = {values[0]:.3g}"
        if len(values) > 1:
            low, middle, high = np.nanpercentile(values, [16, 50, 84])
            text = f"{metric} = {middle:.3g} [{low:.3g}, {high:.3g}]"
        return text if name is None else f"{name} ({text})"

    def _draw(self, groups, curve_kwargs, band_kwargs, *, error_band):
        """Draw the curves of each group; set `line_` and `band_`.

        Returns whether there is anything for a legend.
        """
        from matplotlib.lines import Line2D

        n_curves = sum(len(curves) for _, curves in groups)
        one_style_each = False
        if isinstance(curve_kwargs, (list, tuple)):
            one_style_each = len(curve_kwargs) == n_curves
            if not one_style_each and len(curve_kwargs) != len(groups):
                raise ValueError(
                    f"curve_kwargs must be a dict or a list of {n_curves}, one per drawn curve; "
                    f"got {len(curve_kwargs)}."
                )
            styles = iter(curve_kwargs)
        else:
            styles = itertools.repeat(curve_kwargs)
        lines, bands = [], []
        for label, curves in groups:
            style = None if one_style_each else next(styles)
            shared = {}
            for x, y, lower, upper in curves:
                if one_style_each:
                    style = next(styles)
                lines += self.ax_.plot(x, y, **merge_style(Line2D, {"label": label}, shared, style))
                # One entry of the legend stands for all curves of a group.
                label = None
                if len(curves) > 1 and not one_style_each:
                    # So they must look alike.
                    shared = {"color": lines[-1].get_color(), "alpha": 0.5}
                    lines[-1].set(**merge_style(Line2D, shared, style))
                if error_band and lower is not None:
                    band_style = {"color": lines[-1].get_color(), "alpha": 0.2, "linewidth": 0}
                    band_style |= band_kwargs or {}
                    bands.append(self.ax_.fill_between(x, lower, upper, **band_style))
        self.line_ = lines[0] if len(lines) == 1 else lines
        self.band_ = bands[0] if len(bands) == 1 else (bands or None)
        return any(label is not None for label, _ in groups)


def with_band(x, y, error):
    """Return ``(x, y, lower, upper)`` of a curve with a standard error, or with None."""
    return (x, y, None, None) if error is None else (x, y, y - error, y + error)


def _median_band(curves, *, logarithmic):
    """Return x, median, 16 % and 84 % quantile of curves, where all of them exist."""
    curves = [(x, y) if x[0] <= x[-1] else (x[::-1], y[::-1]) for x, y, *_ in curves if len(x)]
    if not curves:
        empty = np.empty(0)
        return empty, empty, empty, empty
    grid = curves[0][0]
    if not all(np.array_equal(x, grid) for x, _ in curves):
        low, high = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
        grid = np.geomspace(low, high, 300) if logarithmic else np.linspace(low, high, 300)
    values = np.array([np.interp(grid, x, y) for x, y in curves])
    lower, middle, upper = np.percentile(values, [16, 50, 84], axis=0)
    return grid, middle, lower, upper
