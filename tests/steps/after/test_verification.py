"""Accuracy with unexamined nodes in: who counts, what is written, and what is said where not."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.engine.step import Input, Inputs, StepKind
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.protocol.load import read_protocol
from metasight.steps.after.verification import VerificationArgument, _plain, _plain_group, verify
from metasight.validation.risk_groups import incidence_by_risk_group
from metasight.validation.verification import Verified, corrected_accuracy
from steps.analysed import data_of, write_data, write_nodal_fit

LUNG = read_protocol("nsclc-occult-node")
N = 60
NAMES = [f"P{i:02d}" for i in range(N)]
RNG = np.random.default_rng(2)
RISK = dict(zip(NAMES, np.round(RNG.uniform(0.02, 0.5, N), 3), strict=True))
SIZE = RNG.uniform(8, 50, N)
STAGE = (RNG.random(N) < 0.35).astype(np.int8)


def argument(**changes) -> VerificationArgument:
    told = {
        "data": "data nodal",
        "model": "fusion",
        "protocol": LUNG,
        "not_recorded": {},
        "thresholds": (0.1, 0.2),
        "resamples": 20,
        "seed": 1,
    }
    return VerificationArgument(**{**told, **changes})


def inputs(tmp_path, stage, risk=RISK, model="fusion") -> Inputs:
    values = pd.DataFrame({"tumour_size_mm": SIZE}, index=NAMES)
    table = FeatureTable(values, (Feature(name="tumour_size_mm", kind=Kind.CONTINUOUS),))
    data = write_data(tmp_path / "data", data_of(table, stage, ["A"] * N))
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    survival = {"regional_recurrence": 0.0, "death": 0.0, "followup_days": 900.0}
    values.assign(**survival).to_parquet(cohort / "table.parquet")
    fit = write_nodal_fit(tmp_path / "fit", model, risk)
    return Inputs(
        tuple(
            Input(name=n, kind=k, subject=n, folder=f)
            for n, k, f in (
                ("data nodal", StepKind.CUT_DATA, data),
                ("cohort", StepKind.SCREEN, cohort),
                ("fit 0", StepKind.FIT, fit),
            )
        )
    )


def told(tmp_path, stage, **changes):
    risk = changes.pop("risk", RISK)
    out = tmp_path / "out"
    out.mkdir()
    verify(inputs(tmp_path, stage, risk), out, argument(**changes))
    return json.loads((out / "verification.json").read_text())


def test_the_figures_are_those_of_the_estimators(tmp_path):
    stage = STAGE.copy()
    stage[::3] = -1
    found = told(tmp_path, NodalOutcome(stage))
    assert (found["patients"], found["examined"]) == (N, N - N // 3)
    assert found["covariates"] == ["tumour_size_mm"]
    assert {(r["method"], r["threshold"]) for r in found["rows"]} >= {
        ("naive", 0.1),
        ("naive", 0.2),
    }
    disease = np.where(stage >= 0, (stage > 0).astype(float), np.nan)
    data = Verified(
        risk=np.array([RISK[p] for p in NAMES]), disease=disease, covariates=SIZE[:, None]
    )
    want = corrected_accuracy(data, 0.2, "naive", seed=1, resamples=20)
    (row,) = (r for r in found["rows"] if (r["method"], r["threshold"]) == ("naive", 0.2))
    assert row["sensitivity"]["value"] == pytest.approx(want.sensitivity.value)
    assert found["tipping"]["threshold"] == 0.1  # the lower middle of two


def test_a_patient_whom_no_fit_predicted_is_not_counted(tmp_path):
    stage = STAGE.copy()
    stage[::3] = -1
    some = {p: r for p, r in RISK.items() if p not in {"P01", "P03"}}
    found = told(tmp_path, NodalOutcome(stage), risk=some)
    assert found["patients"] == N - 2
    assert found["examined"] == N - N // 3 - 1  # P03 was not examined


def test_where_every_node_was_examined_there_is_nothing_to_correct(tmp_path):
    found = told(tmp_path, NodalOutcome(STAGE))
    assert found["skipped"] == "every patient’s nodes were examined"
    assert "rows" not in found


def test_without_a_fit_of_the_model_that_is_said(tmp_path):
    found = told(tmp_path, NodalOutcome(STAGE), model="another")
    assert found == {"model": "another", "skipped": "the headline model could not be fitted"}


def test_a_survival_endpoint_has_no_nodes(tmp_path):
    days = SurvivalOutcome(np.full(N, 100.0), np.zeros(N, dtype=np.int8))
    assert told(tmp_path, days) == {"skipped": "the study has no nodal stage endpoint"}


def test_a_group_is_written_with_null_beyond_its_follow_up():
    groups = incidence_by_risk_group(
        np.array([0.1, 0.2]),
        np.array([10.0, 20.0]),
        np.array([1, 0]),
        edges=(0.5,),
        horizons_days=(15.0, 30.0),
        shown_days=100.0,
    )
    low, empty = (_plain_group(g) for g in groups)
    assert (low["patients"], low["events"], low["followed_to"]) == (2, 1, 20.0)
    assert low["at"][0]["value"] == pytest.approx(0.5)
    assert low["at"][1] is None
    assert low["curve"] == {"days": [10.0, 20.0], "incidence": [0.5, 0.5]}
    assert empty == {"from": 0.5, "to": 1.0, "patients": 0, "events": 0}


def test_what_is_no_number_becomes_null_at_any_depth():
    assert _plain({"a": np.array([1.0, np.nan]), "b": {"c": float("inf"), "d": "text"}}) == {
        "a": [1.0, None],
        "b": {"c": None, "d": "text"},
    }
