"""What names a patient, found in a data set and in texts."""

from __future__ import annotations

from pydicom.dataset import Dataset

import scan_files
from metasight.deidentify.identifiers import Names, identifiers_of
from planted import CANARIES, edit


def planted() -> Dataset:
    data = scan_files._file(scan_files.CTImageStorage, "one")
    data.PixelData = b""
    edit(data, 0)
    return data


def test_names_and_numbers_of_every_depth():
    found = identifiers_of(planted())
    for kind in ("name", "given name", "id", "other id", "accession", "physician", "serial"):
        assert CANARIES[kind].casefold() in found
    assert "klinikum finkenstein" in found


def test_as_words_and_as_bytes():
    names = Names({"li", "kanarius", "mrn-47"})
    assert names.are_in("Kontrolle KANARIUS, 2020")
    assert not names.are_in("Kanariusvogel")
    assert names.are_in_bytes(b"\0\x01xKanariusx")
    assert names.are_in_bytes("MRN-47".encode("utf-16-le"))
    assert not names.are_in_bytes(b"lili")
    assert not Names(()).are_in("anything")
