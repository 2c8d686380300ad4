"""What a template made of simulated events needs of them."""

from skad.exceptions import RegionError
from skad.resonant._events import missing_simulation

__all__ = ["training_rows"]


def training_rows(events, region, name, *, sidebands_only):
    """Return the events, data and simulation, from which a template learns their difference.

    Raises
    ------
    RegionError
        No simulation in the signal region or, if needed, in a sideband.
    ValueError
        Weights that are all zero there.
    """
    simulated = ~events.data
    if not (simulated & events.inside).any():
        raise missing_simulation(region, name)
    window = f"the signal region [{region.low:g}, {region.high:g})"
    rows = events.sideband
    if sidebands_only:
        sides = {side: region.sideband_mask(events.m, side) for side in ("low", "high")}
        missing = [side for side, mask in sides.items() if not (simulated & mask).any()]
        if missing:
            raise RegionError(
                f"{name} needs simulated events (y = 0) in both sidebands of {window}; there are "
                f"none in the {' and the '.join(missing)} one. Simulate there, or take a "
                "data-driven template."
            )
    else:
        rows = rows | events.inside
    if events.weight is not None:
        parts = {
            f"simulated event of {window}": simulated & events.inside,
            f"simulated event around {window}": simulated & rows,
        }
        for what, mask in parts.items():
            if not events.weight[mask].any():
                raise ValueError(
                    f"sample_weight is zero for every {what}; {name} needs positive weights there."
                )
    return rows
