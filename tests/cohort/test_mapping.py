"""What [columns] and [[time_and_status]] may say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from metasight.cohort.mapping import ColumnMapping, Filled, Interval, TimeAndStatus
from metasight.cohort.settings import CohortSettings, TableSettings, columns_read


def settings(columns, **more):
    return CohortSettings(
        key="a key for tests",
        patients=TableSettings(path="p.csv", id="id"),
        columns=columns,
        **more,
    )


def test_codes_may_be_numbers():
    assert ColumnMapping(column="c", missing=(2, -9.5)).missing == ("2", "-9.5")
    assert TableSettings(path="p", id="i", missing=[-99, "NA"]).missing == ("-99", "NA")
    with pytest.raises(ValidationError):
        ColumnMapping(column="c", missing=(True,))


def test_an_interval_is_of_days_or_of_years():
    with pytest.raises(ValidationError, match="days_between or years_between"):
        Interval()
    with pytest.raises(ValidationError, match="days_between or years_between"):
        Interval(days_between=("a", "b"), years_between=("a", "b"))


def test_each_kind_of_mapping_is_told_from_the_others():
    given = settings(
        {
            "sex": "Sex",
            "grade": {"column": "g", "table": "path"},
            "age_years": {"years_between": ["born", "operated"]},
            "death": {"filled": "died"},
        },
        tables={"path": {"path": "path.csv", "id": "id"}},
    )
    kinds = [type(m) for m in given.columns.values()]
    assert kinds == [str, ColumnMapping, Interval, Filled]
    assert given.columns_of(None) == ("Sex", "born", "operated", "died")
    assert given.columns_of("path") == ("g",)
    assert given.mapping("sex") == ColumnMapping(column="Sex")
    assert given.mapping("age_years") is None
    assert columns_read(given.columns["death"]) == ("died",)


def test_a_mapping_names_a_table_that_is_there():
    with pytest.raises(ValidationError, match=r"columns.grade: 'x' is no table of \[tables\]"):
        settings({"grade": {"column": "g", "table": "x"}})


def test_one_time_and_one_status_give_outcomes_and_follow_up():
    part = {"time": "t", "status": "s", "codes": {"0": "censored", "1": "death"}}
    given = settings({}, time_and_status=[part])
    assert TimeAndStatus(**part).events == ("death",)
    assert given.from_status == ("death", "death_days", "followup_days")
    assert given.gives("death")
    assert given.reads("followup_days")
    assert given.columns_of(None) == ("t", "s")
    own = settings({"followup_days": "f"}, time_and_status=[part])
    assert own.from_status == ("death", "death_days")


def test_events_and_repeats_are_of_redcap():
    with pytest.raises(ValidationError, match='need format = "redcap"'):
        TableSettings(path="p", id="i", repeats={"visit": "last"})


def test_a_date_format_is_of_dates():
    with pytest.raises(ValidationError, match='needs unit = "date"'):
        TimeAndStatus(
            time="t", status="s", codes={"0": "censored", "1": "death"}, date_format="%d.%m.%Y"
        )
