"""Measurements and risk of a patient as DICOM SR: a measurement report, TID 1500.

Each measurement carries its own name of the study as tracking identifier, so that two of one code
(a metabolic volume at 41 % and one above SUV 4) are told apart. An interval is written as what the
value may lie above and below: ``range of upper measurement uncertainty`` and lower, in its unit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import highdicom as hd
from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    FindingSite,
    MeasurementProperties,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from highdicom.sr import (
    Measurement as MeasurementItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from metasight.errors import StudyError
from metasight.exchange.codes import Code, own
from metasight.exchange.contents import Algorithm, Finding, Interval, Measurement, PatientResults
from metasight.exchange.lesion_segmentation import LABEL, lesion_uid, stamp
from metasight.exchange.source_images import patient_header, require_source, source_images
from metasight.exchange.uids import uid_of
from metasight.study.sources import Source
from metasight.volumes.grid import Grid

SERIES_NUMBER = 9002
_LOBES = {"upper": "45653009", "middle": "40020002", "lower": "90572001"}
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """Where a measured lesion is.

    Attributes
    ----------
    segmentation
        Of its mask.
    source
        The series that it was drawn on.
    grid
        Of the mask.
    """

    segmentation: Segmentation
    source: Source
    grid: Grid


def measurement_report(
    results: PatientResults, lesion: Lesion, *, pet: Source | None, made: dt.datetime
) -> Comprehensive3DSR:
    """The report of one patient.

    Parameters
    ----------
    results
        With at least one measurement.
    lesion
        That they are of.
    pet
        Series that the uptake is of; None where there is no PET.
    made
        When; written into the object.

    Raises
    ------
    StudyError
        There is no measurement, or a series is not known.
    """
    if not results.measurements:
        raise StudyError("no lesion was measured", where=results.patient)
    algorithm = results.algorithm
    identity = (lesion.source.series_uid, algorithm.run, made.isoformat())
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=uid_of("device", algorithm.version, *algorithm.parameters),
            name=Algorithm.NAME,
            manufacturer_name=Algorithm.NAME,
            model_name=Algorithm.NAME,
        ),
    )
    groups: list[Any] = [_lesion_group(results, lesion)]
    if results.risks:
        groups.append(_risk_group(results, uid_of("risk", *identity)))
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=groups,
    )
    _note(content[0], results)
    images = list(source_images(lesion.source, lesion.grid).headers)
    evidence = [lesion.segmentation, *images, *_pet_headers(pet)]
    report = Comprehensive3DSR(
        evidence=evidence,
        content=content[0],
        series_instance_uid=uid_of("SR series", *identity),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of("SR", *identity),
        instance_number=1,
        manufacturer=Algorithm.NAME,
        is_complete=True,
        is_final=False,
    )
    report.ManufacturerModelName = Algorithm.NAME
    report.SoftwareVersions = algorithm.version
    report.SeriesDescription = "metasight measurements, research only"
    stamp(report, made)
    return report


def _pet_headers(pet: Source | None) -> list[Dataset]:
    """Headers that name the images of a PET."""
    if pet is None:
        return []
    headers = []
    for uid in dict.fromkeys(u for u in require_source(pet).instance_uids if u is not None):
        data = patient_header(pet)
        data.SOPInstanceUID = uid
        headers.append(data)
    return headers


# ------------------------------------------------------------------ the groups


def _lesion_group(
    results: PatientResults, lesion: Lesion
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Every measurement of the lesion, on its segment."""
    data = lesion.segmentation
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=lesion_uid(lesion.source), identifier=LABEL),
        referenced_segment=ReferencedSegment(
            sop_class_uid=data.SOPClassUID,
            sop_instance_uid=data.SOPInstanceUID,
            segment_number=1,
            source_series=SourceSeriesForSegmentation(lesion.source.series_uid),
        ),
        finding_type=codes.SCT.Lesion,
        algorithm_id=_identification(results.algorithm),
        finding_sites=_sites(results.findings),
        measurements=[_measurement(m, lesion.source.series_uid) for m in results.measurements],
        qualitative_evaluations=[_evaluation(f) for f in results.findings],
    )


def _risk_group(results: PatientResults, uid: str) -> MeasurementsAndQualitativeEvaluations:
    """The predicted probabilities: of no region, but of the patient."""
    items = [
        _measurement(
            Measurement(
                name=risk.name, value=risk.value, code=risk.code, on="", interval=risk.interval
            ),
            uid,
        )
        for risk in results.risks
    ]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid, identifier="Predicted risk, research only"),
        finding_type=_concept(own("predicted_risk", "Predicted risk, for research only")),
        algorithm_id=_identification(results.algorithm),
        measurements=items,
    )


def _measurement(found: Measurement, lesion: str) -> MeasurementItem:
    about = found.code
    item = MeasurementItem(
        name=_concept(about.concept),
        value=found.value,
        unit=_concept(about.unit),
        derivation=None if about.derivation is None else _concept(about.derivation),
        tracking_identifier=TrackingIdentifier(
            uid=uid_of("measurement", lesion, found.name), identifier=found.name
        ),
        properties=None if found.interval is None else _uncertainty(found, found.interval),
    )
    return item


def _uncertainty(found: Measurement, interval: Interval) -> MeasurementProperties:
    """What the value may lie above and below, in its own unit."""
    properties = MeasurementProperties(
        upper_measurement_uncertainty=max(interval.upper - found.value, 0.0),
        lower_measurement_uncertainty=max(found.value - interval.lower, 0.0),
    )
    for item in properties:  # highdicom gives them no unit
        item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [_concept(found.code.unit)]
    return properties


def _evaluation(found: Finding) -> QualitativeEvaluation:
    return QualitativeEvaluation(
        name=_concept(own(found.name, found.name.replace("_", " "))),
        value=_concept(own(found.value.replace(" ", "_"), found.value)),
    )


def _sites(findings: Iterable[Finding]) -> list[FindingSite]:
    """The lobe with its side, or the lung."""
    told = {f.name: f.value for f in findings}
    side = _SIDES.get(told.get("side", ""))
    lobe = told.get("lobe", "").rpartition(" ")[2]
    place = codes.SCT.Lung
    if lobe in _LOBES:
        place = CodedConcept(_LOBES[lobe], "SCT", f"{lobe.capitalize()} lobe of lung")
    return [FindingSite(anatomic_location=place, laterality=side)]


def _identification(algorithm: Algorithm) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=Algorithm.NAME, version=algorithm.version, parameters=list(algorithm.parameters)
    )


def _note(root: Dataset, results: PatientResults) -> None:
    """Say in words what must not be missed, and what the intervals are."""
    kinds = {m.interval.kind: None for m in results.measurements if m.interval is not None}
    kinds |= {r.interval.kind: None for r in results.risks}
    lines = [results.notice]
    lines += [f"Interval: {kind}." for kind in kinds]
    lines += [results.algorithm.evidence] if results.algorithm.evidence else []
    lines += results.notes
    lines += [f"No risk is given: {results.why_no_risk}."] if results.why_no_risk else []
    for line in lines:
        root.ContentSequence.append(
            TextContentItem(
                name=codes.DCM.Comment,
                value=line,
                relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
            )
        )


def _concept(code: Code) -> CodedConcept:
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
