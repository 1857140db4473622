"""Outcomes: the first event counts, death competes, nodes not examined are not N0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.describe import follow_up
from metasight.cohort.outcome import Landmark, NodalOutcome, SurvivalOutcome, build_outcome
from metasight.errors import StudyError
from metasight.ledger import Fate
from metasight.protocol.load import read_protocol

BREAST, LUNG = read_protocol("breast-dmfs"), read_protocol("nsclc-occult-node")
DMFS, METASTASIS = BREAST.endpoint
NAN = float("nan")
TABLE = pd.DataFrame(
    {
        "distant_metastasis": [1.0, 0.0, 0.0, 1.0, NAN, 0.0],
        "distant_metastasis_days": [300.0, NAN, NAN, 500.0, NAN, NAN],
        "death": [0.0, 1.0, 0.0, 1.0, 0.0, 0.0],
        "death_days": [NAN, 400.0, NAN, 500.0, NAN, NAN],
        "followup_days": [900.0, 400.0, 800.0, 500.0, 700.0, 0.0],
    },
    index=list("abcdef"),
)


def test_dmfs_is_the_first_of_metastasis_and_death():
    told = build_outcome(DMFS, TABLE, list("abcd"), {})
    assert isinstance(told.outcome, SurvivalOutcome)
    assert told.outcome.time_days.tolist() == [300, 400, 800, 500]
    assert told.outcome.status.tolist() == [1, 1, 0, 1]


def test_death_competes_with_metastasis():
    told = build_outcome(METASTASIS, TABLE, list("abcd"), {})
    assert told.outcome.status.tolist() == [1, 2, 0, 1]


def test_patients_without_outcome_leave_a_ledger_row():
    told = build_outcome(DMFS, TABLE, list("abcdef"), {})
    assert told.patients == tuple("abcd")
    assert [(e.patient, e.reason) for e in told.entries] == [
        ("e", "distant metastasis is missing"),
        ("f", "no follow-up after time zero"),
    ]


def test_who_has_left_by_the_landmark_is_not_analysed_and_has_a_row():
    told = build_outcome(DMFS, TABLE, list("abcd"), {}, landmark_days=400)
    assert told.patients == ("c", "d")
    assert told.outcome.time_days.tolist() == [800, 500]  # counted from time zero all the same
    assert told.landmark == Landmark(day=400, events=2, competing=0, censored=0)
    assert [(e.patient, e.verdict, e.reason) for e in told.entries] == [
        (p, Fate.EXCLUDED, "the event happened by day 400, on which patients enter") for p in "ab"
    ]


@pytest.mark.parametrize(
    ("day", "left"), [(299, (0, 0, 0)), (300, (1, 0, 0)), (399, (1, 0, 0)), (400, (1, 1, 0))]
)
def test_the_landmark_s_own_day_is_past(day, left):
    told = build_outcome(METASTASIS, TABLE, list("abcd"), {}, landmark_days=day)
    assert (told.landmark.events, told.landmark.competing, told.landmark.censored) == left
    assert told.landmark.left == sum(left) == 4 - len(told.patients)


def test_follow_up_that_ends_before_the_landmark_is_no_event():
    told = build_outcome(DMFS, TABLE, list("cf"), {}, landmark_days=30)
    assert told.landmark.left == 0  # nobody was followed for no day at all
    short = TABLE.assign(followup_days=20.0)
    told = build_outcome(DMFS, short, list("abc"), {}, landmark_days=30)
    assert (told.landmark.events, told.landmark.censored) == (0, 1)
    assert told.entries[0].reason == "follow-up ended by day 30, on which patients enter"


def test_nobody_after_the_landmark():
    with pytest.raises(StudyError, match=r"for endpoint \w+ after day 900"):
        build_outcome(DMFS, TABLE, list("abcd"), {}, landmark_days=900)


def test_nodal_stage_knows_no_landmark():
    table = pd.DataFrame({"pathological_n": ["N0", "N1"]}, index=["a", "b"])
    told = build_outcome(LUNG.primary, table, ["a", "b"], {}, landmark_days=120)
    assert told.patients == ("a", "b")
    assert told.landmark is None


def test_death_not_recorded():
    alone = TABLE.drop(columns=["death", "death_days"])
    told = build_outcome(DMFS, alone, list("abcd"), {"death": "not in the registry"})
    assert told.outcome.status.tolist() == [1, 0, 0, 1]
    assert "death was not recorded (not in the registry)" in told.deviations[0]
    with pytest.raises(StudyError, match="needs the competing event death"):
        build_outcome(METASTASIS, alone, list("abcd"), {"death": "not in the registry"})
    with pytest.raises(StudyError, match="needs death"):
        build_outcome(DMFS, alone, list("abcd"), {})


@pytest.mark.parametrize("declared", [{}, {"distant_metastasis": "only any recurrence is there"}])
def test_an_endpoint_without_what_it_is_about_is_refused(declared):
    alone = TABLE.drop(columns=["distant_metastasis", "distant_metastasis_days"])
    with pytest.raises(StudyError, match="is about distant metastasis; without it"):
        build_outcome(DMFS, alone, list("abcd"), declared)


def test_unexamined_nodes_are_unobserved_never_n0():
    table = pd.DataFrame(
        {
            "arm": ["surgery", "surgery", "sbrt", "surgery"],
            "pathological_n": ["N0", "N2", "N0", None],
        },
        index=list("abcd"),
    )
    told = build_outcome(LUNG.primary, table, list("abcd"), {})
    assert isinstance(told.outcome, NodalOutcome)
    assert told.outcome.stage.tolist() == [0, 2, -1, -1]
    assert {e.patient for e in told.entries} == {"c", "d"}


@pytest.mark.parametrize(("name", "table"), [("transbig_clinical", "transbig"), ("gbsg2", "gbsg2")])
def test_median_follow_up_is_that_of_r(shared, name, table):
    import json

    folder = shared / "reference" / "statistics"
    expected = json.loads((folder / "values.json").read_text())[name]["median_fup_reverse_km"]
    frame = pd.read_csv(folder / "data" / f"{table}.csv")
    outcome = SurvivalOutcome(frame["time"].to_numpy(float), frame["event"].to_numpy(np.int8))
    assert follow_up(outcome).median_days == expected


def test_another_arm_leaves_a_ledger_row():
    endpoint = DMFS.model_copy(update={"arm": "surgery"})
    table = TABLE.assign(arm=["surgery", "sbrt", "surgery", None, "surgery", "surgery"])
    told = build_outcome(endpoint, table, list("abcd"), {})
    assert told.patients == ("a", "c")
    assert [(e.patient, str(e.verdict), e.reason) for e in told.entries] == [
        ("b", "excluded", "arm sbrt is not part of this endpoint"),
        ("d", "excluded", "the arm is missing, and this endpoint is defined in one arm"),
    ]
