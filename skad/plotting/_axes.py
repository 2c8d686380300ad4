"""What every Display shares: lazy matplotlib, axes, styles of several curves, bands."""

from collections.abc import Mapping

import numpy as np
from sklearn.pipeline import Pipeline

from skad.metrics import anomaly_response
from skad.utils import import_optional

__all__ = [
    "CurveDisplay",
    "as_list",
    "check_options",
    "get_axes",
    "grid_of_axes",
    "median_band",
    "merge_style",
    "named_scores",
    "score_folds",
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

    def _labels(self, name, values, metric, n_curves, *, aggregate):
        """Return one legend label per drawn line; None shows nothing."""
        name = self.name if name is None else name
        values = None if values is None else as_list(values)
        if aggregate or (isinstance(name, (str, type(None))) and n_curves > 1):
            if isinstance(name, (list, tuple)):
                if len(set(name)) > 1:
                    raise ValueError(f"name must be one str for one band; got {list(name)}.")
                name = name[0]
            text = None
            if values is not None:
                low, middle, high = np.nanpercentile(values, [16, 50, 84])
                text = f"{metric} = {middle:.3g} [{low:.3g}, {high:.3g}]"
            label = _join(name, text)
            return [label] if aggregate else [label] + [None] * (n_curves - 1)
        names = [name] if isinstance(name, (str, type(None))) else list(name)
        if len(names) != n_curves:
            raise ValueError(f"name must be one str or {n_curves}, one per curve; got {names}.")
        values = [None] * n_curves if values is None else values
        return [
            _join(n, None if v is None else f"{metric} = {v:.3g}")
            for n, v in zip(names, values, strict=True)
        ]

    def _draw(self, ax, curves, labels, *, curve_kwargs, error_band, band_kwargs):
        """Draw ``(x, y, lower, upper)`` for each label; set `line_` and `band_`."""
        from matplotlib.lines import Line2D

        if isinstance(curve_kwargs, (list, tuple)):
            if len(curve_kwargs) != len(curves):
                raise ValueError(
                    f"curve_kwargs must be a dict or a list of {len(curves)}, one per drawn curve; "
                    f"got {len(curve_kwargs)}."
                )
            styles = list(curve_kwargs)
        else:
            styles = [curve_kwargs] * len(curves)
        same_style = len(curves) > 1 and not isinstance(curve_kwargs, (list, tuple))
        lines, bands, shared = [], [], {}
        for (x, y, lower, upper), label, style in zip(curves, labels, styles, strict=True):
            lines += ax.plot(x, y, **merge_style(Line2D, {"label": label}, shared, style))
            if same_style and labels[1:] == [None] * (len(curves) - 1):
                # One legend entry stands for all curves, so they must look alike.
                shared = {"color": lines[0].get_color(), "alpha": 0.5}
                lines[-1].set(**merge_style(Line2D, shared, style))
            if error_band and lower is not None:
                band_style = {"color": lines[-1].get_color(), "alpha": 0.2, "linewidth": 0}
                bands.append(ax.fill_between(x, lower, upper, **band_style | (band_kwargs or {})))
        self.line_ = lines[0] if len(lines) == 1 else lines
        self.band_ = bands[0] if len(bands) == 1 else (bands or None)
        return any(label is not None for label in labels)


def _join(name, text):
    if name is None or text is None:
        return name if text is None else text
    return f"{name} ({text})"
