"""Outcomes: the first event counts, death competes, nodes not examined are not N0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.describe import follow_up
from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome, build_outcome
from metasight.errors import StudyError
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
