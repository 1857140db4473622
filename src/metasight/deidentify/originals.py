"""What identifies patients in the source, collected anew for the check of the output.

Nothing here is shared with what cleans: an oversight there is not repeated. What is collected is
wider, since a text that is looked for and not found costs nothing.
"""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import tifffile
from openpyxl import load_workbook
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sr._concepts_dict import concepts

from metasight.bounded import open_bounded
from metasight.deidentify.actions import safe_private
from metasight.deidentify.flags import TableFlags
from metasight.deidentify.search import dates_in
from metasight.slides.tiff_index import DAMAGED
from metasight.slides.vocabulary import is_known
from metasight.volumes import vocabulary
from metasight.volumes.headers import DAMAGE

_TEXT_VRS = frozenset(("AE", "LO", "LT", "SH", "ST", "UC", "UT", "UR"))
_NUMBER = re.compile(r"[-+0-9.,:;/\\ eE]*")
_IDENTITY = re.compile(
    r"PatientID|OtherPatientIDs|Accession|Admission|Institution|Station|Serial|Address|Telephone|"
    r"Telecom|Issuer|Insurance|MedicalRecord|Religious|Occupation|Residence|Physician|Operator|"
    r"Specimen.*Identifier|ContainerIdentifier|Barcode|OrderNumber|StudyID|ProcedureID|StepID|"
    r"Requesting|Department|AETitle|ApplicationEntityTitle"
)
_KINDS = (
    *("name", "identifier", "cell", "slide", "file meta", "preamble"),
    *("file name", "description", "private element"),
)
"""The first that a text is counts."""
_MAY_BE_HARMLESS = frozenset(("description", "private element", "cell"))
_SIZE = re.compile(r"(?:label |macro )?\d+x\d+|Aperio Image Library|Image:?\d+$|ICC Profile|IEC ")
_OME_NAMES = (
    "Name|FirstName|MiddleName|LastName|UserName|DisplayName|Email|Institution|SerialNumber|"
    "LotNumber|Barcode|Value|AcquisitionDate"
)
_NAME_PART = 3
_IDENTIFIER = 4
_DESCRIPTION = 8
_CELL_PART = 5
_PRIVATE = 6
_LONGEST_PRIVATE = 200


@dataclass
class Originals:
    """What must not be found again.

    Attributes
    ----------
    texts
        Text → what it is.
    uids
        UIDs that are not the standard's.
    dates
        Patient's id → his dates, ``YYYYMMDD``.
    values
        Tag → texts that stood there.
    harmless
        Texts of elements that may be kept as they are.
    declared
        Texts of columns that the flags say to keep.
    """

    texts: dict[str, str] = field(default_factory=dict)
    uids: set[str] = field(default_factory=set)
    dates: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    values: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    harmless: set[str] = field(default_factory=set)
    declared: set[str] = field(default_factory=set)

    def add(self, text: str, kind: str, shortest: int) -> None:
        """Take a text up, unless it is a number in disguise or too short to mean anybody."""
        text = text.strip().strip("\x00").strip()
        if len(text) < shortest or not text:
            return
        if text not in self.texts or _KINDS.index(kind) < _KINDS.index(self.texts[text]):
            self.texts[text] = kind

    def finished(self) -> Originals:
        """Leave out what is said to be harmless, and descriptions that also stand elsewhere."""
        creators = {s.creator.casefold() for s in safe_private().values()}
        known = self.harmless | _words_of_the_standard() | creators
        for text, kind in list(self.texts.items()):
            plain = text.casefold()
            stands = kind in _MAY_BE_HARMLESS and plain in known
            # a vendor's private element holds the first letters of a public one
            begins = kind == "private element" and any(h.startswith(plain) for h in self.harmless)
            if plain in self.declared or stands or begins:
                del self.texts[text]
        return self


def originals_of(folder: Path, tables: Iterable[TableFlags] = ()) -> Originals:
    """Read every DICOM file, every table that flags name and every name below a folder.

    Parameters
    ----------
    folder
        The source; another file is looked at by its name alone.
    tables
        What the columns of the tables are.
    """
    found, tables = Originals(), tuple(tables)
    chosen = {flags.name for flags in tables}  # whoever named the new file so said it is harmless
    for path in sorted(folder.rglob("*")):
        for part in path.relative_to(folder).parts:
            # a name that is not UTF-8 is Latin-1 or another encoding of one byte a character
            stem = os.fsencode(part).decode("utf-8" if part.isprintable() else "latin-1")
            stem = stem.split(".")[0]
            if len(stem) < _DESCRIPTION or _NUMBER.fullmatch(stem):
                continue
            if stem.casefold() not in chosen:
                found.add(stem, "file name", _DESCRIPTION)
        if path.is_file() and not path.is_symlink():
            _of_dicom(path, found)
            _of_slide(path, found)
    for flags in tables:
        _of_table(folder / flags.file, flags, found)
    return found.finished()


def _of_slide(path: Path, found: Originals) -> None:
    """Every text of every page, cut where its parts end."""
    with path.open("rb") as file:
        if file.read(4) not in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
            return
    try:
        with tifffile.TiffFile(path) as file:
            pages = [s for p in file.pages for s in (p, *(getattr(p, "pages", None) or ()))]
            texts = [
                str(tag.value)
                for page in pages
                for tag in getattr(page, "tags", ())
                if isinstance(tag.value, str) and tag.name not in {"Software", "Make", "Model"}
            ]
    except DAMAGED:
        return  # it has no output either
    for text in texts:
        for part in _parts(text):
            plain = part.strip()
            if (
                len(plain) <= _LONGEST_PRIVATE
                and not _NUMBER.fullmatch(plain)
                and not _SIZE.match(plain)
                and not is_known(plain)
            ):
                found.add(plain, "slide", _PRIVATE)


def _parts(text: str) -> Iterable[str]:
    """Values in a slide's description: of OME's XML, of Aperio's ``key = value``, or all of it."""
    if "<OME" in text:
        return [
            *re.findall(rf'\b(?:{_OME_NAMES})="([^"]+)"', text),
            *re.findall(r">([^<]+)<", text),
        ]
    lines = re.split(r"[|\r\n;]+", text)
    return [line.partition(" = ")[2] if " = " in line else line for line in lines]


def _of_table(path: Path, flags: TableFlags, found: Originals) -> None:
    """Cells of the columns that must not be passed on; what stands in the others is harmless."""
    rows = _rows_of(path, flags)
    header = [h.strip() for h in rows[flags.header_row - 1]] if rows else []
    if flags.patient not in header:
        return  # it has no output either
    place = header.index(flags.patient)
    for row in rows[flags.header_row :]:
        cells = dict(zip(header, row, strict=False))
        patient = row[place].strip() if len(row) > place else ""
        found.add(patient, "cell", _IDENTIFIER)
        for column, text in cells.items():
            role = flags.columns.get(column, "keep")
            if role not in {"keep", "date"}:
                found.add(text, "cell", _IDENTIFIER)
            if role in {"drop", "identifier"}:
                for part in re.split(r"[^\w]+", text):
                    if not _NUMBER.fullmatch(part):
                        found.add(part, "cell", _CELL_PART)
            if role in {"date", "drop", "free text"}:
                found.dates[patient] |= dates_in(text.encode())
            if role == "keep" and column != flags.patient:
                told = found.declared if column in flags.columns else found.harmless
                told.add(text.strip().casefold())


def _rows_of(path: Path, flags: TableFlags) -> list[list[str]]:
    if path.suffix.lower() == ".xlsx":
        book = load_workbook(path, read_only=True, data_only=True)
        sheet = book[flags.sheet] if flags.sheet else book.worksheets[0]
        rows = [["" if c is None else str(c) for c in r] for r in sheet.iter_rows(values_only=True)]
        book.close()
        return rows
    text = path.read_text(flags.encoding, errors="replace").lstrip("\ufeff")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=first.count)
    return list(csv.reader(text.splitlines(), delimiter=delimiter))


def _of_dicom(path: Path, found: Originals) -> None:
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] != b"DICM":
        return
    for run in re.findall(rb"[\x20-\x7e]{6,}", start[:128]):
        found.add(run.decode("ascii"), "preamble", _PRIVATE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_bounded(path) as file:
                data = dcmread(file, stop_before_pixels=True)
            patient = str(data.get("PatientID") or "").strip()
            for meta in data.file_meta:
                if meta.VR == "AE":
                    found.add(str(meta.value), "file meta", _IDENTIFIER)
            for element in _elements(data):
                _of_element(element, patient, found)
    except (*DAMAGE, InvalidDicomError):
        return  # it has no output either


@dataclass(frozen=True, kw_only=True)
class _Element:
    tag: int
    vr: str
    keyword: str
    private: bool
    texts: list[str]


def _elements(data: Dataset) -> Iterator[_Element]:
    """Elements with a value, of every depth."""
    for element in data.iterall():
        if element.VR == "SQ":
            continue
        value = element.value
        many = value if isinstance(value, list) or element.VM > 1 else [value]
        yield _Element(
            tag=int(element.tag),
            vr=element.VR,
            keyword=element.keyword,
            private=element.tag.is_private,
            texts=[
                v.decode("latin-1") if isinstance(v, bytes) else str(v)
                for v in many
                if v is not None
            ],
        )


def _of_element(element: _Element, patient: str, found: Originals) -> None:
    vr = element.vr
    for text in element.texts:
        if element.private:
            if len(text) < _LONGEST_PRIVATE and text.isprintable() and not _NUMBER.fullmatch(text):
                found.add(text, "private element", _PRIVATE)
        elif vr == "PN":
            found.values[element.tag].add(text)
            for part in re.split(r"[\^=,\s]+", text):
                found.add(part, "name", _NAME_PART)
        elif vr == "UI":
            public = text.startswith(("1.2.840.10008.", "2.16.840.1.113883.6."))
            if not public and "Class" not in element.keyword:
                found.uids.add(text)
        elif vr in {"DA", "DT"} and re.match(r"\d{8}", text):
            found.dates[patient].add(text[:8])
        elif vr in _TEXT_VRS:
            _of_text(element, text, found)
        elif vr == "CS":
            found.harmless.add(text.casefold())


def _of_text(element: _Element, text: str, found: Originals) -> None:
    found.values[element.tag].add(text)
    if _IDENTITY.search(element.keyword):
        found.add(text, "identifier", _IDENTIFIER)
    elif f"{element.tag:08X}" not in tags_of_the_table():
        found.harmless.add(text.casefold())
    elif not _NUMBER.fullmatch(text) and not vocabulary.region(text.strip()):
        found.add(text, "description", _DESCRIPTION)  # the field's names of regions may stay


@cache
def tags_of_the_table() -> dict[str, tuple[str, str, str]]:
    """Tag → code of the Basic Profile, of modified dates, of patient characteristics."""
    text = files("metasight.deidentify").joinpath("confidentiality.csv").read_text("utf-8")
    rows = list(csv.reader(text.splitlines()))[1:]
    return {tag: (basic, dates, person) for tag, _, basic, dates, person in rows}


@cache
def _words_of_the_standard() -> frozenset[str]:
    """Meanings of the standard's codes: a description may be one of them."""
    by_scheme: dict[str, Any] = concepts
    return frozenset(
        meaning.casefold()
        for by_keyword in by_scheme.values()
        for codes in by_keyword.values()
        for meaning, *_ in codes.values()
    )
