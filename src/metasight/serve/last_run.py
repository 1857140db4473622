"""What the last finished run left, read whether or not it is still up to date; nothing is made.

A run notes the key of every step that it made. Results are addressed by these keys, so what the run
found can be shown after a table, a setting or metasight itself has changed; that it is no longer
what a new run would find is said by :mod:`metasight.serve.standing`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pandas as pd

from metasight.engine.step import Input, Inputs, Reference, StepKind
from metasight.engine.store import Store
from metasight.errors import StudyError
from metasight.ledger import Entry, Ledger
from metasight.steps import artefacts
from metasight.steps.exported import ShownRisks, risk_curves, risks_of
from metasight.steps.results import AnalysisNames
from metasight.study.file import Study

_KINDS = {
    "metasight.steps.slides.patient:check_slide": StepKind.CHECK_SLIDE,
    "metasight.steps.slides.patient:read_markers": StepKind.READ_MARKERS,
    "metasight.steps.slides.patient:measure_patient": StepKind.MEASURE_SLIDES,
    "metasight.steps.slides.maps:paint_patient": StepKind.PAINT_MAP,
    "metasight.steps.slides.sheet:draw_sheet": StepKind.DRAW_SHEET,
    "metasight.steps.scans.patient:measure_scans": StepKind.MEASURE_SCANS,
    "metasight.steps.cohort.data:cohort": StepKind.SCREEN,
    "metasight.steps.cohort.data:analysis_data": StepKind.CUT_DATA,
    "metasight.steps.risk.judging:judge": StepKind.EVALUATE,
    "metasight.steps.risk.intervals:fit_intervals": StepKind.FIT_INTERVALS,
    "metasight.steps.results:collect": StepKind.COLLECT_RESULTS,
}
"""The function that made a step, as a run notes it → what the step did."""

_AGAIN = "map again of "
NOT_RUN = StudyError(
    "the study was not run to its end yet", remedy="Run it: `metasight run FOLDER`"
)


T = TypeVar("T")


class _Once(Generic[T]):
    """A property that is computed once, under its object's own lock.

    ``functools.cached_property`` of Python 3.11 has a lock for each property: two threads that ask
    for two properties that rest on each other, and on this object's lock, wait for ever.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, of: LastRun, owner: type) -> T:
        with of.lock:
            if self._name not in vars(of):
                vars(of)[self._name] = self._compute(of)
            found: T = vars(of)[self._name]
            return found


@dataclass(frozen=True, kw_only=True)
class Made:
    """A step of the last run.

    Attributes
    ----------
    name, kind, key
        Of the step.
    patient
        Pseudonym, where it is about one patient; else empty.
    needs
        Names of the steps that it read.
    """

    name: str
    kind: StepKind
    key: str
    patient: str
    needs: tuple[str, ...]


class LastRun:
    """Results of a study's last finished run.

    Parameters
    ----------
    study
        Read and valid.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._store = Store(study.store)
        self.lock = threading.RLock()

    @_Once
    def steps(self) -> Mapping[str, Made]:
        """Steps by name; none where the study was never run to its end."""
        try:
            noted = json.loads(self.study.memory.read_text("utf-8"))["steps"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {name: _made(name, record) for name, record in noted.items()}

    @_Once
    def name(self) -> str:
        """Name of the run; empty where there is none."""
        latest = self.study.results / "latest"
        return latest.resolve().name if latest.exists() else ""

    @property
    def published(self) -> Path:
        """The folder that the run set out."""
        return self.study.results / "latest"

    def of(self, kind: StepKind) -> tuple[Made, ...]:
        """Steps of one kind."""
        return tuple(s for s in self.steps.values() if s.kind is kind)

    def of_patient(self, kind: StepKind, patient: str) -> Path | None:
        """Folder of the step that did something with a patient; None where there is none."""
        found = [s for s in self.of(kind) if s.patient == patient and not s.name.startswith(_AGAIN)]
        return self.folder(found[0].name) if found else None

    def folder(self, name: str) -> Path:
        """Folder of a step's result, every byte found as it was made.

        Raises
        ------
        StudyError
            The last run made no such step.
        StoreError
            Its result was deleted or altered.
        """
        step = self.steps.get(name)
        if step is None:
            raise NOT_RUN
        with self.lock:
            return self._store.verify(
                Reference(name=name, kind=step.kind, subject=step.patient, key=step.key)
            )

    def _only(self, kind: StepKind) -> Made:
        found = self.of(kind)
        if not found:
            raise NOT_RUN
        return found[0]

    @_Once
    def cohort(self) -> Mapping[str, Any]:
        """Flow, populations and verdicts, as the screening left them."""
        return dict(artefacts.COHORT.read(self.folder(self._only(StepKind.SCREEN).name)))

    @_Once
    def table(self) -> pd.DataFrame:
        """Canonical values, one row a patient (pseudonym)."""
        folder = self.folder(self._only(StepKind.SCREEN).name)
        return pd.read_parquet(artefacts.PATIENT_TABLE.path(folder))

    @_Once
    def ledger(self) -> Mapping[str, tuple[Entry, ...]]:
        """Pseudonym → rows of the run's ledger; under "" those about the study."""
        with self.lock:
            folder = self.folder(self._only(StepKind.COLLECT_RESULTS).name)
            found: dict[str, list[Entry]] = {}
            for entry in Ledger.from_parquet(artefacts.LEDGER.path(folder)).entries:
                found.setdefault(entry.patient, []).append(entry)
            return {p: tuple(rows) for p, rows in found.items()}

    @_Once
    def headline(self) -> AnalysisNames | None:
        """The analysis that the report leads with; None where it was skipped."""
        primary, population = (
            self.study.protocol.primary.name,
            self.study.protocol.headline_population,
        )
        for data in self.of(StepKind.CUT_DATA):
            about = artefacts.DATA.read(self.folder(data.name))
            if (about.get("endpoint"), about.get("population")) != (primary, population):
                continue
            judged = [s for s in self.of(StepKind.EVALUATE) if data.name in s.needs]
            if judged:
                return AnalysisNames(
                    endpoint=primary,
                    population=population,
                    headline=True,
                    data=data.name,
                    judged=judged[0].name,
                )
        return None

    @_Once
    def inputs(self) -> Inputs:
        """What the step that collected the results read, of the kinds that are shown."""
        collected = self._only(StepKind.COLLECT_RESULTS)
        known = [self.steps[n] for n in collected.needs if n in self.steps]
        return Inputs(
            tuple(
                Input(name=s.name, kind=s.kind, subject=s.patient, folder=self.folder(s.name))
                for s in known
                if s.kind in _KINDS.values()
            )
        )

    @property
    def headline_model(self) -> str:
        """Name of the model whose risks are shown."""
        return self.study.settings.analysis.headline_model

    @_Once
    def risks(self) -> ShownRisks:
        """Risks that may be shown, and why others may not."""
        with self.lock:
            if self.headline is None:
                return ShownRisks(of={}, why_none={})
            return risks_of(self.inputs, self.headline, self.headline_model, self.study.protocol)

    @_Once
    def curves(self) -> Mapping[str, tuple[tuple[int, float], ...]]:
        """Pseudonym → risk by day."""
        with self.lock:
            if self.headline is None:
                return {}
            return risk_curves(self.inputs, self.headline, self.headline_model)

    @_Once
    def contributions(self) -> pd.DataFrame | None:
        """What each modality adds to a patient's score; None where the run did not leave it."""
        if self.headline is None:
            return None
        file = artefacts.CONTRIBUTIONS
        folder = self.inputs[self.headline.judged]
        return pd.read_parquet(file.path(folder)) if file.is_in(folder) else None


def _made(name: str, record: Mapping[str, Any]) -> Made:
    told = str(record["argument"].get("patient", "")) if "argument" in record else ""
    return Made(
        name=name,
        kind=_KINDS.get(str(record.get("function")), StepKind.OTHER),
        key=str(record["key"]),
        patient=told.strip('"') if told.startswith('"P') else _last_word(name),
        needs=tuple(record.get("needs", ())),
    )


def _last_word(name: str) -> str:
    """A pseudonym at the end of a step's name; empty where there is none."""
    word = name.rsplit(" ", 1)[-1]
    return word if len(word) == 17 and word[0] == "P" else ""
