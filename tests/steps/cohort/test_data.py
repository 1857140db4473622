"""Features, outcome and horizons of one analysis, from a cohort that was read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import build_outcome
from metasight.errors import EvaluationError, StudyError
from metasight.features.columns import Kind
from metasight.protocol.load import read_protocol
from metasight.steps.cohort.data import (
    DataArgument,
    _horizons,
    _left_out,
    _outcome_table,
    _refuse_degenerate,
    _with_centre,
    build_features,
)

BREAST, LUNG = read_protocol("breast-dmfs"), read_protocol("nsclc-occult-node")
NAN = float("nan")


@pytest.fixture
def table() -> pd.DataFrame:
    n = 6
    return pd.DataFrame(
        {
            "age_years": [50.0, 60.0, 70.0, 55.0, 65.0, 45.0],
            "grade": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0],
            "centre": ["North", "South"] * 3,
            "distant_metastasis": [1.0, 0.0, 0.0, 1.0, 0.0, NAN],
            "distant_metastasis_days": [700.0, NAN, NAN, 2100.0, NAN, NAN],
            "death": [0.0] * n,
            "death_days": [NAN] * n,
            "followup_days": [3000.0, 2500.0, 3100.0, 3200.0, 3300.0, 900.0],
        },
        index=[f"P{i}" for i in range(n)],
    )


@pytest.fixture
def cohort(tmp_path: Path, table: pd.DataFrame) -> Path:
    table.to_parquet(tmp_path / "table.parquet")
    columns = {
        "generated": {"generated_til": 1.0, "generated_til_error": 0.1},
        "radiomics": {"glcm": 2.0, "glcm_error": 0.2},
        "genes": {"gene_error": 3.0},
        "clash": {"age_years": 1.0},
    }
    for name, values in columns.items():
        pd.DataFrame(values, index=table.index).to_parquet(tmp_path / f"modality_{name}.parquet")
    return tmp_path


def argument(**changes: object) -> DataArgument:
    plain = DataArgument(
        endpoint="dmfs",
        population="as_written",
        protocol=BREAST,
        not_recorded={},
        horizons_days=None,
        folds=3,
        repeats=1,
        seed=1,
        centres_out=False,
        first_test_year=None,
        leads=True,
    )
    return replace(plain, **changes)


def test_an_error_belongs_to_its_measurement_where_measurements_have_one(cohort):
    found = build_features(cohort, ["generated", "radiomics", "genes"], BREAST, ["P0", "P1"])
    about = {f.name: f for f in found.features}
    assert about["generated_til_error"].error_of == "generated_til"
    assert about["glcm_error"].error_of == "glcm"
    assert about["gene_error"].error_of == ""  # a gene may be called so
    assert about["age_years"].modality == "clinical"
    assert list(found.values.index) == ["P0", "P1"]


def test_two_features_of_one_name_are_refused(cohort):
    with pytest.raises(StudyError, match="modality clash have the names of other features"):
        build_features(cohort, ["clash"], BREAST, ["P0"])


def test_the_centre_is_a_feature_of_its_own_with_the_levels_of_all_patients(cohort, table):
    features = build_features(cohort, [], BREAST, ["P0", "P2"])
    found = _with_centre(features, table)
    about = found.features[-1]
    assert (about.kind, about.levels) == (Kind.CATEGORICAL, ("North", "South"))
    assert list(found.values["centre"]) == ["North", "North"]
    with pytest.raises(StudyError, match="only one centre, so there is nothing to harmonise"):
        _with_centre(features, table.assign(centre="North"))
    with pytest.raises(StudyError, match="harmonisation needs the centre"):
        _with_centre(features, table.drop(columns="centre"))


def test_patients_without_an_outcome_are_counted_by_reason(table):
    told = build_outcome(BREAST.primary, table, list(table.index), {})
    assert _left_out(told) == [
        "1 eligible patient excluded: distant metastasis is missing.",
    ]
    frame = _outcome_table(told, table)
    assert list(frame["status"]) == [1, 0, 0, 1, 0]
    assert list(frame["centre"])[:2] == ["North", "South"]
    assert set(frame["arm"]) == {"all"}  # none is mapped


def test_horizons_of_the_protocol_that_are_not_supported_are_left_out(table):
    told = build_outcome(BREAST.primary, table, list(table.index), {})
    found = _horizons(BREAST.primary, told.outcome, argument())
    assert found["horizons_days"] == [1826]
    assert found["tau_days"] == 1826
    assert len(found["refused"]) == 1
    assert "10-year risk" in found["refused"][0]
    assert found["grid_days"][-1] == 1826


def test_a_horizon_that_was_asked_for_must_be_supported_except_of_external_patients(table):
    told = build_outcome(BREAST.primary, table, list(table.index), {})
    asked = argument(horizons_days=(1826, 3652))
    with pytest.raises(EvaluationError, match="the longest follow-up is"):
        _horizons(BREAST.primary, told.outcome, asked)
    lenient = _horizons(BREAST.primary, told.outcome, replace(asked, lenient=True))
    assert lenient["horizons_days"] == [1826]


def test_a_nodal_stage_has_no_horizon():
    table = pd.DataFrame({"pathological_n": ["N0", "N1"], "arm": "surgery"}, index=["A", "B"])
    told = build_outcome(LUNG.primary, table, ["A", "B"], {})
    found = _horizons(LUNG.primary, told.outcome, argument(protocol=LUNG))
    assert found == {"horizons_days": [], "grid_days": [], "tau_days": None, "refused": []}
    assert np.asarray(told.outcome.stage).tolist() == [0, 1]


def degenerate(table, eligible, **changes):
    asked = argument(**changes)
    endpoint = next(e for e in asked.protocol.endpoint if e.name == asked.endpoint)
    told = build_outcome(endpoint, table, list(table.index), {})
    _refuse_degenerate(told, table, {"all_eligible": eligible, "as_written": []}, asked)


def test_a_population_of_events_alone_is_said_with_the_criterion_that_makes_it(table):
    events = table.loc[["P0", "P3"]]
    with pytest.raises(EvaluationError, match=r"every patient .* has the event.*2 events") as error:
        degenerate(events, ["P0", "P3"])
    assert error.value.remedy.startswith("I8 (Follow-up ≥ 5 years")
    assert "3200 days" in error.value.remedy
    with pytest.raises(EvaluationError, match="Check the codes of the outcome"):
        degenerate(events, ["P0"], population="all_eligible")
    degenerate(table.drop(index="P5"), ["P0"])


@pytest.mark.parametrize(("stage", "says"), [("N0", "no patient"), ("N1", "every patient")])
def test_nodes_that_are_all_alike_are_said(stage, says):
    table = pd.DataFrame(
        {"pathological_n": [stage, stage, None], "arm": "surgery"}, index=["P0", "P1", "P2"]
    )
    asked = {"endpoint": "nodal_stage", "protocol": LUNG}
    with pytest.raises(EvaluationError, match=f"{says} of this population has a positive node"):
        degenerate(table, ["P0"], **asked)
    table.loc["P1", "pathological_n"] = "N0" if stage == "N1" else "N2"
    degenerate(table, ["P0"], **asked)
