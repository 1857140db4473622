"""This patient's own value of "central", and that definitions differ."""

from __future__ import annotations

import pytest

from metasight.decisions.centrality import Centrality
from metasight.lesions.place import DEFINITIONS


def row(value=0.48, *, central=True, definition="hilum_centre_two_thirds", **others) -> dict:
    said = dict.fromkeys(DEFINITIONS, False) | others
    told = {f"central_{d}": v for d, v in said.items()}
    limit = 20.0 if definition == "bronchi_2cm" else 2 / 3
    return told | {
        "central": central,
        "central_definition": definition,
        "central_value": value,
        "central_limit": limit,
    }


def test_value_limit_and_the_others_are_said():
    found = Centrality.of(row(axial_centre_two_thirds=True, hilum_centre_third=False))
    assert found is not None
    assert found.disagree
    said = found.sentence(True)
    assert "centre, inner 2 thirds from the hilum): 0.48 of the way" in said
    assert "central up to 0.67: central." in said
    assert "of 12 others, 1 calls it central and 11 peripheral" in said
    assert "centre, inner third from the hilum: peripheral" in said
    assert "within 2 cm of the proximal bronchial tree: peripheral" in said
    assert "table" not in said


def test_a_gap_is_in_millimetres():
    found = Centrality.of(row(34.2, central=False, definition="bronchi_2cm"))
    assert found is not None
    assert ": 34 mm, central up to 20: peripheral." in found.sentence(False)
    assert not found.disagree


def test_where_the_table_says_otherwise_that_is_said():
    found = Centrality.of(row())
    assert found is not None
    assert found.sentence(False).endswith("The table says peripheral, and that counts here.")
    assert "table" not in found.sentence(None)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_was_not_found_is_said_to_be_so(value):
    found = Centrality.of(row(value, central=None))
    assert found is not None
    assert found.value is None
    assert not found.disagree
    assert "could not be measured" in found.sentence(True)


def test_without_a_place_there_is_nothing_to_say():
    assert Centrality.of({"central": None}) is None
    assert Centrality.of({}) is None
    unknown = dict.fromkeys((f"central_{d}" for d in DEFINITIONS), None)
    found = Centrality.of(row() | unknown)
    assert found is not None
    assert found.others == {}
    assert "Definitions differ" not in found.sentence(True)
