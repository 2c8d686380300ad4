"""Which papers to cite for what an estimator is made of."""

from sklearn.base import BaseEstimator

__all__ = ["citations_of"]

_CWOLA = "J. Collins, K. Howe, B. Nachman, arXiv:1902.02634 (extended bump hunt, CWoLa hunting)"
_PAPERS = {
    "BumpHunt": _CWOLA,
    "CWoLaDetector": _CWOLA,
    "ANODE": "B. Nachman, D. Shih, arXiv:2001.04990 (ANODE)",
    "CATHODE": "A. Hallin et al., arXiv:2109.00546 (CATHODE)",
    "LaCATHODE": "A. Hallin et al., arXiv:2210.14924 (LaCATHODE)",
    "SALAD": "A. Andreassen, B. Nachman, D. Shih, arXiv:2001.05001 (SALAD)",
    "CURTAINS": "J. A. Raine et al., arXiv:2203.09470 (CURTAINs)",
    "FETA": "T. Golling et al., arXiv:2212.11285 (FETA)",
    "CombinedTemplate": "T. Golling et al., arXiv:2307.11157 (combined templates)",
    "ResidualANODE": "R. Das, G. Kasieczka, D. Shih, arXiv:2312.11629 (R-ANODE)",
    "VAEDetector": "T. Cheng et al., arXiv:2007.01850 (variational autoencoders for jets)",
    "FramedDensity": "G. Kasieczka et al., arXiv:2209.06225 (densities in coordinates)",
    "TreeEnsembleClassifier": "T. Finke et al., arXiv:2309.13111 (boosted trees for weak labels)",
    "IsolationForest": "F. T. Liu, K. M. Ting, Z.-H. Zhou, ICDM 2008 (isolation forest)",
}


def citations_of(*estimators):
    """Return what to cite for estimators and everything that they hold, without repetition.

    Parameters
    ----------
    *estimators : estimator

    Returns
    -------
    citations : list of str
    """
    names = []
    for estimator in estimators:
        names.append(type(estimator).__name__)
        if isinstance(estimator, BaseEstimator):
            names += [
                type(value).__name__
                for value in estimator.get_params(deep=True).values()
                if isinstance(value, BaseEstimator)
            ]
    return list(dict.fromkeys(_PAPERS[name] for name in names if name in _PAPERS))
