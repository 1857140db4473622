"""Contours on the scan's grid: areas by hand, holes, and contours that lie where no slice is."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from metasight.errors import VolumeError
from metasight.volumes.rtstruct import Contours, fill_contours, read_contours, region_names
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


def test_a_region_drawn_on_every_second_slice_has_half_its_volume_and_is_refused(scan):
    with pytest.raises(VolumeError, match="skip slices") as error:
        fill_contours(stack(0, 2, 4), scan)
    assert error.value.value == "2 of 2 steps from contour to contour"


@pytest.mark.parametrize("slices", [(0, 1, 2, 4, 5), (1, 4), (3,), (0, 1, 3, 4)])
def test_a_single_gap_is_a_region_of_two_parts(scan, slices):
    mask = fill_contours(stack(*slices), scan)
    assert sorted(set(np.nonzero(mask.array)[0])) == list(slices)


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
    assert read_contours(data, 2).points_mm == ()
    with pytest.raises(VolumeError, match="no such region"):
        read_contours(data, 3)


@pytest.mark.parametrize("numbers", [[0, 0, 50, 1], [], [0, 0, float("nan")]])
def test_coordinates_that_are_no_triples(numbers):
    with pytest.raises(VolumeError, match="not triples of numbers"):
        read_contours(structure_set(("CLOSED_PLANAR", numbers)), 7)
