"""One cell's canonical value, or what is wrong with it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import numpy as np

from metasight.cohort.codes import PLAIN_NUMBER, find_code, number_of
from metasight.cohort.mapping import ColumnMapping
from metasight.cohort.showing import looks_like_date
from metasight.protocol.criteria import Value
from metasight.protocol.study import Variable
from metasight.units import conversion_factor

TRUE, FALSE = {"yes", "y", "true"}, {"no", "n", "false"}
NO_MEANING = "a code that study.toml does not define"
_MIDNIGHT = re.compile(r"[ T]00:00(:00(\.0+)?)?")
"""pandas and databases write a day as the time at which it begins."""


def shown(value: Value | None) -> str:
    """A value for a message; a date shows its month only."""
    if value is None:
        return ""
    return f"{value:%Y-%m}" if isinstance(value, dt.date) else str(value)


def accepted_in(variable: Variable, mapping: ColumnMapping) -> str:
    """What a column may hold, in words."""
    if mapping.values is not None:
        return "one of the codes " + (", ".join(mapping.values) or "(study.toml gives none)")
    if variable.type == "date" and mapping.date_format:
        return f"a date as {mapping.date_format}"
    if mapping.unit and mapping.unit != variable.unit:
        return f"{variable.accepted}, given in {mapping.unit}"
    return variable.accepted


def parse_cell(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    """One cell's canonical value, or what is wrong with it.

    Returns
    -------
    The value and "" on success, None and the problem otherwise.
    """
    if mapping.values is not None:
        found = find_code(text, mapping.values)
        if found is None:
            return None, NO_MEANING
        code = mapping.values[found]
        text = ("yes" if code else "no") if isinstance(code, bool) else str(code)
        decimal = "."  # study.toml's own numbers
    return _PARSERS[variable.type](text, variable, mapping, decimal)


def _boolean(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    del variable, mapping, decimal
    low, number = text.lower(), number_of(text)
    if low in TRUE | FALSE:
        return low in TRUE, ""
    # R and pandas write a logical column with missing values as 1.0 and 0.0
    return (number == 1, "") if number in {0.0, 1.0} else (None, "not yes or no")


def _category(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    del mapping, decimal
    level = find_code(text, variable.values)
    return (level, "") if level is not None else (None, "not an allowed value")


def _text(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    del variable, mapping, decimal
    return text, ""


def _date(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    del variable, decimal
    day = date_from(text, mapping.date_format)
    if day is not None:
        return day, ""
    if re.fullmatch(r"\d{5}", text):
        return None, "an Excel serial number instead of a date"
    return None, f"not a date of the form {mapping.date_format or '%Y-%m-%d'}"


def date_from(text: str, date_format: str | None) -> dt.date | None:
    """A day of the calendar, as YYYY-MM-DD or as ``date_format`` says; None where it is none."""
    day = text if date_format else _MIDNIGHT.sub("", text)
    try:
        return dt.datetime.strptime(day, date_format or "%Y-%m-%d").date()
    except ValueError:
        return None


def _number(
    text: str, variable: Variable, mapping: ColumnMapping, decimal: str
) -> tuple[Value | None, str]:
    share = is_percentage(text)
    if share and (variable.type != "number" or variable.unit not in {"%", ""}):
        return None, "a percentage" + (f" instead of {variable.unit}" if variable.unit else "")
    text = text.removesuffix("%").rstrip() if share else text
    plain = text.replace(",", ".") if decimal == "," else text
    ambiguous = decimal == "," and "." in text
    if ambiguous or not PLAIN_NUMBER.fullmatch(plain):
        return None, _not_a_number(text, decimal)
    factor = conversion_factor(mapping.unit or variable.unit, variable.unit) or 1.0
    if share:  # the sign says the unit, whatever the others of the column are in
        factor = 1.0 if variable.unit == "%" else 0.01
    value = float(plain) * (-factor if mapping.negate else factor)
    if not np.isfinite(value):
        return None, "not a finite number"
    if variable.minimum is not None and value < variable.minimum:
        if value < 0 and variable.name == "followup_days":
            return None, "negative follow-up"
        return None, "below the accepted range"
    if variable.maximum is not None and value > variable.maximum:
        return None, "above the accepted range"
    if variable.type == "integer":
        return (int(value), "") if value.is_integer() else (None, "not a whole number")
    return value, ""


def is_percentage(text: str) -> bool:
    """Whether a cell is a number with a per-cent sign; Excel's number formats are read so."""
    return text.endswith("%") and number_of(text[:-1].rstrip()) is not None


def _not_a_number(text: str, decimal: str) -> str:
    if re.fullmatch(r"[+-]?(inf|infinity|nan)", text, re.IGNORECASE):
        return "not a finite number"
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        return 'a decimal comma (set decimal = "," in study.toml)'
    if re.fullmatch(r"[+-]?\d+\.\d*([eE][+-]?\d+)?", text):
        return 'a point, which may be decimal or group thousands, under decimal = ","'
    if re.fullmatch(r"[+-]?\d+([.,' ]\d{3})+([.,]\d*)?", text):
        return f"thousands are grouped (decimal is {decimal!r})"
    if looks_like_date(text):
        return "not a number (a spreadsheet may have turned it into a date)"
    return "not a number"


_PARSERS: dict[str, Callable[[str, Variable, ColumnMapping, str], tuple[Value | None, str]]] = {
    "number": _number,
    "integer": _number,
    "boolean": _boolean,
    "category": _category,
    "date": _date,
    "text": _text,
}
