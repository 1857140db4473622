"""Whose risk is shown beside the guideline, and why the others' is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.decisions.nodal_staging import NodalRisks, StagingLimits
from metasight.decisions.refit_interval import FEWEST_REFITS
from metasight.engine.step import Inputs, StepKind
from metasight.estimate import Estimate
from metasight.steps.after.staging import (
    _centrality,
    _intervals,
    _patient,
    _places,
    _spreads,
    silent_patients,
)
from metasight.steps.artefacts import SCAN
from metasight.steps.files import write_json
from worked import inputs_of


def test_an_unmeasured_patient_gets_no_risk(tmp_path):
    distances = {"A": 0.3, "B": 1.0, "C": 1.4, "D": None}
    write_json(tmp_path / "abstention.json", {"distances": distances})
    found = silent_patients(tmp_path)
    assert set(found) == {"C", "D"}
    assert "1.4 of the limit" in found["C"]
    assert "the measurements needed" in found["D"]


def test_a_model_that_never_abstains_is_silent_about_nobody(tmp_path):
    assert silent_patients(tmp_path) == {}


def refits(tmp_path, n: int) -> dict:
    inputs = {}
    for k in range(n):
        folder = tmp_path / f"resample {k}"
        folder.mkdir()
        free = np.full((4, 3), 0.9 - 0.01 * k)  # probability of N0
        np.save(folder / "risk.npy", free)
        np.save(folder / "index.npy", np.array([0, 0, 1, 1]))
        inputs[f"resample {k}"] = folder
    return inputs_of(StepKind.FIT_RESAMPLE, inputs)


def test_the_spread_is_of_any_node_over_refits_without_the_patient(tmp_path):
    spread, _, _ = _spreads(refits(tmp_path, FEWEST_REFITS))
    any_node = 0.1 + 0.01 * np.arange(FEWEST_REFITS)
    expected = np.std(np.log(any_node / (1 - any_node)), ddof=1)
    assert np.isnan(spread[:2]).all()  # they are in every resample
    assert spread[2:] == pytest.approx([expected, expected])


def test_too_few_refits_give_nobody_an_interval(tmp_path):
    assert _spreads(refits(tmp_path, FEWEST_REFITS - 1)) is None


def stages(any_node: dict[str, float]) -> pd.DataFrame:
    """A third of the risk of any node is N2's."""
    risk = pd.Series(any_node)
    return pd.DataFrame({"N0": 1 - risk, "N1": risk * 2 / 3, "N2": risk / 3})


def with_intervals(tmp_path) -> Inputs:
    folder = tmp_path / "intervals"
    folder.mkdir()
    rows = [
        {"patient": p, "target": t, "lower": low, "centre": 0.9, "upper": up}
        for p, low, up in (("A", 0.7, 0.9), ("B", 0.5, 0.6))
        for t in ("N0", "N1", "N2")
    ]
    pd.DataFrame(rows).to_parquet(folder / "intervals.parquet")
    return inputs_of(StepKind.FIT_INTERVALS, {"intervals": folder})


def test_an_interval_is_of_the_true_risk_of_any_node_and_reaches_to_the_risk(tmp_path):
    risk = stages({"A": 0.15, "B": 0.3})
    found = _intervals(with_intervals(tmp_path), ["A", "B", "C"], risk)
    assert found.kind == "true risk"
    a, b = found.of["A"].any_node, found.of["B"].any_node
    assert a.ends == pytest.approx((0.1, 0.3))
    assert b.ends == pytest.approx((0.3, 0.5))
    assert (a.value, b.value) == pytest.approx((0.15, 0.3))
    assert found.of["A"].n2.ends == pytest.approx((0.05, 0.9))  # as given, reaching to the risk
    assert found.of["A"].n2.value == pytest.approx(0.05)


def test_without_interval_refits_it_is_of_the_models_own(tmp_path):
    inputs = refits(tmp_path, FEWEST_REFITS)
    found = _intervals(inputs, list("ABCD"), stages(dict.fromkeys("ABCD", 0.2)))
    assert found.kind == "refits"
    assert found.of["A"] is None
    lower, upper = found.of["D"].any_node.ends
    assert lower < 0.2 < upper
    assert _intervals(Inputs(()), list("ABCD"), stages(dict.fromkeys("ABCD", 0.2))) is None


@pytest.mark.parametrize(
    ("risk", "silent", "shown"),
    [
        (NodalRisks(any_node=Estimate(value=0.2, lower=0.1, upper=0.3)), "", 0.2),
        (NodalRisks(any_node=Estimate(value=0.2, lower=0.1, upper=0.3)), "a reason", None),
        (None, "", None),
    ],
)
def test_a_risk_is_shown_with_its_interval_or_not_at_all(risk, silent, shown):
    row = pd.Series({"tumour_size_mm": 20.0, "central": 0, "pet_ct": 1})
    told = _patient(
        "P", row, risk, silent, StagingLimits(), evidence="400 patients", interval="spread"
    )
    assert told["value"] == shown
    assert told["verdict"] == "optional"
    if shown is not None:
        assert "metastasis 20 % (spread 10 % to 30 %)" in " ".join(told["text"])
    if shown is None:
        assert (silent or "its interval is unknown") in told["abstains"]


def test_centrality_is_of_the_patients_whose_scan_tells_it(tmp_path):
    folders = {}
    for name, central in (("A", True), ("B", False), ("C", None)):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        measured = {}
        if central is not None:
            measured = {
                "central": central,
                "central_definition": "hilum_centre_two_thirds",
                "central_value": 0.5 if central else 0.8,
                "central_limit": 2 / 3,
                "central_bronchi_2cm": False,
            }
        SCAN.write(folders[name], {"patient": name, "measured": measured})
    found = _places(inputs_of(StepKind.MEASURE_SCANS, folders))
    assert set(found) == {"A", "B"}
    told = _centrality("inner two thirds", list(found.values()))
    assert told == {"definition": "inner two thirds", "measured": 2, "central": 1, "disagree": 1}
    row = pd.Series({"tumour_size_mm": 20.0, "central": 1, "pet_ct": 1})
    risk = NodalRisks(any_node=Estimate(value=0.2, lower=0.1, upper=0.3))
    limits = StagingLimits()
    view = _patient(
        "A", row, risk, "", limits, evidence="400 patients", interval="spread", place=found["A"]
    )
    assert view["central_value"] == 0.5
    assert "0.50 of the way" in " ".join(view["text"])
