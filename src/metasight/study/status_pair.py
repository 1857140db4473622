"""Outcomes that a table gives by a status and a time: proposals for ``[[time_and_status]]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from metasight.cohort.codes import number_of
from metasight.cohort.mapping import CENSORED
from metasight.cohort.parsing import parse_cell
from metasight.protocol.study import Protocol
from metasight.study.code_meaning import looks_missing
from metasight.study.column_names import column_name
from metasight.study.propose import Proposal, read_column, toml_of, unit_of_times

_TIMES = {"time", "t", "time to event", "event time", "surv time", "survtime", "ftime"}
_STATUS = {"status", "event", "cens", "fstatus", "event status", "event indicator", "zensierung"}
_MOSTLY = 0.95


@dataclass(frozen=True, kw_only=True)
class StatusPair:
    """A status and a time that is filled in for those without the event as well.

    Attributes
    ----------
    event
        Of the protocol.
    time, status
        Columns.
    unit
        Of the time.
    codes
        Code of the status → the event, or ``censored``.
    missing
        Codes that mean missing.
    why
        What a person has to look at, besides the codes.
    """

    event: str
    time: str
    status: str
    unit: str
    codes: dict[str, str]
    missing: tuple[str, ...] = ()
    why: str = ""


def status_pairs(
    protocol: Protocol, cells: pd.DataFrame, proposals: Mapping[str, Proposal]
) -> list[StatusPair]:
    """Events whose time is follow-up in those without the event: ``[[time_and_status]]``.

    Where the table has a time and a status that name no event, they are proposed for the first
    event of the primary endpoint.
    """
    found = []
    for event in _events(protocol):
        status, time = proposals.get(event), _time_of(event, proposals)
        if status is None or time is None:
            continue
        given, of_time = read_column(status), read_column(time)
        codes = {}
        for text in sorted({str(t) for t in cells[status.column] if t} - {*given.missing}):
            if not looks_missing(text):
                value, _ = parse_cell(text, protocol.variables[event], given, ".")
                codes[text] = event if value else CENSORED
        without = cells[status.column].isin([c for c, e in codes.items() if e == CENSORED])
        times = cells.loc[without, time.column]
        if len(set(codes.values())) == 2 and _filled(times, of_time.missing).any():
            found.append(
                StatusPair(
                    event=event,
                    time=time.column,
                    status=status.column,
                    unit=of_time.unit or "days",
                    codes=codes,
                    missing=tuple(dict.fromkeys((*given.missing, *of_time.missing))),
                    why="" if "longest" not in time.why else time.why,
                )
            )
    return found or _nameless_pair(protocol, cells, proposals)


def settled_events(
    protocol: Protocol, cells: pd.DataFrame, proposals: Mapping[str, Proposal]
) -> dict[str, Proposal]:
    """Proposals whose codes of an event agree with the patients who have its date or time.

    Registries code the living as 1 as often as the dead. Where a date of the event, or its time, is
    filled in for one of two codes only, that code is the event, whatever the other would be.
    """
    out = dict(proposals)
    for event in _events(protocol):
        status = proposals.get(event)
        evidence = proposals.get(f"{event}_date") or proposals.get(f"{event}_days")
        if status is None or evidence is None:
            continue
        given = read_column(status)
        filled = _filled(cells[evidence.column], read_column(evidence).missing)
        said = cells[status.column]
        codes = sorted({str(t) for t in said if t} - {*given.missing})
        codes = [c for c in codes if not looks_missing(c)]
        shares = {c: float(filled[said == c].mean()) for c in codes}
        happened = [c for c, s in shares.items() if s >= _MOSTLY]
        not_so = [c for c, s in shares.items() if s <= 1 - _MOSTLY]
        if not happened or not not_so or len(happened) + len(not_so) < len(codes):
            continue
        read = {c: parse_cell(c, protocol.variables[event], given, ".")[0] for c in codes}
        meant = {c: c in happened for c in codes}
        if read != meant:
            mapping = given.model_copy(update={"values": meant})
            why = f"meaning of the codes, from where {evidence.column} is filled in"
            out[event] = replace(status, mapping=toml_of(mapping), sure=False, why=why)
    return out


def _events(protocol: Protocol) -> list[str]:
    return [v.name for v in protocol.variable if f"{v.name}_days" in protocol.variables]


def _time_of(event: str, proposals: Mapping[str, Proposal]) -> Proposal | None:
    time = proposals.get(f"{event}_days")
    if time is None and event == "death" and "death_date" not in proposals:
        return proposals.get("followup_days")  # follow-up of the dead ends with their death
    return time


def _filled(texts: pd.Series, missing: Sequence[str]) -> pd.Series:
    return texts.map(lambda t: bool(t) and t not in missing and not looks_missing(str(t)))


def _nameless_pair(
    protocol: Protocol, cells: pd.DataFrame, proposals: Mapping[str, Proposal]
) -> list[StatusPair]:
    endpoint = protocol.primary
    if endpoint.type != "survival" or any(e in proposals for e in endpoint.event):
        return []
    taken = {p.column for p in proposals.values()}
    columns = {str(c): column_name(str(c)) for c in cells.columns if str(c) not in taken}
    times, states = (
        [c for c, n in columns.items() if {n.whole, *n.parts} & {w.replace(" ", "") for w in names}]
        for names in (_TIMES, _STATUS)
    )
    if len(times) != 1 or len(states) != 1:
        return []
    codes = sorted({str(t) for t in cells[states[0]] if t and not looks_missing(str(t))})
    numbers = [number_of(c) for c in codes]
    if numbers not in ([0.0, 1.0], [1.0, 2.0]):
        return []
    texts = [str(t) for t in cells[times[0]] if t and not looks_missing(str(t))]
    if not texts or None in map(number_of, texts):
        return []
    unit, why = column_name(times[0]).unit or "", ""
    if not unit:
        unit, why = unit_of_times(texts)
    told = "the table does not name the event"
    event = endpoint.event[0]
    return [
        StatusPair(
            event=event,
            time=times[0],
            status=states[0],
            unit=unit,
            codes={codes[0]: CENSORED, codes[1]: event},
            why=f"{told}; {why}" if why else told,
        )
    ]
