"""A folder of everything, de-identified file by file; what cannot be is named in a ledger.

A file is known by its number in the alphabetical order of the folder: names may hold a patient's,
and the ledger holds none. It lies beside the output, not in it: the order of the numbers is that of
the names.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from metasight.deidentify import dicom_file
from metasight.deidentify.key import Key
from metasight.deidentify.refusal import Refusal
from metasight.errors import MetasightError, StudyError
from metasight.ledger import Fate


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
        Why it was not kept.
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
    source: Path, output: Path, key: Key, *, on_file: Callable[[int, int], None] | None = None
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
    on_file
        Is told the file's number and how many there are.

    Returns
    -------
    One row a file. The same source and key give the same bytes.

    Raises
    ------
    StudyError
        As :func:`check_folders`.
    """
    check_folders(source, output)
    output.mkdir(parents=True, exist_ok=True)
    paths = files_of(source)
    rows: list[FileRow] = []
    for number, path in enumerate(paths, start=1):
        if on_file is not None:
            on_file(number, len(paths))
        rows.extend(_of_file(number, path, output, key))
    return rows


def _of_file(number: int, path: Path, output: Path, key: Key) -> Iterator[FileRow]:
    if path.is_symlink() or not path.is_file():
        reason = "a link or no ordinary file: give the file itself"
        yield FileRow(number=number, kind="link", verdict=Fate.FAILED, reason=reason)
        return
    kind = "file"
    try:
        if path.stat().st_size == 0:
            yield FileRow(number=number, kind=kind, verdict=Fate.FAILED, reason="empty file")
        elif dicom_file.is_dicom(path):
            kind = "DICOM"
            yield _dicom(number, path, output, key)
        else:
            reason = (
                "not a kind of file that is de-identified (DICOM, SVS, TIFF, or a table that the "
                "flags name)"
            )
            yield FileRow(number=number, kind=kind, verdict=Fate.FAILED, reason=reason)
    except MetasightError as error:
        yield FileRow(number=number, kind=kind, verdict=Fate.FAILED, reason=str(error))
    except OSError as error:
        reason = f"cannot be read: {error.strerror or type(error).__name__}"
        yield FileRow(number=number, kind=kind, verdict=Fate.FAILED, reason=reason)


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
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(FileRow.__annotations__), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**asdict(row), "verdict": str(row.verdict)} for row in rows)
