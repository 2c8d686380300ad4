"""Data sets by the name that the command line gives them."""

from skad.cli._settings import nearest
from skad.exceptions import DataFileError

__all__ = ["DATASETS", "fetch_data"]

DATASETS = {
    "dijets": "load_dijets",
    "jets": "load_jets",
    "lhco-rd": "fetch_lhco_rd",
    "lhco-extra-background": "fetch_lhco_extra_background",
    "lhco-herwig": "fetch_lhco_herwig",
    "lhco-black-box": "fetch_lhco_black_box",
}


def fetch_data(name, output=None):
    """Return where a data set is, after downloading it where needed.

    Parameters
    ----------
    name : str
        A key of `DATASETS`.
    output : str, default=None
        File to which events and truth are written as well.

    Returns
    -------
    found : dict
        `file`, `output`, `n_events`.
    """
    from skad import datasets
    from skad.io import write_events

    if name not in DATASETS:
        raise DataFileError(
            f"there is no data set {name!r}.{nearest(name, DATASETS)} There are: "
            f"{', '.join(sorted(DATASETS))}."
        )
    bunch = getattr(datasets, DATASETS[name])(as_frame=True)
    if output is not None:
        write_events(bunch.data.assign(truth=bunch.target), output)
    return {"file": bunch.filename, "output": output, "n_events": len(bunch.data)}
