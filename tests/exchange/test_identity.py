"""An id that stands anywhere in an export stops it, packed or not, in a name or in a file."""

from __future__ import annotations

import zipfile

import pandas as pd
import pytest

from metasight.errors import StudyError
from metasight.exchange.identity import require_no_identifier

IDS = ("MRN-4711", "17")
KEY = "ab12" * 16


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("P0123456789abcdef 17")
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


def in_name(folder):
    (folder / "MRN-4711.txt").write_text("")


def key(folder):
    (folder / "b.txt").write_text(KEY)


@pytest.mark.parametrize("plant", [plain, wide, zipped, in_table, in_name, key])
def test_it_is_found_and_not_named(folder, plant) -> None:
    require_no_identifier(folder, IDS, key=KEY)
    plant(folder)
    with pytest.raises(StudyError, match="an export would contain the") as refusal:
        require_no_identifier(folder, IDS, key=KEY)
    assert "4711" not in str(refusal.value) and KEY not in str(refusal.value)
