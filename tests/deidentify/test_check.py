"""The second look finds a planted leak of every class, and nothing in what was made."""

from __future__ import annotations

import ast
import inspect
import shutil
import zipfile

import pytest
from pydicom import dcmread

from metasight.deidentify import check, conformance, originals, search
from metasight.deidentify.batch import deidentify_folder
from metasight.deidentify.check import check_output
from metasight.errors import StudyError
from planted import BIRTH_DATE, CANARIES, STUDY_DATE, write_planted


@pytest.fixture(scope="module")
def folders(tmp_path_factory, key):
    root = tmp_path_factory.mktemp("check")
    write_planted(root / "source", n=2)
    deidentify_folder(root / "source", root / "out", key)
    return root / "source", root / "out"


@pytest.fixture
def spoiled(folders, tmp_path, key):
    source, out = folders
    shutil.copytree(out, tmp_path / "out")
    path = sorted((tmp_path / "out").rglob("*.dcm"))[0]

    def found() -> set[str]:
        told = check_output(tmp_path / "out", source, key)
        text = str(told).casefold()
        assert not any(c.casefold() in text for c in CANARIES.values())
        return {f.what for f in told}

    return path, found


def test_what_was_made_is_clean(folders, key):
    source, out = folders
    assert check_output(out, source, key) == []


def _in_data(path, **tags):
    data = dcmread(path)
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path)


@pytest.mark.parametrize(
    ("canary", "what"),
    [
        ("name", "name of the source"),
        ("given name", "name of the source"),
        ("id", "identifier of the source"),
        ("other id", "identifier of the source"),
        ("accession", "identifier of the source"),
        ("institution", "identifier of the source"),
        ("physician", "name of the source"),
        ("station", "identifier of the source"),
        ("serial", "identifier of the source"),
        ("address", "identifier of the source"),
        ("description", "description of the source"),
        ("private", "private element of the source"),
        ("nested", "description of the source"),
        ("file meta", "file meta of the source"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_text_behind_the_pixels_is_found(canary, what, encoding, spoiled):
    path, found = spoiled
    path.write_bytes(path.read_bytes() + CANARIES[canary].encode(encoding))
    assert what in found()


def test_where_two_parts_of_a_large_file_meet(spoiled, monkeypatch):
    path, found = spoiled
    monkeypatch.setattr(check, "_PART", 4096)
    raw = path.read_bytes()
    place = 4096 + 2 * (4096 - 1024) - 5
    text = CANARIES["id"].encode()
    path.write_bytes(raw[:place] + text + raw[place + len(text) :])
    assert "identifier of the source" in found()


def test_within_the_pixels(spoiled):
    path, found = spoiled
    data = dcmread(path)
    data.PixelData = data.PixelData[:100] + b"KANARIUS" + data.PixelData[108:]
    data.save_as(path)
    assert "name of the source" in found()


def test_a_uid_and_a_date(spoiled, folders):
    path, found = spoiled
    old = dcmread(next(folders[0].rglob("*.dcm")))
    _in_data(path, StudyDate=STUDY_DATE, SeriesDescription=str(old.SeriesInstanceUID))
    assert {"date of the source", "UID of the source"} <= found()


def test_a_date_of_birth_within_a_text(spoiled):
    path, found = spoiled
    assert BIRTH_DATE == "19520229"
    _in_data(path, ManufacturerModelName="geb. 29.2.1952")
    assert "date of the source" in found()


def test_a_file_s_and_a_folder_s_name(spoiled):
    path, found = spoiled
    path.rename(path.with_name(f"{CANARIES['id']}.dcm"))
    path.parent.rename(path.parent.with_name("kanarius"))
    assert {"identifier of the source", "name of the source"} <= found()


def test_the_source_s_own_file_name(spoiled):
    path, found = spoiled
    _in_data(path, PositionReferenceIndicator="Kanarius_Friedolin")
    assert "file name of the source" in found()


def test_within_an_archive(spoiled):
    path, found = spoiled
    with zipfile.ZipFile(path.with_name("a.xlsx"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", f"<c>{CANARIES['accession']}</c>" * 20)
    assert "identifier of the source" in found()


def test_a_short_name_as_a_word(tmp_path, key):
    def edit(data, k):
        data.PatientName, data.PatientID = "Li^Bo", "77"

    import scan_files

    scan_files.write_ct(tmp_path / "source", [0.0, 1.0], edit=edit)
    data = dcmread(next((tmp_path / "source").iterdir()))
    data.PatientName = "Kim^Bo"
    data.save_as(next((tmp_path / "source").iterdir()))
    deidentify_folder(tmp_path / "source", tmp_path / "out", key)
    assert check_output(tmp_path / "out", tmp_path / "source", key) == []
    path = next((tmp_path / "out").rglob("*.dcm"))
    _in_data(path, Manufacturer="by KIM, 2020")
    found = {f.what for f in check_output(tmp_path / "out", tmp_path / "source", key)}
    assert found == {"name of the source"}


def test_an_element_against_its_action_and_damage(spoiled):
    path, found = spoiled
    _in_data(path, PatientComments="quiet")
    assert "an element that is to be removed" in found()
    path.write_bytes(path.read_bytes()[:140])
    assert found() & {"cannot be read back", "is not YES"}


def test_a_wrong_folder_is_an_error(tmp_path, key, folders):
    with pytest.raises(StudyError, match="no such folder"):
        check_output(tmp_path / "none", folders[0], key)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="holds no files"):
        check_output(tmp_path / "empty", folders[0], key)


@pytest.mark.parametrize("module", [check, conformance, originals, search])
def test_no_code_is_shared_with_what_cleans(module):
    """Data and the key are; the table's rows are read anew."""
    cleaning = {"cleaning", "identifiers", "dicom_file", "dates", "codes", "batch", "refusal"}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.rpartition(".")[2] not in cleaning
            if node.module.endswith("deidentify.actions"):
                assert [a.name for a in node.names] == ["safe_private"]
