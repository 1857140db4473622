"""A last look at what is to leave: no id of the study's patients stands in any file.

It is a search of bytes, apart from the code that wrote them. Archives and Parquet are unpacked.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from metasight.deidentify.check import parts_of
from metasight.deidentify.search import SHORTEST, Texts
from metasight.errors import StudyError

_PATIENT, _KEY = "the id of a patient", "the key of the pseudonyms"


def require_no_identifier(
    folder: Path, ids: Iterable[str], *, key: str, apart: Path | None = None
) -> None:
    """Refuse an export in which a patient's id or the key stands.

    Parameters
    ----------
    folder
        What is to leave; names of files count too.
    ids
        As the hospital writes them. One of fewer than six bytes stands in files by chance and is
        not looked for.
    key
        Of the pseudonyms.
    apart
        Folder within it of which it was said that it names patients.

    Raises
    ------
    StudyError
        One was found; the file is named by its number, for its name may be what was found.
    """
    wanted = {i: _PATIENT for i in ids if len(i.encode()) >= SHORTEST} | {key: _KEY}
    texts = Texts(wanted)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and apart not in p.parents)
    for number, path in enumerate(files, start=1):
        for content in (path.relative_to(folder).as_posix().encode(), *_contents(path)):
            found = texts.found_in(content)
            if found:
                raise StudyError(
                    f"an export would contain {next(iter(found))}",
                    where=f"file {number} of {len(files)} ({path.suffix.lstrip('.')})",
                    remedy="Nothing was written. Check which column of the tables holds ids",
                )


def _contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, a part at a time, and what is packed in it."""
    yield from (raw for _, raw in parts_of(path))
    if path.suffix == ".parquet":
        yield _texts(pd.read_parquet(path).reset_index())
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)


def _texts(table: pd.DataFrame) -> bytes:
    """Every name of a column and every cell, a line each."""
    cells = [str(value) for name in table.columns for value in (name, *table[name])]
    return "\n".join(cells).encode()
