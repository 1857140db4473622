"""Outcomes that a table gives by a status and a time: proposals for ``[[time_and_status]]``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from metasight.cohort.codes import number_of
from metasight.cohort.mapping import CENSORED, DATE
from metasight.cohort.parsing import parse_cell
from metasight.protocol.study import Protocol
from metasight.study.code_meaning import looks_missing
from metasight.study.column_names import column_name, plain_name
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
    unit, date_format
        Of the time; ``date`` where it is a day of the calendar.
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
    date_format: str | None = None
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
        on_a_day = time is proposals.get("followup_date")
        codes = {}
        for text in sorted({str(t) for t in cells[status.column] if t} - {*given.missing}):
            if not looks_missing(text):
                value, _ = parse_cell(text, protocol.variables[event], given, ".")
                codes[text] = event if value else CENSORED
        filled = _filled(cells[time.column], of_time.missing)
        by_code = cells[status.column].map(codes)
        everybody = filled[by_code == event].mean() >= _MOSTLY
        if len(set(codes.values())) == 2 and filled[by_code == CENSORED].any() and everybody:
            found.append(
                StatusPair(
                    event=event,
                    time=time.column,
                    status=status.column,
                    unit=DATE if on_a_day else of_time.unit or "days",
                    date_format=of_time.date_format,
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
        found = _evidence(event, cells, proposals)
        if status is not None and status.sure and not _has_time(event, proposals):
            # yes or no without a time may as well be what was found at diagnosis
            out[event] = replace(status, sure=False, why="no time of it was recognised")
        if status is None or found is None:
            continue
        given = read_column(status)
        column, filled = found
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
            why = f"meaning of the codes, from where {column} is filled in"
            out[event] = replace(status, mapping=toml_of(mapping), sure=False, why=why)
    return out


def events_by_time(
    protocol: Protocol, cells: pd.DataFrame, proposals: Mapping[str, Proposal]
) -> dict[str, Proposal]:
    """Proposals, with events that a table gives by their date or time alone: ``filled``."""
    out = dict(proposals)
    for event in _events(protocol):
        time = proposals.get(f"{event}_date") or proposals.get(f"{event}_days")
        if event in proposals or time is None:
            continue
        missing = read_column(time).missing
        filled = _filled(cells[time.column], missing)
        if filled.any() and not filled.all():
            told = f"filled = {json.dumps(time.column, ensure_ascii=False)}"
            if missing:
                told += f", missing = {json.dumps(list(missing), ensure_ascii=False)}"
            out[event] = Proposal(
                column=time.column,
                mapping=f"{{ {told} }}",
                sure=False,
                why="the event happened where its time is filled in",
            )
    return out


def _events(protocol: Protocol) -> list[str]:
    return [v.name for v in protocol.variable if f"{v.name}_days" in protocol.variables]


def _has_time(event: str, proposals: Mapping[str, Proposal]) -> bool:
    return any(f"{event}_{when}" in proposals for when in ("date", "days"))


def _evidence(
    event: str, cells: pd.DataFrame, proposals: Mapping[str, Proposal]
) -> tuple[str, pd.Series] | None:
    """A column that is filled in where the event happened, and where it is."""
    proposal = proposals.get(f"{event}_date") or proposals.get(f"{event}_days")
    causes = [c for c in map(str, cells.columns) if event == "death" and _is_cause(c)]
    if proposal is not None:
        return proposal.column, _filled(cells[proposal.column], read_column(proposal).missing)
    return (causes[0], _filled(cells[causes[0]], ("0000", "0"))) if causes else None


def _is_cause(column: str) -> bool:
    plain = plain_name(column)
    return plain.startswith(("causeofdeath", "deathcause", "todesursache")) or plain == "cod"


def _time_of(event: str, proposals: Mapping[str, Proposal]) -> Proposal | None:
    time = proposals.get(f"{event}_days")
    if time is None and event == "death" and "death_date" not in proposals:
        # follow-up of the dead ends with their death
        return proposals.get("followup_days") or proposals.get("followup_date")
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
