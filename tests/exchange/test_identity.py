"""What names a patient stops an export or a publication, packed or not, in a name or in a file."""

from __future__ import annotations

import base64
import zipfile
import zlib
from pathlib import Path

import pandas as pd
import pytest

from metasight.cohort.identifying import Named
from metasight.errors import StudyError
from metasight.exchange.identity import require_no_identifier

TEXTS = {
    "MRN-4711": Named.ID,
    "17": Named.ID,
    "471123": Named.ID,
    "40815472": Named.ID,
    "Kanarius": Named.NAME,
    "Harrell": Named.NAME,
    "1952-02-29": Named.BIRTH,
}
KEY = "ab12" * 16
PSEUDONYM = "P0123456789abcdef"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text(f"{PSEUDONYM} 17 patients; 0.471123; Kanariusstr; Harrell's C")
    (tmp_path / "a.json").write_text('{"n": 471123, "sha256": "9408154721", "day": "1952-02"}')
    pd.DataFrame({"patient": [PSEUDONYM, ""], "x": [0.1, 471123.0]}).to_parquet(
        tmp_path / "a.parquet"
    )
    return tmp_path


def plain(folder):
    (folder / "b.json").write_text('{"x": "mrn-4711"}')


def wide(folder):
    (folder / "b.dcm").write_bytes(b"\0" + "MRN-4711".encode("utf-16-le"))


def zipped(folder):
    with zipfile.ZipFile(folder / "b.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "x" * 500 + "MRN-4711")


def in_table(folder):
    pd.DataFrame({"a": ["MRN-4711"] * 50}).to_parquet(folder / "b.parquet", compression="zstd")


def in_column(folder):
    pd.DataFrame({"MRN-4711": [1.0]}).to_parquet(folder / "b.parquet", compression="zstd")


def as_number(folder):
    pd.DataFrame({"a": [40815472.0]}).to_parquet(folder / "b.parquet", compression="zstd")


def short_id_as_patient(folder):
    pd.DataFrame({"patient": ["17"]}).to_parquet(folder / "b.parquet")


def in_name(folder):
    (folder / "MRN-4711.txt").write_text("")


def key(folder):
    (folder / "b.txt").write_text(KEY)


def name(folder):
    (folder / "b.csv").write_text("a;KANARIUS;b")


def birth_date(folder):
    (folder / "b.html").write_text("<td>1952-02-29</td>")


def in_pdf(folder):
    packed = zlib.compress(b"(MRN-4711) Tj")
    (folder / "b.pdf").write_bytes(b"%PDF\nstream\n" + packed + b"\nendstream")


def _png():
    said = b"Comment\0\0" + zlib.compress(b"MRN-4711")
    return b"\x89PNG\r\n\x1a\n" + len(said).to_bytes(4, "big") + b"zTXt" + said + b"\0\0\0\0"


def in_picture(folder):
    (folder / "b.png").write_bytes(_png())


def in_picture_of_a_page(folder):
    packed = base64.b64encode(_png()).decode()
    (folder / "b.html").write_text(f'<img src="data:image/png;base64,{packed}">')


PLANTS = [plain, wide, zipped, in_table, in_column, as_number, short_id_as_patient, in_name, key]
PLANTS += [name, birth_date, in_pdf, in_picture, in_picture_of_a_page]


@pytest.mark.parametrize("plant", PLANTS)
def test_it_is_found_and_not_named(folder, plant) -> None:
    require_no_identifier(folder, TEXTS, key=KEY)
    plant(folder)
    with pytest.raises(StudyError, match=r"the results would contain (the|an) ") as refusal:
        require_no_identifier(folder, TEXTS, key=KEY, what="the results")
    told = str(refusal.value).casefold()
    assert not any(t.casefold() in told for t in (*TEXTS, KEY) if len(t) > 2)


def test_what_was_said_to_name_patients_is_left_out(folder) -> None:
    (folder / "inputs").mkdir()
    (folder / "inputs" / "patients.csv").write_text("MRN-4711")
    require_no_identifier(folder, TEXTS, key=KEY, apart=folder / "inputs")
    with pytest.raises(StudyError, match="an export would contain the id of a patient"):
        require_no_identifier(folder, TEXTS, key=KEY)


def test_the_salt_of_public_data_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>public data of an archive</p>", "utf-8")
    require_no_identifier(tmp_path, {}, key=None)
    with pytest.raises(StudyError, match="key of the pseudonyms"):
        require_no_identifier(tmp_path, {}, key="public data")
