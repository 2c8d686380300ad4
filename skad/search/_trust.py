"""What a row of a search may claim: whether its background can be believed, and if not, why."""

import numpy as np

__all__ = ["FIT_ALPHA", "LEARNED", "why_untrusted"]

# A background function that describes the sidebands worse than this is none.
FIT_ALPHA = 0.01
LEARNED = "the background is learned, and without a calibration nobody knows how well"
# Passing events in the sidebands below which a fit knows too little.
_FEW_PASSED = 25
# Expected effective events of the region below which a sum of weights is no scaled Poisson number.
_FEW_WEIGHTED = 10


def why_untrusted(
    *,
    background,
    n_sideband,
    n_weighted=np.inf,
    fit=None,
    fit_alpha=FIT_ALPHA,
    sculpting=None,
    sculpting_alpha=0.01,
    is_learned=False,
):
    """Return the reason why an estimate of a background is not to be trusted, "" for none.

    Parameters
    ----------
    background : float
        Expected events of the region, NaN where nothing could be estimated.
    n_sideband : float
        (Effective) passing events in the range of the sidebands.
    n_weighted : float
        Effective events expected in the region, where each counts a weight.
    fit : SpectrumFit or None
        The fit, where the background comes from one.
    fit_alpha : float
    sculpting : SculptingTest or None
        The test, where the background needs a cut that does not sculpt.
    sculpting_alpha : float
    is_learned : bool
        Whether the background comes from a training and nothing says how well it was learned.
    """
    if not (np.isfinite(background) and background > 0):
        return "too few events pass to estimate the background"
    if n_sideband < _FEW_PASSED:
        return f"{n_sideband:.0f} events pass in the sidebands, fewer than {_FEW_PASSED}"
    if n_weighted < _FEW_WEIGHTED:
        return (
            f"the weights in the region are worth {n_weighted:.1f} events, fewer than "
            f"{_FEW_WEIGHTED}"
        )
    if sculpting is not None and sculpting.p_value < sculpting_alpha:
        return f"the cut sculpts the spectrum in the sidebands (p = {sculpting.p_value:.1e})"
    if fit is not None and not fit.converged:
        return "the fit of the sidebands did not converge"
    if fit is not None and not fit.p_value >= fit_alpha:
        bad = f"the {fit.function} function does not describe the sidebands"
        return f"{bad} (p = {fit.p_value:.1e})"
    # Last: with a calibration nothing else is wrong.
    return LEARNED if is_learned else ""
