"""Table 1, missingness and follow-up of a cohort, overall and by centre or arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metasight.cohort.outcome import CENSORED, SurvivalOutcome
from metasight.protocol.study import Protocol, Variable


@dataclass(frozen=True, kw_only=True)
class Table1Row:
    """One line: a variable, or one level of a categorical one, in each group.

    Attributes
    ----------
    label
        As printed.
    cells
        Group → ``median (quartiles)`` or ``n (%)``; percentages are of those recorded.
    missing
        Group → patients without a value.
    """

    label: str
    cells: dict[str, str]
    missing: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Table1:
    """Characteristics of a population.

    Attributes
    ----------
    groups
        Group → number of patients; ``All`` first.
    rows
        In the order of the data dictionary.
    """

    groups: dict[str, int]
    rows: tuple[Table1Row, ...]


def table1(
    table: pd.DataFrame, protocol: Protocol, *, groups: Mapping[str, Sequence[str]]
) -> Table1:
    """Describe the predictors, treatments and outcomes of a population.

    Parameters
    ----------
    table
        Canonical values of the population.
    protocol
        Labels, units and order.
    groups
        Group name → pseudonyms (centres, arms); ``All`` is added in front.
    """
    parts = {"All": table, **{name: table.loc[list(ids)] for name, ids in groups.items()}}
    rows: list[Table1Row] = []
    for name, variable in protocol.variables.items():
        if name in table and variable.role in {"predictor", "treatment", "outcome"}:
            rows += _rows(name, variable, parts)
    return Table1(groups={g: len(t) for g, t in parts.items()}, rows=tuple(rows))


def _rows(name: str, variable: Variable, parts: Mapping[str, pd.DataFrame]) -> list[Table1Row]:
    missing = {g: int(t[name].isna().sum()) for g, t in parts.items()}
    unit = f", {variable.unit}" if variable.unit else ""
    if variable.type == "boolean":
        cells = {g: _share(t[name], 1.0) for g, t in parts.items()}
        return [Table1Row(label=variable.label, cells=cells, missing=missing)]
    levels: Sequence[object] = variable.values
    if variable.type == "integer" and variable.maximum is not None and variable.maximum <= 5:
        levels = [float(v) for v in range(int(variable.minimum or 0), int(variable.maximum) + 1)]
    if levels:
        head = Table1Row(label=variable.label, cells=dict.fromkeys(parts, ""), missing=missing)
        return [head] + [
            Table1Row(
                label=f"  {level:g}" if isinstance(level, float) else f"  {level}",
                cells={g: _share(t[name], level) for g, t in parts.items()},
                missing=dict.fromkeys(parts, 0),
            )
            for level in levels
        ]
    cells = {g: _quartiles(t[name]) for g, t in parts.items()}
    return [Table1Row(label=variable.label + unit, cells=cells, missing=missing)]


def _share(values: pd.Series, level: object) -> str:
    recorded = values.dropna()
    n = int((recorded == level).sum())
    return f"{n} ({100 * n / len(recorded):.0f} %)" if len(recorded) else "—"


def _quartiles(values: pd.Series) -> str:
    recorded = values.dropna()
    if recorded.empty:
        return "—"
    low, mid, high = np.quantile(recorded.to_numpy(dtype=float), [0.25, 0.5, 0.75])
    digits = 0 if abs(mid) >= 100 else 1
    return f"{mid:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def missingness(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, int]:
    """Patients without a value, by column; columns nobody has count as missing in all."""
    return {c: int(table[c].isna().sum()) if c in table else len(table) for c in columns}


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """Follow-up by reverse Kaplan–Meier (Schemper and Smith 1996).

    Attributes
    ----------
    median_days
        Median potential follow-up; None where less than half were censored.
    maximum_days
        Longest observed.
    censored, events, competing
        Patients by status.
    """

    median_days: float | None
    maximum_days: float
    censored: int
    events: int
    competing: int


def follow_up(outcome: SurvivalOutcome) -> FollowUp:
    """Reverse Kaplan–Meier: censoring is the event; events and competing events censor it."""
    order = np.argsort(outcome.time_days, kind="stable")
    time, censored = outcome.time_days[order], outcome.status[order] == CENSORED
    survival, median = 1.0, None
    for t in np.unique(time[censored]):
        # At a tie the event of interest comes first, so those who had it are not at risk of it.
        at_risk = int((time > t).sum() + (censored & (time == t)).sum())
        survival *= 1 - int((censored & (time == t)).sum()) / at_risk
        if survival <= 0.5:
            median = float(t)
            break
    return FollowUp(
        median_days=median,
        maximum_days=float(time[-1]),
        censored=int(censored.sum()),
        events=int((outcome.status == 1).sum()),
        competing=int((outcome.status == 2).sum()),
    )
