"""The report states every measurement and risk of the study with code, unit and interval."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedCTImageStorage

from exchange_made import ALGORITHM, MADE, RESULTS, lesion_on, scanned
from metasight.errors import StudyError
from metasight.exchange.contents import RESEARCH_ONLY
from metasight.exchange.lesion_segmentation import lesion_segmentation
from metasight.exchange.measurement_report import Lesion, measurement_report
from metasight.exchange.reading_back import check_report, measurements_in, texts_in
from metasight.study.sources import Source

PET = Source(
    patient=RESULTS.patient,
    kind="PET",
    step="s",
    study_uid="1.2.1",
    series_uid="1.2.77",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.128",
    instance_uids=("1.2.5", "1.2.6"),
)


@pytest.fixture
def lesion(tmp_path) -> Lesion:
    volume, source = scanned(tmp_path / "ct")
    mask = lesion_on(volume)
    made = lesion_segmentation(mask, source, ALGORITHM, made=MADE, drawn_by_hand=False)
    return Lesion(segmentation=made, source=source, grid=mask.grid)


@pytest.fixture
def file(tmp_path, lesion):
    measurement_report(RESULTS, lesion, pet=PET, made=MADE).save_as(tmp_path / "sr.dcm")
    return tmp_path / "sr.dcm"


def test_values_read_back_are_the_study_s_to_the_last_bit(file) -> None:
    check_report(dcmread(file), RESULTS)
    told = measurements_in(dcmread(file))
    assert len(told) == len(RESULTS.measurements) + len(RESULTS.risks) > 20
    for m in RESULTS.measurements:
        assert told[m.name].value == m.value
        assert told[m.name].concept == (m.code.concept.scheme, m.code.concept.value)
        assert told[m.name].unit == m.code.unit.value
    assert told["ctr"].lower == 0.25 and told["ctr"].upper == 1.0
    assert told["tumour_perpendicular_mm"].lower is None
    assert told["risk_pathological_n_N1"].upper == pytest.approx(0.4)


def test_highdicom_reads_it_as_tid_1500_with_the_segment_and_the_algorithm(file, lesion) -> None:
    report = hd.sr.srread(file)
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    assert (
        group.referenced_segment.referenced_sop_instance_uid == lesion.segmentation.SOPInstanceUID
    )
    assert group.finding_type == codes.SCT.Lesion
    assert {m.name.value: m.value for m in group.get_measurements()}["103339001"] == (
        RESULTS.measurements[0].value
    )
    said = texts_in(dcmread(file))
    assert RESEARCH_ONLY in said and "model: ordinal" in said
    assert f"locked models sha256: {'ab' * 32}" in said
    assert any("95 % interval of the true risk" in t for t in said)


def test_it_is_preliminary_and_names_segmentation_ct_and_pet_as_evidence(file, lesion) -> None:
    data = dcmread(file)
    assert (data.PreliminaryFlag, data.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    evidence = {
        s.SeriesInstanceUID: {i.ReferencedSOPInstanceUID for i in s.ReferencedSOPSequence}
        for part in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in data.get(part) or ()
        for s in study.ReferencedSeriesSequence
    }
    assert evidence[lesion.source.series_uid] == set(lesion.source.instance_uids)
    assert evidence[PET.series_uid] == {"1.2.5", "1.2.6"}
    assert lesion.segmentation.SeriesInstanceUID in evidence


def test_without_a_risk_it_says_why_and_without_a_measurement_it_is_refused(lesion) -> None:
    silent = replace(RESULTS, risks=(), why_no_risk="its interval is unknown")
    made = measurement_report(silent, lesion, pet=None, made=MADE)
    assert "No risk is given: its interval is unknown." in texts_in(made)
    with pytest.raises(StudyError, match="no lesion was measured"):
        measurement_report(replace(RESULTS, measurements=()), lesion, pet=None, made=MADE)


def test_the_same_report_has_the_same_bytes(tmp_path, lesion, file) -> None:
    measurement_report(RESULTS, lesion, pet=PET, made=MADE).save_as(tmp_path / "again.dcm")
    assert (tmp_path / "again.dcm").read_bytes() == file.read_bytes()


def test_a_multi_frame_source_is_one_object_among_the_evidence(tmp_path) -> None:
    volume, source = scanned(tmp_path / "ct")
    one = replace(
        source,
        instance_uids=("1.2.9",) * 13,
        frames=tuple(range(1, 14)),
        sop_class_uid=EnhancedCTImageStorage,
    )
    mask = lesion_on(volume)
    seg = lesion_segmentation(mask, one, ALGORITHM, made=MADE, drawn_by_hand=False)
    made = measurement_report(
        RESULTS, Lesion(segmentation=seg, source=one, grid=mask.grid), pet=None, made=MADE
    )
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    named = {
        s.SeriesInstanceUID: [i.ReferencedSOPInstanceUID for i in s.ReferencedSOPSequence]
        for s in study.ReferencedSeriesSequence
    }
    assert named[source.series_uid] == ["1.2.9"]
    check_report(made, RESULTS)
