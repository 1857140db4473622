"""Where what was measured on a scan gives reason to look at a patient's row of the table again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from metasight.protocol.criteria import Row, Value
from metasight.protocol.evidence import MEASURED_ON_CT
from metasight.protocol.study import Apart, Protocol, Variable

Measured = Mapping[str, Value | None]


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """One thing that somebody should look at.

    Attributes
    ----------
    criterion
        Id of the criterion that would be affected.
    value
        What the scan says of the numbers that were looked at, with their units.
    said
        What was found, in words.
    """

    criterion: str
    value: str
    said: str


def disagreements(row: Row, measured: Measured, protocol: Protocol) -> Iterator[Disagreement]:
    """What the protocol's scan checks find.

    Parameters
    ----------
    row
        The patient's canonical values, from the table.
    measured
        What the scan says of variables that are measured on CT; None or absent where it says
        nothing. Such a variable is then unknown, whatever the table says.
    protocol
        Its ``[[scan_check]]`` entries and dictionary.
    """
    on_scan = {**row, **dict.fromkeys(MEASURED_ON_CT), **measured}
    for check in protocol.scan_check:
        if check.apart is not None:
            said = _apart(check.apart, row, measured, protocol.variables[check.apart.variable])
        else:
            found = check.condition is not None and check.condition.evaluate(on_scan)
            said = check.text if found else ""
        if said:
            numbers = [
                f"{value:.1f} {protocol.variables[name].unit}".strip()
                for name in check.variables()
                if _is_number(value := measured.get(name))
            ]
            yield Disagreement(criterion=check.criterion, value=", ".join(numbers), said=said)


def _apart(asked: Apart, row: Row, measured: Measured, variable: Variable) -> str:
    """What the two say where they lie further apart than is allowed; else empty."""
    given, found = row.get(asked.variable), measured.get(asked.variable)
    if not _is_number(given) or not _is_number(found):
        return ""
    if abs(found - given) <= max(asked.more_than, asked.more_than_share * given):
        return ""
    return f"the table says {given:.0f} {variable.unit}, the scan {found:.0f} {variable.unit}"


def _is_number(value: Value | None) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
