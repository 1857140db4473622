"""One ledger of everything that happened to a patient, slide, series, pair or fold.

Flow diagram, counts in the report and resume logic are all read from it. Nothing disappears
without a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from metasight.formats import read_table, write_table

FORMAT = 2
"""Of ``ledger.parquet``."""


class Fate(StrEnum):
    """What became of an item at a stage."""

    KEPT = "kept"
    EXCLUDED = "excluded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    WAIVED = "waived"

    @classmethod
    def of(cls, holds: bool | None) -> Fate:
        """``None`` is unknown."""
        if holds is None:
            return cls.UNKNOWN
        return cls.KEPT if holds else cls.EXCLUDED


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row.

    Attributes
    ----------
    patient
        Study pseudonym; empty for rows about the study as a whole.
    item
        What it happened to: a table row, slide, series, fold, or ``patient``.
    stage
        Step of the pipeline.
    verdict
        What became of it.
    criterion
        Protocol id (I1, E6) or the name of the check; empty if none.
    value
        The value the verdict rests on, as text.
    reason
        Why, in words.
    who, when, replaced
        Of a reader's decision: the reader, the day, and the verdict in whose place it stands;
        empty for verdicts of the programme.
    """

    patient: str
    item: str
    stage: str
    verdict: Fate
    criterion: str = ""
    value: str = ""
    reason: str = ""
    who: str = ""
    when: str = ""
    replaced: str = ""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Entry:
        """From a row as text, as ``asdict`` and JSON or Parquet leave it."""
        return cls(**{**row, "verdict": Fate(row["verdict"])})


SCHEMA = pa.schema([(name, pa.string()) for name in Entry.__annotations__])


class Ledger:
    """Rows in the order in which things happened; append only."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = list(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Append one row."""
        self._entries.append(entry)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Append rows."""
        self._entries.extend(entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All rows."""
        return tuple(self._entries)

    def to_frame(self) -> pd.DataFrame:
        """Rows as a table of text."""
        rows = [{k: str(v) for k, v in asdict(e).items()} for e in self._entries]
        return pd.DataFrame(rows, columns=SCHEMA.names, dtype="string")

    def to_parquet(self, path: Path) -> None:
        """Write; the same rows give the same bytes."""
        table = pa.Table.from_pandas(self.to_frame(), schema=SCHEMA, preserve_index=False)
        write_table(table, path, own=FORMAT)

    @classmethod
    def from_parquet(cls, path: Path) -> Ledger:
        """Read a ledger back.

        Raises
        ------
        StoreError
            The file has another format.
        """
        rows = read_table(path, own=FORMAT).to_pylist()
        return cls(Entry.from_row(row) for row in rows)
