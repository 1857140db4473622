"""Outcomes as arrays: survival with competing events, and nodal stage with unobserved nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.errors import FitError, StudyError
from metasight.ledger import Entry, Fate
from metasight.predictions import NODAL_LABELS
from metasight.protocol.endpoint import Endpoint, NodalEndpoint, SurvivalEndpoint

CENSORED, EVENT, COMPETING = 0, 1, 2
UNOBSERVED = -1
"""Nodal status of a patient whose nodes were not examined; never the same as N0."""


@dataclass(frozen=True)
class SurvivalOutcome:
    """Follow-up of n patients from time zero.

    Attributes
    ----------
    time_days
        Shape (n,), > 0: days to the event, the competing event or censoring.
    status
        Shape (n,): 0 censored, 1 event, 2 competing event.
    """

    time_days: NDArray[np.float64]
    status: NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.time_days.shape != self.status.shape or self.time_days.ndim != 1:
            raise FitError("time and status differ in length", where="outcome")
        if not bool((self.time_days > 0).all()):
            raise FitError("follow-up must be positive", where="outcome")
        if not bool(np.isin(self.status, (CENSORED, EVENT, COMPETING)).all()):
            raise FitError("status must be 0, 1 or 2", where="outcome")

    def __len__(self) -> int:
        return len(self.time_days)

    @property
    def competing(self) -> bool:
        """Whether any competing event was seen."""
        return bool((self.status == COMPETING).any())

    @property
    def observed(self) -> NDArray[np.bool_]:
        """Whose outcome counts, shape (n,): everybody is followed."""
        return np.ones(len(self), dtype=np.bool_)

    @property
    def n_events(self) -> int:
        """Events of interest."""
        return int((self.status == EVENT).sum())

    def take(self, index: NDArray[np.intp]) -> SurvivalOutcome:
        """The patients at ``index``, repeats allowed."""
        return SurvivalOutcome(self.time_days[index], self.status[index])


@dataclass(frozen=True)
class NodalOutcome:
    """Pathological N stage of n patients.

    Attributes
    ----------
    stage
        Shape (n,): 0, 1, 2 for N0, N1, N2; -1 where nodes were not examined.
    """

    stage: NDArray[np.int8]

    def __post_init__(self) -> None:
        if not bool(np.isin(self.stage, (UNOBSERVED, 0, 1, 2)).all()):
            raise FitError("nodal stage must be 0, 1, 2 or -1", where="outcome")

    def __len__(self) -> int:
        return len(self.stage)

    @property
    def observed(self) -> NDArray[np.bool_]:
        """Where nodes were examined, shape (n,)."""
        return np.asarray(self.stage != UNOBSERVED)

    @property
    def n_events(self) -> int:
        """Patients with any positive node."""
        return int((self.stage > 0).sum())

    def take(self, index: NDArray[np.intp]) -> NodalOutcome:
        """The patients at ``index``, repeats allowed."""
        return NodalOutcome(self.stage[index])


Outcome = SurvivalOutcome | NodalOutcome


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """Patients who had left the day on which the others enter.

    Attributes
    ----------
    day
        After time zero.
    events, competing, censored
        Patients with an event, with a competing event, or without either and no longer followed,
        by the end of that day.
    """

    day: int
    events: int
    competing: int
    censored: int

    @property
    def left(self) -> int:
        """All of them."""
        return self.events + self.competing + self.censored


@dataclass(frozen=True, kw_only=True)
class EndpointData:
    """One endpoint's outcome for the patients it can be told for.

    Attributes
    ----------
    patients
        Pseudonyms, in table order.
    outcome
        Of those patients, in that order.
    deviations
        How the endpoint differs from the protocol's in this study, in words.
    entries
        A ledger row for every patient left out.
    landmark
        Who left before it; None where patients enter at time zero.
    """

    patients: tuple[str, ...]
    outcome: Outcome
    deviations: tuple[str, ...]
    entries: tuple[Entry, ...]
    landmark: Landmark | None = None


def build_outcome(
    endpoint: Endpoint,
    table: pd.DataFrame,
    patients: Sequence[str],
    not_recorded: Mapping[str, str],
    *,
    landmark_days: int = 0,
) -> EndpointData:
    """Outcome of ``patients`` under ``endpoint``.

    Parameters
    ----------
    endpoint
        Of the protocol.
    table
        Canonical values; index pseudonym.
    patients
        The population; those of another arm than the endpoint's are left out of a survival
        endpoint and are unobserved in a nodal one.
    not_recorded
        Outcome variables that the study did not record, with the reason.
    landmark_days
        Of the protocol. A survival endpoint is of patients without an event after that day; times
        still count from time zero.

    Raises
    ------
    StudyError
        A competing event is not recorded (its patients would be censored, which is biased), nor
        the event that the endpoint is about; another event variable is missing and not declared; or
        no patient is left.
    """
    if endpoint.type == "nodal_stage":
        return _nodal(endpoint, table, patients)
    events, deviations = _recorded_events(endpoint, table, not_recorded)
    rows = table.to_dict("index")
    kept, times, status, entries = [], [], [], []
    left = Counter[int]()
    for patient in patients:
        row = rows[patient]
        told: tuple[float, int] | str
        if endpoint.arm is not None and row.get("arm") != endpoint.arm:
            told = _other_arm(row.get("arm"))
        else:
            told = _first(row, events, endpoint.competing)
        if not isinstance(told, str) and told[0] <= landmark_days:
            left[told[1]] += 1
            told = f"{_LEFT[told[1]]} by day {landmark_days}, on which patients enter"
        if isinstance(told, str):
            entries.append(
                Entry(
                    patient=patient,
                    item="patient",
                    stage=f"outcome {endpoint.name}",
                    verdict=Fate.EXCLUDED,
                    reason=told,
                )
            )
            continue
        kept.append(patient)
        times.append(told[0])
        status.append(told[1])
    if not kept:
        raise StudyError(
            f"no patient has an outcome for endpoint {endpoint.name}"
            + (f" after day {landmark_days}" if left else "")
        )
    outcome = SurvivalOutcome(np.array(times, dtype=float), np.array(status, dtype=np.int8))
    return EndpointData(
        patients=tuple(kept),
        outcome=outcome,
        deviations=tuple(deviations),
        entries=tuple(entries),
        landmark=Landmark(
            day=landmark_days,
            events=left[EVENT],
            competing=left[COMPETING],
            censored=left[CENSORED],
        )
        if landmark_days
        else None,
    )


_LEFT = {
    EVENT: "the event happened",
    COMPETING: "a competing event happened",
    CENSORED: "follow-up ended",
}


def _recorded_events(
    endpoint: SurvivalEndpoint, table: pd.DataFrame, not_recorded: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    for name in endpoint.competing:
        if name in not_recorded or name not in table:
            raise StudyError(
                f"endpoint {endpoint.name} needs the competing event {name}; censoring it would "
                "overstate the risk",
                where="study.toml",
                value=not_recorded.get(name, "not mapped"),
                remedy=f"Map {name} in [columns], or remove the endpoint from endpoints in every "
                "[[model]]",
            )
    about = endpoint.event[0]
    if about in not_recorded or about not in table:
        raise StudyError(
            f"endpoint {endpoint.name} is about {about.replace('_', ' ')}; without it, what is "
            "left would be another endpoint",
            where="study.toml",
            value=not_recorded.get(about, "not mapped"),
            remedy=f"Map {about} in [columns], or give it by [[time_and_status]]; a table without "
            "it needs a protocol of another endpoint",
        )
    events, deviations = [about], []
    for name in endpoint.event[1:]:
        if name in not_recorded:
            deviations.append(
                f"{endpoint.label}: {name.replace('_', ' ')} was not recorded "
                f"({not_recorded[name]}) and is not part of the event."
            )
        elif name not in table:
            raise StudyError(
                f"endpoint {endpoint.name} needs {name}",
                where="study.toml",
                value="not mapped",
                remedy=f"Map {name} in [columns], or give the reason in [not_recorded]",
            )
        else:
            events.append(name)
    return events, deviations


def _other_arm(arm: Any) -> str:
    if pd.isna(arm):
        return "the arm is missing, and this endpoint is defined in one arm"
    return f"arm {arm} is not part of this endpoint"


def _first(
    row: Mapping[Hashable, Any], events: Sequence[str], competing: Sequence[str]
) -> tuple[float, int] | str:
    """Time and status, or why there are none."""
    for name in (*events, *competing):
        if pd.isna(row.get(name)):
            return f"{name.replace('_', ' ')} is missing"
    happened = [(float(row[f"{n}_days"]), EVENT) for n in events if row[n] == 1]
    happened += [(float(row[f"{n}_days"]), COMPETING) for n in competing if row[n] == 1]
    if any(np.isnan(t) for t, _ in happened):
        return "an event has no time"
    # At the same time the event counts before the competing one (metastasis found at death).
    time, status = min(happened) if happened else (float(row.get("followup_days", np.nan)), 0)
    if np.isnan(time):
        return "follow-up is missing"
    if time <= 0:
        return "no follow-up after time zero"
    return time, status


def _nodal(endpoint: NodalEndpoint, table: pd.DataFrame, patients: Sequence[str]) -> EndpointData:
    rows = table.loc[list(patients)]
    stage = np.full(len(rows), UNOBSERVED, dtype=np.int8)
    values = rows[endpoint.variable] if endpoint.variable in rows else pd.Series(index=rows.index)
    in_arm = np.ones(len(rows), dtype=bool)
    if endpoint.arm is not None and "arm" in rows:
        in_arm = (rows["arm"] == endpoint.arm).to_numpy()
    for code, label in enumerate(NODAL_LABELS):
        stage[(values == label).to_numpy() & in_arm] = code
    entries = [
        Entry(
            patient=p,
            item="patient",
            stage=f"outcome {endpoint.name}",
            verdict=Fate.UNKNOWN,
            reason="nodes not examined: unobserved, not N0",
        )
        for p, s in zip(rows.index, stage, strict=True)
        if s == UNOBSERVED
    ]
    if (stage == UNOBSERVED).all():
        raise StudyError(f"no patient has {endpoint.variable} for endpoint {endpoint.name}")
    return EndpointData(
        patients=tuple(map(str, rows.index)),
        outcome=NodalOutcome(stage),
        deviations=(),
        entries=tuple(entries),
    )
