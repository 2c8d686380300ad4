"""Labels of axes come from one mapping."""

import pytest

from skad.coordinates import DijetCoordinates
from skad.plotting._labels import LABELS, axis_label, unit_of


@pytest.mark.parametrize(
    ("name", "unit", "label"),
    [
        ("mjj", "TeV", "$m_{jj}$ [TeV]"),
        ("mjj", None, "$m_{jj}$"),
        ("tau21_j1", "TeV", r"$\tau_{21}^{J_1}$"),
        ("my column", "GeV", "my column"),
    ],
)
def test_label(name, unit, label):
    assert axis_label(name, unit) == label


def test_user_has_the_last_word():
    assert axis_label("mjj", "TeV", {"mjj": "dijet mass [GeV]"}) == "dijet mass [GeV]"
    assert unit_of("dijet mass [GeV]") == "GeV" and unit_of("x[0]") == "0" and unit_of("m") is None


def test_every_dijet_observable_has_a_label():
    features = "mjj mj1 mj2 delta_mj tau21_j1 tau21_j2 tau32_j1 tau32_j2 pt_j1 pt_j2 eta_j1 eta_j2"
    names = [*features.split(), "delta_eta", "delta_r"]
    assert set(names) <= set(LABELS)
    assert DijetCoordinates(features=names).get_params()["features"] == names
