"""A patient with other values: the locked model's own risk, within the training patients' range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from metasight import bundle
from metasight.bundle.predict import patient_features
from metasight.errors import StudyError
from metasight.features.columns import FeatureTable
from metasight.report.wording import percent
from metasight.serve.last_run import LastRun
from metasight.serve.what_if import WhatIf, spelt
from metasight.steps.cohort.data import load_data
from metasight.study.file import read_study


@pytest.fixture(scope="module")
def run(finished_folder: Path) -> LastRun:
    return LastRun(read_study(finished_folder))


@pytest.fixture(scope="module")
def patient(run: LastRun) -> str:
    assert run.headline is not None
    return load_data(run.folder(run.headline.data))[0].patients[3]


def test_nothing_changed_is_the_locked_models_risk(run: LastRun, patient: str) -> None:
    found = WhatIf(run, patient).answer({})
    assert found.changed == ()
    assert all(recorded == other for _, recorded, other in found.risks)
    assert all("(" in recorded for _, recorded, _ in found.risks)


def test_another_value_gives_the_risk_of_a_patient_who_has_it(run: LastRun, patient: str) -> None:
    asked = WhatIf(run, patient)
    size = next(c for c in asked.choices if c.name == "tumour_size_mm")
    assert size.low is not None and size.high is not None
    found = asked.answer({"tumour_size_mm": f"{size.high:g}"})
    assert found.changed == (f"{size.label}: {size.high:g}",)
    locked = bundle.read(run.published / "bundle")
    assert run.headline is not None
    table = patient_features(locked, load_data(run.folder(run.headline.data))[0].features)
    values = table.values.loc[[patient]].assign(tumour_size_mm=size.high)
    horizons = np.asarray(locked.horizons_days)
    model = locked.model(locked.headline_model)
    expected = model.predict(FeatureTable(values, table.features), horizons)[0]
    for (_, _, other), risk in zip(found.risks, expected, strict=True):
        assert other.startswith(percent(float(risk), 1))


def test_values_beyond_the_training_patients_are_refused(run: LastRun, patient: str) -> None:
    asked = WhatIf(run, patient)
    size = next(c for c in asked.choices if c.name == "tumour_size_mm")
    assert size.high is not None
    for text in (f"{size.high + 1:g}", "-1", "nan", "inf", "x"):
        with pytest.raises(StudyError, match=r"within those of the patients"):
            asked.answer({"tumour_size_mm": text})
    grade = next(c for c in asked.choices if c.levels)
    with pytest.raises(StudyError, match="not a value that occurs"):
        asked.answer({grade.name: "17"})


def test_what_the_model_does_not_read_changes_nothing(run: LastRun, patient: str) -> None:
    assert WhatIf(run, patient).answer({"no_such_thing": "1", "tumour_size_mm": ""}).changed == ()


def test_a_patient_who_is_not_analysed_has_none(run: LastRun) -> None:
    with pytest.raises(StudyError, match="not analysed"):
        WhatIf(run, "P" + "0" * 16)


def test_columns_that_no_protocol_names_are_spelt_out() -> None:
    assert spelt("ct_solid_size_mm") == "CT solid size (mm)"
    assert spelt("gene_ESR1") == "Gene ESR1"
    assert spelt("lesion_mean_hu") == "Lesion mean (HU)"


def test_ends_of_a_range_lie_within_it(run: LastRun, patient: str) -> None:
    assert run.headline is not None
    values = load_data(run.folder(run.headline.data))[0].features.values
    for choice in WhatIf(run, patient).choices:
        if choice.low is not None and choice.high is not None:
            seen = values[choice.name].dropna()
            assert seen.min() - 1e-9 <= choice.low < choice.high <= seen.max() + 1e-9
            assert (choice.high - choice.low) > 0.97 * (seen.max() - seen.min())
