"""Folders: every file has a row, what is read afterwards is what was read before."""

from __future__ import annotations

import csv
import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

import scan_files
from metasight.deidentify.batch import deidentify_folder, files_of, write_ledger
from metasight.deidentify.check import check_output
from metasight.deidentify.flags import TableFlags
from metasight.errors import StudyError
from metasight.ledger import Fate
from metasight.volumes.dicom import ReadSettings, read_series
from metasight.volumes.masks import read_mask
from metasight.volumes.pet import read_pet
from planted import leaks, write_planted

AS_IT_IS = ReadSettings(check_hu=False)


@pytest.fixture
def made(tmp_path, key):
    def of(source: Path) -> tuple[Path, list]:
        rows = deidentify_folder(source, tmp_path / "out", key)
        return tmp_path / "out", rows

    return of


def test_no_canary_is_in_any_output(tmp_path, made):
    write_planted(tmp_path / "source")
    assert len(leaks(tmp_path / "source")) > 20
    out, rows = made(tmp_path / "source")
    assert [r.verdict for r in rows] == [Fate.KEPT] * 3
    assert leaks(out) == {}
    write_ledger(rows, tmp_path / "ledger.csv")
    assert os.stat(tmp_path / "ledger.csv").st_mode & 0o077 == 0
    with (tmp_path / "ledger.csv").open() as file:
        told = list(csv.DictReader(file))
    assert [(r["number"], r["verdict"]) for r in told] == [(str(n), "kept") for n in (1, 2, 3)]


def test_the_same_key_and_input_give_the_same_bytes(tmp_path, key):
    write_planted(tmp_path / "source")
    contents = []
    for name in "ab":
        deidentify_folder(tmp_path / "source", tmp_path / name, key)
        paths = files_of(tmp_path / name)
        contents.append([(p.relative_to(tmp_path / name), p.read_bytes()) for p in paths])
    assert contents[0] == contents[1]


def test_a_bad_file_is_one_row_and_the_batch_goes_on(tmp_path, made):
    write_planted(tmp_path / "source")
    place = tmp_path / "source"
    (place / "Kanarius.txt").write_text("Kanarius")
    (place / "empty.dcm").write_bytes(b"")
    (place / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM\2\0")
    (place / "way.dcm").symlink_to(place / "empty.dcm")
    copy = next(place.rglob("one0000.dcm"))
    (place / "copy.dcm").write_bytes(copy.read_bytes())
    out, rows = made(place)
    fates = {r.kind: r for r in rows if r.verdict is not Fate.KEPT}
    assert len([r for r in rows if r.verdict is Fate.FAILED]) == 4
    assert "a copy" in fates["DICOM CT"].reason
    assert len(files_of(out)) == 3
    assert not any("anari" in r.reason for r in rows)
    assert [r.number for r in rows] == list(range(1, 9))


def test_a_structure_set_opens_on_its_series(tmp_path, made):
    z = np.arange(-20.0, 20.0, 2.5)
    ct = scan_files.write_ct(tmp_path / "source" / "ct", z)
    path = tmp_path / "source" / "rt.dcm"
    scan_files.write_rtstruct(path, {"GTV-1": scan_files.sphere(z)}, of=ct)
    before = read_mask(path, read_series(tmp_path / "source" / "ct"), region="GTV-1")
    out, rows = made(tmp_path / "source")
    by_kind = {r.kind: out / r.output for r in rows}
    scan = read_series(by_kind["DICOM CT"].parent)
    after = read_mask(by_kind["DICOM RTSTRUCT"], scan, region="GTV-1")
    np.testing.assert_array_equal(after.array, before.array)


def test_a_segmentation_opens_on_its_series(tmp_path, made, shared):
    source = tmp_path / "source"
    data = shared / "data" / "volumes" / "dicom-seg" / "data_5"
    for path in sorted(data.rglob("*.dcm")):
        place = source / path.relative_to(data)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    before = read_mask(
        source / "mask" / "mask.dcm", read_series(source / "image", settings=AS_IT_IS), region=1
    )
    out, rows = made(source)
    assert {r.verdict for r in rows} == {Fate.KEPT}
    by_kind = {r.kind: out / r.output for r in rows}
    mask = by_kind.pop("DICOM SEG")
    (image,) = by_kind.values()
    after = read_mask(mask, read_series(image.parent, settings=AS_IT_IS), region=1)
    np.testing.assert_array_equal(after.array, before.array)


@pytest.mark.parametrize("decay", ["START", "ADMIN", "NONE"])
def test_uptake_is_the_same(decay, tmp_path, made):
    field = scan_files.Field(decay=decay, start=("20200301", "003000"))  # injected the day before

    def edit(data, k):
        block = data.private_block(0x0009, "GEMS_PETD_01", create=True)
        block.add_new(0x0D, "DT", "20200301003000.00")

    scan_files.write_pet(tmp_path / "source", field, edit=edit)
    before = read_pet(tmp_path / "source")
    out, _ = made(tmp_path / "source")
    after = read_pet(out)
    np.testing.assert_array_equal(after.array, before.array)
    assert float(after.array.max()) == pytest.approx(3.0, rel=1e-3)


def test_uptake_by_philips_own_factor_is_the_same(tmp_path, made):
    def edit(data, k):
        data.Units, data.Manufacturer = "CNTS", "Philips Medical Systems"
        data.RescaleSlope = "0.5"
        data.private_block(0x7053, "Philips PET Private Group", create=True).add_new(
            0x00, "DS", "0.000551"
        )

    scan_files.write_pet(tmp_path / "source", scan_files.Field(), edit=edit)
    before = read_pet(tmp_path / "source")
    out, _ = made(tmp_path / "source")
    np.testing.assert_array_equal(read_pet(out).array, before.array)


def test_folders_that_are_refused(tmp_path, key):
    write_planted(tmp_path / "source", n=2)
    for output in (tmp_path / "source" / "out", tmp_path):
        with pytest.raises(StudyError, match="in each other"):
            deidentify_folder(tmp_path / "source", output, key)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(StudyError, match="not an empty folder"):
        deidentify_folder(tmp_path / "source", tmp_path / "full", key)
    with pytest.raises(StudyError, match="no such folder"):
        deidentify_folder(tmp_path / "none", tmp_path / "out", key)


def test_a_row_is_frozen():
    from metasight.deidentify.batch import FileRow

    row = FileRow(number=1, kind="DICOM", verdict=Fate.KEPT)
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.number = 2  # type: ignore[misc]


def test_a_table_names_the_new_folder_of_a_scan(tmp_path, key):
    source = tmp_path / "source"
    scan_files.write_ct(source / "scans" / "Kanarius" / "CT", [0.0, 2.5, 5.0])
    (source / "a.csv").write_text("patient,kind,path\nMRN-4711,CT,Kanarius/CT\n")
    flags = TableFlags.model_validate(
        {
            "file": "a.csv",
            "name": "scans",
            "patient": "patient",
            "columns": {"path": "scan", "kind": "keep"},
        }
    )
    rows = deidentify_folder(source, tmp_path / "out", key, tables=[flags])
    assert (rows[0].number, rows[0].kind) == (1, "table")
    assert {r.verdict for r in rows} == {Fate.KEPT}, rows
    _, line = (tmp_path / "out" / "scans.csv").read_text().splitlines()
    patient, kind, path = line.split(",")
    assert (patient, kind) == (key.patient("MRN-4711"), "CT")
    assert read_series(tmp_path / "out" / path).array.shape[0] == 3
    (source / "a.csv").write_text("patient,kind,path\nMRN-4711,CT,Zeisiger\n")
    rows = deidentify_folder(source, tmp_path / "two", key, tables=[flags])
    assert "row 2, column 3" in rows[0].reason


def test_names_of_files_in_an_old_encoding(tmp_path, key):
    """A disk of before UTF-8 has Müller as four letters and a byte."""
    source = tmp_path / "source"
    scan_files.write_ct(source / "ct", [0.0, 2.5])
    odd = os.fsdecode(str(source).encode() + "/Müllerin_CT".encode("latin-1"))
    os.rename(source / "ct", odd)
    (Path(odd) / os.fsdecode("Grün.txt".encode("latin-1"))).write_text("x")
    rows = deidentify_folder(source, tmp_path / "out", key)
    assert [r.verdict for r in rows] == [Fate.FAILED, Fate.KEPT, Fate.KEPT]
    assert check_output(tmp_path / "out", source, key) == []
    spoiled = next((tmp_path / "out").rglob("*.dcm"))
    spoiled.write_bytes(spoiled.read_bytes() + "Müllerin_CT".encode())
    what = {f.what for f in check_output(tmp_path / "out", source, key)}
    assert "file name of the source" in what
