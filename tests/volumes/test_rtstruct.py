"""Contours on the scan's grid: areas by hand, holes, and contours that lie where no slice is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from metasight.errors import VolumeError
from metasight.volumes.rtstruct import (
    Contours,
    fill_contours,
    read_contours,
    referenced_series,
    region_names,
)
from metasight.volumes.volume import ScanFacts, Volume

Z0, STEP = 50.0, 2.0


@pytest.fixture
def scan() -> Volume:
    """6 slices of 20 × 24 voxels of 0.5 × 1 × 2 mm; the first voxel's centre is at (−6, 0, 50)."""
    return Volume.from_array(
        np.zeros((6, 20, 24)),
        unit="HU",
        spacing_mm=(0.5, 1.0, STEP),
        origin_mm=(-6.0, 0.0, Z0),
        facts=ScanFacts(frame_of_reference="1.2.3"),
    )


def box(z: float, x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
    corners = [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])]
    return np.array([(a, b, z) for a, b in corners])


def of(*points: np.ndarray, frame: str = "1.2.3") -> Contours:
    return Contours(number=1, name="GTV", points_mm=points, frame_of_reference=frame)


def test_voxels_whose_centre_lies_inside(scan):
    # x from −1.1 to 1.1 holds centres −1, −0.5, 0, 0.5, 1; y from 2.5 to 5.5 holds 3, 4, 5
    mask = fill_contours(of(box(52.0, (-1.1, 1.1), (2.5, 5.5))), scan)
    assert mask.n_voxels == 5 * 3
    z, y, x = np.nonzero(mask.array)
    assert set(z) == {1}
    assert (y.min(), y.max()) == (3, 5)
    assert (x.min(), x.max()) == (10, 14)
    assert mask.volume_ml == pytest.approx(15 * 0.5 * 1.0 * 2.0 / 1000)
    assert mask.name == "GTV"


@pytest.mark.parametrize("turned", [False, True])
def test_a_contour_within_another_is_a_hole_in_either_direction(scan, turned):
    outer, inner = box(52.0, (-2.1, 2.1), (2.5, 8.5)), box(52.0, (-1.1, 1.1), (4.5, 6.5))
    mask = fill_contours(of(inner[::-1] if turned else inner, outer), scan)
    assert mask.n_voxels == 9 * 6 - 5 * 2


def test_contours_on_one_slice_beside_each_other_are_both_filled(scan):
    left, right = box(52.0, (-5.1, -3.9), (2.5, 4.5)), box(52.0, (2.9, 4.1), (2.5, 4.5))
    assert fill_contours(of(left, right), scan).n_voxels == 2 * (3 * 2)


@pytest.mark.parametrize(("off", "slice_number"), [(0.0, 2), (0.4, 2), (-0.5, 2)])
def test_a_contour_within_a_quarter_of_the_slice_distance_is_on_the_slice(scan, off, slice_number):
    mask = fill_contours(of(box(Z0 + 2 * STEP + off, (-1.1, 1.1), (2.5, 5.5))), scan)
    assert set(np.nonzero(mask.array)[0]) == {slice_number}


@pytest.mark.parametrize(
    ("contours", "problem"),
    [
        (of(box(53.0, (-1.1, 1.1), (2.5, 5.5))), "between slices"),
        (of(box(62.0, (-1.1, 1.1), (2.5, 5.5))), "beyond the scan"),
        (of(box(48.0, (-1.1, 1.1), (2.5, 5.5))), "beyond the scan"),
        (of(box(52.0, (-7.0, 1.1), (2.5, 5.5))), "beyond the scan"),
        (of(box(52.0, (-1.1, 1.1), (2.5, 20.0))), "beyond the scan"),
        (of(np.array([[0, 0, 52.0], [1, 0, 52], [1, 5, 54]])), "within one slice"),
        (of(box(52.0, (-0.9, -0.6), (2.6, 2.9))), "the mask is empty"),
        (of(np.array([[0.0, 0, 52], [1, 0, 52]])), "no closed contour"),
        (of(), "no closed contour"),
        (of(box(52.0, (-1.1, 1.1), (2.5, 5.5)), frame="9.9"), "another scan"),
    ],
)
def test_contours_that_make_no_mask(scan, contours, problem):
    with pytest.raises(VolumeError, match=problem):
        fill_contours(contours, scan)


def test_contours_that_do_not_say_their_frame_are_taken_for_this_scans(scan):
    assert fill_contours(of(box(52.0, (-1.1, 1.1), (2.5, 5.5)), frame=""), scan).n_voxels == 15


def stack(*slices: int) -> Contours:
    return of(*(box(Z0 + STEP * k, (-1.1, 1.1), (2.5, 5.5)) for k in slices))


@pytest.mark.parametrize(
    ("slices", "told"),
    [
        ((0, 2, 4), "2 slices in 2 gaps, at most 1 in a row"),
        ((0, 1, 2, 4, 5), "1 slice in 1 gap, at most 1 in a row"),
        ((1, 4), "2 slices in 1 gap, at most 2 in a row"),
        ((0, 1, 3, 4), "1 slice in 1 gap, at most 1 in a row"),
    ],
)
def test_slices_without_a_contour_inside_the_stack_are_refused(scan, slices, told):
    with pytest.raises(VolumeError, match="inside the region have no contour") as error:
        fill_contours(stack(*slices), scan)
    assert error.value.value == told
    assert "max_missing_contours" in error.value.remedy


@pytest.mark.parametrize("slices", [(0, 2, 4), (0, 1, 2, 4, 5), (0, 1, 3, 4)])
def test_gaps_as_long_as_the_study_allows_are_filled_and_noted(scan, slices):
    mask = fill_contours(stack(*slices), scan, max_missing=1)
    assert set(np.nonzero(mask.array)[0]) == set(range(slices[-1] + 1))
    assert mask.n_voxels == 15 * (slices[-1] + 1)  # between two equal areas lies the same area
    missing = slices[-1] + 1 - len(slices)
    assert mask.notes == (f"{missing} slice{'s' * (missing > 1)} without a contour interpolated",)


def test_a_longer_gap_than_allowed_is_refused(scan):
    with pytest.raises(VolumeError, match="inside the region have no contour"):
        fill_contours(stack(1, 4), scan, max_missing=1)


def test_one_slice_is_no_gap(scan):
    assert fill_contours(stack(3), scan).n_voxels == 15


def test_areas_beside_each_other_on_distant_slices_are_two_parts_and_no_gap(scan):
    mask = fill_contours(
        of(box(50.0, (-5.1, -3.9), (2.5, 4.5)), box(58.0, (2.9, 4.1), (2.5, 4.5))), scan
    )
    assert set(np.nonzero(mask.array)[0]) == {0, 4}


SQUARE = ((-2.1, 2.1), (2.5, 8.5))


@pytest.mark.parametrize("times", [2, 3, 4])
@pytest.mark.parametrize(
    "again",
    [
        lambda p: p,
        lambda p: np.roll(p, 1, axis=0),
        lambda p: p[::-1],
        lambda p: np.round(p, 1),
        lambda p: p + np.array([0.2, -0.2, 0.0]),
        lambda p: np.vstack([p, p[:1]]),
        lambda p: np.vstack([p, p]),
    ],
)
def test_a_contour_drawn_again_counts_once_and_is_noted(scan, again, times):
    first = box(52.0, *SQUARE)
    once = fill_contours(of(first), scan)
    copies = [again(first) for _ in range(times - 1)]
    several = fill_contours(of(first, *copies), scan)
    assert abs(several.n_voxels - once.n_voxels) <= 9  # at most one column of pixels
    n = times - 1
    assert several.notes == (f"{n} contour{'s' * (n > 1)} drawn again on 1 slice, each used once",)


def test_holes_are_noted_with_their_volume(scan):
    outer, inner = box(52.0, (-2.1, 2.1), (2.5, 8.5)), box(52.0, (-1.1, 1.1), (4.5, 6.5))
    mask = fill_contours(of(outer, inner), scan)
    assert mask.notes == ("1 contour inside another cut 0.01 ml out as holes",)


def test_a_copy_with_one_side_corrected_is_refused(scan):
    corrected = box(52.0, (-2.1, 5.1), (2.5, 8.5))
    with pytest.raises(VolumeError, match="holes or one outline drawn again") as error:
        fill_contours(of(box(52.0, *SQUARE), corrected), scan)
    assert "Delete the copies" in error.value.remedy


def test_a_file_that_says_exclusive_or_is_taken_at_its_word(scan):
    corrected = box(52.0, (-2.1, 5.1), (2.5, 8.5))
    given = replace(of(box(52.0, *SQUARE), corrected), xor=True)
    assert fill_contours(given, scan).n_voxels == 6 * 6


def test_contours_of_a_type_that_is_not_read_are_counted(scan):
    square = box(52.0, *SQUARE)
    given = replace(of(square), unread=(("OPEN_PLANAR", 2), ("POINT", 1)))
    with pytest.raises(VolumeError, match="of a type that is not read") as error:
        fill_contours(given, scan)
    assert error.value.value == "2 OPEN_PLANAR beside 1 closed ones"
    given = replace(of(square), unread=(("MEIER^ANNA", 2),))
    with pytest.raises(VolumeError) as error:
        fill_contours(given, scan)
    assert "MEIER" not in str(error.value)


def test_marked_points_are_left_out_and_noted(scan):
    given = replace(of(box(52.0, *SQUARE)), unread=(("POINT", 2),))
    assert fill_contours(given, scan).notes == ("2 marked points left out",)


def test_contours_of_another_series_are_refused_unless_the_study_says_so(scan):
    facts = replace(scan.facts, series_uid="1.1")
    volume = Volume(image=scan.image, unit="HU", facts=facts)
    square = of(box(52.0, *SQUARE))
    with pytest.raises(VolumeError, match="on another series") as error:
        fill_contours(replace(square, series_uids=frozenset({"1.2"})), volume)
    assert "1.1" not in str(error.value) and "column `series`" in error.value.remedy
    other = replace(square, series_uids=frozenset({"1.2"}))
    assert fill_contours(other, volume, any_series=True).n_voxels > 0
    for uids in (frozenset({"1.2", "1.1"}), frozenset()):
        assert fill_contours(replace(square, series_uids=uids), volume).n_voxels > 0


def test_the_name_of_a_region_stands_in_no_message(scan):
    given = replace(of(), name="Meier^Anna")
    with pytest.raises(VolumeError) as error:
        fill_contours(given, scan)
    assert "Meier" not in str(error.value)


def structure_set(*contours: tuple[str, list[float]]) -> Dataset:
    data, region, other, drawn = Dataset(), Dataset(), Dataset(), Dataset()
    region.ROINumber, region.ROIName, region.ReferencedFrameOfReferenceUID = 7, " GTV ", "1.2.3"
    other.ROINumber, other.ROIName = 2, "Cord"
    drawn.ReferencedROINumber = 7
    drawn.ContourSequence = Sequence([])
    for kind, numbers in contours:
        one = Dataset()
        one.ContourGeometricType, one.ContourData = kind, numbers
        drawn.ContourSequence.append(one)
    data.StructureSetROISequence = Sequence([region, other])
    data.ROIContourSequence = Sequence([drawn])
    return data


def test_regions_and_their_closed_contours():
    data = structure_set(("CLOSED_PLANAR", [0, 0, 50, 1, 0, 50, 1, 1, 50]), ("POINT", [3, 3, 50]))
    assert region_names(data) == ((7, "GTV"), (2, "Cord"))
    told = read_contours(data, 7)
    assert [p.tolist() for p in told.points_mm] == [[[0, 0, 50], [1, 0, 50], [1, 1, 50]]]
    assert (told.name, told.frame_of_reference) == ("GTV", "1.2.3")
    assert told.unread == (("POINT", 1),)
    assert not told.xor and told.series_uids == frozenset()
    assert read_contours(data, 2).points_mm == ()
    with pytest.raises(VolumeError, match="no such region"):
        read_contours(data, 3)


@pytest.mark.parametrize("numbers", [[0, 0, 50, 1], [], [0, 0, float("nan")]])
def test_coordinates_that_are_no_triples(numbers):
    with pytest.raises(VolumeError, match="not triples of numbers"):
        read_contours(structure_set(("CLOSED_PLANAR", numbers)), 7)


def test_the_series_that_a_structure_set_names():
    data, frame, study, series = Dataset(), Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = "1.2.3.4"
    study.RTReferencedSeriesSequence = Sequence([series, Dataset()])
    frame.RTReferencedStudySequence = Sequence([study])
    data.ReferencedFrameOfReferenceSequence = Sequence([frame])
    assert referenced_series(data) == frozenset({"1.2.3.4"})
    assert referenced_series(Dataset()) == frozenset()


def test_images_that_contours_name_stand_for_their_series(scan):
    """Some systems name no series, only the image that each contour lies on."""
    data = structure_set(("CLOSED_PLANAR", [0, 0, 50, 1, 0, 50, 1, 1, 50]))
    image = Dataset()
    image.ReferencedSOPInstanceUID = "1.9.9"
    data.ROIContourSequence[0].ContourSequence[0].ContourImageSequence = Sequence([image])
    assert referenced_series(data) == frozenset({"1.9.9"})
    square = replace(of(box(52.0, *SQUARE)), series_uids=frozenset({"1.9.9"}))
    own = replace(scan.facts, series_uid="1.1", image_uids=frozenset({"1.9.8", "1.9.9"}))
    assert fill_contours(square, Volume(image=scan.image, unit="HU", facts=own)).n_voxels
    other = replace(own, image_uids=frozenset({"1.9.8"}))
    with pytest.raises(VolumeError, match="on another series"):
        fill_contours(square, Volume(image=scan.image, unit="HU", facts=other))
