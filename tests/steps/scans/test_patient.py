"""What reading a patient's scans makes of the CT's quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.dataset import Dataset

from metasight.cohort.reader_decisions import ReaderDecision
from metasight.cohort.reader_lesions import AcceptedLesion
from metasight.cohort.scan_table import LesionRow, PatientScans
from metasight.cohort.settings import ScanSettings
from metasight.ledger import Fate
from metasight.lesions.disagreement import Disagreement
from metasight.lesions.measured import measure
from metasight.steps.files import read_json
from metasight.steps.scans import patient
from metasight.steps.scans.patient import ScanArgument, measure_scans
from metasight.volumes.ct_limits import CtLimits
from metasight.volumes.mask_file import load_mask
from metasight.volumes.volume import Mask, Volume
from scan_files import sphere, write_ct, write_rtstruct

pytestmark = pytest.mark.usefixtures("no_child")  # readers are replaced here


@pytest.mark.parametrize(
    ("verdict", "fate", "poor"),
    [("passed", "kept", False), ("failed", "excluded", True), ("unknown", "unknown", None)],
)
def test_unknown_quality_is_neither_good_nor_poor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, fate: str, poor: bool | None
) -> None:
    ct = SimpleNamespace(spacing_mm=(1.0, 1.0, 2.0), facts=SimpleNamespace(choice=()))
    quality = SimpleNamespace(
        verdict=verdict, contrast="no", kernel="soft", reasons=("a reason",), findings=()
    )
    monkeypatch.setattr(patient, "read_ct", lambda *_, **__: ct)
    monkeypatch.setattr(patient, "ct_quality", lambda *_: quality)
    scans = PatientScans(patient="P", ct=tmp_path / "ct", pet=None, lesion=None)
    argument = ScanArgument(
        scans=scans, settings=ScanSettings(path="scans.csv", id="patient"), limits=CtLimits()
    )
    measure_scans({}, tmp_path, argument)
    found = read_json(tmp_path / "scan.json")
    assert found["format"] == 1
    assert found["evidence"] == {"ct_quality_poor": poor}
    row = found["ledger"][0]
    assert (row["item"], row["verdict"], row["reason"]) == ("CT", fate, "a reason")
    # a CT that is not known to be poor is measured all the same
    assert any(e["item"] == "lesion" for e in found["ledger"]) == (verdict != "failed")


def test_a_radiologist_s_verdict_stands_in_place_of_the_rule_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct = SimpleNamespace(spacing_mm=(1.0, 1.0, 2.0), facts=SimpleNamespace(choice=()))
    quality = SimpleNamespace(
        verdict="failed", contrast="no", kernel="soft", reasons=("too noisy",), findings=()
    )
    monkeypatch.setattr(patient, "read_ct", lambda *_, **__: ct)
    monkeypatch.setattr(patient, "ct_quality", lambda *_: quality)
    decision = ReaderDecision(
        verdict=Fate.KEPT,
        replaces=Fate.EXCLUDED,
        reader="EF",
        day="2026-03-04",
        reason="noise lies outside the lungs",
    )
    argument = replace(argument_of(tmp_path), decision=decision)
    measure_scans({}, tmp_path, argument)
    found = read_json(tmp_path / "scan.json")
    assert found["evidence"] == {"ct_quality_poor": False}
    row = found["ledger"][0]
    assert (row["verdict"], row["who"], row["replaced"]) == ("kept", "EF", "excluded")
    assert any(e["item"] == "lesion" for e in found["ledger"])  # and it is measured


def argument_of(tmp_path: Path, **scans: object) -> ScanArgument:
    given = {"patient": "P", "ct": tmp_path / "ct", "pet": None, "lesion": None} | scans
    return ScanArgument(
        scans=PatientScans(**given),  # type: ignore[arg-type]
        settings=ScanSettings(path="scans.csv", id="patient"),
        limits=CtLimits(),
    )


@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyError, RecursionError])
def test_whatever_a_file_raises_is_its_own_row_without_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error("Meier^Anna, MRN-4711")

    monkeypatch.setattr(patient, "read_ct", fails)
    measure_scans({}, tmp_path, argument_of(tmp_path))
    (row,) = read_json(tmp_path / "scan.json")["ledger"]
    assert (row["item"], row["verdict"], row["value"]) == ("CT", "failed", error.__name__)
    assert "Meier" not in str(row) and "MRN" not in str(row)


@pytest.mark.parametrize("name", ["x" * 300, "none"])
def test_a_path_that_cannot_be_is_a_row(tmp_path: Path, name: str) -> None:
    measure_scans({}, tmp_path, argument_of(tmp_path, ct=tmp_path / name))
    (row,) = read_json(tmp_path / "scan.json")["ledger"]
    assert (row["item"], row["verdict"]) == ("CT", "failed")
    assert name not in row["reason"]


# ------------------------------------------------------------------ canaries

CANARY = "Canary^Meier"
DATE = "19520317"
TEXTS = (
    "PatientName PatientID OtherPatientIDs PatientAddress PatientComments InstitutionName "
    "InstitutionAddress ReferringPhysicianName PerformingPhysicianName OperatorsName "
    "StudyDescription SeriesDescription StudyID AccessionNumber ProtocolName StationName "
    "DeviceSerialNumber RequestedProcedureDescription ImageComments PhysiciansOfRecord "
    "ConvolutionKernel FilterType BodyPartExamined ManufacturerModelName Manufacturer "
    "ContrastBolusAgent InstitutionalDepartmentName PerformedProcedureStepDescription "
    "NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription SoftwareVersions "
    "AdditionalPatientHistory Occupation SeriesNumber "
)


def planted(data: Dataset, _: int) -> None:
    for tag in TEXTS.split():
        value = "4711" if tag == "SeriesNumber" else CANARY[:16]
        setattr(data, tag, value)
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = DATE


def spoil_nothing(folder: Path) -> None:
    del folder


def spoil_a_modality(folder: Path) -> None:
    data = dcmread(min(folder.iterdir()))
    data.Modality = "CANARYMEIER"
    data.save_as(min(folder.iterdir()))


def spoil_a_slice(folder: Path) -> None:
    min(folder.iterdir()).unlink()
    (folder / f"{CANARY}.dcm").write_bytes(sorted(folder.iterdir())[4].read_bytes()[:-500])


def spoil_lengths(folder: Path) -> None:
    """A wrong length byte pulls what follows into the modality."""
    for file in sorted(folder.iterdir())[:3]:
        content = bytearray(file.read_bytes())
        place = content.index(b"\x08\x00\x60\x00CS") + 6
        content[place] = 120
        file.write_bytes(bytes(content))


@pytest.mark.parametrize("spoil", [spoil_nothing, spoil_a_modality, spoil_a_slice, spoil_lengths])
@pytest.mark.parametrize("roi", ["", f"{CANARY} 1", "9", f"gtv {CANARY}"])
@pytest.mark.filterwarnings("ignore:Invalid value", "ignore:The value length")
def test_no_text_of_a_file_reaches_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], roi: str
) -> None:
    z_mm = np.arange(-30, 31, 5.0)
    ct = write_ct(tmp_path / CANARY / "ct", z_mm, edit=planted)
    regions = {f"GTV {CANARY} {DATE}": sphere(z_mm), f"{CANARY} 1": sphere(z_mm)}
    rt = write_rtstruct(tmp_path / CANARY / "rt.dcm", regions, of=ct)
    spoil(ct.folder)
    good = SimpleNamespace(
        verdict="passed", contrast="no", kernel="unknown", reasons=(), findings=()
    )
    monkeypatch.setattr(patient, "ct_quality", lambda *_: good)
    lesion = LesionRow(path=rt, region=roi, point_mm=None, corner_mm=None)
    out = tmp_path / "out"
    out.mkdir()
    measure_scans({}, out, argument_of(tmp_path, ct=ct.folder, lesion=lesion))
    for file in out.iterdir():
        content = file.read_bytes().lower()
        for secret in (b"canary", b"meier", DATE.encode(), ct.uid.encode(), b"4711"):
            assert secret not in content, (file.name, secret)
    rows = read_json(out / "scan.json")["ledger"]
    assert rows


# ------------------------------------------------------------------ several lesions


def with_lesions(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    radii: tuple,
    accepted: AcceptedLesion | None = None,
) -> dict:
    """``scan.json`` of a patient with spheres of some radii; a radius of 0 cannot be read."""
    z_mm = np.arange(-30, 31, 2.5)
    ct = write_ct(tmp_path / "ct", z_mm)
    regions = {f"ROI {n}": sphere(z_mm, r or 1.0) for n, r in enumerate(radii)}
    rt = write_rtstruct(tmp_path / "rt.dcm", regions, of=ct)
    good = SimpleNamespace(
        verdict="passed", contrast="no", kernel="unknown", reasons=(), findings=()
    )
    monkeypatch.setattr(patient, "ct_quality", lambda *_: good)
    rows = [
        LesionRow(path=rt, region=f"ROI {n}" if r else "not there", point_mm=None, corner_mm=None)
        for n, r in enumerate(radii)
    ]
    argument = argument_of(
        tmp_path,
        ct=ct.folder,
        lesion=rows[0],
        further_lesions=tuple(rows[1:]),
        several_lesions=rule,
    )
    out = tmp_path / "out"
    out.mkdir()
    measure_scans({}, out, replace(argument, accepted=accepted))
    return read_json(out / "scan.json")


def test_a_lesion_that_a_reader_accepted_counts(tmp_path, monkeypatch) -> None:
    accepted = AcceptedLesion(
        path=tmp_path / "mask.mha",
        replaces="lesion of the table of scans",
        reader="AB",
        day="2026-03-01",
        reason="the vessel was left out",
    )
    first = with_lesions(tmp_path, monkeypatch, "first", (5.0, 10.0))
    drawn = load_mask(tmp_path / "out" / "lesion_mask.npz")
    inside = drawn.array.copy()
    inside[:, :, : int(np.argwhere(inside)[:, 2].mean())] = False
    smaller = Mask.from_array(inside, on=drawn)
    sitk.WriteImage(smaller.image, str(accepted.path))
    again = tmp_path / "again"
    again.mkdir()
    found = with_lesions(again, monkeypatch, "first", (5.0, 10.0), accepted)
    assert found["measured"]["tumour_volume_mm3"] < first["measured"]["tumour_volume_mm3"]
    (row,) = [e for e in found["ledger"] if e["item"] == "lesion choice"]
    assert (row["who"], row["when"], row["replaced"]) == ("AB", "2026-03-01", accepted.replaces)
    assert row["reason"] == "the vessel was left out" and row["verdict"] == "kept"
    accepted.path.unlink()
    gone = tmp_path / "gone"
    gone.mkdir()
    found = with_lesions(gone, monkeypatch, "first", (5.0, 10.0), accepted)
    assert found["measured"] == {}  # never silently the table's lesion
    assert {e["verdict"] for e in found["ledger"] if e["item"] == "lesion"} == {"failed"}


@pytest.mark.parametrize(("rule", "size_mm"), [("first", 10.0), ("largest", 20.0)])
def test_the_lesion_that_counts_is_told_and_measured(tmp_path, monkeypatch, rule, size_mm) -> None:
    found = with_lesions(tmp_path, monkeypatch, rule, (5.0, 10.0, 7.5))
    assert found["measured"]["tumour_size_mm"] == pytest.approx(size_mm, abs=1.5)
    (row,) = [e for e in found["ledger"] if e["item"] == "lesion choice"]
    assert row["verdict"] == "kept"
    assert f"several_lesions = {rule}" in row["reason"]
    assert row["value"].startswith("lesion 2 of " if rule == "largest" else "lesion 1")


def test_the_largest_is_not_known_where_one_cannot_be_read(tmp_path, monkeypatch) -> None:
    found = with_lesions(tmp_path, monkeypatch, "largest", (5.0, 0, 7.5))
    rows = {e["item"]: (e["verdict"], e["value"]) for e in found["ledger"]}
    assert rows["lesion choice"] == ("failed", "2 of 3 lesions")
    assert rows["lesion 2"][0] == "failed"
    assert found["measured"] == {}


def test_the_first_counts_though_another_cannot_be_read(tmp_path, monkeypatch) -> None:
    found = with_lesions(tmp_path, monkeypatch, "first", (5.0, 0))
    assert found["measured"]["tumour_size_mm"] == pytest.approx(10.0, abs=1.5)


@pytest.mark.parametrize(("risk", "doubted"), [(0.97, True), (0.01, False)])
def test_an_outline_in_doubt_is_in_ledger_and_measurements(risk: float, doubted: bool) -> None:
    z, y, x = np.ogrid[:30, :30, :30]
    ball = (z - 15) ** 2 + (y - 15) ** 2 + (x - 15) ** 2 <= 36
    ct = Volume.from_array(np.where(ball, 30.0, -850.0), unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    apart = Disagreement(
        n=4,
        dice_distance=0.3,
        size_apart_mm=4.0,
        volume_factor=1.5,
        cut_share=0.4,
        errors={"ctr": 0.1},
        wrong_probability=risk,
    )
    found = measure(ct, Mask.from_array(ball, on=ct)).with_disagreement(apart)
    rows: list[tuple[Any, ...]] = []
    told: Any = SimpleNamespace(note=lambda *row: rows.append(row), evidence={})
    patient._told(told, found)
    (outline,) = [row for row in rows if row[0] == "outline"]
    assert outline[2].startswith("in doubt") is doubted
    assert f"is wrong {risk:.2f}" in outline[3]
    assert told.measured["outline_flagged"] is doubted
    assert told.measures["ctr_error"] == 0.1
