"""A folder of everything, de-identified file by file; what cannot be is named in a ledger.

A file is known by its number in the alphabetical order of the folder: names may hold a patient's,
and the ledger holds none. It lies beside the output, not in it: the order of the numbers is that of
the names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from metasight.deidentify import dicom_file
from metasight.deidentify.flags import TableFlags
from metasight.deidentify.key import Key
from metasight.deidentify.places import Places
from metasight.deidentify.refusal import Refusal
from metasight.deidentify.slide_file import is_tiff, new_slide
from metasight.deidentify.table_file import new_table, slide_name
from metasight.errors import MetasightError, StudyError
from metasight.ledger import Fate
from metasight.spreadsheet import csv_text


@dataclass(frozen=True, kw_only=True)
class FileRow:
    """What became of one file.

    Attributes
    ----------
    number
        In the order of :func:`files_of`, from 1.
    kind
        ``DICOM`` with its modality, ``slide``, ``table``, or what else it is.
    verdict
        Kept; excluded, where leaving it out is the rule; failed, where somebody should look.
    reason
        Why it was not kept, or what of it was not.
    output
        Name of the new file, relative to the output.
    """

    number: int
    kind: str
    verdict: Fate
    reason: str = ""
    output: str = ""


def files_of(folder: Path) -> list[Path]:
    """Files below a folder, in the order of their relative names' bytes; links are among them."""
    found = [p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()]
    return sorted(found, key=lambda p: os.fsencode(p.relative_to(folder)))


def check_folders(source: Path, output: Path) -> None:
    """Refuse an output that is not empty, or that lies in the source or around it.

    Raises
    ------
    StudyError
        As said, or there is no source.
    """
    if not source.is_dir():
        raise StudyError(
            "there is no such folder", where="source", remedy="Give the folder with the files"
        )
    a, b = source.resolve(), output.resolve()
    if a.is_relative_to(b) or b.is_relative_to(a):
        raise StudyError(
            "the output and the source lie in each other",
            where="output",
            remedy="Give a folder beside the source",
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise StudyError(
            "the output is not an empty folder",
            where="output",
            remedy="Give a new folder: old and new files must not be mixed",
        )


def deidentify_folder(
    source: Path,
    output: Path,
    key: Key,
    *,
    tables: Iterable[TableFlags] = (),
    on_file: Callable[[int, int], None] | None = None,
) -> list[FileRow]:
    """De-identify every file below a folder.

    Parameters
    ----------
    source
        Folder; nothing in it is changed.
    output
        New or empty folder outside of it.
    key
        From which pseudonyms, UIDs and shifts derive.
    tables
        What the columns of each table are; a table without flags is not passed on.
    on_file
        Is told how many files have been begun and how many there are.

    Returns
    -------
    One row a file. The same source and key give the same bytes.

    Raises
    ------
    StudyError
        As :func:`check_folders`.
    """
    check_folders(source, output)
    paths = files_of(source)
    flags = {source / t.file: t for t in tables}
    missing = len(flags.keys() - set(paths))
    if missing:
        raise StudyError(
            "the flags name files that are not in the source",
            where="flags",
            value=str(missing),
            remedy="Correct their paths; they are relative to the source folder",
        )
    output.mkdir(parents=True, exist_ok=True)
    rows: dict[int, FileRow] = {}
    kept: dict[str, str] = {}
    numbered = list(enumerate(paths, start=1))
    # tables last: they may name files, which have other names by then
    for done, (number, path) in enumerate(sorted(numbered, key=lambda p: p[1] in flags), start=1):
        if on_file is not None:
            on_file(done, len(paths))
        if path in flags and path.is_file() and not path.is_symlink():
            rows[number] = _table(
                number, flags[path], source=source, output=output, key=key, places=Places(kept)
            )
            continue
        row = rows[number] = _of_file(number, path, output, key)
        if row.output:
            kept[path.relative_to(source).as_posix()] = row.output
    return [rows[number] for number, _ in numbered]


def _of_file(number: int, path: Path, output: Path, key: Key) -> FileRow:
    if path.is_symlink() or not path.is_file():
        reason = "a link or no ordinary file: give the file itself"
        return FileRow(number=number, kind="link", verdict=Fate.FAILED, reason=reason)
    kind = "file"
    try:
        if path.stat().st_size == 0:
            return FileRow(number=number, kind=kind, verdict=Fate.FAILED, reason="empty file")
        if dicom_file.is_dicom(path):
            kind = "DICOM"
            return _dicom(number, path, output, key)
        if is_tiff(path):
            kind = "slide"
            return _slide(number, path, output, key)
    except MetasightError as error:
        return FileRow(number=number, kind=kind, verdict=Fate.FAILED, reason=str(error))
    except OSError as error:
        reason = f"cannot be read or written: {error.strerror or type(error).__name__}"
        return FileRow(number=number, kind=kind, verdict=Fate.FAILED, reason=reason)
    return FileRow(number=number, kind=kind, verdict=Fate.FAILED, reason=_not_known(path))


def _slide(number: int, path: Path, output: Path, key: Key) -> FileRow:
    name = Path("slides", slide_name(path.name, key))
    if (output / name).exists():
        reason = "another slide of the source has the same name: rename one, also in the tables"
        return FileRow(number=number, kind="slide", verdict=Fate.FAILED, reason=reason)
    made = new_slide(path, output / name)
    note = f"{made.left} other pictures (label, macro, thumbnail) left out" if made.left else ""
    return FileRow(
        number=number,
        kind=f"slide {made.kind}",
        verdict=Fate.KEPT,
        reason=note,
        output=name.as_posix(),
    )


def _not_known(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv", ".txt", ".xlsx"}:
        return "a table that the flags do not name: say what its columns are (--tables)"
    if suffix in _SLIDES_TO_CONVERT:
        return (
            "a slide whose label and properties lie where they cannot all be found: convert it to "
            "DICOM or OME-TIFF without label and macro image, then de-identify that"
        )
    if suffix in {".zip", ".gz", ".tar", ".xz", ".7z"}:
        return "an archive: unpack it"
    return "not a kind of file that is de-identified (DICOM, SVS, TIFF, tables that flags name)"


_SLIDES_TO_CONVERT = frozenset(
    (".ndpi", ".mrxs", ".scn", ".czi", ".vsi", ".bif", ".vms", ".svslide", ".isyntax")
)


def _table(
    number: int, flags: TableFlags, *, source: Path, output: Path, key: Key, places: Places
) -> FileRow:
    try:
        made = new_table(source, flags, key, places=places)
        write(output / made.name, made.content)
    except MetasightError as error:
        return FileRow(number=number, kind="table", verdict=Fate.FAILED, reason=str(error))
    except OSError as error:
        reason = f"cannot be read or written: {error.strerror or type(error).__name__}"
        return FileRow(number=number, kind="table", verdict=Fate.FAILED, reason=reason)
    return FileRow(
        number=number, kind="table", verdict=Fate.KEPT, reason=made.note, output=made.name
    )


def _dicom(number: int, path: Path, output: Path, key: Key) -> FileRow:
    made = dicom_file.deidentified(path, key)
    if isinstance(made, Refusal):
        fate = Fate.EXCLUDED if made.on_purpose else Fate.FAILED
        return FileRow(number=number, kind="DICOM", verdict=fate, reason=made.reason)
    kind = f"DICOM {made.kind}"
    place = output / made.name
    if place.exists():
        if place.read_bytes() == made.content:
            reason = "a copy of an earlier file"
            return FileRow(number=number, kind=kind, verdict=Fate.EXCLUDED, reason=reason)
        reason = "another file has the same SOPInstanceUID and other content"
        return FileRow(number=number, kind=kind, verdict=Fate.FAILED, reason=reason)
    write(place, made.content)
    return FileRow(number=number, kind=kind, verdict=Fate.KEPT, output=made.name.as_posix())


def write(place: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part")
    part.write_bytes(content)
    part.replace(place)


def write_ledger(rows: Iterable[FileRow], path: Path) -> None:
    """Write the rows as CSV, readable to their owner alone."""
    columns = list(FileRow.__annotations__)
    told = [asdict(row) | {"verdict": str(row.verdict)} for row in rows]
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(csv_text(columns, [[row[c] for c in columns] for row in told], line_end="\n"))
