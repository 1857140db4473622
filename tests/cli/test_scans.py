"""`metasight scans`: what is printed and written, and input that is no scan."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from metasight.cli import main
from metasight.cohort.settings import ScanSettings
from metasight.steps.scans.reading import read_ct
from scan_files import (
    CENTRE,
    RADIUS,
    SIDE,
    SPHERE_ML,
    Field,
    Written,
    sphere,
    write_ct,
    write_labels,
    write_pet,
    write_rtstruct,
)

Z = np.arange(-75, 76, 2.5)
NAME = "Maier_Anna_1952"
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A chest-like CT in a folder of a patient's name."""
    return write_ct(tmp_path_factory.mktemp("scans") / NAME, Z)


@pytest.fixture(scope="module")
def allowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A protocol under which the chest-like CT can be measured."""
    text = files("metasight.protocol").joinpath("nsclc_occult_node.toml").read_text("utf-8")
    before, rest = text.split("[ct_quality]\n", 1)
    limits, after = rest.split("\n\n", 1)
    names = [line.split(" = ")[0] for line in limits.splitlines() if " = " in line]
    path = tmp_path_factory.mktemp("protocol") / "own.toml"
    lines = [f"{name} = {{ required = false }}" for name in names]
    path.write_text(f"{before}[ct_quality]\n" + "\n".join(lines) + f"\n\n{after}", "utf-8")
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Status and what is printed; long lines are joined again."""

    def one(*arguments: object) -> tuple[int, str]:
        status = 0
        try:
            main(["scans", *map(str, arguments)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        printed = capsys.readouterr()
        assert NAME not in printed.out + printed.err
        return status, " ".join((printed.out + printed.err).replace("│", " ").split())

    return one


# ------------------------------------------------------------------ check


def test_check_says_what_is_read_and_every_verdict(ct: Written, tmp_path: Path, run: Run) -> None:
    status, said = run("check", ct.folder, "-o", tmp_path / "out")
    assert status == 0  # refused is a result, not a failure
    assert "Scan 1, CT: refused" in said
    assert "Read series 1 (CT, 61 slices of 2.5 mm, kernel B30f, 150 mm): the only one." in said
    assert "61 slices of 96 × 96 pixels, voxels 2.50 × 2.50 × 2.50 mm" in said
    assert "kernel class smooth, contrast" in said
    assert "pixel spacing 2.5 mm ≤ 1 failed" in said
    assert "Refused: a study under this protocol excludes such a CT." in said
    assert "[ct_quality]" in said
    (found,) = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert found == json.loads((tmp_path / "out" / "scan-001" / "check.json").read_text("utf-8"))
    kept = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert not [p for p in kept if NAME in str(p) or NAME.encode() in p.read_bytes()]


def test_check_shows_results_without_keeping_them(
    ct: Written, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = run("check", ct.folder)
    assert (status, "Results in" in said) == (0, False)
    assert list(tmp_path.iterdir()) == []


def test_check_under_another_protocol(ct: Written, allowing: Path, run: Run) -> None:
    status, said = run("check", ct.folder, "--protocol", allowing)
    assert status == 0
    assert "Scan 1, CT: can be measured" in said and "Refused" not in said


def test_bad_input_is_named_and_does_not_stop_the_others(
    ct: Written, tmp_path: Path, run: Run
) -> None:
    empty, letters = tmp_path / "empty", tmp_path / "letters"
    empty.mkdir()
    letters.mkdir()
    (letters / f"{NAME}.pdf").write_bytes(b"%PDF-1.7")
    loose = tmp_path / "letter.dcm"
    loose.write_bytes(b"no DICOM")
    pet = write_pet(tmp_path / "pet", Field(suv=3.0))
    status, said = run("check", tmp_path / "none", empty, letters, loose, ct.folder, pet)
    assert status == 1
    assert "Scan 1: could not be read There is no such scan. Check the path" in said
    assert "Scan 2: could not be read The folder or archive holds no file." in said
    assert "Scan 3, CT: could not be read No CT series that can be measured" in said
    assert said.count("not DICOM") == 2
    assert "Scan 5, CT: refused" in said
    assert "Scan 6, PET: can be measured" in said and "SUVbw up to 3.0" in said


def two_examinations(folder: Path) -> None:
    write_ct(folder, Z, series="first")
    write_ct(folder, Z, series="second", StudyInstanceUID="1.2.3.4", SeriesNumber=2)


def test_two_reconstructions_are_told_apart_and_two_examinations_refused(
    tmp_path: Path, run: Run
) -> None:
    folder = tmp_path / "two"
    write_ct(folder, Z)
    write_ct(folder, np.arange(-75, 76, 5.0), series="thick")
    _, said = run("check", folder)
    assert "slices of 2.5 mm" in said and "thicker than 3 mm" in said
    two_examinations(tmp_path / "examinations")
    status, said = run("check", tmp_path / "examinations")
    assert status == 1
    assert "the folder holds series of several examinations" in said.lower()
    assert "give each examination a folder of its own" in said


def test_check_of_nothing_or_of_one_folder_twice(ct: Written, tmp_path: Path, run: Run) -> None:
    assert run("check")[0] == 2
    status, said = run("check", ct.folder, ct.folder)
    assert status == 2 and "given twice" in said
    status, said = run("check", ct.folder, "-o", ct.folder / "out")
    assert status == 2 and "lies in the folder of a scan" in said
    assert not (ct.folder / "out").exists()


# ------------------------------------------------------------------ measure


@pytest.fixture(scope="module")
def contours(ct: Written, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("contours") / f"{NAME}.dcm"
    return write_rtstruct(path, {"GTV-1": sphere(Z), "Heart": sphere(Z, 9.0)}, of=ct)


def test_measure_writes_measures_radiomics_and_picture(
    ct: Written, contours: Path, allowing: Path, tmp_path: Path, run: Run
) -> None:
    pet = write_pet(tmp_path / "pet", Field(suv=2.5))
    told = ["--mask", contours, "--roi", "GTV-1", "--pet", pet, "--protocol", allowing]
    status, said = run("measure", ct.folder, *told, "-o", tmp_path / "out")
    assert status == 0
    assert "longest diameter" in said and "SUVmax 2.5" in said
    assert "radiomic features are in scan.json" in said
    place = tmp_path / "out" / "scan-001"
    found = json.loads((place / "scan.json").read_text("utf-8"))
    assert found["patient"] == "scan-001"
    volume_ml = found["features"]["tumour_volume_mm3"] / 1000
    assert volume_ml == pytest.approx(SPHERE_ML, rel=0.1)
    assert len(found["radiomics"]) > 100
    assert (place / "lesion.png").read_bytes().startswith(b"\x89PNG")
    secrets = (NAME, "MRN-4711", "Secret", ct.uid, *ct.sop_uids)
    for file in (p for p in (tmp_path / "out").rglob("*") if p.is_file()):
        content = file.read_bytes()
        assert not [s for s in secrets if s.encode() in content], file.name


def test_measure_from_a_point_a_box_and_both_ends(
    ct: Written, allowing: Path, tmp_path: Path, run: Run
) -> None:
    """Negative coordinates are numbers, not options."""
    corners = [c + d for d in (-20, 20) for c in CENTRE]
    x, y, z = CENTRE
    ends = [x - RADIUS, y, z, x + RADIUS, y, z]
    for told in (["--point", *CENTRE], ["--box", *corners], ["--axis", *ends]):
        out = tmp_path / told[0]
        status, _ = run("measure", ct.folder, *told, "--protocol", allowing, "-o", out)
        assert status == 0
        (found,) = json.loads((out / "results.json").read_text("utf-8"))
        assert found["measured"]["tumour_size_mm"] == pytest.approx(2 * RADIUS, abs=2.5)


def test_a_refused_ct_is_not_measured_and_that_is_said(
    ct: Written, contours: Path, tmp_path: Path, run: Run
) -> None:
    told = ["--mask", contours, "--roi", "GTV-1"]
    status, said = run("measure", ct.folder, *told, "-o", tmp_path / "out")
    assert status == 0
    assert "The lesion was not measured. Refused: a study under this protocol" in said
    assert not (tmp_path / "out" / "scan-001" / "lesion.png").exists()


def no_mask(path: Path, ct: Written) -> Path:
    return path / "none.nii.gz"


def letter(path: Path, ct: Written) -> Path:
    (path / "mask.dcm").write_text("Maier, Anna")
    return path / "mask.dcm"


def another_shape(path: Path, ct: Written) -> Path:
    image = read_ct(ct.folder, ScanSettings(path="s.csv", id="p")).image[:, :, :3]
    image.SetSpacing((1.0, 1.0, 1.0))
    return write_labels(path / "mask.nii.gz", np.ones((3, SIDE, SIDE), np.uint8), image)


def several_regions(path: Path, ct: Written) -> Path:
    return write_rtstruct(path / "rt.dcm", {"GTV-1": sphere(Z), "Heart": sphere(Z, 9.0)}, of=ct)


@pytest.mark.parametrize(
    ("mask", "problem", "remedy"),
    [
        (several_regions, "several regions and none is named", "with --roi"),
        (another_shape, "not on the scan's grid", "Export the mask on the grid of"),
        (no_mask, "there is no such file", "Check the path of the mask"),
        (letter, "the file is no mask that is read", "Give an RT structure set"),
    ],
)
def test_a_mask_that_cannot_be_used(
    ct: Written,
    allowing: Path,
    tmp_path: Path,
    run: Run,
    mask: Callable[[Path, Written], Path],
    problem: str,
    remedy: str,
) -> None:
    given = ["--mask", mask(tmp_path, ct), "--protocol", allowing, "-o", tmp_path / "out"]
    status, said = run("measure", ct.folder, *given)
    assert status == 1
    (found,) = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    (row,) = [e for e in found["ledger"] if e["verdict"] == "failed"]
    assert row["item"] == "lesion"
    assert problem in row["reason"] and remedy in row["reason"]
    assert "Maier" not in said + str(found)


def test_a_ct_that_is_not_there(contours: Path, tmp_path: Path, run: Run) -> None:
    given = ["--mask", contours, "-o", tmp_path / "out"]
    status, _ = run("measure", tmp_path / "none", *given)
    assert status == 1
    (found,) = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert found["ledger"][0]["reason"] == "there is no such scan. Check the path of the scan."


def test_one_examination_of_two_is_named_by_its_series(
    contours: Path, allowing: Path, tmp_path: Path, run: Run
) -> None:
    folder = tmp_path / "two"
    two_examinations(folder)
    given = ["--point", *CENTRE, "--protocol", allowing, "-o", tmp_path / "out"]
    status, said = run("measure", folder, *given)
    assert status == 1 and "with --series" in said
    _, said = run("measure", folder, *given, "--series", "2")
    assert "asked for by name; the only one" in said
    status, said = run("measure", folder, *given, "--series", NAME)
    assert status == 2 and "--series is not a series" in said


def test_a_lesion_is_needed(ct: Written, tmp_path: Path, run: Run) -> None:
    status, said = run("measure", ct.folder, "-o", tmp_path / "out")
    assert status == 2
    assert "no lesion was given. Give its mask with --mask" in said
    assert not (tmp_path / "out").exists()
