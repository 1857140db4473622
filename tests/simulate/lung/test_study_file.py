"""The study file of a simulated lung cohort: valid, and no more than its patients can bear."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from metasight.simulate.lung.settings import LungSettings
from metasight.simulate.lung.study_file import study_toml
from metasight.study.file import StudySettings
from metasight.study.vault import with_key


def keyed(**changes) -> dict:
    return with_key(told(**changes), Path())


def told(**changes) -> dict:
    return tomllib.loads(study_toml(LungSettings(**changes), 7))


@pytest.mark.parametrize("patients", [24, 99, 100, 400])
@pytest.mark.parametrize("genes", [0, 240])
def test_a_study_accepts_it(patients, genes):
    study = StudySettings.model_validate(keyed(patients=patients, genes=genes))
    names = [m.name for m in study.model]
    assert len(set(names)) == len(names)
    assert {"clinical", "clinical + scan"} <= set(names)


def test_what_a_radiologist_read_is_measured_instead():
    columns = told()["columns"]
    assert "age_years" in columns
    assert not {"solid_size_mm", "ctr", "suvmax", "pure_ground_glass"} & set(columns)


@pytest.mark.parametrize(("patients", "fused"), [(99, False), (100, True)])
def test_below_a_hundred_patients_nothing_is_fused(patients, fused):
    models = {m["name"]: m["kind"] for m in told(patients=patients)["model"]}
    assert models["clinical + scan"] == ("modality_ridge" if fused else "ordinal")
    assert ("stacked" in models.values()) == fused
    assert ("clinical + scan, stacked" in models) == fused


@pytest.mark.parametrize(("patients", "abstains"), [(79, False), (80, True), (200, True)])
def test_small_folds_cannot_tell_what_is_unlike(patients, abstains):
    model = next(m for m in told(patients=patients)["model"] if m["name"] == "clinical + scan")
    assert ("abstain_by" in model) == abstains


@pytest.mark.parametrize("centres", [1, 3])
def test_one_centre_has_a_reason(centres):
    assert ("single_centre_reason" in told(centres=centres)["analysis"]) == (centres == 1)


def test_the_salt_is_the_seeds_and_expression_comes_only_with_genes():
    settings = LungSettings(genes=0)
    one, other = (tomllib.loads(study_toml(settings, seed)) for seed in (1, 2))
    assert one["salt"] != other["salt"]
    assert "biology" not in one
    assert told(genes=240)["biology"]["expression"] in told(genes=240)["modalities"]
