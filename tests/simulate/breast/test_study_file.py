"""The study file of a simulated breast cohort: valid, and sized to its patients."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.study_file import study_toml
from metasight.study.file import StudySettings
from metasight.study.vault import with_key


def keyed(**changes) -> dict:
    return with_key(told(**changes), Path())


def told(**changes) -> dict:
    return tomllib.loads(study_toml(BreastSettings(**changes), 7))


@pytest.mark.parametrize("patients", [16, 59, 60, 100, 400])
@pytest.mark.parametrize("centres", [1, 3])
def test_a_study_accepts_it_and_its_headline_is_a_model_of_it(patients, centres):
    study = StudySettings.model_validate(keyed(patients=patients, centres=centres))
    names = {m.name for m in study.model}
    assert study.analysis.headline_model in names
    assert study.analysis.reference_model in names
    assert (study.analysis.single_centre_reason is not None) == (centres == 1)


@pytest.mark.parametrize(("patients", "embeds"), [(59, False), (60, True)])
def test_below_sixty_patients_no_tiles_are_embedded(patients, embeds):
    found = told(patients=patients)
    assert ("embeddings" in found["slides"]) == embeds
    read = {m for model in found["model"] for m in model.get("modalities", ())}
    assert ("embedding" in read) == embeds


@pytest.mark.parametrize(("share", "waived"), [(0.7, True), (1.0, False)])
def test_missing_pairs_are_waived_with_a_reason_and_whole_cohorts_waive_nothing(share, waived):
    found = told(pair_fraction=share)
    assert set(found.get("waive", {})) == ({"I6", "E7"} if waived else set())


@pytest.mark.parametrize(("patients", "repeats"), [(99, 1), (100, 3)])
def test_larger_cohorts_are_split_more_often(patients, repeats):
    assert told(patients=patients)["analysis"]["repeats"] == repeats
