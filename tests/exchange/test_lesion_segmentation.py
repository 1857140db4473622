"""The mask that other programs read from the segmentation is the study's, on the scan's grid."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import EnhancedCTImageStorage

from exchange_made import ALGORITHM, MADE, PATIENT, lesion_on, scanned
from metasight.exchange.lesion_segmentation import lesion_segmentation
from metasight.volumes.masks import MaskRule, read_mask


@pytest.mark.parametrize("case", [{}, {"without_slice": 6}, {"prone": True}], ids=str)
def test_readers_get_the_same_mask_on_the_same_grid(tmp_path, case) -> None:
    volume, source = scanned(tmp_path / "ct", **case)
    mask = lesion_on(volume)
    made = lesion_segmentation(mask, source, ALGORITHM, made=MADE, drawn_by_hand=False)
    made.save_as(tmp_path / "seg.dcm")
    # metasight's own reader, as of any segmentation from elsewhere
    again = read_mask(tmp_path / "seg.dcm", volume, region=None, rule=MaskRule())
    assert np.array_equal(again.array, mask.array)
    assert again.grid.matches(volume.grid)
    # highdicom's: a volume with its geometry
    data = hd.seg.segread(tmp_path / "seg.dcm")
    theirs = data.get_volume(combine_segments=True)
    places = theirs.map_indices_to_reference(np.argwhere(theirs.array > 0))
    wanted = mask.grid.to_mm(np.argwhere(mask.array)[:, ::-1].astype(float))
    assert {tuple(np.round(p, 2)) for p in places} == {tuple(np.round(p, 2)) for p in wanted}


def test_each_frame_refers_to_its_image_and_one_interpolated_slice_to_none(tmp_path) -> None:
    volume, source = scanned(tmp_path / "ct", without_slice=6)
    made = lesion_segmentation(lesion_on(volume), source, ALGORITHM, made=MADE, drawn_by_hand=True)
    told = {}
    for frame in made.PerFrameFunctionalGroupsSequence:
        z = float(frame.PlanePositionSequence[0].ImagePositionPatient[2])
        told[round((z + 30) / 5)] = [
            s.ReferencedSOPInstanceUID
            for d in frame.DerivationImageSequence
            for s in d.SourceImageSequence
        ]
    assert told == {k: [source.instance_uids[k]] if k != 6 else [] for k in (4, 5, 6, 7)}
    (series,) = made.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.series_uid
    assert made.StudyInstanceUID == source.study_uid
    assert made.FrameOfReferenceUID == source.frame_of_reference_uid


def test_it_names_the_algorithm_and_the_pseudonym_and_the_same_has_the_same_bytes(tmp_path) -> None:
    volume, source = scanned(tmp_path / "ct")
    for name in ("a.dcm", "b.dcm"):
        made = lesion_segmentation(
            lesion_on(volume), source, ALGORITHM, made=MADE, drawn_by_hand=False
        )
        made.save_as(tmp_path / name)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    data = dcmread(tmp_path / "a.dcm")
    assert data.PatientID == PATIENT
    (segment,) = data.SegmentSequence
    assert segment.SegmentAlgorithmType == "SEMIAUTOMATIC"
    (about,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (about.AlgorithmName, about.AlgorithmVersion) == ("metasight", "0.2.0")
    assert "ab" * 32 in about.AlgorithmParameters
    assert "research" in data.SeriesDescription and "Research" in data.ContentDescription
    by_hand = lesion_segmentation(
        lesion_on(volume), source, ALGORITHM, made=MADE, drawn_by_hand=True
    )
    assert by_hand.SegmentSequence[0].SegmentAlgorithmType == "MANUAL"


def test_frames_of_one_object_are_referred_to_by_their_number(tmp_path) -> None:
    volume, source = scanned(tmp_path / "ct")
    one = replace(
        source,
        instance_uids=("1.2.9",) * 13,
        frames=tuple(range(13, 0, -1)),
        sop_class_uid=EnhancedCTImageStorage,
    )
    made = lesion_segmentation(lesion_on(volume), one, ALGORITHM, made=MADE, drawn_by_hand=True)
    made.save_as(tmp_path / "seg.dcm")
    data = dcmread(tmp_path / "seg.dcm")
    told = {}
    for frame in data.PerFrameFunctionalGroupsSequence:
        z = float(frame.PlanePositionSequence[0].ImagePositionPatient[2])
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        told[round((z + 30) / 5)] = (image.ReferencedSOPInstanceUID, image.ReferencedFrameNumber)
    assert told == {k: ("1.2.9", 13 - k) for k in (4, 5, 6, 7)}
    (series,) = data.ReferencedSeriesSequence
    assert len(series.ReferencedInstanceSequence) == len(data.SourceImageSequence) == 1
    kinds = {i.ReferencedSOPClassUID for i in (*data.SourceImageSequence, image)}
    assert kinds == {EnhancedCTImageStorage}
    again = read_mask(tmp_path / "seg.dcm", volume, region=None, rule=MaskRule())
    assert np.array_equal(again.array, lesion_on(volume).array)
