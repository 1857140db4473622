from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.volumes.grid import directions
from metasight.volumes.headers import NotASlice, SliceHeader, read_headers
from metasight.volumes.sources import items_of
from metasight.volumes.stack import extent_mm, stack

Maker = Callable[..., Any]


def headers(folder: Path) -> list[SliceHeader]:
    found: list[SliceHeader] = []
    for item in items_of(folder):
        read = read_headers(item)
        assert not isinstance(read, NotASlice)
        found += read
    return found


def test_slices_are_sorted_along_their_normal(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices()
    found = stack(headers(write_ct(slices[::-1])))
    assert found.order == (5, 4, 3, 2, 1, 0)
    assert found.places == (0, 1, 2, 3, 4, 5)
    assert found.step_mm == 2.0
    assert found.origin_mm == (-10.0, -12.0, 100.0)
    assert not found.missing and not found.copies and found.tilt_degrees == 0.0


def test_missing_slices_are_found_where_they_are(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices()
    del slices[3]
    del slices[1]
    found = stack(headers(write_ct(slices)))
    assert found.missing == (1, 3)
    assert found.n_places == 6


def test_a_copy_is_told_from_a_slice(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices()
    found = stack(headers(write_ct([*slices, slices[2]])))
    assert found.copies == ((2, 6),)
    assert found.n_places == 6


def test_rounded_positions_are_even(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices(step_mm=0.625)
    for data in slices:
        data.ImagePositionPatient[2] = round(float(data.ImagePositionPatient[2]), 2)
    found = stack(headers(write_ct(slices)))
    assert found.step_mm == pytest.approx(0.625, abs=0.002)
    assert not found.missing


def test_uneven_slices_are_refused(write_ct: Maker, ct_slices: Maker, moved: Maker) -> None:
    slices = ct_slices()
    moved(slices[3], z=0.7)
    with pytest.raises(VolumeError, match="unevenly spaced") as caught:
        stack(headers(write_ct(slices)))
    assert "1.30 to 2.70 mm" in caught.value.value


def test_a_tilted_gantry_is_measured(write_ct: Maker, ct_slices: Maker, moved: Maker) -> None:
    slices = ct_slices()
    for k, data in enumerate(slices):
        moved(data, y=k * 2.0 * np.tan(np.radians(12.0)))
    found = stack(headers(write_ct(slices)))
    assert found.tilt_degrees == pytest.approx(12.0, abs=1e-6)
    np.testing.assert_allclose(found.shift_mm[:, 1], np.arange(6) * 2.0 * np.tan(np.radians(12.0)))


def test_slices_that_wander_are_refused(write_ct: Maker, ct_slices: Maker, moved: Maker) -> None:
    slices = ct_slices()
    moved(slices[2], x=5.0)
    with pytest.raises(VolumeError, match="not stacked along a line"):
        stack(headers(write_ct(slices)))


def test_one_slice_is_no_scan(write_ct: Maker, ct_slices: Maker) -> None:
    with pytest.raises(VolumeError, match="one slice is not a scan"):
        stack(headers(write_ct(ct_slices()[:1])))


def test_all_slices_at_one_place_are_refused(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices(ImagePositionPatient=[0, 0, 0])
    with pytest.raises(VolumeError, match="at one position"):
        stack(headers(write_ct(slices)))


def test_directions_must_be_at_right_angles() -> None:
    with pytest.raises(VolumeError, match="right angles"):
        directions((1, 0, 0, 0.1, 1, 0))
    axes = directions((1, 0, 0.0005, 0, 1, 0))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)


def test_extent_is_from_centre_to_centre(write_ct: Maker) -> None:
    assert extent_mm(headers(write_ct())) == 10.0
