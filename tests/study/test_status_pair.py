"""A status and a time: which code is the event, in which unit, and where a table names neither."""

from __future__ import annotations

import pandas as pd

from metasight.protocol.load import read_protocol
from metasight.study.propose import propose, read_column
from metasight.study.status_pair import events_by_time, settled_events, status_pairs

BREAST = read_protocol("breast-dmfs")


def proposed(**columns):
    cells = pd.DataFrame(columns, dtype=object)
    return cells, settled_events(BREAST, cells, propose(BREAST, cells, "id"))


def pairs(**columns):
    return status_pairs(BREAST, *proposed(**columns))


def test_a_unit_that_the_name_states_goes_before_the_values():
    (pair,) = pairs(OS_DAYS=["30", "38"], OS_STATUS=["0:LIVING", "1:DECEASED"])
    assert (pair.event, pair.time, pair.unit) == ("death", "OS_DAYS", "days")
    (pair,) = pairs(OS_MONTHS=["500", "38"], OS_STATUS=["0:LIVING", "1:DECEASED"])
    assert pair.unit == "months"


def test_else_the_longest_time_tells_the_unit():
    for longest, unit in (("11.5", "years"), ("150", "months"), ("4000", "days")):
        (pair,) = pairs(**{"t.dmfs": ["3", longest, "7"], "e.dmfs": ["0", "1", "0"]})
        assert pair.unit == unit
        assert ("longest time" in pair.why) == (unit != "days")


def test_the_code_of_the_event_is_the_one_with_a_date_of_it():
    _, found = proposed(vital_status=["1", "0", "1"], date_of_death=["", "2019-03-01", ""])
    assert read_column(found["death"]).values == {"0": True, "1": False}
    assert "date_of_death" in found["death"].why
    _, found = proposed(vitalStatus=["1", "0", "1"], causeOfDeath=["0000", "C509", "0000"])
    assert read_column(found["death"]).values == {"0": True, "1": False}


def test_nothing_is_turned_where_dates_do_not_tell():
    _, found = proposed(vital_status=["1", "0", "1"], date_of_death=["", "", ""])
    assert read_column(found["death"]).values is None


def test_a_time_that_only_the_dead_have_is_no_pair():
    columns = {
        "Survival Status": ["Dead", "Alive", "Alive"],
        "Time to Death (days)": ["872", "N/A", "N/A"],
    }
    assert pairs(**columns) == []


def test_death_with_follow_up_alone_is_a_pair():
    (pair,) = pairs(death=["0", "1", "0"], followup_days=["900", "400", "1200"])
    assert (pair.time, pair.status, pair.unit) == ("followup_days", "death", "days")
    (pair,) = pairs(death=["0", "1", "0"], last_contact=["01.03.2020", "24.12.2021", "30.06.2019"])
    assert (pair.unit, pair.date_format) == ("date", "%d.%m.%Y")


def test_a_pair_that_names_no_event_is_the_primary_endpoints_with_a_remark():
    (pair,) = pairs(time=["7.7", "4.6", "11.2"], event=["0", "1", "0"])
    assert (pair.event, pair.unit) == ("distant_metastasis", "years")
    assert "does not name the event" in pair.why
    assert pairs(time=["7.7", "4.6", "11.2"], event=["a", "b", "c"]) == []


def test_an_event_that_a_table_gives_by_its_date_alone():
    cells, found = proposed(date_of_metastasis=["", "2019-03-01", ""])
    told = events_by_time(BREAST, cells, found)["distant_metastasis"]
    assert told.mapping == '{ filled = "date_of_metastasis" }'
    assert not told.sure


def test_an_event_without_a_time_is_not_sure():
    _, found = proposed(distant_metastasis=["yes", "no", "no"])
    assert not found["distant_metastasis"].sure
    assert "no time" in found["distant_metastasis"].why
    _, found = proposed(
        distant_metastasis=["yes", "no", "no"], distant_metastasis_date=["2019-03-01", "", ""]
    )
    assert found["distant_metastasis"].sure
