"""The command that exports: what it says, its exit status, and nothing of a patient in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.cli import main


@pytest.fixture
def run(capsys):
    def of(*arguments: object) -> tuple[int, str]:
        status = 0
        try:
            main([*map(str, arguments)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        told = capsys.readouterr()
        said = " ".join((told.out + told.err).split())
        assert "Secret" not in said and "MRN" not in said
        return status, said

    return of


def test_one_patient_as_dicom(exchange_folder: Path, tmp_path: Path, run) -> None:
    out = tmp_path / "out"
    status, said = run(
        *("export", exchange_folder, "-o", out, "--as", "dicom", "--source-images"),
        *("--patient", "MRN-00000"),
    )
    assert status == 0
    assert "Wrote 2 files (2 dcm)" in said and "research only" in said
    assert len(list(out.rglob("*.dcm"))) == 2


def test_nothing_written_needs_attention(exchange_folder: Path, tmp_path: Path, run) -> None:
    status, said = run(
        *("export", exchange_folder, "-o", tmp_path / "out", "--as", "dicom", "--source-images"),
        *("--patient", "MRN-00005"),
    )
    assert status == 1
    assert "no lesion was measured" in said


def test_dicom_without_its_flag_and_another_form_need_correction(
    exchange_folder: Path, tmp_path: Path, run
) -> None:
    status, said = run("export", exchange_folder, "-o", tmp_path / "out", "--as", "dicom")
    assert status == 2 and "--source-images" in said
    assert run("export", exchange_folder, "-o", tmp_path / "out", "--as", "stone")[0] == 2
