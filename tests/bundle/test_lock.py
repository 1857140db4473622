"""What is locked: everything that a new patient needs, and no patient of training."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from metasight import bundle
from metasight.bundle.lock import by_month, pack
from metasight.cohort.overlap import key_from
from metasight.models.hazards import CauseHazard, HazardHead
from metasight.study.file import read_study


def test_it_holds_protocol_settings_refits_and_what_made_it(developed):
    locked = bundle.read(developed / "results" / "latest" / "bundle")
    study = read_study(developed)
    assert locked.protocol == study.protocol
    assert locked.settings.analysis == study.settings.analysis
    assert len(locked.refits) == 22
    assert {len(b) for b in locked.patient_intervals().refits.values()} == {200}
    assert locked.headline_model == "forest"
    assert locked.training.patients == 150
    assert locked.training.centres == 2
    assert set(locked.versions) >= {"numpy", "scikit-learn", "python", "metasight"}
    bill = json.loads((developed / "results/latest/bundle/sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {"numpy", "scikit-learn"} <= {c["name"] for c in bill["components"]}


def test_no_identifier_no_salt_and_no_day_of_any_patient(developed):
    """Times of events are those of ends of months or horizons."""
    table = pd.read_csv(developed / "patients.csv", dtype=str)
    folder = developed / "results" / "latest" / "bundle"
    text = "".join(p.read_text() for p in folder.rglob("*") if p.is_file())
    assert not any(i in text for i in table["id"])
    assert "a salt for tests" not in text
    state = json.loads((folder / "models" / "clinical.json").read_text())
    times = state["head"]["causes"][0]["times"]
    locked = bundle.read(folder)
    known = {*locked.horizons_days, *locked.grid_days}
    months = [t for t in times if t not in known]
    assert np.allclose(np.array(months) / 30.4375, np.round(np.array(months) / 30.4375), atol=1e-3)


def test_a_risk_is_what_it_was_at_every_horizon():
    rng = np.random.default_rng(0)
    times = np.sort(rng.choice(np.arange(1, 4000), 300, replace=False)).astype(float)
    cause = CauseHazard(
        coefficients=np.array([0.5]), times=times, increments=rng.uniform(0, 0.002, 300)
    )
    matrix = rng.normal(size=(20, 1))
    horizons = np.array([183, 1826, 3652])
    head = HazardHead(scale="survival", causes=(cause,), fit={})
    moved = HazardHead.from_state(by_month(head.state, horizons.tolist()))
    assert len(moved.causes[0].times) < 150
    np.testing.assert_allclose(
        moved.risk(matrix, horizons), head.risk(matrix, horizons), atol=1e-12
    )


def test_a_cumulative_incidence_moves_in_its_third_digit_at_most():
    rng = np.random.default_rng(1)
    causes = tuple(
        CauseHazard(
            coefficients=np.array([b]),
            times=np.sort(rng.choice(np.arange(1, 4000), 200, replace=False)).astype(float),
            increments=1 / np.linspace(600, 200, 200),
        )
        for b in (0.4, -0.2)
    )
    head = HazardHead(scale="product_integral", causes=causes, fit={})
    matrix, horizons = rng.normal(size=(50, 1)), np.array([1826, 3652])
    moved = HazardHead.from_state(by_month(head.state, horizons.tolist()))
    apart = np.abs(moved.risk(matrix, horizons) - head.risk(matrix, horizons)).max()
    assert 0 < apart < 2e-3


def test_the_zip_is_the_folder_and_the_same_bytes_each_time(developed, tmp_path):
    folder = developed / "results" / "latest" / "bundle"
    for name in ("one.zip", "two.zip"):
        pack(folder, tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert (tmp_path / "one.zip").read_bytes() == (folder.parent / "bundle.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
        assert set(archive.namelist()) == there


def test_marks_of_training_patients_are_sorted_and_of_no_order(developed):
    locked = bundle.read(developed / "results" / "latest" / "bundle")
    assert locked.overlap["key"] == key_from("a salt for tests")
    assert len(set(locked.overlap["marks"])) == 2 * 150
    assert list(locked.overlap["marks"]) == sorted(locked.overlap["marks"])


@pytest.mark.parametrize(("risk", "low", "high"), [(0.0, 0, 0), (1.0, 100, 100)])
def test_the_ends_of_the_standing(developed, risk, low, high):
    locked = bundle.read(developed / "results" / "latest" / "bundle")
    target = str(locked.horizons_days[0])
    assert low <= locked.standing.percentile(target, risk) <= high
    assert locked.standing.percentile("12", risk) is None
