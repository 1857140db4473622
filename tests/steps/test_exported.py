"""Risks that are exported are the fits' that did not see the patient, with their interval."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from metasight import pipeline
from metasight.bundle import read
from metasight.engine.step import StepKind
from metasight.provenance import hash_file
from metasight.steps.exported import ShownRisks, algorithm_of, patient_results, shown_risks
from metasight.study.file import read_study


@pytest.fixture(scope="module")
def collected(exchange_folder: Path):
    run = pipeline.finished(read_study(exchange_folder))
    (step,) = run.of(StepKind.COLLECT_RESULTS)
    return run, run.inputs_of(step), step.argument


def test_every_risk_is_the_mean_out_of_fold_with_an_interval_round_it(
    collected, exchange_folder: Path
) -> None:
    _, inputs, argument = collected
    found = shown_risks(inputs, argument)
    table = pd.read_parquet(exchange_folder / "results" / "latest" / "predictions.parquet")
    own = table[(table["model"] == "with scans") & (table["horizon_days"] == 1095)]
    mean = own.groupby("patient")["risk"].mean()
    assert set(found.of) | set(found.why_none) == set(mean.index)
    assert len(found.of) > 100
    for patient, risks in found.of.items():
        (risk,) = risks
        assert risk.value == pytest.approx(mean[patient])
        assert risk.interval.lower <= risk.value <= risk.interval.upper
        assert (risk.horizon_days, risk.target) == (1095, "3 years")
        assert risk.counted_from == "the day of curative surgery"


def test_without_interval_refits_there_is_no_risk_and_it_says_so(collected, monkeypatch) -> None:
    _, inputs, argument = collected
    monkeypatch.setattr("metasight.steps.exported._ends", lambda _: {})
    found = shown_risks(inputs, argument)
    assert found.of == {}
    assert all("interval_refits" in why for why in found.why_none.values())


def test_the_algorithm_is_named_with_run_model_and_locked_models(
    collected, exchange_folder: Path
) -> None:
    run, inputs, argument = collected
    latest = exchange_folder / "results" / "latest"
    (locked,) = run.of(StepKind.LOCK_BUNDLE)
    found = algorithm_of(inputs, argument, run.store.verify(locked))
    assert found.bundle == hash_file(latest / "bundle" / "hashes.json")
    assert read(latest / "bundle").training.run == found.run == latest.resolve().name
    assert found.model == "with scans" and found.version
    assert "did not see the patient" in found.evidence and "day 120" in found.evidence


def test_a_patient_without_scans_has_no_measurement_and_one_not_analysed_no_risk(
    collected,
) -> None:
    _, inputs, argument = collected
    algorithm = algorithm_of(inputs, argument, None)
    risks = ShownRisks(of={}, why_none={"P1": "its interval is unknown"})
    for patient, why in {"P1": "its interval is unknown", "P2": "not analysed"}.items():
        found = patient_results(patient, None, risks, algorithm)
        assert (found.measurements, found.risks) == ((), ())
        assert why in found.why_no_risk
