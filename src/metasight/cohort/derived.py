"""Values counted from other columns: days and years between two, events that are filled in.

The vocabulary is that of `metasight.cohort.mapping`; nothing is evaluated.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from metasight.cohort.codes import MissingCodes, find_code, number_of
from metasight.cohort.mapping import CENSORED, Filled, Interval, TimeAndStatus
from metasight.cohort.parsing import NO_MEANING, date_from
from metasight.cohort.showing import looks_like_date
from metasight.protocol.criteria import Value
from metasight.protocol.study import Variable
from metasight.units import DAYS_PER_YEAR

Point = dt.date | float
"""A day of the calendar, or a number of days from a day that both columns share."""


def unfit(mapped: Interval | Filled, variable: Variable) -> str:
    """Why ``variable`` cannot be derived so; empty where it can."""
    if isinstance(mapped, Filled):
        return (
            "" if variable.type == "boolean" else f"filled gives yes or no, not a {variable.type}"
        )
    unit = "days" if mapped.days_between else "years"
    if variable.type in {"number", "integer"} and variable.unit == unit:
        return ""
    return f"{unit}_between gives {unit}, and {variable.name} is {variable.accepted}"


def point_of(text: str, date_format: str | None, *, is_date: bool, decimal: str) -> Point | None:
    """A date or a number of days; None where the cell is neither."""
    if is_date:
        return dt.date.fromisoformat(text)
    number = number_of(text)
    plain = number is not None and not (decimal == "," and "." in text)
    if plain and (date_format is None or len(text.lstrip("+-")) < 6):
        return number
    return date_from(text, date_format)


def between(mapped: Interval, first: Point, second: Point) -> tuple[float | None, str]:
    """Second minus first, or what is wrong with the two."""
    if isinstance(first, dt.date) and isinstance(second, dt.date):
        if mapped.days_between:
            return float((second - first).days), ""
        return float(_completed_years(first, second)), ""
    if isinstance(first, dt.date) or isinstance(second, dt.date):
        return None, "a date in one column and a number of days in the other"
    days = second - first
    return (days if mapped.days_between else days / DAYS_PER_YEAR), ""


def _completed_years(first: dt.date, second: dt.date) -> int:
    return second.year - first.year - ((second.month, second.day) < (first.month, first.day))


def happened(mapped: Filled, text: str, missing: MissingCodes) -> tuple[bool | None, str]:
    """Whether an event happened whose time or date stands in a column."""
    if mapped.unknown and text and text in MissingCodes(mapped.unknown):
        return None, ""
    if text in missing:
        return False, ""
    if number_of(text) is not None or looks_like_date(text):
        return True, ""
    return None, "neither a time nor a date, nor a code that means empty"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one time and one status say of a patient.

    Attributes
    ----------
    values
        Event variable and its time → value.
    last_day
        Day until which the status is known; None where it is missing.
    censored
        Whether none of the events has happened.
    """

    values: dict[str, Value | None]
    last_day: float | None
    censored: bool


def told_by(part: TimeAndStatus, status: str | None, days: float | None) -> tuple[Told, str]:
    """Events and times of a patient, or what is wrong with the status.

    Parameters
    ----------
    part
        Of ``study.toml``.
    status
        The cell; None where it is missing.
    days
        The time in days; None where it is missing.
    """
    nothing: dict[str, Value | None] = {n: None for e in part.events for n in (e, f"{e}_days")}
    unknown = Told(values=nothing, last_day=None, censored=False)
    if status is None:
        return unknown, "" if days is None else "a time has no status"
    code = find_code(status, part.codes)
    if code is None:
        return unknown, NO_MEANING
    if days is None:
        return unknown, "a status has no time"
    event = part.codes[code]
    values = {**nothing, **dict.fromkeys(part.events, False)}
    if event != CENSORED:
        values |= {event: True, f"{event}_days": days}
    return Told(values=values, last_day=days, censored=event == CENSORED), ""


def days_on(
    text: str, date_format: str | None, *, is_date: bool, zero: Value | None
) -> tuple[float | None, str]:
    """Days from time zero to a day of the calendar, or what is wrong with it.

    None without a problem where time zero is not known.
    """
    day = dt.date.fromisoformat(text) if is_date else date_from(text, date_format)
    if day is None:
        return None, f"not a date of the form {date_format or '%Y-%m-%d'}"
    if not isinstance(zero, dt.date):
        return None, ""
    if day < zero:
        return None, "dates out of order: before time zero"
    return float((day - zero).days), ""


def known_until(told: list[Told]) -> float | None:
    """Day until which every status is known; None where it is for none.

    Where an event's column was closed before another's, what happened after it is not known of the
    first: the earliest of those days counts.
    """
    if any(t.last_day is None for t in told):
        return None
    censored = [t.last_day for t in told if t.censored and t.last_day is not None]
    days = [t.last_day for t in told if t.last_day is not None]
    return min(censored) if censored else max(days, default=None)
