"""Another folder's patients are measured by the bundle's recipe, and nothing is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from metasight import bundle
from metasight.bundle.recipe import study_of
from metasight.cohort.settings import CohortSettings
from metasight.engine.contents import Contents
from metasight.engine.step import StepKind
from metasight.errors import StudyError
from metasight.maps.generator import WEIGHTS
from metasight.plan.analysis import cohort_step
from metasight.plan.predicting import predict_step
from metasight.plan.scans import scan_steps
from metasight.plan.slides import slide_steps
from metasight.plan.validation import external_data, external_step
from metasight.protocol.load import read_protocol
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.study_file import study_toml as breast_toml
from metasight.simulate.lung.settings import LungSettings
from metasight.simulate.lung.study_file import study_toml as lung_toml
from metasight.study.file import read_study

MAPS = "\n[slides.maps]\nfolds = 3\nsteps = 30\n"


def study_folder(
    folder: Path, text: str, table: str, rows: list[tuple], columns: list[str]
) -> Path:
    folder.mkdir()
    (folder / "study.toml").write_text(text)
    pd.DataFrame(rows, columns=columns).to_csv(folder / table, index=False)
    for name in ("patients.csv", "expression.csv"):
        (folder / name).write_text("patient,place\nA,1\nB,1\nC,1\nD,1\nE,1\nF,1\n")
    (folder / "gene_sets.gmt").write_text("SET\tx\tG1\n")
    return folder


@pytest.fixture
def breast(tmp_path: Path) -> Path:
    rows = [(p, f"{p}.svs", "H&E", "") for p in "ABC"]
    rows += [(p, f"{p}.tif", "fluorescence", "Pan-CK;CD3;CD20") for p in "ABC"]
    return study_folder(
        tmp_path / "breast",
        breast_toml(BreastSettings(), 1),
        "slides.csv",
        rows,
        ["patient", "file", "stain", "markers"],
    )


@pytest.fixture
def lung(tmp_path: Path) -> Path:
    rows = [("A", "CT", "A", "", "", "", ""), ("A", "mask", "", "", "1", "2", "3")]
    return study_folder(
        tmp_path / "lung",
        lung_toml(LungSettings(genes=20), 1),
        "scans.csv",
        rows,
        ["patient", "kind", "path", "roi", "x_mm", "y_mm", "z_mm"],
    )


def locked_for(developed: Path, folder: Path, generator: Path | None = None) -> bundle.Bundle:
    """A bundle with another study's settings and protocol."""
    study = read_study(folder)
    base = bundle.read(developed / "results" / "latest" / "bundle")
    return replace(
        base,
        settings=study.settings,
        protocol=study.protocol,
        endpoint=study.protocol.primary.name,
        generator=generator,
    )


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    folder = tmp_path / "generator"
    folder.mkdir()
    (folder / WEIGHTS).write_bytes(b"weights")
    return folder


def steps_of(locked, study):
    contents = Contents()
    images = (*slide_steps(study, contents), *scan_steps(study, contents))
    cohort = cohort_step(study, images, contents)
    analysis = external_data(study, locked, cohort, contents)
    judged = external_step(study, locked, study.folder, analysis, contents, opening=1)
    predicted = predict_step(study, locked, study.folder, cohort, contents)
    return [*images, cohort, analysis.data, judged, predicted]


def test_a_developing_study_with_slides_trains_and_its_validation_does_not(
    developed, breast, generator
):
    own = read_study(breast)
    assert own.settings.slides.maps is not None
    kinds = {s.kind for s in slide_steps(own, Contents())}
    assert StepKind.TRAIN_GENERATOR in kinds
    locked = locked_for(developed, breast, generator)
    steps = steps_of(locked, study_of(locked, breast, own.settings.cohort()))
    assert not [s.name for s in steps if s.kind.learns or s.kind is StepKind.COLLECT_TILES]
    painted = [s for s in steps if s.kind is StepKind.PAINT_MAP]
    assert len(painted) == 3
    assert all(s.argument.generator == generator for s in painted)


def test_without_a_generator_nothing_is_painted_and_nothing_trained(developed, breast):
    locked = locked_for(developed, breast)
    steps = steps_of(locked, study_of(locked, breast, read_study(breast).settings.cohort()))
    assert not [s.name for s in steps if s.kind.learns]
    assert StepKind.PAINT_MAP not in {s.kind for s in steps}


def test_a_validation_on_scans_trains_nothing(developed, lung):
    locked = locked_for(developed, lung)
    steps = steps_of(locked, study_of(locked, lung, read_study(lung).settings.cohort()))
    assert not [s.name for s in steps if s.kind.learns]
    assert StepKind.MEASURE_SCANS in {s.kind for s in steps}


def changed(theirs: CohortSettings, part: str, **values: object) -> CohortSettings:
    own = getattr(theirs, part)
    given = {**own.model_dump(exclude_unset=True), **values}
    return theirs.model_copy(update={part: type(own)(**given)})


@pytest.mark.parametrize(
    ("name", "value"),
    [("suv", "SUVlbm"), ("max_missing_slices", 9), ("radiomics", True), ("kernel", "sharp")],
)
def test_scans_measured_otherwise_are_refused_by_name(developed, lung, name, value):
    locked = locked_for(developed, lung)
    theirs = changed(read_study(lung).settings.cohort(), "scans", **{name: value})
    with pytest.raises(
        StudyError, match=rf"\[scans\]: {name} differs from the settings of the locked models"
    ):
        study_of(locked, lung, theirs)


def test_the_same_setting_given_once_more_is_no_difference(developed, lung):
    locked = locked_for(developed, lung)
    theirs = changed(read_study(lung).settings.cohort(), "scans", suv="SUVbw")
    assert study_of(locked, lung, theirs).settings.scans.suv == "SUVbw"


def test_thresholds_of_another_laboratory_are_refused(developed, breast, generator):
    locked = locked_for(developed, breast, generator)
    theirs = changed(read_study(breast).settings.cohort(), "slides", thresholds={"CD3": 0.4})
    with pytest.raises(StudyError, match=r"\[slides\]: thresholds differs from"):
        study_of(locked, breast, theirs)


def test_how_a_hospital_names_its_files_and_columns_is_its_own(developed, lung):
    locked = locked_for(developed, lung)
    theirs = changed(read_study(lung).settings.cohort(), "scans", file="where", folder="pacs")
    found = study_of(locked, lung, theirs).settings
    assert (found.scans.file, found.scans.folder) == ("where", "pacs")
    assert found.analysis == locked.settings.analysis
    assert found.key == theirs.key


def test_images_that_the_models_read_nothing_of_are_refused(developed, breast, lung):
    locked = locked_for(developed, lung)
    with pytest.raises(
        StudyError, match=r"\[slides\] is given, but the locked models do not use it"
    ):
        study_of(locked, breast, read_study(breast).settings.cohort())


def test_an_encoder_of_other_weights_is_refused(developed, breast, tmp_path):
    text = (breast / "study.toml").read_text()
    given = '[slides.embeddings]\nencoder = "uni"\nweights = "uni.bin"\nsha256 = "{}"\n\n'
    start = text.index("[columns]")
    (breast / "study.toml").write_text(text[:start] + given.format("a" * 64) + text[start:])
    locked = locked_for(developed, breast)
    (breast / "study.toml").write_text(text[:start] + given.format("b" * 64) + text[start:])
    with pytest.raises(StudyError, match=r"the encoder differs .*sha256 aaaa"):
        study_of(locked, breast, read_study(breast).settings.cohort())
    (breast / "study.toml").write_text(text)
    with pytest.raises(StudyError, match="weights a bundle may not carry"):
        study_of(locked, breast, read_study(breast).settings.cohort())


def test_the_protocol_is_the_bundles(developed, lung):
    locked = locked_for(developed, lung)
    assert study_of(locked, lung, read_study(lung).settings.cohort()).protocol == locked.protocol
    assert locked.protocol == read_protocol("nsclc-occult-node")
