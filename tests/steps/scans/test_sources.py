"""Which scans still want a record, and what the headers of one give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metasight.cohort.scan_table import LesionRow, PatientScans, SeriesRow
from metasight.cohort.settings import ScanSettings
from metasight.engine.contents import Contents
from metasight.engine.step import Step
from metasight.plan.scans import measure_step
from metasight.steps.scans import sources
from metasight.steps.scans.patient import ScanArgument
from metasight.steps.scans.sources import record_sources, unrecorded
from metasight.study.sources import FOLDER, read_source
from metasight.volumes.ct_limits import CtLimits
from scan_files import Field, sphere, write_ct, write_pet, write_rtstruct

Z = np.arange(-30, 31, 5.0)


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    folder = tmp_path / "vault"
    folder.mkdir(mode=0o700)
    return folder


def step(**scans: object) -> Step:
    given = {"patient": "P", "ct": None, "pet": None, "lesion": None} | scans
    argument = ScanArgument(
        scans=PatientScans(**given),  # type: ignore[arg-type]
        settings=ScanSettings(path="scans.csv", id="patient").recipe(),
        limits=CtLimits(),
    )
    return measure_step(argument, Contents())


def recorded(vault: Path, *steps: Step) -> None:
    record_sources(vault, unrecorded(vault, steps))


def test_each_dicom_scan_of_a_step_wants_one_record(vault: Path, tmp_path: Path) -> None:
    write_ct(tmp_path / "ct", Z)
    both = step(ct=tmp_path / "ct", pet=write_pet(tmp_path / "pet", Field()))
    nifti = step(ct=tmp_path / "ct.nii.gz", patient="Q")
    other = Step(name="other", label="other", function=measure_step)
    wanted = unrecorded(vault, [both, nifti, other, step(patient="R")])
    assert [(w.step, w.kind) for w in wanted] == [(both.key, "CT"), (both.key, "PET")]
    recorded(vault, both, nifti)
    assert unrecorded(vault, [both, nifti]) == ()


def test_without_a_vault_and_without_scans_no_folder_is_made(vault: Path, tmp_path: Path) -> None:
    write_ct(tmp_path / "ct", Z)
    assert unrecorded(None, [step(ct=tmp_path / "ct")]) == ()
    record_sources(None, ())
    assert unrecorded(vault, []) == ()
    assert not (vault / FOLDER).exists()


def test_it_is_the_series_that_the_lesion_was_drawn_on(vault: Path, tmp_path: Path) -> None:
    """By rule the thin one would be read."""
    thick = write_ct(tmp_path / "ct", Z, series="thick")
    thin = write_ct(tmp_path / "ct", np.arange(-30, 31, 1.0), series="thin")
    file = write_rtstruct(tmp_path / "rt.dcm", {"GTV-1": sphere(Z)}, of=thick)
    lesion = LesionRow(path=file, region="", point_mm=None, corner_mm=None)
    drawn = step(ct=tmp_path / "ct", lesion=lesion)
    ruled = step(ct=tmp_path / "ct")
    named = step(ct=tmp_path / "ct", ct_series=SeriesRow(series=thick.uid))
    recorded(vault, drawn, ruled, named)
    found = [read_source(vault, s.key, "CT").series_uid for s in (drawn, ruled, named)]
    assert found == [thick.uid, thin.uid, thick.uid]


def test_a_lesion_that_cannot_be_opened_chooses_no_series(vault: Path, tmp_path: Path) -> None:
    ct = write_ct(tmp_path / "ct", Z)
    lesion = LesionRow(path=tmp_path / "gone.dcm", region="", point_mm=None, corner_mm=None)
    one = step(ct=tmp_path / "ct", lesion=lesion)
    recorded(vault, one)
    assert read_source(vault, one.key, "CT").instance_uids == ct.sop_uids


@pytest.mark.parametrize("error", [KeyError, MemoryError, RecursionError])
def test_whatever_a_damaged_scan_raises_it_is_opened_once(
    vault: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fails(_: Path) -> None:
        raise error("Meier^Anna")

    monkeypatch.setattr(sources, "find_series", fails)
    one = step(ct=tmp_path)
    recorded(vault, one)
    found = read_source(vault, one.key, "CT")
    assert (found.series_uid, found.instance_uids) == ("", ())
    assert unrecorded(vault, [one]) == ()


def test_slices_that_make_no_stack_have_no_record(vault: Path, tmp_path: Path) -> None:
    write_ct(tmp_path / "ct", [0.0, 1.0, 2.5, 7.0])
    one = step(ct=tmp_path / "ct")
    recorded(vault, one)
    assert read_source(vault, one.key, "CT").series_uid == ""
