"""How one variable of the protocol is found in a study's tables.

A column as it is, a column with units and codes, or one of a few values that are derived from other
columns. The vocabulary of derived values is closed: nothing in ``study.toml`` is evaluated.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Scalar = bool | int | float | str

CENSORED = "censored"
"""Code of a status column for a patient in whom none of its events has happened."""


def _as_text(code: Any) -> Any:
    number = isinstance(code, int | float) and not isinstance(code, bool)
    return str(code) if number else code


Code = Annotated[str, BeforeValidator(_as_text)]
"""A code of a table; TOML may give it as text or as a number."""


DATE = "date"
"""Unit of a time that is a day of the calendar."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnMapping(_Part):
    """How a canonical variable is found in the user's table.

    Attributes
    ----------
    column
        The user's name for it.
    table
        Name of the table in ``[tables]`` that holds the column; the patient table by default.
    unit
        The user's unit, if not the protocol's; it is converted.
    values
        The user's codes and what they mean.
    missing
        Codes that mean missing.
    date_format
        strptime pattern of a date column that is not YYYY-MM-DD.
    negate
        Whether the sign of the number is turned (age as days before diagnosis: -15209).
    """

    column: str
    table: str | None = None
    unit: str | None = None
    values: dict[str, Scalar] | None = None
    missing: tuple[Code, ...] = ()
    date_format: str | None = None
    negate: bool = False


class Interval(_Part):
    """Time between two columns: two dates, or two numbers of days from the same day.

    Attributes
    ----------
    days_between, years_between
        First and second column; the value is second minus first. Exactly one of the two is given.
        Years are days divided by 365.25, but between two dates completed birthdays count.
    table
        Name of the table in ``[tables]`` that holds both.
    date_format
        strptime pattern of dates that are not YYYY-MM-DD.
    missing
        Codes that mean missing.
    """

    days_between: tuple[str, str] | None = None
    years_between: tuple[str, str] | None = None
    table: str | None = None
    date_format: str | None = None
    missing: tuple[Code, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Interval:
        if (self.days_between is None) == (self.years_between is None):
            raise ValueError("give days_between or years_between, with two columns")
        return self

    @property
    def columns(self) -> tuple[str, str]:
        """First and second column."""
        return self.days_between or self.years_between or ("", "")


class Filled(_Part):
    """An event that happened where its time or date is filled in, and only there.

    Attributes
    ----------
    filled
        Column whose cell is filled for patients with the event and empty for the others.
    table
        Name of the table in ``[tables]`` that holds it.
    missing
        Codes that count as empty ("NP", "NA").
    unknown
        Codes for patients of whom it is not known.
    """

    filled: str
    table: str | None = None
    missing: tuple[Code, ...] = ()
    unknown: tuple[Code, ...] = ()


Mapped = ColumnMapping | Interval | Filled
"""Everything that ``[columns]`` may say of a variable, besides a column's name."""


class TimeAndStatus(_Part):
    """One time and one status column: time to the first of some events, or to the last visit.

    Attributes
    ----------
    time, status
        Columns.
    unit
        Of the time; ``date`` where the column holds the day of it, counted from time zero.
    date_format
        strptime pattern of days that are not YYYY-MM-DD.
    codes
        Code of the status → the protocol's event variable that happened then, or ``censored``.
        A code that is not declared is a problem.
    table
        Name of the table in ``[tables]`` that holds both.
    missing
        Codes that mean missing, in either column.
    """

    time: str
    status: str
    unit: str = "days"
    date_format: str | None = None
    codes: dict[str, str] = Field(min_length=2)
    table: str | None = None
    missing: tuple[Code, ...] = ()

    @model_validator(mode="after")
    def _of_days(self) -> TimeAndStatus:
        if self.date_format is not None and self.unit != DATE:
            raise ValueError(f'date_format needs unit = "{DATE}"')
        return self

    @property
    def events(self) -> tuple[str, ...]:
        """Event variables that it gives, each once."""
        return tuple(dict.fromkeys(v for v in self.codes.values() if v != CENSORED))


class Constant(_Part):
    """A value that holds for every patient of the study, and why.

    Attributes
    ----------
    value
        Of the variable, in the protocol's unit or level.
    reason
        Why it holds for every patient, in ten characters or more; the report prints it.
    """

    value: Scalar
    reason: str = Field(min_length=10)
