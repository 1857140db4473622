"""The second look: the output read back, byte by byte, for whatever named a patient in the source.

It shares data with what made the output (the standard's table, the key), and no code that reads,
walks or cleans. A file without findings holds none of the texts, dates and UIDs that the source has
of its patients; what nobody can know (a face, a text drawn in pixels, a name that stands only in a
picture) is not found here.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from metasight.bounded import open_bounded
from metasight.deidentify.conformance import departures
from metasight.deidentify.flags import TableFlags
from metasight.deidentify.key import Key
from metasight.deidentify.originals import Originals, originals_of
from metasight.deidentify.search import SHORTEST, Texts, dates_in, uids_in
from metasight.deidentify.slide_conformance import slide_departures
from metasight.errors import StudyError
from metasight.volumes.headers import DAMAGE

_TEXT_VRS = frozenset(("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR"))
_SHORTEST_NUMBER = 8
_PART = 8 * 2**20
_OVERLAP = 2**10
_DATE_VRS = frozenset(("DA", "DT"))
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that should not be in the output.

    Attributes
    ----------
    number
        Of the file, in the alphabetical order of the output, from 1.
    where
        Tag, byte or ``name``.
    what
        In words; what was found is never shown.
    """

    number: int
    where: str
    what: str


def check_output(
    output: Path, source: Path, key: Key, *, tables: Iterable[TableFlags] = ()
) -> list[Finding]:
    """Read an output back and say what of the source's patients is in it.

    Parameters
    ----------
    output, source
        Folders of :func:`metasight.deidentify.batch.deidentify_folder`.
    key
        With which the output was made: it tells whose dates a file must not hold.
    tables
        What the columns of the source's tables are.

    Raises
    ------
    StudyError
        The output or the source is no folder, or the output holds nothing.
    """
    for folder, name in ((output, "output"), (source, "source")):
        if not folder.is_dir():
            raise StudyError(
                "there is no such folder", where=name, remedy="Give the folder that was written"
            )
    paths = sorted(p for p in output.rglob("*") if not p.is_dir())
    if not paths:
        raise StudyError(
            "the output holds no files",
            where="output",
            remedy="Look into the ledger: nothing was kept",
        )
    look = _Look(originals_of(source, tables), key)
    return [
        Finding(number=number, where=where, what=what)
        for number, path in enumerate(paths, start=1)
        for where, what in look.at(path, path.relative_to(output))
    ]


class _Look:
    """What is looked for, made ready once."""

    def __init__(self, originals: Originals, key: Key) -> None:
        self._originals = originals
        short = {t for t in originals.texts if _is_short(t)}
        self._texts = Texts({t: k for t, k in originals.texts.items() if t not in short})
        self._words = {
            t.casefold(): kind
            for t, kind in originals.texts.items()
            if t in short and kind in {"name", "identifier", "cell"}
        }
        self._dates: dict[str, set[str]] = {}
        for patient, dates in originals.dates.items():
            moved = {_moved(d, key.shift_days(patient)) for d in dates}
            # a date may fall on another of the same patient when it is moved
            self._dates.setdefault(key.patient(patient), set()).update(dates - moved)

    def at(self, path: Path, name: Path) -> Iterator[tuple[str, str]]:
        """Where and what, of one file."""
        named = [(0, os.fsencode(name))]
        yield from (("name", what) for _, what in self._in_bytes(named, name))
        yield from self._in_bytes(parts_of(path), name)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = [m.encode() + archive.read(m) for m in archive.namelist()]
            yield from self._in_bytes([(0, m) for m in members], name)
        with path.open("rb") as file:
            start = file.read(132)
        if start[128:] == b"DICM":
            yield from self._in_dicom(path, name)
        elif start[:2] in {b"II", b"MM"}:
            yield from slide_departures(path)
        elif path.suffix == ".csv":
            yield from self._in_rows(path.read_text("utf-8", "replace"))

    def _in_bytes(
        self, parts: Iterable[tuple[int, bytes]], name: Path
    ) -> Iterator[tuple[str, str]]:
        """Each kind of finding once a file."""
        told: set[str] = set()
        dates = self._dates.get(name.parts[0], set())
        for begin, raw in parts:
            found = [
                (f"byte {begin + place}", f"{kind} of the source")
                for kind, place in self._texts.found_in(raw).items()
            ]
            if uids_in(raw) & self._originals.uids:
                found.append(("bytes", "UID of the source"))
            if dates and dates_in(raw) & dates:
                found.append(("bytes", "date of the source"))
            for where, what in found:
                if what not in told:
                    told.add(what)
                    yield where, what

    def _in_words(self, text: str, where: str) -> Iterator[tuple[str, str]]:
        words = {w.casefold() for w in _WORD.findall(text)} | {text.strip().casefold()}
        for word in words & self._words.keys():
            yield where, f"{self._words[word]} of the source"

    def _in_rows(self, text: str) -> Iterator[tuple[str, str]]:
        """Short texts, and dates, each held against its own patient's."""
        for number, row in enumerate(csv.reader(text.splitlines()), start=1):
            yield from self._in_words(" | ".join(row), f"row {number}")
            dates = self._dates.get(row[0] if row else "", set())
            if dates_in(" ".join(row).encode()) & dates:
                yield f"row {number}", "date of the source"

    def _in_dicom(self, path: Path, name: Path) -> Iterator[tuple[str, str]]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with open_bounded(path) as file:
                    data = dcmread(file)
                yield from self._in_elements(data, name)
        except (*DAMAGE, InvalidDicomError):
            yield "file", "cannot be read back"

    def _in_elements(self, data: FileDataset, name: Path) -> Iterator[tuple[str, str]]:
        for departure in departures(data, self._originals):
            yield departure.where, departure.what
        dates = self._dates.get(name.parts[0], set())
        for element in data.iterall():
            if element.VR in _TEXT_VRS and element.value:
                yield from self._in_words(str(element.value), str(element.tag))
            elif element.VR in _DATE_VRS and dates_in(str(element.value).encode()) & dates:
                yield str(element.tag), "date of the source"


def parts_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Parts of a file that overlap by more than any text is long, and where each begins."""
    begin = 0
    with path.open("rb") as file:
        while raw := file.read(_PART):
            yield begin, raw
            if len(raw) < _PART:
                return
            begin += _PART - _OVERLAP
            file.seek(begin)


def _is_short(text: str) -> bool:
    """Whether a text stands in pixels and numbers by chance, so that it counts as a word only."""
    return len(text.encode()) < (_SHORTEST_NUMBER if text.isdigit() else SHORTEST)


def _moved(date: str, days: int) -> str:
    try:
        return f"{dt.datetime.strptime(date, '%Y%m%d') + dt.timedelta(days):%Y%m%d}"
    except (ValueError, OverflowError):
        return ""
