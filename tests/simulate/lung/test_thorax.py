"""A drawn thorax: distances against geometry, and a lesion that is where and what it says."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.simulate.lung.anatomy import polyline
from metasight.simulate.lung.nodule import Shape, directions
from metasight.simulate.lung.raster import Grid
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.simulate.lung.thorax import (
    Thorax,
    _clear,
    distance_to_tubes,
    draw_thorax,
    nearest_exit,
    ray_lengths,
)

COARSE = ScanSettings(pixel_mm=2.0, interval_mm=2.5, thickness_mm=2.5, noise=0.0)


@pytest.fixture(scope="module")
def thorax() -> Thorax:
    nodule = NoduleSettings(diameter_mm=24.0, solid_diameter_mm=12.0, lobe=1, pleura="free")
    settings = ThoraxSettings(nodule=nodule, scan=COARSE, vessel_ends=600)
    return draw_thorax(settings, np.random.default_rng(5))


def test_distances_to_a_tapering_tube_by_hand() -> None:
    """From (0, 0, 0) with radius 2 to (10, 0, 0) with radius 1."""
    tube = polyline((0.0, 0.0, 0.0, 2.0), (10.0, 0.0, 0.0, 1.0))
    points = np.array(
        [[0.0, 5.0, 0.0], [5.0, 0.0, 4.0], [-3.0, 4.0, 0.0], [10.0, 0.0, 0.0], [13.0, 0.0, 4.0]]
    )
    # beyond an end it is the ball's surface; on the axis at the end minus the radius there
    np.testing.assert_allclose(distance_to_tubes(points, tube), [3.0, 2.5, 3.0, -1.0, 4.0])


def test_of_two_tubes_the_nearer_counts() -> None:
    near, far = (polyline((0.0, y, 0.0, 1.0), (9.0, y, 0.0, 1.0)) for y in (3.0, -40.0))
    at = np.array([[4.0, 0.0, 0.0], [4.0, -38.0, 0.0]])
    np.testing.assert_allclose(distance_to_tubes(at, near + far), [2.0, 1.0])
    np.testing.assert_allclose(distance_to_tubes(at, far + near), [2.0, 1.0])


def test_vessels_that_come_too_near_a_lesion_are_left_out() -> None:
    ball = Shape(
        centre_mm=(0.0, 0.0, 0.0),
        half_axes_mm=(10.0, 10.0, 10.0),
        turn=np.eye(3),
        bumps=np.empty((0, 5)),
    )
    # surface to surface: 15 − 1 − 10 = 4 mm, 17 − 1 − 10 = 6 mm, and one that passes through
    rows = [polyline((-30.0, y, 0.0, 1.0), (30.0, y, 0.0, 1.0)) for y in (15.0, 17.0, 0.0)]
    kept = _clear(rows[0] + rows[1] + rows[2], ball, 5.0)
    np.testing.assert_array_equal(kept.ends[:, 1], [17.0])


def test_a_ray_ends_on_the_surface_of_the_lungs(thorax: Thorax) -> None:
    centre = np.array(thorax.lesion.whole.centre_mm)
    toward = directions(300)
    length = ray_lengths(centre, toward, thorax.anatomy, thorax.mediastinum)
    seen = length < 200
    assert seen.sum() > 10
    ends = centre + length[seen, None] * toward[seen]
    assert np.abs(thorax.levels(ends)[:, 0]).max() < 0.5
    # nothing outside on the way
    halfway = centre + 0.5 * length[seen, None] * toward[seen]
    assert (thorax.levels(halfway)[:, 0] < 0).all()


def test_the_nearest_exit_is_as_near_as_any_ray_says(thorax: Thorax) -> None:
    centre = np.array(thorax.lesion.whole.centre_mm)
    found = nearest_exit(centre, thorax.anatomy, thorax.mediastinum)
    away = float(np.linalg.norm(found - centre))
    rays = ray_lengths(centre, directions(400), thorax.anatomy, thorax.mediastinum)
    assert away <= rays.min() + 0.3
    # a ball of a millimetre less lies inside
    ball = centre + (away - 1.0) * directions(500)
    assert (thorax.levels(ball)[:, 0] < 0.3).all()


def test_a_free_lesion_touches_neither_pleura_nor_fissure_nor_bronchus(thorax: Thorax) -> None:
    surface = thorax.lesion.whole.surface
    found = thorax.levels(surface)
    assert (found[:, 0] < 0).all()
    assert set(found[:, 2].astype(int)) == {1}
    assert distance_to_tubes(surface, thorax.proximal).min() > 3.0


def test_the_solid_part_lies_in_the_whole_and_its_mask_in_the_mask(thorax: Thorax) -> None:
    grid = thorax.crop(ScanSettings(pixel_mm=0.8, interval_mm=1.0, thickness_mm=1.0), 40.0)
    whole, solid = thorax.lesion_mask(grid), thorax.lesion_mask(grid, solid=True)
    assert not (solid & ~whole).any()
    voxel = float(np.prod(grid.spacing_mm))
    lesion = thorax.lesion
    assert whole.sum() * voxel == pytest.approx(lesion.whole.volume_mm3, rel=0.02)
    assert lesion.solid is not None
    assert solid.sum() * voxel == pytest.approx(lesion.solid.volume_mm3, rel=0.03)


def test_a_crop_is_a_window_on_the_voxels_of_the_whole_scan(thorax: Thorax) -> None:
    whole, crop = thorax.field(COARSE), thorax.crop(COARSE, 40.0)
    steps = (np.array(crop.origin_mm) - whole.origin_mm) / np.array(whole.spacing_mm)[::-1]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert crop.spacing_mm == whole.spacing_mm
    middle = [(line[0] + line[-1]) / 2 for line in crop.axes()][::-1]
    np.testing.assert_allclose(middle, thorax.lesion.whole.centre_mm, atol=1.3)
    for line in crop.axes():
        assert 36 < line[-1] - line[0] <= 40


def test_a_lesion_is_painted_with_its_two_values(thorax: Thorax) -> None:
    grid = thorax.crop(ScanSettings(pixel_mm=0.8, interval_mm=1.0, thickness_mm=1.0), 40.0)
    hu, _ = thorax.painted(grid)
    lesion = thorax.lesion
    z, y, x = np.meshgrid(*grid.axes(), indexing="ij")
    points = np.stack([x, y, z], axis=-1)
    assert lesion.solid is not None
    core = lesion.solid.level(points) < -1.5
    rim = (lesion.whole.level(points) < -1.5) & (lesion.solid.level(points) > 1.5)
    assert float(np.median(hu[core])) == pytest.approx(lesion.solid_hu, abs=10)
    assert float(np.median(hu[rim])) == pytest.approx(lesion.ground_glass_hu, abs=20)


def test_a_lesion_on_the_pleura_touches_it() -> None:
    nodule = NoduleSettings(diameter_mm=16.0, solid_diameter_mm=16.0, pleura="attached")
    settings = ThoraxSettings(nodule=nodule, scan=COARSE, vessel_ends=600)
    one = draw_thorax(settings, np.random.default_rng(8))
    reach = one.levels(one.lesion.whole.surface)[:, 0].max()
    assert -0.6 < reach < 0.3


def test_without_a_lesion_there_is_none_to_crop() -> None:
    settings = ThoraxSettings(nodule=None, scan=COARSE, vessel_ends=600)
    bare = draw_thorax(settings, np.random.default_rng(1))
    with pytest.raises(VolumeError, match="no lesion") as refused:
        bare.crop(COARSE, 40.0)
    assert refused.value.remedy == "Give `nodule` in its settings"


def test_the_field_holds_the_lungs_and_is_centred(thorax: Thorax) -> None:
    grid = thorax.field(COARSE)
    assert isinstance(grid, Grid)
    z, _, x = grid.axes()
    assert z[0] == -20.0
    assert z[-1] == pytest.approx(thorax.height_mm + 12, abs=2 * COARSE.interval_mm)
    assert x[0] == pytest.approx(-x[-1])
