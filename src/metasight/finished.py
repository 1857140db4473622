"""What a finished run, or a finished prediction, says of each patient: read, never made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from metasight import __version__, pipeline
from metasight.engine.step import Step, StepKind
from metasight.errors import StudyError
from metasight.exchange.contents import Algorithm, PatientResults
from metasight.steps import artefacts
from metasight.steps.exported import (
    ShownRisks,
    algorithm_of,
    locked_algorithm,
    patient_results,
    predicted_risks,
    shown_risks,
)
from metasight.steps.results import ResultsArgument
from metasight.steps.scans.reading import is_nifti
from metasight.study.file import Study
from metasight.study.sources import ScanKind, Source, read_source


class FinishedPatients:
    """Patients of finished steps.

    Attributes
    ----------
    study
        Whose patients they are.
    finished
        Steps and their results.
    algorithm
        That measured and predicted.
    risks
        Of every patient.
    demonstration
        What the study is, where it is a demonstration or simulated.
    """

    study: Study
    finished: pipeline.Finished
    algorithm: Algorithm
    risks: ShownRisks
    demonstration: str

    @cached_property
    def scans(self) -> Mapping[str, Step]:
        """Pseudonym → the step that measured the patient's scans."""
        return {s.subject: s for s in self.finished.of(StepKind.MEASURE_SCANS)}

    def folder(self, step: Step) -> Path:
        """Folder of a step's result, every byte found as it was made."""
        return self.finished.store.verify(step)

    def patients(self, asked: Sequence[str] | None) -> tuple[str, ...]:
        """Pseudonyms with a risk, a reason for none, or scans.

        Raises
        ------
        StudyError
            One that is asked for is not among them.
        """
        known = {*self.risks.of, *self.risks.why_none, *self.scans}
        missing = set(asked or ()) - known
        if missing:
            raise StudyError(
                "the study has no results of this patient",
                value=", ".join(sorted(missing)),
                remedy="Give the id as in the patient table; the ledger says who was excluded",
            )
        return tuple(sorted(known if asked is None else asked))

    def results(self, patient: str) -> PatientResults:
        """All of one patient, by pseudonym."""
        step = self.scans.get(patient)
        scan = None if step is None else artefacts.SCAN.read(self.folder(step))
        return patient_results(patient, scan, self.risks, self.algorithm, self.demonstration)

    def source(self, patient: str, kind: ScanKind) -> Source:
        """The record of the images that a patient's results are of.

        Raises
        ------
        StudyError
            The study keeps none, or not of this scan.
        """
        if self.study.vault is None:
            raise StudyError(
                "the study keeps no record of its source images, because it has no vault",
                where="study.toml",
                remedy="`metasight vault FOLDER` gives it one; then run the study again",
            )
        step = self.scans[patient]
        scans = step.argument.scans
        if is_nifti(scans.ct if kind == "CT" else scans.pet):
            raise StudyError(
                f"the {kind} is a NIfTI file, which names no series that an object could refer to",
                remedy="Give the scan as DICOM and run the study again",
            )
        return read_source(self.study.vault, step.key, kind)


class FinishedRun(FinishedPatients):
    """A study's patients, each predicted by fits that did not see the patient.

    Raises
    ------
    StudyError
        Results are missing or not up to date.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.finished = pipeline.finished(study)
        (self.collected,) = self.finished.of(StepKind.COLLECT_RESULTS)
        self.inputs = self.finished.inputs_of(self.collected)
        self.argument: ResultsArgument = self.collected.argument
        locked = self.finished.of(StepKind.LOCK_BUNDLE)
        self.algorithm = algorithm_of(
            self.inputs, self.argument, self.finished.store.verify(locked[0]) if locked else None
        )
        self.risks = shown_risks(self.inputs, self.argument)
        self.demonstration = study.settings.demonstration


class FinishedPrediction(FinishedPatients):
    """New patients, predicted by locked models.

    Parameters
    ----------
    place
        A bundle's folder or zip, or the folder of the study that made it.
    patients
        Folder of the new patients.

    Raises
    ------
    StudyError
        They were not predicted by this bundle, or files have changed since.
    """

    def __init__(self, place: Path, patients: Path) -> None:
        self.study, self.finished, locked, identity = pipeline.predicted(place, patients)
        (predicted,) = self.finished.of(StepKind.PREDICT)
        found: dict[str, Any] = artefacts.NEW_PREDICTIONS.read(self.folder(predicted))
        self.algorithm = locked_algorithm(found, __version__, identity)
        self.risks = predicted_risks(found, locked.protocol)
        self.demonstration = str(found["demonstration"])
