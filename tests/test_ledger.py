"""The ledger keeps every row, in order, and the same rows give the same bytes."""

from __future__ import annotations

from metasight.ledger import Entry, Fate, Ledger


def test_round_trip(tmp_path):
    rows = [
        Entry(
            patient="P1",
            item="patient",
            stage="eligibility",
            verdict=Fate.EXCLUDED,
            criterion="I1",
            value="age_years=17",
            reason="not met",
        ),
        Entry(patient="", item="study", stage="fit", verdict=Fate.FAILED, reason="no events"),
    ]
    ledger = Ledger(rows[:1])
    ledger.add(rows[1])
    ledger.to_parquet(tmp_path / "a")
    Ledger(rows).to_parquet(tmp_path / "b")
    assert Ledger.from_parquet(tmp_path / "a").entries == tuple(rows)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert len(ledger) == 2
