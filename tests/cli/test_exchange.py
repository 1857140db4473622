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


def test_a_study_is_taken_in_from_its_crate(exchange_folder: Path, tmp_path: Path, run) -> None:
    out = tmp_path / "out"
    status, _ = run(
        *("export", exchange_folder, "-o", out, "--as", "crate"),
        *("--licence", "CC-BY-4.0", "--with-inputs"),
    )
    assert status == 0
    status, said = run("import", out / "crate", tmp_path / "study")
    assert status == 0 and "Copied the study of run" in said
    assert (tmp_path / "study" / "patients.csv").is_file()
    assert run("import", tmp_path / "study", tmp_path / "other")[0] == 2


def test_running_it_again_says_whether_the_predictions_agree(
    tmp_path: Path, run, monkeypatch
) -> None:
    from metasight import importing

    monkeypatch.setattr(importing, "take_in", lambda *_: ("r1", {"predictions.parquet": "a"}))
    for same, status in ((("predictions.parquet",), 0), ((), 1)):
        found = importing.Rerun(
            run="r2", archived_run="r1", same=same, other=() if same else ("predictions.parquet",)
        )
        monkeypatch.setattr(importing, "run_again", lambda *_, f=found, **__: f)
        ended, said = run("import", tmp_path, tmp_path / "study", "--rerun")
        assert ended == status
        assert ("the same bytes" in said) == (status == 0)


def test_annotations_of_qupath_become_a_table_of_regions(tmp_path: Path, run) -> None:
    square = [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]
    (tmp_path / "a.svs.geojson").write_text(
        '[{"type": "Feature", "properties": {"measurements": {"TIL": 5}}, '
        f'"geometry": {{"type": "Polygon", "coordinates": {square}}}}}]'
    )
    (tmp_path / "slides.csv").write_text("patient,file\n7,a.svs\n")
    status, said = run(
        *("slides", "regions", "-i", tmp_path / "a.svs.geojson"),
        *("--slides", tmp_path / "slides.csv", "-o", tmp_path / "regions.csv"),
    )
    assert status == 0
    assert "Wrote 1 region to" in said and "TIL" in said and "[slides.regions]" in said
    assert (tmp_path / "regions.csv").read_text().startswith("patient,file,name,class,polygon,TIL")
