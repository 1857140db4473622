"""What the columns of tables are, as whoever de-identifies them says it in a TOML file.

Which column names a patient cannot be told from its cells alone, so it is said; what is not said
and looks like a name, a number or a date stops the table.
"""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metasight.cohort.settings import TableSettings
from metasight.errors import StudyError

Role = Literal["drop", "identifier", "date", "free text", "slide", "scan", "uid", "keep"]
"""``drop``: left out. ``identifier``: replaced by a keyed pseudonym, the same in every table.
``date``: moved by the patient's shift. ``free text``: left out, and said in the ledger. ``slide``:
a file's name, replaced by the new file's. ``scan``: the path of a DICOM file or folder, replaced by
the new one's. ``uid``: a DICOM UID, replaced as in the files.
``keep``: as it is, unless it holds an identifier of its row."""


class TableFlags(BaseModel):
    """One table.

    Attributes
    ----------
    file
        Relative to the source folder.
    name
        Of the new file, without its suffix; the old name may hold a patient's.
    patient
        Column of the patient's id, as PatientID in his DICOM files.
    columns
        Column → what it is.
    sheet, encoding, decimal, header_row, skip_rows
        How the file is read, as in ``study.toml``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    patient: str
    columns: dict[str, Role] = {}
    sheet: str | None = None
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    header_row: Annotated[int, Field(ge=1, le=1000)] = 1
    skip_rows: tuple[int, ...] = ()

    @property
    def settings(self) -> TableSettings:
        """How the table is read."""
        return TableSettings(
            path=self.file,
            id=self.patient,
            sheet=self.sheet,
            encoding=self.encoding,
            decimal=self.decimal,
            header_row=self.header_row,
            skip_rows=self.skip_rows,
        )


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    table: list[TableFlags]


def read_flags(path: Path) -> tuple[TableFlags, ...]:
    """Read the flags of every table.

    Parameters
    ----------
    path
        TOML with one ``[[table]]`` a file.

    Raises
    ------
    StudyError
        It cannot be read, a key or a value is none that is known, or two tables have one name.
    """
    try:
        found = _File.model_validate(tomllib.loads(path.read_text("utf-8"))).table
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise StudyError(
            "the flags of the tables cannot be read",
            where=path.name,
            value=type(error).__name__,
            remedy="Write TOML as in docs/deidentification.md",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(
            "the flags of the tables are not as they must be",
            where=path.name,
            value=f"{'.'.join(map(str, first['loc'][:3]))}: {first['msg']}",
            remedy="Correct it; docs/deidentification.md lists what a column can be",
        ) from error
    for texts, what in (([t.name for t in found], "name"), ([t.file for t in found], "file")):
        if len(set(texts)) < len(texts):
            raise StudyError(
                f"two tables have one {what}",
                where=path.name,
                remedy="Give each table an entry and a name of its own",
            )
    for table in found:
        place = PurePosixPath(table.file)
        if place.is_absolute() or ".." in place.parts:
            raise StudyError(
                "a table lies outside of the source",
                where=path.name,
                remedy="Give its path relative to the source folder",
            )
    return tuple(found)
