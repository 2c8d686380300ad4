"""What every Display shares: lazy matplotlib, axes, styles of several curves, bands."""

import itertools
from collections.abc import Mapping

import numpy as np
from sklearn.pipeline import Pipeline

from skad.metrics import anomaly_response
from skad.utils._optional import import_optional

__all__ = [
    "CurveDisplay",
    "as_list",
    "check_options",
    "draw_legend",
    "get_axes",
    "grid_of_axes",
    "median_band",
    "merge_style",
    "named_scores",
    "score_folds",
    "split_trainings",
]


def get_axes(ax, display):
    """Return the axes to draw on, new ones for None, and their figure."""
    pyplot = import_optional(
        "matplotlib.pyplot", extra="plot", purpose=f"{type(display).__name__}.plot"
    )
    if ax is None:
        _, ax = pyplot.subplots(layout="constrained")
    return ax, ax.figure


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
    axes = np.ravel(axes)
    if len(axes) != n:
        raise ValueError(f"axes must hold {n} axes, one for each panel; got {len(axes)}.")
    return axes, axes[0].figure


def merge_style(artist, *styles):
    """Merge keyword arguments of a matplotlib artist, the last wins, aliases ("lw") resolved."""
    cbook = import_optional("matplotlib.cbook", extra="plot", purpose="A display")
    merged = {}
    for style in styles:
        merged.update(cbook.normalize_kwargs(style or {}, artist))
    return merged


def as_list(value):
    """Return a list of arrays; one array becomes a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


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


def named_scores(scores, name=None, *, estimator_X=None, signal_label=None):
    """Return a list of scores, and their name or names, from an array or a dict of arrays.

    With `estimator_X`, the values are fitted estimators, which score these events.
    """
    if isinstance(scores, Mapping):
        if name is not None:
            raise ValueError("name must be None when a dict gives the names.")
        names, values = list(scores), list(scores.values())
    else:
        names, values = [name], [scores]
    if estimator_X is not None:
        if name is None and not isinstance(scores, Mapping):
            last = scores[-1] if isinstance(scores, Pipeline) else scores
            names = [type(last).__name__]
        values = [anomaly_response(e, estimator_X, signal_label=signal_label) for e in values]
    return values, names[0] if len(names) == 1 else names


def split_trainings(scores, names, n_events):
    """Return one array of scores per training, their names, and if a method has several.

    Takes what `named_scores` returns, where scores may have the shape (n_seeds, n_events).
    """
    trainings, repeated = [], []
    for values, name in zip(scores, as_list(names), strict=True):
        shape = np.shape(values)
        # A column of scores stands for one training, as everywhere in scikit-learn.
        if len(shape) == 2 and shape != (n_events, 1):
            if shape[0] == 0 or shape[1] != n_events:
                raise ValueError(
                    "scores of several trainings must have the shape (n_seeds, n_events), with "
                    f"the {n_events} events of y_true; got {shape}."
                )
            values = np.asarray(values)
        else:
            values = [values]
        trainings += list(values)
        repeated += [name] * len(values)
    return trainings, names if len(scores) == 1 else repeated, len(trainings) > len(scores)


def score_folds(cv_results, X, *others, signal_label=None):
    """Yield the scores of the test part of every fold, with its rows of `others`."""
    missing = {"estimator", "indices"} - set(cv_results)
    if missing:
        raise ValueError(
            f"cv_results lacks {sorted(missing)}; call cross_validate with return_estimator=True "
            "and return_indices=True."
        )
    train, test = cv_results["indices"]["train"][0], cv_results["indices"]["test"][0]
    largest = max(np.max(train), np.max(test))
    if largest >= len(X):
        raise ValueError(
            f"X has {len(X)} events, but cv_results refers to event {largest}; "
            "pass the X of cross_validate."
        )
    for estimator, index in zip(
        cv_results["estimator"], cv_results["indices"]["test"], strict=True
    ):
        scores = anomaly_response(estimator, _rows(X, index), signal_label=signal_label)
        yield scores, *(None if v is None else _rows(v, index) for v in others)


def _rows(values, index):
    return values.iloc[index] if hasattr(values, "iloc") else np.asarray(values)[index]


def median_band(curves, *, logarithmic):
    """Return x, median, 16 % and 84 % quantile of curves, where all of them exist."""
    curves = [(x, y) if x[0] <= x[-1] else (x[::-1], y[::-1]) for x, y, *_ in curves if len(x)]
    if not curves:
        empty = np.empty(0)
        return empty, empty, empty, empty
    low, high = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    grid = np.geomspace(low, high, 300) if logarithmic else np.linspace(low, high, 300)
    values = np.array([np.interp(grid, x, y) for x, y in curves])
    lower, middle, upper = np.percentile(values, [16, 50, 84], axis=0)
    return grid, middle, lower, upper


class CurveDisplay:
    """Several curves with error bands on one axes.

    A subclass sets `_lists`, the names of the attributes that hold one array per curve, and
    calls `_draw`.
    """

    _lists = ()

    def _check_lengths(self):
        lengths = {name: len(as_list(getattr(self, name))) for name in self._lists}
        if len(set(lengths.values())) != 1:
            shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
            raise ValueError(
                f"{type(self).__name__} needs one entry per curve in each list; got {shown}."
            )
        return lengths[self._lists[0]]

    def _grouped(self, curves, *, name, values=None, metric="", median=None):
        """Return ``(label, curves)`` of every name, in the order of their first curves.

        The label shows the value of one curve, or the median and the 16 % and 84 % quantiles of
        several. With `median`, a function of a list of curves, it replaces them. One curve has no
        spread then: its statistical error would look like the band of the others and mean
        something else.
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
        values = None if values is None else as_list(values)
        groups = []
        for n, index in members.items():
            text = None
            if values is not None and len(index) == 1:
                text = f"{metric} = {values[index[0]]:.3g}"
            elif values is not None:
                low, middle, high = np.nanpercentile([values[i] for i in index], [16, 50, 84])
                text = f"{metric} = {middle:.3g} [{low:.3g}, {high:.3g}]"
            group = [curves[i] for i in index]
            if median is not None:
                group = [median(group) if len(group) > 1 else (*group[0][:2], None, None)]
            groups.append((_join(n, text), group))
        return groups

    def _draw(self, ax, groups, *, curve_kwargs, error_band, band_kwargs):
        """Draw the ``(x, y, lower, upper)`` of each group; set `line_` and `band_`.

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
                lines += ax.plot(x, y, **merge_style(Line2D, {"label": label}, shared, style))
                # One entry of the legend stands for all curves of a group.
                label = None
                if len(curves) > 1 and not one_style_each:
                    # So they must look alike.
                    shared = {"color": lines[-1].get_color(), "alpha": 0.5}
                    lines[-1].set(**merge_style(Line2D, shared, style))
                if error_band and lower is not None:
                    band_style = {"color": lines[-1].get_color(), "alpha": 0.2, "linewidth": 0}
                    bands.append(
                        ax.fill_between(x, lower, upper, **band_style | (band_kwargs or {}))
                    )
        self.line_ = lines[0] if len(lines) == 1 else lines
        self.band_ = bands[0] if len(bands) == 1 else (bands or None)
        return any(label is not None for label, _ in groups)


def _join(name, text):
    if name is None or text is None:
        return name if text is None else text
    return f"{name} ({text})"
