"""Scan checks of the built-in lung study, by hand at each limit."""

from __future__ import annotations

import pytest

from metasight.lesions.against_table import disagreements
from metasight.protocol.load import read_protocol

LUNG = read_protocol("nsclc-occult-node")
TABLE = {"tumour_size_mm": 20.0, "pet_ct": False, "invasive_staging": False, "central": True}


def found(measured: dict, **table: object) -> list[tuple[str, str]]:
    return [(d.criterion, d.said) for d in disagreements({**TABLE, **table}, measured, LUNG)]


@pytest.mark.parametrize(
    ("table_mm", "scan_mm", "differ"),
    [
        (20.0, 23.0, False),  # 3 mm are allowed, and 15 % of 20 mm are as much
        (20.0, 23.1, True),
        (20.0, 16.9, True),
        (10.0, 13.0, False),  # 15 % of 10 mm are less: 3 mm count
        (29.0, 25.0, False),  # 15 % of 29 mm are 4.35 mm
        (29.0, 24.6, True),
    ],
)
def test_sizes_apart(table_mm: float, scan_mm: float, differ: bool) -> None:
    rows = found({"tumour_size_mm": scan_mm}, tumour_size_mm=table_mm)
    said = f"the table says {table_mm:.0f} mm, the scan {scan_mm:.0f} mm"
    assert rows == ([("I2", said)] if differ else [])


def test_no_size_in_the_table_is_no_disagreement() -> None:
    assert found({"tumour_size_mm": 25.0}, tumour_size_mm=None) == []


@pytest.mark.parametrize(("solid", "above"), [(40.0, False), (40.1, True), (None, False)])
def test_a_solid_part_above_stage_one(solid: float | None, above: bool) -> None:
    measured = {"tumour_size_mm": 21.0, "solid_size_mm": solid}
    said = "the solid part is above stage I on the scan"
    assert found(measured) == ([("I2", said)] if above else [])
    (own,) = [
        d.value for d in disagreements(TABLE, {"solid_size_mm": 41.26}, LUNG) if "solid" in d.said
    ]
    assert own == "41.3 mm"


@pytest.mark.parametrize(
    ("measured", "table", "asked"),
    [
        ({"tumour_size_mm": 29.9, "central": False}, {}, False),
        ({"tumour_size_mm": 30.0, "central": False}, {}, True),
        ({"tumour_size_mm": 21.0, "central": True}, {}, True),
        # the table calls it central, the scan could not tell: it is not the scan that asks
        ({"tumour_size_mm": 21.0, "central": None}, {}, False),
        ({"tumour_size_mm": 30.0}, {"pet_ct": True}, False),
        ({"tumour_size_mm": 30.0}, {"invasive_staging": True}, False),
        # not known to have been staged is not staged
        ({"tumour_size_mm": 30.0}, {"pet_ct": None, "invasive_staging": None}, True),
    ],
)
def test_large_or_central_without_staging(measured: dict, table: dict, asked: bool) -> None:
    rows = found(measured, **{"tumour_size_mm": measured["tumour_size_mm"], **table})
    assert [criterion for criterion, _ in rows] == (["I6"] if asked else [])
