"""Frames of a segmentation land where they say they lie: cropped, flipped, turned or refused."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from metasight.errors import VolumeError
from metasight.volumes.dicom_seg import read_segment, segment_on_own_grid, segments
from metasight.volumes.volume import ScanFacts, Volume


@pytest.fixture
def scan() -> Volume:
    """5 slices of 8 × 10 voxels of 1 × 1 × 2 mm; the first voxel's centre is at (10, 20, 30)."""
    return Volume.from_array(
        np.zeros((5, 8, 10)),
        unit="HU",
        spacing_mm=(1.0, 1.0, 2.0),
        origin_mm=(10.0, 20.0, 30.0),
        facts=ScanFacts(frame_of_reference="1.2.3"),
    )


def entry(**values) -> Sequence:
    data = Dataset()
    for name, value in values.items():
        setattr(data, name, value)
    return Sequence([data])


def seg(frames, *, kind="LABELMAP", spacing=(1.0, 1.0), frame="1.2.3", maximum=None) -> Dataset:
    """Frames are (position, pixels) with one byte a pixel, and may name their orientation."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SegmentationType, data.FrameOfReferenceUID = kind, frame
    if maximum is not None:
        data.MaximumFractionalValue = maximum
    data.SegmentSequence = Sequence([])
    for number, label in ((0, "Background"), (1, " Nodule "), (2, "Lung")):
        one = Dataset()
        one.SegmentNumber, one.SegmentLabel = number, label
        data.SegmentSequence.append(one)
    data.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = entry(PixelSpacing=list(spacing))
    data.PerFrameFunctionalGroupsSequence = Sequence([])
    for position, _, *more in frames:
        groups = Dataset()
        groups.PlanePositionSequence = entry(ImagePositionPatient=list(position))
        axes = more[0] if more else (1, 0, 0, 0, 1, 0)
        groups.PlaneOrientationSequence = entry(ImageOrientationPatient=list(axes))
        if kind != "LABELMAP":
            number = more[1] if len(more) > 1 else 1
            groups.SegmentIdentificationSequence = entry(ReferencedSegmentNumber=number)
        data.PerFrameFunctionalGroupsSequence.append(groups)
    first = np.asarray(frames[0][1])
    data.Rows, data.Columns = first.shape
    data.NumberOfFrames = len(frames)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = b"".join(np.asarray(f[1], np.uint8).tobytes() for f in frames)
    if len(data.PixelData) % 2:
        data.PixelData += b"\0"
    return data


ONE = np.array([[1, 1, 0], [0, 2, 1]])


def voxels(mask) -> list[list[int]]:
    """(z, y, x) of the voxels inside."""
    return np.argwhere(mask.array).tolist()


def test_segments_without_the_background():
    told = segments(seg([((10, 20, 30), ONE)]))
    assert [(s.number, s.label) for s in told] == [(1, "Nodule"), (2, "Lung")]


def test_a_cropped_frame_lies_where_it_says(scan):
    # first pixel at x = 13, y = 22, z = 34: voxel (2, 2, 3)
    data = seg([((13, 22, 34), ONE)])
    assert voxels(read_segment(data, 1, scan)) == [[2, 2, 3], [2, 2, 4], [2, 3, 5]]
    assert voxels(read_segment(data, 2, scan)) == [[2, 3, 4]]
    assert read_segment(data, 2, scan).name == "Lung"


def test_frames_in_any_order(scan):
    data = seg([((10, 20, 38), ONE == 1), ((10, 20, 30), ONE == 2)])
    assert voxels(read_segment(data, 1, scan)) == [[0, 1, 1], [4, 0, 0], [4, 0, 1], [4, 1, 2]]


@pytest.mark.parametrize(
    ("axes", "position", "wanted"),
    [
        # rows run to the right: pixel (0, 0) is the rightmost
        ((-1, 0, 0, 0, 1, 0), (15, 22, 34), [[2, 2, 4], [2, 2, 5], [2, 3, 3]]),
        # columns run to the front
        ((1, 0, 0, 0, -1, 0), (13, 24, 34), [[2, 3, 5], [2, 4, 3], [2, 4, 4]]),
        # transposed: a row runs to the back
        ((0, 1, 0, 1, 0, 0), (13, 22, 34), [[2, 2, 3], [2, 3, 3], [2, 4, 4]]),
    ],
)
def test_flipped_and_turned_frames(scan, axes, position, wanted):
    assert voxels(read_segment(seg([(position, ONE, axes)]), 1, scan)) == wanted


def test_a_fractional_voxel_that_is_mostly_inside_is_inside(scan):
    part = np.array([[0, 99, 100], [127, 128, 200]])
    data = seg([((10, 20, 30), part)], kind="FRACTIONAL", maximum=200)
    assert voxels(read_segment(data, 1, scan)) == [[0, 0, 2], [0, 1, 0], [0, 1, 1], [0, 1, 2]]


def test_frames_of_another_segment_are_left_out(scan):
    axes = (1, 0, 0, 0, 1, 0)
    frames = [((10, 20, 30), ONE * 0 + 9, axes, 2), ((10, 20, 32), ONE * 9, axes, 1)]
    data = seg(frames, kind="FRACTIONAL", maximum=9)
    assert {z for z, _, _ in voxels(read_segment(data, 1, scan))} == {1}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"spacing": (0.5, 0.5)}, "not on the scan's grid"),
        ({"spacing": (1.0, 1.002)}, "not on the scan's grid"),
        ({"frames": [((10.06, 20, 30), ONE)]}, "not on the scan's grid"),
        ({"frames": [((10, 20, 31), ONE)]}, "not on the scan's grid"),
        ({"frames": [((10, 20, 30), ONE, (1, 0, 0, 0, 0, 1))]}, "not on the scan's grid"),
        ({"frames": [((18, 20, 30), ONE)]}, "beyond the scan"),
        ({"frames": [((10, 20, 28), ONE)]}, "beyond the scan"),
        ({"frames": [((10, 20, 30), ONE * 0)]}, "the mask is empty"),
        ({"frame": "9.9"}, "another scan"),
        ({"kind": "SURFACE"}, "of this type are not read"),
    ],
)
def test_segmentations_of_another_place(scan, changes, problem):
    given = {"frames": [((10, 20, 30), ONE)], **changes}
    with pytest.raises(VolumeError, match=problem):
        read_segment(seg(given.pop("frames"), **given), 1, scan)


def test_a_frame_within_a_twentieth_of_a_millimetre_is_on_the_grid(scan):
    assert voxels(read_segment(seg([((10.04, 20, 30), ONE)]), 2, scan)) == [[0, 1, 1]]


def test_there_is_no_such_segment(scan):
    with pytest.raises(VolumeError, match="no such segment") as error:
        read_segment(seg([((10, 20, 30), ONE)]), 4, scan)
    assert error.value.value == "4"


def finer(step: float | None = 1.0, z=(31.0, 32.0, 34.0), **more) -> Dataset:
    """Frames of 0.5 × 0.5 × 1 mm; the one at 33 mm has no voxel and is left out."""
    pixels = np.zeros((8, 12))
    pixels[2:6, 3:9] = 1
    data = seg([((12.0, 22.0, at), pixels) for at in z], spacing=(0.5, 0.5), **more)
    if step is not None:
        measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.SpacingBetweenSlices = step
    return data


def test_a_segmentation_on_a_grid_of_its_own(scan):
    with pytest.raises(VolumeError, match="not on the scan's grid") as error:
        read_segment(finer(), 1, scan)
    assert 'mask_grid = "resample"' in error.value.remedy
    mask = segment_on_own_grid(finer(), 1, scan)
    assert mask.grid.spacing_mm == (0.5, 0.5, 1.0)
    assert mask.array.shape == (4, 8, 12)
    assert [int(p.sum()) for p in mask.array] == [24, 24, 0, 24]
    low = mask.grid.to_mm(np.array([3.0, 2.0, 0.0]))
    np.testing.assert_allclose(low, (13.5, 23.0, 31.0))
    # the order of frames does not matter, nor that slices run from the head down
    again = segment_on_own_grid(finer(z=(34.0, 31.0, 32.0)), 1, scan)
    np.testing.assert_array_equal(again.array, mask.array)
    assert again.grid == mask.grid


def test_a_single_frame_is_a_grid_of_one_slice(scan):
    assert segment_on_own_grid(finer(z=(33.0,)), 1, scan).array.shape == (1, 8, 12)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (finer(step=None), "does not state its slice distance"),
        (finer(step=0.0), "does not state its slice distance"),
        (finer(z=(31.0, 31.6)), "are not on one grid"),
        (finer(frame="9.9"), "another scan"),
    ],
)
def test_frames_that_span_no_grid_are_refused(scan, data, says):
    with pytest.raises(VolumeError, match=says) as error:
        segment_on_own_grid(data, 1, scan)
    assert error.value.remedy
    with pytest.raises(VolumeError, match="no such segment"):
        segment_on_own_grid(data, 7, scan)
    if "slice distance" in says:
        with pytest.raises(VolumeError, match="mask is empty"):
            segment_on_own_grid(data, 2, scan)
