"""Slices, outlines and diameters lie where the patient's are, in mm."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.lesions.size import PLANES, size_of
from metasight.serve.scan_slices import (
    SIDES,
    WINDOWS_HU,
    Frame,
    calipers_of,
    grey_slice,
    outlines_of,
    point_of,
    uptake_slice,
)
from metasight.volumes.volume import Mask, Volume

SHAPE = (20, 40, 30)  # z, y, x
SPACING = (0.8, 0.5, 2.0)
AT = (15, 8, 22)  # z, y, x: near the head, to the front, to the patient's left


@pytest.fixture(scope="module")
def ct() -> Volume:
    voxels = np.full(SHAPE, -1000.0)
    voxels[AT] = 200.0
    return Volume.from_array(voxels, unit="HU", spacing_mm=SPACING, origin_mm=(-10.0, 5.0, 300.0))


def opened(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


NUMBER = {"axial": AT[0], "coronal": AT[1], "sagittal": AT[2]}


@pytest.mark.parametrize("plane", PLANES)
def test_a_bright_voxel_is_where_the_frame_says(ct: Volume, plane) -> None:
    picture = opened(grey_slice(ct, plane, NUMBER[plane], WINDOWS_HU["mediastinum"]))
    (row,), (column,) = np.nonzero(picture)
    frame = Frame.of(ct.grid, plane)
    assert picture.shape == (
        round(frame.height_mm / frame.row_mm),
        round(frame.width_mm / frame.column_mm),
    )
    x, y = (column + 0.5) * frame.column_mm, (row + 0.5) * frame.row_mm
    there = point_of(ct.grid, plane, NUMBER[plane], x, y)
    z, y, x = AT
    assert np.allclose(there, ct.grid.to_mm(np.array([x, y, z])))


def test_heads_are_up_and_the_patient_s_right_is_left(ct: Volume) -> None:
    coronal = opened(grey_slice(ct, "coronal", AT[1], WINDOWS_HU["lung"]))
    assert np.argmax(coronal.max(axis=1)) < SHAPE[0] / 2  # near the head
    assert np.argmax(coronal.max(axis=0)) > SHAPE[2] / 2  # the patient's left
    sagittal = opened(grey_slice(ct, "sagittal", AT[2], WINDOWS_HU["lung"]))
    assert np.argmax(sagittal.max(axis=0)) < SHAPE[1] / 2  # the front
    assert SIDES["sagittal"][0] == "A" and SIDES["coronal"][2] == "H"


def test_windows_end_where_they_say(ct: Volume) -> None:
    low, high = WINDOWS_HU["bone"]
    voxels = np.linspace(low - 100, high + 100, int(np.prod(SHAPE))).reshape(SHAPE)
    ramp = ct.of_array(voxels)
    first, last = (opened(grey_slice(ramp, "axial", n, (low, high))) for n in (0, SHAPE[0] - 1))
    assert first[0, 0] == 0 and last[-1, -1] == 255


@pytest.mark.parametrize("plane", PLANES)
def test_outline_and_diameters_lie_on_the_lesion(ct: Volume, plane) -> None:
    z, y, x = np.indices(SHAPE)
    ball = sum(
        ((i - a) * s) ** 2 for i, a, s in zip((z, y, x), (10, 20, 15), (2.0, 0.5, 0.8), strict=True)
    )
    mask = Mask.from_array(ball <= 6.0**2, on=ct)
    paths = outlines_of(mask, plane)
    frame = Frame.of(ct.grid, plane)
    (own,) = [c for c in calipers_of(size_of(mask), ct.grid) if c["plane"] == plane]
    number = own["slice"]
    points = np.array(
        [[float(v) for v in p.split()] for p in re.split("[MLZ]", paths[number]) if p]
    )
    ends = np.array(own["longest"])
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(own["longest_mm"], abs=0.06)
    assert 10 < own["longest_mm"] < 14
    nearest = np.linalg.norm(points[None] - ends[:, None], axis=-1).min(axis=1)
    assert (nearest < 2.0).all()
    middle = points.mean(axis=0)
    there = point_of(ct.grid, plane, number, middle[0], middle[1])
    assert np.linalg.norm(there - ct.grid.to_mm(np.array([15, 20, 10]))) < 2.5
    assert set(paths) <= set(range(frame.slices)) and sum(c["is_size"] for c in [own]) <= 1


def test_uptake_lies_over_the_same_place(ct: Volume) -> None:
    voxels = np.zeros((10, 12, 10))
    place = ct.grid.to_mm(np.array([AT[2], AT[1], AT[0]]))
    pet = Volume.from_array(
        voxels, unit="SUVbw", spacing_mm=(3, 3, 4), origin_mm=tuple(ct.grid.origin_mm)
    )
    at = np.rint(pet.grid.to_index(place)).astype(int)
    voxels[at[2], at[1], at[0]] = 20.0
    pet = pet.of_array(voxels)
    frame = Frame.of(ct.grid, "axial")
    heat = opened(uptake_slice(pet, ct, "axial", AT[0], heat=True))
    row, column = np.unravel_index(np.argmax(heat[..., 3]), heat.shape[:2])
    x = (column + 0.5) * frame.width_mm / heat.shape[1]
    y = (row + 0.5) * frame.height_mm / heat.shape[0]
    there = point_of(ct.grid, "axial", AT[0], x, y)
    assert np.linalg.norm(there - pet.grid.to_mm(at.astype(float))) < 4
    grey = opened(uptake_slice(pet, ct, "axial", AT[0], heat=False))
    assert grey[row, column, 0] < 128 and grey[0, 0, 0] == 255


@pytest.mark.parametrize("number", [-1, 20])
def test_no_such_slice(ct: Volume, number: int) -> None:
    with pytest.raises(VolumeError, match="no such slice"):
        grey_slice(ct, "axial", number, (0.0, 1.0))
    with pytest.raises(VolumeError, match="no such slice"):
        uptake_slice(ct, ct, "axial", number, heat=True)


@pytest.mark.parametrize(("number", "x", "y"), [(-1, 1, 1), (0, -1, 1), (0, 1, 1e9)])
def test_no_such_place(ct: Volume, number: int, x: float, y: float) -> None:
    with pytest.raises(VolumeError, match="no such place"):
        point_of(ct.grid, "axial", number, x, y)
