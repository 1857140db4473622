from __future__ import annotations

import gc

import numpy as np
import pytest
import SimpleITK as sitk

from metasight.errors import VolumeError
from metasight.volumes.grid import Grid, check_size
from metasight.volumes.volume import Mask, Volume


def made(voxels: np.ndarray | None = None, **over: object) -> Volume:
    if voxels is None:
        voxels = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    settings: dict = {"unit": "HU", "spacing_mm": (0.7, 0.8, 2.0), "origin_mm": (1.0, 2.0, 3.0)}
    return Volume.from_array(voxels, **(settings | over))


def test_axes_are_z_y_x_and_points_are_x_y_z() -> None:
    volume = made()
    assert volume.array.shape == (4, 5, 6)
    assert volume.spacing_zyx_mm == (2.0, 0.8, 0.7)
    np.testing.assert_allclose(volume.grid.to_mm(np.array([5, 4, 3])), [4.5, 5.2, 9.0])
    np.testing.assert_allclose(volume.grid.to_index(np.array([4.5, 5.2, 9.0])), [5, 4, 3])
    assert volume.grid.voxel_volume_mm3 == pytest.approx(1.12)


def test_an_array_outlives_its_volume() -> None:
    # SimpleITK's own view ends the process here
    array = made(np.full((20, 100, 100), 7.0)).array
    gc.collect()
    others = [made(np.zeros((20, 100, 100))) for _ in range(5)]
    assert array.min() == array.max() == 7.0 and len(others) == 5
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_numbers_are_refused(value: float) -> None:
    voxels = np.zeros((4, 5, 6))
    voxels[2, 2, 2] = value
    voxels[1, 1, 1] = -value
    with pytest.raises(VolumeError, match="not numbers") as caught:
        made(voxels)
    assert caught.value.value == "2 voxels"


@pytest.mark.parametrize("spacing", [(0.0, 1, 1), (np.nan, 1, 1), (1, 1, 50.0), (1e-3, 1, 1)])
def test_impossible_spacing_is_refused(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(VolumeError, match="spacing"):
        made(spacing_mm=spacing)


def test_a_plane_is_no_volume() -> None:
    with pytest.raises(VolumeError, match="three-dimensional"):
        made(np.zeros((5, 6)))


def test_axes_must_run_to_left_back_and_head() -> None:
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6), dtype=np.float32))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    with pytest.raises(VolumeError, match="left, back and head"):
        Volume(image=image, unit="HU")
    oblique = sitk.GetImageFromArray(np.zeros((4, 5, 6), dtype=np.float32))
    c, s = np.cos(0.3), np.sin(0.3)
    oblique.SetDirection((1, 0, 0, 0, c, -s, 0, s, c))
    assert Volume(image=oblique, unit="HU").array.shape == (4, 5, 6)


def test_sixteen_gigabytes_are_refused_before_memory_is_asked_for() -> None:
    with pytest.raises(VolumeError, match="claims more") as caught:
        check_size((65535, 65535, 1), "header")
    assert "16.0 GB" in caught.value.value


def test_a_unit_can_be_required() -> None:
    assert made().require("HU", "SUVbw").unit == "HU"
    with pytest.raises(VolumeError, match="unit") as caught:
        made().require("SUVbw")
    assert caught.value.value == "HU, not SUVbw"


def test_a_mask_counts_and_measures() -> None:
    volume = made()
    inside = np.zeros((4, 5, 6))
    inside[1:3, 2, 3:5] = 5
    mask = Mask.from_array(inside, on=volume, name="GTV")
    assert mask.on(volume) is mask
    assert mask.n_voxels == 4
    assert mask.volume_ml == pytest.approx(4 * 1.12 / 1000)
    assert mask.array.dtype == np.bool_ and volume.array[mask.array].size == 4


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(VolumeError, match="empty"):
        Mask.from_array(np.zeros((4, 5, 6)), on=made())


def test_a_mask_of_labels_is_refused() -> None:
    image = sitk.GetImageFromArray(np.full((4, 5, 6), 3, dtype=np.uint8))
    with pytest.raises(VolumeError, match="other values"):
        Mask(image=image)


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"origin_mm": (1.0, 2.0, 3.4)}, "0.40 mm"),
        ({"spacing_mm": (0.7, 0.8, 2.1)}, "0.30 mm"),
    ],
)
def test_a_mask_off_the_grid_is_refused_with_the_distance(over: dict, says: str) -> None:
    mask = Mask.from_array(np.ones((4, 5, 6)), on=made(**over))
    with pytest.raises(VolumeError, match="grid") as caught:
        mask.on(made())
    assert says in caught.value.value


def test_a_mask_of_another_size_is_refused() -> None:
    mask = Mask.from_array(np.ones((3, 5, 6)), on=made(np.zeros((3, 5, 6))))
    with pytest.raises(VolumeError, match="grid") as caught:
        mask.on(made())
    assert "6 × 5 × 3 voxels, the scan 6 × 5 × 4" in caught.value.value


def test_rounding_in_a_header_is_no_other_grid() -> None:
    ours = made().grid
    theirs = Grid(
        size=ours.size,
        spacing_mm=(0.7, 0.80001, 2.0),
        origin_mm=(1.00001, 2.0, 3.0),
        direction=ours.direction,
    )
    assert ours.matches(theirs)
