"""Readings stay as they are; agreement is Cohen's κ over what both have read."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.errors import StudyError
from metasight.ledger import Fate
from metasight.serve.database import Database
from metasight.serve.readings import FEWEST, Readings, unread
from metasight.serve.review import Item


def item(n: int, about: str = "quality") -> Item:
    return Item(
        patient=f"P{n:016x}", item="", about=about, verdict=Fate.KEPT, value="", reason="", who=""
    )


@pytest.fixture
def readings(tmp_path: Path) -> Readings:
    return Readings(Database(tmp_path / ".metasight" / "workbench.sqlite"))


def test_kappa_of_what_both_have_read(readings: Readings) -> None:
    # 20 both kept, 10 both excluded, 5 and 5 apart: κ = (0.75 − 0.53125) / 0.46875
    verdicts = [("kept", "kept")] * 20 + [("excluded", "excluded")] * 10
    verdicts += [("kept", "excluded")] * 5 + [("excluded", "kept")] * 5
    for n, (first, second) in enumerate(verdicts):
        readings.add(item(n), "ann", Fate(first))
        readings.add(item(n), "bob", Fate(second))
    readings.add(item(99), "ann", Fate.KEPT)  # read by one only
    (found,) = readings.agreements("quality")
    assert found.readers == ("ann", "bob") and found.both == 40
    assert found.found is not None
    assert found.found.kappa == pytest.approx((0.75 - 0.53125) / 0.46875)
    assert len(readings.apart("quality")) == 10
    assert readings.agreements("alignment") == ()


def test_of_few_items_nothing_is_told(readings: Readings) -> None:
    for n in range(FEWEST):
        (found,) = readings.agreements("quality") or (None,)
        assert found is None or found.found is None
        readings.add(item(n), "ann", Fate.KEPT)
        readings.add(item(n), "bob", Fate.EXCLUDED)
    (found,) = readings.agreements("quality")
    assert found.found is not None


def test_a_reading_stays(readings: Readings) -> None:
    readings.add(item(1), "ann", Fate.KEPT)
    with pytest.raises(StudyError, match="already"):
        readings.add(item(1), "ann", Fate.EXCLUDED)
    with pytest.raises(StudyError, match="not a verdict"):
        readings.add(item(2), "ann", Fate.UNKNOWN)
    assert readings.of("ann", "quality") == {item(1).key: Fate.KEPT}
    assert unread([item(2), item(1), item(0)], readings.of("ann", "quality")) == [item(0), item(2)]


def test_readings_about_a_patient_who_withdrew_are_deleted(readings: Readings) -> None:
    for n in range(3):
        for about in ("quality", "alignment"):
            readings.add(item(n, about), "ann", Fate.KEPT)
    assert readings.forget([f"P{1:016x}", f"P{9:016x}"]) == 2
    assert sorted(readings.of("ann", "quality")) == [item(0).key, item(2).key]
    assert readings.forget([f"P{1:016x}"]) == 0
