"""A scan judged on its own: the series, how it was taken, every value, or why it is not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metasight.cohort.settings import ScanSettings
from metasight.engine.step import Inputs
from metasight.steps import artefacts
from metasight.steps.scans import checking
from metasight.steps.scans.checking import CheckArgument, check_scans, quality_found
from metasight.steps.scans.reading import read_ct
from metasight.volumes.ct_limits import CtLimits
from metasight.volumes.quality import ct_quality
from scan_files import Field, write_ct, write_labels, write_pet

pytestmark = pytest.mark.usefixtures("no_child")  # readers are replaced here

SETTINGS = ScanSettings(path="scans.csv", id="patient").recipe()
Z = np.arange(-60, 61, 2.5)


def checked(tmp_path: Path, path: Path, **told: Any) -> list[dict[str, Any]]:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    given = {"settings": SETTINGS, "limits": CtLimits()} | told
    check_scans(Inputs(), out, CheckArgument(path=path, **given))
    scans: list[dict[str, Any]] = artefacts.CHECK.read(out)["scans"]
    return scans


def test_a_ct_is_judged_as_in_a_study(tmp_path: Path) -> None:
    write_ct(tmp_path / "ct", Z)
    write_ct(tmp_path / "ct", [0.0, 10.0], series="scout", ImageType=["ORIGINAL", "LOCALIZER"])
    (scan,) = checked(tmp_path, tmp_path / "ct")
    quality = ct_quality(read_ct(tmp_path / "ct", SETTINGS), CtLimits())
    assert scan["findings"] == quality_found(quality)["findings"]
    assert scan["quality"] == "refused" and quality.verdict == "failed"
    assert scan["reasons"] == list(quality.reasons)
    assert scan["modality"] == "CT"
    assert "49 slices of 2.5 mm, kernel B30f" in scan["series"]["chosen"]
    assert "image type localizer" in scan["series"]["left"][0]
    read = scan["read"]
    assert (read["slices"], read["rows"], read["spacing_mm"]) == (49, 96, [2.5, 2.5, 2.5])
    assert (read["kernel"], read["kernel_name"]) == ("smooth", "B30f")


@pytest.mark.parametrize(
    ("verdict", "said"), [("passed", "sufficient"), ("failed", "refused"), ("unknown", "unknown")]
)
def test_each_verdict_has_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, said: str
) -> None:
    class Judged:
        contrast = kernel = "unknown"
        findings = reasons = ()

    Judged.verdict = verdict  # type: ignore[attr-defined]
    monkeypatch.setattr(checking, "ct_quality", lambda *_: Judged)
    write_ct(tmp_path / "ct", Z)
    (scan,) = checked(tmp_path, tmp_path / "ct")
    assert scan["quality"] == said


def test_a_folder_with_ct_and_pet_gives_both(tmp_path: Path) -> None:
    write_ct(tmp_path / "both", Z)
    write_pet(tmp_path / "both", Field(suv=3.0))
    ct, pet = checked(tmp_path, tmp_path / "both")
    assert (ct["modality"], pet["modality"]) == ("CT", "PET")
    assert pet["quality"] == "sufficient" and pet["findings"] == []
    assert pet["read"]["unit"] == "SUVbw"
    assert pet["read"]["highest_suv"] == pytest.approx(3.0, abs=0.01)


def test_a_pet_that_cannot_be_read_does_not_stop_the_ct(tmp_path: Path) -> None:
    def no_weight(data: Any, _: int) -> None:
        del data.PatientWeight

    write_ct(tmp_path / "both", Z)
    write_pet(tmp_path / "both", Field(), edit=no_weight)
    ct, pet = checked(tmp_path, tmp_path / "both")
    assert ct["quality"] == "refused"
    assert pet["quality"] == "failed" and "weight" in pet["reasons"][0]
    assert pet["series"]["chosen"].startswith("series ")  # what was chosen is said all the same


def test_the_unit_of_the_injected_activity_is_the_study_s(tmp_path: Path) -> None:
    def in_mbq(data: Any, _: int) -> None:
        data.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = 350

    folder = write_pet(tmp_path / "pet", Field(suv=2.0), edit=in_mbq)
    assert checked(tmp_path, folder)[0]["quality"] == "failed"
    (scan,) = checked(tmp_path, folder, pet_dose_unit="MBq")
    assert scan["read"]["highest_suv"] == pytest.approx(2.0, abs=0.01)


def test_a_nifti_has_no_series(tmp_path: Path) -> None:
    write_ct(tmp_path / "ct", Z)
    ct = read_ct(tmp_path / "ct", SETTINGS)
    file = write_labels(tmp_path / "ct.nii.gz", ct.array.astype(np.int16), ct.image)
    (scan,) = checked(tmp_path, file)
    assert scan["series"] is None
    assert scan["read"]["slices"] == 49
    assert scan["read"]["kernel"] == "unknown"


@pytest.mark.parametrize("what", ["missing", "empty", "text", "one slice"])
def test_what_is_no_scan_is_a_result_with_a_remedy(tmp_path: Path, what: str) -> None:
    place = tmp_path / "Meier_Anna"
    if what != "missing":
        place.mkdir()
    if what == "text":
        (place / "letter.txt").write_text("Meier, Anna")
    if what == "one slice":
        write_ct(place, [0.0, 2.0])
        min(place.iterdir()).unlink()
    (scan,) = checked(tmp_path, place)
    assert scan["quality"] == "failed" and scan["read"] is None and scan["findings"] == []
    (reason,) = scan["reasons"]
    assert "Give " in reason or "Check " in reason
    assert "Meier" not in str(scan)


def test_whatever_a_file_raises_is_its_own_without_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyError("Meier^Anna")

    monkeypatch.setattr(checking, "find_series", fails)
    (scan,) = checked(tmp_path, tmp_path)
    assert scan["modality"] is None
    assert scan["reasons"] == ["this file could not be processed (KeyError)"]
