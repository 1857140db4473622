"""Files that others read say the version of their format; one of another format is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metasight.errors import StoreError

KEY = "format"


def require_format(found: object, own: int, *, file: str) -> None:
    """Refuse what is written in another format than this version reads.

    Parameters
    ----------
    found
        What the file says; None where it says nothing.
    own
        What is read.
    file
        Its name.

    Raises
    ------
    StoreError
        They differ.
    """
    if isinstance(found, bool) or found != own:
        raise StoreError(
            "the file is written in another format",
            where=file,
            value=f"format {found}" if found is not None else "no format",
            remedy=f"This version reads format {own}: make the file again with it",
        )


def with_format(value: Mapping[str, Any], own: int) -> dict[str, Any]:
    """The same mapping, its format first."""
    return {KEY: own, **value}


def write_table(table: pa.Table, path: Path, *, own: int) -> None:
    """Write Parquet that carries its format and no other metadata; same rows, same bytes."""
    pq.write_table(
        table.replace_schema_metadata({KEY: str(own)}),
        path,
        compression="zstd",
        write_page_checksum=True,
    )


def read_table(path: Path, *, own: int) -> pa.Table:
    """Read what `write_table` wrote.

    Raises
    ------
    StoreError
        The file has another format, or names none; it is missing or damaged.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise StoreError(
            "the table cannot be read: it is missing, cut off or damaged",
            where=path.name,
            value=type(error).__name__,
            remedy="Copy it again, or run the study again with `metasight run`",
        ) from error
    found = (table.schema.metadata or {}).get(KEY.encode())
    told = found.decode("utf-8", "replace") if found is not None else None
    require_format(int(told) if told and told.isdecimal() else told, own, file=path.name)
    return table
