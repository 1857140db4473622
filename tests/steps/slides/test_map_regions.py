"""Ledger rows of a patient's regions, and which of them a generator may learn from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from maps.test_regions import density
from maps.test_table_regions import disc
from metasight.ledger import Fate
from metasight.maps.table_regions import OFF_TISSUE, TOO_LARGE
from metasight.steps import artefacts
from metasight.steps.slides.map_regions import (
    OTHER_SLIDE,
    TableArgument,
    ledger_rows,
    place_regions,
    save_comparison,
)

PAINTED = density(np.full((40, 60), 500, np.float32), error=300.0)


def other(x: float):
    from dataclasses import replace

    return replace(disc(x, 100.0, count=1), slide="second")


@pytest.fixture
def table() -> TableArgument:
    rows = (
        disc(100.0, 100.0, count=1),
        disc(300.0, 100.0, count=2),
        disc(500.0, 300.0, 300.0, count=40),
        disc(9000.0, 100.0, count=1),
        other(100.0),
        other(200.0),
    )
    return TableArgument(rows=rows, use="both")


def told(table: TableArgument, tile_px: int | None) -> dict[tuple[str, str], str]:
    placed = place_regions(table, "s", PAINTED, 0.5)
    rows = ledger_rows(table, "s", placed, "P1", tile_px=tile_px)
    assert {r["patient"] for r in rows} == {"P1"}
    return {(r["verdict"], r["reason"]): r["value"] for r in rows}


def test_every_region_is_in_one_row_of_the_ledger(table):
    assert told(table, 16) == {
        (Fate.KEPT, ""): "2 of 6 regions",
        (Fate.EXCLUDED, OFF_TISSUE): "1 of 6 regions",
        (Fate.EXCLUDED, TOO_LARGE): "1 of 6 regions",
        (Fate.EXCLUDED, OTHER_SLIDE): "2 of 6 regions",
    }


def test_a_region_that_is_only_compared_may_be_as_large_as_it_is(table):
    from dataclasses import replace

    assert told(table, None)[Fate.KEPT, ""] == "3 of 6 regions"
    assert told(replace(table, use="test"), 16)[Fate.KEPT, ""] == "3 of 6 regions"


def test_test_regions_are_not_learnt_from(table):
    from dataclasses import replace

    assert len(table.learnt_from("s")) == 4
    assert replace(table, use="test").learnt_from("s") == ()


def test_the_comparison_is_written_a_row_a_region(table, tmp_path):
    placed = place_regions(table, "s", PAINTED, 0.5)
    (about,) = save_comparison("P1", PAINTED, placed, None, tmp_path)
    assert (about["marker"], about["score"], about["regions"]) == ("CD3", False, 3)
    read = pd.read_parquet(artefacts.TABLE_REGIONS.path(tmp_path))
    assert len(read) == 3
    assert read["generated"].tolist() == pytest.approx([500.0] * 3)
    assert read["baseline"].isna().all()


def test_nothing_is_written_where_nothing_can_be_compared(tmp_path):
    assert save_comparison("P1", PAINTED, [], None, tmp_path) == []
    assert not artefacts.TABLE_REGIONS.is_in(tmp_path)
