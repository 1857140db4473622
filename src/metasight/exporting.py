"""A finished study written in other programs' formats; nothing is measured or fitted.

What is asked for is written beside the target and looked through for identifiers; only then does it
take its place, whole or not at all.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight.cohort.identifying import identifying_texts
from metasight.engine.private import private_folder
from metasight.engine.reading import files_read
from metasight.engine.step import Step, StepKind
from metasight.errors import SlideError, StudyError
from metasight.exchange.crate import STUDY
from metasight.exchange.forms import Form
from metasight.exchange.identity import require_no_identifier
from metasight.finished import FinishedPatients, FinishedPrediction, FinishedRun
from metasight.ledger import Ledger
from metasight.maps.ome import read_density_map
from metasight.predictions import Predictions
from metasight.slides.dicom import is_dicom, slide_in_folder
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.scans.patient import ScanArgument
from metasight.steps.scans.reading import is_nifti
from metasight.steps.slides.choice import chosen_he
from metasight.steps.slides.sections import checking
from metasight.study.analysis_plan import PAGE_FILE, PLAN_FILE
from metasight.study.file import Study

MARK = ".metasight-export"
"""File in a folder of an export: another export may replace the folder."""
CRATE = "crate"
"""Folder of a crate within an export."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What was not written, and why.

    Attributes
    ----------
    patient
        Pseudonym; empty for the study.
    form
        That is missing.
    why
        In words.
    """

    patient: str
    form: Form
    why: str


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    Attributes
    ----------
    files
        Path within the folder, sorted.
    left
        What was not.
    """

    files: tuple[str, ...]
    left: tuple[Left, ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    forms
        At least one.
    patients
        Pseudonyms; None for every patient with results.
    source_images
        Whether the export may name the images in the hospital's archive, as DICOM must.
    with_inputs
        Whether a crate holds the study's own files, which name patients.
    licence
        Of a crate; needed for one.
    made
        When, in UTC; written into what must say so.
    """

    forms: tuple[Form, ...]
    patients: tuple[str, ...] | None = None
    source_images: bool = False
    with_inputs: bool = False
    licence: str = ""
    made: dt.datetime


def export(study: Study, out: Path, request: Request) -> Exported:
    """Write a finished study's results into a new folder.

    Parameters
    ----------
    study
        That was run to its end.
    out
        New, empty, or of an earlier export.
    request
        What is asked for.

    Raises
    ------
    StudyError
        Results are not up to date, the folder holds something else, source images are not asked for
        where they are needed, or an identifier was found in what was written.
    """
    _require_own(out)
    _require_asked(request)
    return _write(FinishedRun(study), out, request)


def _require_asked(request: Request) -> None:
    """Refuse a form without what must be said for it."""
    if {Form.DICOM, Form.DICOM_MAPS} & set(request.forms) and not request.source_images:
        raise StudyError(
            "DICOM objects name the hospital's images, by which an archive finds the patient",
            remedy="Add --source-images if the export stays where the images are",
        )
    whole = [f for f in request.forms if f in {Form.CRATE, Form.WORD}]
    if whole and request.patients is not None:
        raise StudyError(
            "this form is of all patients of the study, not of single ones",
            value=", ".join(whole),
            remedy="Leave --patient out, or export the other forms by themselves",
        )
    if request.with_inputs and Form.CRATE not in request.forms:
        raise StudyError(
            "inputs are put into a crate only", remedy="Add --as crate, or leave --with-inputs out"
        )
    if Form.CRATE in request.forms and not request.licence:
        raise StudyError(
            "a crate says under which licence it is handed on",
            remedy="Give --licence, for example CC-BY-4.0 or an address of the terms",
        )


def export_prediction(place: Path, patients: Path, out: Path, request: Request) -> Exported:
    """Write what locked models said of new patients, patient by patient.

    Parameters
    ----------
    place
        A bundle's folder or zip, or the folder of the study that made it.
    patients
        Folder of the patients, as ``metasight predict`` took it.
    out, request
        As in :func:`export`; only DICOM and FHIR are of single patients.

    Raises
    ------
    StudyError
        As :func:`export`, or a form is of a whole study.
    """
    _require_own(out)
    of_studies = [f for f in request.forms if f not in _OF_PATIENTS]
    if of_studies:
        raise StudyError(
            "only a study is exported in this form, not a prediction of new patients",
            value=", ".join(of_studies),
            remedy=f"Use {' or '.join(sorted(_OF_PATIENTS))}",
        )
    _require_asked(request)
    return _write(FinishedPrediction(place, patients), out, request)


def _write(run: FinishedPatients, out: Path, request: Request) -> Exported:
    study = run.study
    scratch = private_folder(out.with_name(f".{out.name}-{os.getpid()}"))
    try:
        left = [x for form in request.forms for x in _WRITERS[form](run, scratch, request)]
        apart = scratch / CRATE / STUDY if request.with_inputs else None
        named = identifying_texts(study.folder, study.settings)
        require_no_identifier(scratch, named, key=study.secret_key, apart=apart)
        files = tuple(sorted(p.relative_to(scratch).as_posix() for p in _files(scratch)))
        (scratch / MARK).write_text("made by metasight export; its next one replaces it\n", "utf-8")
        shutil.rmtree(out, ignore_errors=True)
        os.rename(scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Exported(files=files, left=tuple(left))


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def _require_own(out: Path) -> None:
    if out.exists() and not (out.is_dir() and ((out / MARK).is_file() or not any(out.iterdir()))):
        raise StudyError(
            "the output folder is not empty", where=out.name, remedy="Give a new folder with -o"
        )


# ------------------------------------------------------------------ DICOM


def _measured(run: FinishedPatients, patient: str) -> Step:
    """The step that measured the patient's lesion."""
    step = run.scans.get(patient)
    if step is None or not artefacts.LESION_MASK.is_in(run.folder(step)):
        raise StudyError("no lesion was measured")
    return step


def _dicom(run: FinishedPatients, out: Path, request: Request) -> list[Left]:
    """A segmentation and a measurement report a patient."""
    from metasight.exchange.patient_objects import write_patient_objects

    left = []
    for patient in run.patients(request.patients):
        try:
            step = _measured(run, patient)
            scans = step.argument.scans
            pet = scans.pet is not None and not is_nifti(scans.pet)
            write_patient_objects(
                out / "dicom" / patient,
                run.results(patient),
                artefacts.LESION_MASK.path(run.folder(step)),
                ct=run.source(patient, "CT"),
                pet=run.source(patient, "PET") if pet else None,
                drawn_by_hand=_is_from_file(step.argument),
                made=request.made,
            )
        except StudyError as error:
            left.append(Left(patient=patient, form=Form.DICOM, why=str(error)))
    return left


def _is_from_file(argument: ScanArgument) -> bool:
    """Whether the lesion was given as a mask: by the table of scans, or by a reader."""
    lesion = argument.scans.lesion
    return argument.accepted is not None or (lesion is not None and lesion.path is not None)


def _dicom_maps(run: FinishedPatients, out: Path, request: Request) -> list[Left]:
    """Density maps of each patient's H&E, where that is a DICOM slide."""
    left = []
    for kind, file, place in (
        (StepKind.MEASURE_SLIDES, artefacts.DENSITY, "measured"),
        (StepKind.PAINT_MAP, artefacts.GENERATED, "painted"),
    ):
        for step in run.finished.of(kind):
            if not file.is_in(run.folder(step)) or not _is_asked(step.subject, request):
                continue
            try:
                _map_objects(run, step, file, out / "dicom" / step.subject / place, request)
            except (StudyError, SlideError) as error:
                left.append(Left(patient=step.subject, form=Form.DICOM_MAPS, why=str(error)))
    return left


def _map_objects(
    run: FinishedPatients, step: Step, file: artefacts.File, target: Path, request: Request
) -> None:
    """The maps that a step left, on the H&E that it chose."""
    from pydicom import dcmread

    from metasight.exchange.density_object import slide_header, write_density_objects

    inputs = run.finished.inputs_of(step)
    he = chosen_he(inputs, step.argument.slides, step.argument.several_he)
    if he is None:
        raise StudyError("no H&E is of sufficient quality", where=step.subject)
    path = he.slide.path
    if path.is_dir():
        path = slide_in_folder(path, he.slide.name)
    if not is_dicom(path):
        raise StudyError(
            "the H&E is no DICOM slide, which a map could refer to",
            where=he.slide.name,
            remedy="Its maps are OME-TIFF in the results",
        )
    write_density_objects(
        target,
        read_density_map(file.path(run.folder(step))),
        slide_header(dcmread(path, stop_before_pixels=True), step.subject),
        run.algorithm,
        mpp=float(artefacts.QUALITY.read(inputs[checking(he.slide.name)])["mpp"]),
        made=request.made,
    )


def _is_asked(patient: str, request: Request) -> bool:
    return request.patients is None or patient in request.patients


# ------------------------------------------------------------------ FHIR


def _fhir(run: FinishedPatients, out: Path, request: Request) -> list[Left]:
    """A bundle a patient of whom anything is known."""
    from metasight.exchange.fhir import require_fhir, write_patient_bundle

    require_fhir()
    left = []
    for patient in run.patients(request.patients):
        found = run.results(patient)
        if not found.measurements and not found.risks:
            left.append(Left(patient=patient, form=Form.FHIR, why=f"{found.why_no_risk}."))
            continue
        write_patient_bundle(found, out / "fhir" / f"{patient}.json", made=request.made)
    return left


# ------------------------------------------------------------------ QuPath


def _geojson(run: FinishedRun, out: Path, request: Request) -> list[Left]:
    """Structures of each patient, measured and on the painted map, for QuPath.

    A file is named as the slide that it is laid over: a multiplex section has its own frame.
    """
    from metasight.exchange.regions import copy_structures

    for kind, name in (
        (StepKind.MEASURE_SLIDES, "measured"),
        (StepKind.PAINT_MAP, "on-painted-map"),
    ):
        for step in run.finished.of(kind):
            place = run.folder(step)
            if artefacts.STRUCTURES.is_in(place) and _is_asked(step.subject, request):
                slide = artefacts.BIOMARKERS.read(place)["slide"]
                copy_structures(
                    artefacts.STRUCTURES.path(place),
                    out / "qupath" / step.subject / f"{slide}-{name}.geojson",
                )
    if (out / "qupath").is_dir():
        return []
    return [Left(patient="", form=Form.GEOJSON, why="no structures were measured on slides.")]


# ------------------------------------------------------------------ tables


def _tables(run: FinishedRun, out: Path, request: Request) -> list[Left]:
    """The study's tables, with their dictionary; of all patients, or of those asked for."""
    from metasight.exchange import tables

    collected = run.folder(run.collected)
    data = load_data(run.inputs[run.argument.analyses[0].data])[0]
    predictions = Predictions.from_parquet(artefacts.PREDICTIONS.path(collected))
    ledger = Ledger.from_parquet(artefacts.LEDGER.path(collected))
    features = data.features
    if request.patients is not None:
        asked = set(run.patients(request.patients))
        predictions = predictions.select(patients=asked)
        ledger = Ledger(e for e in ledger.entries if e.patient in asked)
        features = features.rows([p for p in features.values.index if p in asked])
    results = [run.results(p) for p in run.patients(request.patients)]
    labels = {v.name: v.label for v in run.study.protocol.variable}
    tables.write_tables(
        [
            tables.measurements_table(results),
            tables.risks_table(results),
            tables.features_table(features, labels),
            tables.predictions_table(predictions),
            tables.ledger_table(ledger),
        ],
        out / "tables",
    )
    return []


# ------------------------------------------------------------------ RO-Crate


def _crate(run: FinishedRun, out: Path, request: Request) -> list[Left]:
    """The published run, and what it was made from where that is asked for."""
    from metasight.exchange.crate import CrateAbout, write_crate

    study, provenance = run.study, run.argument.provenance
    protocol = study.protocol
    about = CrateAbout(
        title=study.settings.title or protocol.title,
        licence=request.licence,
        algorithm=run.algorithm,
        protocol=f"{protocol.id} {protocol.version} ({protocol.registration})",
        versions=provenance.versions,
        made=request.made,
        with_inputs=request.with_inputs,
        demonstration=study.settings.demonstration,
    )
    results = study.results / run.finished.run
    if not results.is_dir():
        raise StudyError(
            "the run's results were moved away",
            where=f"results/{results.name}",
            remedy="Run the study again: `metasight run FOLDER`",
        )
    inputs = _inputs(run) if request.with_inputs else {}
    write_crate(out / CRATE, about, results=results, inputs=inputs)
    return []


def _inputs(run: FinishedRun) -> dict[str, Path]:
    """Path within the study's folder → file, of all that the run was made from.

    Raises
    ------
    StudyError
        The study reads files outside its folder.
    """
    study = run.study
    read = set(files_read(s.argument for s in run.finished.steps))
    read |= {study.folder / name for name in (*study.tables, "study.toml")}
    more = (study.settings.protocol, PLAN_FILE, PAGE_FILE)
    read |= {study.folder / name for name in more if (study.folder / name).is_file()}
    outside = [p for p in read if not p.resolve().is_relative_to(study.folder)]
    if outside:
        raise StudyError(
            "the study reads files outside its folder, which a crate cannot hold",
            where="study.toml",
            value=f"{len(outside)} files",
            remedy="Copy them into the study's folder, correct the paths, and run the study again",
        )
    return {os.path.relpath(p, study.folder): p for p in sorted(read)}


# ------------------------------------------------------------------ Word


def _word(run: FinishedRun, out: Path, request: Request) -> list[Left]:
    """The report as Word, from the contents of the page and the PDF."""
    from metasight.report.document import compose
    from metasight.report.word import to_word
    from metasight.steps.results import contents

    del request
    (written,) = run.finished.of(StepKind.WRITE_REPORT)
    document = compose(contents(run.finished.inputs_of(written), written.argument))
    (out / "report.docx").write_bytes(to_word(document))
    return []


_OF_PATIENTS = frozenset({Form.DICOM, Form.DICOM_MAPS, Form.FHIR})
_WRITERS: Mapping[Form, Callable[[Any, Path, Request], list[Left]]] = {
    Form.DICOM: _dicom,
    Form.DICOM_MAPS: _dicom_maps,
    Form.FHIR: _fhir,
    Form.GEOJSON: _geojson,
    Form.TABLES: _tables,
    Form.CRATE: _crate,
    Form.WORD: _word,
}
