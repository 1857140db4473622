"""Markers of a protocol: roles, spellings, and what a protocol must name."""

from __future__ import annotations

import pytest

from metasight.errors import ProtocolError
from metasight.protocol.load import read_protocol
from metasight.protocol.markers import (
    Marker,
    MarkerRoles,
    plain_name,
    problem_of_markers,
    study_name,
    study_names,
)
from metasight.protocol.study import require_roles

TUMOUR = Marker(
    name="CK8/18", role="tumour", spellings=("CAM5.2",), required=True, positive_per_mm2=400.0
)
T_CELL = Marker(name="CD2", role="t_cell", required=True, positive_per_mm2=300.0)
B_CELL = Marker(name="PAX5", role="b_cell", required=False, positive_per_mm2=200.0)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("CD3", "cd3"),
        ("CD3 (Opal 520)", "cd3"),
        ("cd-3 opal520", "cd3"),
        ("CD3 Alexa Fluor 488", "cd3"),
        ("AE1/AE3", "ae1ae3"),
        ("pan-Cytokeratin [690]", "pancytokeratin"),
        ("CD3ε", "cd3ε"),
        ("CD30", "cd30"),
        ("(Opal 520)", "(opal 520)"),  # nothing is left of it: it is no marker's name
    ],
)
def test_what_makes_no_difference_to_a_name(text: str, plain: str) -> None:
    assert plain_name(text) == plain


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("PanCK", "Pan-CK"),
        ("panCK", "Pan-CK"),
        ("Pan-Cytokeratin (Opal 690)", "Pan-CK"),
        ("AE1/AE3", "Pan-CK"),
        ("CD3 (Opal 520)", "CD3"),
        ("CD3e", "CD3"),
        ("cd20", "CD20"),
        ("L26", "CD20"),
        ("CD30", "CD30"),  # another marker keeps its own name
        ("DAPI", "DAPI"),
    ],
)
def test_usual_spellings_of_the_built_in_study(spelled: str, name: str) -> None:
    assert study_name(spelled, read_protocol("breast-dmfs").marker) == name


def test_one_marker_spelled_twice_is_refused() -> None:
    assert study_names(["cam 5.2", "CD2"], (TUMOUR, T_CELL), where="here") == ("CK8/18", "CD2")
    with pytest.raises(ProtocolError, match="CK8/18 is named twice") as caught:
        study_names(["cam 5.2", "CK8/18"], (TUMOUR, T_CELL), where="here")
    assert "cam 5.2; CK8/18" in str(caught.value)


def test_each_role_is_played_once_or_there_is_no_marker_at_all() -> None:
    extra = Marker(name="FOXP3", required=False, positive_per_mm2=100.0)
    assert problem_of_markers((TUMOUR, T_CELL, B_CELL)) == ""
    assert problem_of_markers((TUMOUR, T_CELL, B_CELL, extra)) == ""
    assert problem_of_markers(()) == ""
    assert "t_cell, b_cell" in problem_of_markers((TUMOUR,))
    second = Marker(name="CD5", role="t_cell", required=False, positive_per_mm2=1.0)
    assert problem_of_markers((TUMOUR, T_CELL, B_CELL, second)).endswith("t_cell")


def test_two_markers_do_not_share_a_spelling() -> None:
    other = Marker(name="CK", spellings=("cam-5.2",), required=False, positive_per_mm2=1.0)
    assert "share the spelling 'cam52'" in problem_of_markers((TUMOUR, T_CELL, B_CELL, other))


def test_roles_of_the_built_in_studies() -> None:
    breast = read_protocol("breast-dmfs")
    assert breast.marker_roles == MarkerRoles(tumour="Pan-CK", t_cell="CD3", b_cell="CD20")
    assert breast.required_markers == ("Pan-CK", "CD3", "CD20")
    assert [m.positive_per_mm2 for m in breast.marker] == [500.0, 500.0, 250.0]
    lung = read_protocol("nsclc-occult-node")
    assert lung.marker_roles is None
    assert lung.required_markers == ()
    with pytest.raises(ProtocolError, match="names no markers"):
        require_roles(lung, where="here")
