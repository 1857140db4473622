"""A last look at what is to leave or to be published: nothing in it names a patient.

It is a search of bytes, apart from the code that wrote them, for what names patients in the
study's own tables. What is packed is unpacked: archives, Parquet, streams of a PDF, compressed
texts and pictures within a page.

What stands in files by chance is not looked for, so that nobody is refused for nothing: texts of
fewer than six bytes, numbers of fewer than eight digits, names that are words of metasight's own
texts. For these there is one rule of form: a column ``patient`` holds pseudonyms.
"""

from __future__ import annotations

import base64
import binascii
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import pandas as pd

import metasight
from metasight.cohort.identifying import Named
from metasight.deidentify.check import parts_of
from metasight.deidentify.search import SHORTEST, Texts
from metasight.errors import StudyError

SHORTEST_NUMBER = 8
"""Digits: pictures, counts and hashes are full of shorter numbers."""
_KEY = "the key of the pseudonyms"
_NO_PSEUDONYM = "an id of a patient that is no pseudonym"
_PSEUDONYM = re.compile(r"P[0-9a-f]{16}|")
_STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
_EMBEDDED = re.compile(rb"data:[\w/+.-]+;base64,([A-Za-z0-9+/=\s]+)")
_PACKED_TEXTS = (b"zTXt", b"iTXt")
_WORD = re.compile(r"[^\W\d_]{4,}")
_OWN_TEXTS = frozenset((".py", ".toml", ".html", ".css", ".typ", ".json", ".csv", ".md"))
_MOST_UNPACKED = 1 << 28


def require_no_identifier(
    folder: Path,
    texts: Mapping[str, Named],
    *,
    key: str | None,
    what: str = "an export",
    apart: Path | None = None,
) -> None:
    """Refuse a folder in which something that names a patient, or the key, stands.

    Parameters
    ----------
    folder
        What is to leave; names of files count too.
    texts
        Of :func:`~metasight.cohort.identifying.identifying_texts`.
    key
        Of the pseudonyms; None where it is no secret, as that of public data.
    what
        The folder is, in words.
    apart
        Folder within it of which it was said that it names patients.

    Raises
    ------
    StudyError
        One was found; the file is named by its number, for its name may be what was found.
    """
    wanted = Texts(
        {
            **{t: k for t, k in texts.items() if _is_looked_for(t, k)},
            **({} if key is None else {key: _KEY}),
        },
        whole_words={Named.NAME},
    )
    files = sorted(p for p in folder.rglob("*") if p.is_file() and apart not in p.parents)
    for number, path in enumerate(files, start=1):
        found = _first_in(path, path.relative_to(folder), wanted)
        if found:
            raise StudyError(
                f"{what} would contain {found}",
                where=f"file {number} of {len(files)} ({path.suffix.lstrip('.')})",
                remedy="Nothing was written. Look where it stands as a value that is passed on: "
                "the title, a centre, a category, a column's name; correct that and try again. "
                "Columns with names and birth dates are not needed: leave them out",
            )


def _is_looked_for(text: str, kind: Named) -> bool:
    if len(text.encode()) < (SHORTEST_NUMBER if text.isdigit() else SHORTEST):
        return False
    return kind is not Named.NAME or not {w.casefold() for w in _WORD.findall(text)} <= _own_words()


def _first_in(path: Path, name: Path, wanted: Texts) -> str:
    table = _table_of(path)
    for content in (name.as_posix().encode(), *_contents(path, table)):
        for found in wanted.found_in(content):
            return found
    if table is not None and "patient" in table:
        named = table["patient"].dropna().unique()
        if not all(_PSEUDONYM.fullmatch(str(p)) for p in named):
            return _NO_PSEUDONYM
    return ""


def _table_of(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path).reset_index() if path.suffix.lower() == ".parquet" else None


def _contents(path: Path, table: pd.DataFrame | None) -> Iterator[bytes]:
    """A file's bytes, a part at a time, and what is packed in it; ``table`` is that of Parquet."""
    yield from (raw for _, raw in parts_of(path))
    suffix = path.suffix.lower()
    if table is not None:
        yield _texts(table)
    elif suffix == ".pdf":
        yield from (_inflated(s) for s in _STREAM.findall(path.read_bytes()))
    elif suffix == ".png":
        yield from _texts_of_picture(path.read_bytes())
    elif suffix in {".html", ".svg", ".json", ".geojson", ".md"}:
        for packed in _EMBEDDED.findall(path.read_bytes()):
            yield from _embedded(packed)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)


def _embedded(packed: bytes) -> Iterator[bytes]:
    try:
        raw = base64.b64decode(packed)
    except binascii.Error:
        return
    yield raw
    yield from _texts_of_picture(raw)


def _texts_of_picture(raw: bytes) -> Iterator[bytes]:
    """Compressed texts of a PNG; those that are not compressed stand in its bytes."""
    at = 8
    while raw[:4] == b"\x89PNG" and at + 8 <= len(raw):
        length, kind = int.from_bytes(raw[at : at + 4], "big"), raw[at + 4 : at + 8]
        if kind in _PACKED_TEXTS:
            chunk = raw[at + 8 : at + 8 + length]
            begin = chunk.find(b"\x78")
            yield _inflated(chunk[max(begin, 0) :])
        at += length + 12


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream, _MOST_UNPACKED)
    except zlib.error:
        return b""


def _texts(table: pd.DataFrame) -> bytes:
    """Every name of a column and every cell that is a text or a whole number, a line each."""
    cells: list[str] = [str(name) for name in table.columns]
    for _, column in table.items():
        if pd.api.types.is_float_dtype(column):
            whole = column.dropna()
            if len(whole) and (whole % 1 == 0).all():
                cells += [str(int(v)) for v in whole.unique() if abs(v) < 2**63]
        elif not pd.api.types.is_bool_dtype(column):
            cells += map(str, column.unique() if column.dtype != object else column)
    return "\n".join(cells).encode()


@lru_cache(maxsize=1)
def _own_words() -> frozenset[str]:
    """Words that metasight itself writes: authors of its references, terms, months."""
    root = Path(metasight.__file__).parent
    found: set[str] = set()
    for path in _own_files(root):
        found.update(w.casefold() for w in _WORD.findall(path.read_text("utf-8", "replace")))
    return frozenset(found)


def _own_files(root: Path) -> Iterable[Path]:
    return (p for p in root.rglob("*") if p.suffix in _OWN_TEXTS and p.is_file())
