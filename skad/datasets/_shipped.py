"""Files that are shipped inside the package: paths, descriptions and scikit-learn's Bunch."""

from pathlib import Path

from skad.utils._readable import Bunch

__all__ = ["make_bunch", "read_descr", "shipped_path"]

_HERE = Path(__file__).parent


def shipped_path(name):
    """Return the path of a data file inside the package."""
    return _HERE / "data" / name


def read_descr(name):
    """Return the description of a data set, the text of ``descr/<name>.rst``."""
    return (_HERE / "descr" / f"{name}.rst").read_text(encoding="utf-8")


def make_bunch(
    data, target, *, feature_names, as_frame, return_X_y, target_name="label", tables=(), **fields
):
    """Build what `load_*` and `fetch_*` return, as scikit-learn's loaders do.

    Parameters
    ----------
    data : ndarray of shape (n_events, n_features)
    target : ndarray of shape (n_events,) or None
    feature_names : list of str
    as_frame : bool
        Turn `data` and the arrays named in `tables` into DataFrames and `target` into a Series,
        and add `frame`, both together.
    return_X_y : bool
        Return ``(data, target)`` instead of the Bunch.
    target_name : str, default="label"
        Name of the Series.
    tables : sequence of str, default=()
        Names of the further fields that have the columns `feature_names`.
    **fields
        Further fields of the Bunch.
    """
    frame = None
    if as_frame:
        import pandas as pd

        data = pd.DataFrame(data, columns=feature_names, copy=False)
        frame = data
        if target is not None:
            target = pd.Series(target, name=target_name)
            frame = pd.concat([data, target], axis=1)
        for name in tables:
            fields[name] = pd.DataFrame(fields[name], columns=feature_names, copy=False)
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, frame=frame, feature_names=list(feature_names), **fields)
