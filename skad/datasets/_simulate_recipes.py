"""Pythia settings of the simulated processes; text only, Pythia is not needed."""

from typing import NamedTuple

__all__ = ["JET_KINDS", "Recipe", "dijet_recipe", "jet_recipe"]

DIJET_PROCESSES = ("qcd", "qcd_variation", "wprime")
JET_KINDS = ("qcd", "w", "top", "higgs")

HIGGS_MASS = 174.0  # GeV, of the heavy Higgs that decays to two light ones

_PARAMETRIC_WIDTH = 0.01  # of the resonance, relative to its mass

_COMMON = ("Beams:eCM = 13000.", "PartonLevel:MPI = off", "Print:quiet = on")
_QCD_VARIATION = (
    "TimeShower:alphaSvalue = 0.122",
    "SpaceShower:alphaSvalue = 0.125",
    "StringZ:aLund = 0.36",
    "StringZ:bLund = 0.70",
    "StringPT:sigma = 0.29",
    "TimeShower:pTmin = 0.9",
    "ColourReconnection:reconnect = off",
)
_LIGHT_QUARKS = (1, 2, 3, 4)


class Recipe(NamedTuple):
    """What to generate: Pythia settings, and the boosted parent of the jets if there is one."""

    settings: tuple[str, ...]
    parent_id: int | None = None


def dijet_recipe(process, *, m_resonance, m_x, m_y):
    """Return the recipe of dijet events; masses in GeV, of the W', the W and the Z.

    Raises
    ------
    ValueError
        An unknown process, or a resonance too light for its decay.
    """
    if process == "wprime":
        if m_x + m_y >= m_resonance:
            raise ValueError(
                f"m_resonance must exceed m_x + m_y; got {m_resonance} GeV and {m_x} + {m_y} GeV."
            )
        return Recipe(
            (
                *_COMMON,
                *_wprime_to_wz(m_resonance),
                *_particle(24, m_x, width=1.0, decays=_LIGHT_QUARKS),
                *_particle(23, m_y, width=1.0, decays=_LIGHT_QUARKS),
            )
        )
    qcd = (*_COMMON, "HardQCD:all = on", "PhaseSpace:pTHatMin = 1050.")
    if process == "qcd":
        return Recipe(qcd)
    if process == "qcd_variation":
        return Recipe((*qcd, *_QCD_VARIATION))
    raise ValueError(f"process must be one of {list(DIJET_PROCESSES)}; got {process!r}.")


def jet_recipe(kind, mass):
    """Return the recipe of boosted jets; mass in GeV of the W, the top or the light Higgs.

    Raises
    ------
    ValueError
        An unknown kind, or a mass that is missing, superfluous or out of range.
    """
    if kind not in JET_KINDS:
        raise ValueError(f"kind must be one of {list(JET_KINDS)}; got {kind!r}.")
    if (mass is None) != (kind == "qcd"):
        expected = "be None" if kind == "qcd" else "be given in GeV"
        raise ValueError(f"mass must {expected} for kind={kind!r}; got {mass!r}.")
    if kind == "qcd":
        return Recipe((*_COMMON, "HardQCD:all = on", *_hard_scale()))
    largest = {"w": 500.0, "top": 500.0, "higgs": HIGGS_MASS / 2}[kind]
    if not 15.0 <= mass < largest:
        raise ValueError(f"mass must lie in [15, {largest:g}) GeV for kind={kind!r}; got {mass}.")
    return Recipe((*_COMMON, *_BOOSTED[kind](mass)), parent_id=_PARENT[kind])


def _hard_scale():
    return ("PhaseSpace:pTHatMin = 450.", "PhaseSpace:pTHatMax = 800.")


def _particle(pdg_id, mass, *, width=None, decays=None):
    """Move a particle to a mass; fix its width and restrict its decays."""
    settings = [f"{pdg_id}:m0 = {mass}", f"{pdg_id}:mMin = {0.5 * mass}", f"{pdg_id}:mMax = 0."]
    if width is not None:
        settings += [f"{pdg_id}:mWidth = {width}", f"{pdg_id}:doForceWidth = on"]
    if decays is not None:
        settings += [
            f"{pdg_id}:onMode = off",
            f"{pdg_id}:onIfAny = {' '.join(str(d) for d in decays)}",
        ]
    return settings


def _wprime_to_wz(mass):
    return (
        "NewGaugeBoson:ffbar2Wprime = on",
        "Wprime:coup2WZ = 1.",
        *_particle(34, mass, width=_PARAMETRIC_WIDTH * mass),
        "34:onMode = off",
        "34:onIfMatch = 24 23",
    )


def _boosted_w(mass):
    return (
        *_wprime_to_wz(1250.0),
        *_particle(24, mass, width=1.0, decays=_LIGHT_QUARKS),
        "23:onMode = off",
        "23:onIfAny = 12 14 16",
    )


def _boosted_top(mass):
    # A light top needs a lighter W to decay to: 20 GeV for a top of 80 GeV.
    w = (
        _particle(24, mass / 4, width=0.5, decays=_LIGHT_QUARKS)
        if mass < 100
        else ("24:onMode = off", f"24:onIfAny = {' '.join(str(d) for d in _LIGHT_QUARKS)}")
    )
    return (
        "NewGaugeBoson:ffbar2gmZZprime = on",
        "Zprime:gmZmode = 3",
        *_particle(32, 1300.0, width=_PARAMETRIC_WIDTH * 1300.0, decays=(6,)),
        *_particle(6, mass, width=1.0),
        *w,
    )


def _boosted_higgs(mass):
    return (
        "Higgs:useBSM = on",
        "HiggsBSM:gg2H2g(l:t) = on",
        "HiggsBSM:qg2H2q(l:t) = on",
        "HiggsBSM:qqbar2H2g(l:t) = on",
        *_hard_scale(),
        *_particle(35, HIGGS_MASS, width=0.1),
        "35:onMode = off",
        "35:onIfMatch = 25 25",
        *_particle(25, mass, width=0.01, decays=(5,)),
    )


_BOOSTED = {"w": _boosted_w, "top": _boosted_top, "higgs": _boosted_higgs}
_PARENT = {"w": 24, "top": 6, "higgs": 35}
