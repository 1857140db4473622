"""Table 1, missing values and follow-up, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.describe import follow_up, missingness, table1
from metasight.cohort.outcome import SurvivalOutcome
from metasight.protocol.load import read_protocol
from metasight.validation.curves import median_follow_up

PROTOCOL = read_protocol("breast-dmfs")
NAN = float("nan")
TABLE = pd.DataFrame(
    {
        "tumour_size_mm": [10.0, 20.0, 30.0, 40.0, NAN],
        "grade": [1.0, 2.0, 2.0, 3.0, NAN],
        "er_positive": [1.0, 1.0, 0.0, NAN, NAN],
        "surgery_date": ["2020-01-01"] * 5,
    },
    index=list("abcde"),
)


def rows(groups=None):
    told = table1(TABLE, PROTOCOL, groups=groups or {})
    return {r.label.strip(): r for r in told.rows}, told


def test_quartiles_shares_and_missing_values():
    found, told = rows()
    assert told.groups == {"All": 5}
    size = next(r for label, r in found.items() if label.endswith(", mm"))
    # quartiles of 10, 20, 30, 40: 17.5, 25, 32.5 (R's type 7)
    assert size.cells == {"All": "25.0 (17.5–32.5)"}
    assert size.missing == {"All": 1}
    er = found[PROTOCOL.variables["er_positive"].label]
    # of the three recorded, not of all five
    assert er.cells == {"All": "2 (67 %)"}
    assert er.missing == {"All": 2}


def test_grades_are_counted_one_by_one():
    found, _ = rows()
    head = found[PROTOCOL.variables["grade"].label]
    assert (head.cells, head.missing) == ({"All": ""}, {"All": 1})
    assert [found[k].cells["All"] for k in "123"] == ["1 (25 %)", "2 (50 %)", "1 (25 %)"]


def test_groups_stand_beside_all_and_a_group_without_values_shows_none():
    found, told = rows({"North": ["a", "b"], "South": ["d", "e"]})
    assert told.groups == {"All": 5, "North": 2, "South": 2}
    er = found[PROTOCOL.variables["er_positive"].label]
    assert er.cells == {"All": "2 (67 %)", "North": "2 (100 %)", "South": "—"}
    size = next(r for label, r in found.items() if label.endswith(", mm"))
    assert size.cells["North"] == "15.0 (12.5–17.5)"


def test_design_and_criterion_variables_are_not_characteristics():
    _, told = rows()
    assert not [r for r in told.rows if "date" in r.label.lower()]


def test_large_medians_are_printed_without_decimals():
    many = pd.DataFrame({"tumour_size_mm": [99.94, 120.4, 150.6]})
    (size,) = table1(many, PROTOCOL, groups={}).rows
    assert size.cells == {"All": "120 (110–136)"}


def test_a_column_that_nobody_has_is_missing_in_all():
    assert missingness(TABLE, ["er_positive", "ki67_percent"]) == {
        "er_positive": 2,
        "ki67_percent": 5,
    }


def outcome(time, status):
    return SurvivalOutcome(np.asarray(time, float), np.asarray(status, np.int8))


def test_median_follow_up_by_hand():
    """Censored on days 2, 4 and 6; an event on day 3 leaves the risk set of being censored.

    P(still followed): day 2 3/4; day 4 3/4 · 1/2 = 3/8 ≤ 1/2.
    """
    told = follow_up(outcome([2, 3, 4, 6], [0, 1, 0, 0]))
    assert told.median_days == 4
    assert (told.maximum_days, told.censored, told.events, told.competing) == (6, 3, 1, 0)


def test_an_event_on_the_day_of_a_censoring_comes_first():
    # day 5: two events and two censorings; of the two left at risk both are censored, so 0
    assert follow_up(outcome([5, 5, 5, 5], [1, 2, 0, 0])).median_days == 5
    # were the events still at risk on day 5, half would remain and day 5 would be reached too;
    # with three events and one of two others censored, only the right rule gives 1/2
    told = follow_up(outcome([5, 5, 5, 5, 9], [1, 1, 1, 0, 0]))
    assert told.median_days == 5


def test_no_median_where_fewer_than_half_are_censored():
    told = follow_up(outcome([1, 2, 3, 4], [0, 1, 1, 2]))
    assert told.median_days is None
    assert (told.events, told.competing) == (2, 1)


@pytest.mark.parametrize("seed", range(5))
def test_the_two_estimators_of_median_follow_up_agree(seed):
    """Without ties; at a tie events leave first here and with the censorings there."""
    rng = np.random.default_rng(seed)
    time, status = rng.permutation(60) + 1.0, rng.integers(0, 3, 60)
    assert follow_up(outcome(time, status)).median_days == median_follow_up(time, status)
