from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.volumes.resample import covered_share, isotropic, isotropic_mask, onto
from metasight.volumes.volume import Mask, ScanFacts, Volume


def plane_wave(volume: Volume) -> np.ndarray:
    """A value that is linear in place: linear interpolation must give it back exactly."""
    z, y, x = np.indices(volume.array.shape)
    place = volume.grid.to_mm(np.stack([x, y, z], axis=-1))
    return place @ [2.0, -1.0, 0.5] + 7.0


def made(shape: tuple[int, int, int], spacing: tuple[float, float, float], **over) -> Volume:
    empty = Volume.from_array(
        np.zeros(shape), unit="SUVbw", spacing_mm=spacing, **({"origin_mm": (0, 0, 0)} | over)
    )
    return empty.of_array(plane_wave(empty))


def test_pet_on_the_ct_s_grid_keeps_values_where_they_are() -> None:
    pet = made((10, 12, 14), (4.0, 4.0, 3.0))
    ct = made((20, 30, 30), (1.0, 1.1, 1.25), origin_mm=(3.0, 4.0, 2.0))
    on = onto(pet, ct)
    assert on.grid == ct.grid and on.unit == "SUVbw"
    np.testing.assert_allclose(on.array, ct.array, atol=1e-4)


def test_beyond_a_pet_is_0_and_beyond_a_ct_is_air() -> None:
    small = made((5, 5, 5), (1, 1, 1))
    large = made((9, 9, 9), (2, 2, 2))
    assert onto(small, large).array[-1, -1, -1] == 0.0
    assert onto(small.of_array(small.array, unit="HU"), large).array[-1, -1, -1] == -1000.0


def test_scans_of_two_examinations_are_not_laid_over_each_other() -> None:
    one = replace(made((5, 5, 5), (1, 1, 1)), facts=ScanFacts(frame_of_reference="1.2"))
    two = replace(made((5, 5, 5), (1, 1, 1)), facts=ScanFacts(frame_of_reference="1.3"))
    with pytest.raises(VolumeError, match="frame of reference"):
        onto(one, two)
    with pytest.raises(VolumeError, match="do not overlap"):
        onto(made((5, 5, 5), (1, 1, 1)), made((5, 5, 5), (1, 1, 1), origin_mm=(99, 0, 0)))


def test_covered_share() -> None:
    one = made((5, 5, 5), (1, 1, 1))
    assert covered_share(one, one) == pytest.approx(1.0)
    half = made((5, 5, 5), (1, 1, 1), origin_mm=(2.5, 0, 0))
    assert covered_share(one, half) == pytest.approx(0.5)


def test_an_isotropic_scan_has_the_same_field_and_values() -> None:
    scan = made((9, 20, 20), (1.0, 0.8, 3.0))
    cubes = isotropic(scan, 1.0)
    assert cubes.spacing_mm == (1.0, 1.0, 1.0)
    assert cubes.grid.size == (20, 16, 27)
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(cubes.array[inner], plane_wave(cubes)[inner], atol=0.02)


def test_making_voxels_larger_does_not_alias() -> None:
    z, y, x = np.indices((16, 16, 16))
    checks = ((x + y + z) % 2).astype(float)
    scan = Volume.from_array(checks, unit="SUVbw", spacing_mm=(1, 1, 1))
    assert np.ptp(isotropic(scan, 4.0).array[1:-1, 1:-1, 1:-1]) < 0.05


def test_a_mask_goes_with_its_scan() -> None:
    scan = made((9, 20, 20), (1.0, 0.8, 3.0))
    inside = np.zeros((9, 20, 20))
    inside[2:7, 5:15, 5:15] = 1
    mask = Mask.from_array(inside, on=scan, name="GTV")
    cubes = isotropic_mask(mask, 1.0)
    assert cubes.on(isotropic(scan, 1.0)).volume_ml == pytest.approx(mask.volume_ml, rel=0.05)


@pytest.mark.parametrize("spacing", [0.0, -1.0, np.nan, 1e-4])
def test_impossible_spacing(spacing: float) -> None:
    with pytest.raises(VolumeError):
        isotropic(made((50, 50, 50), (1, 1, 1)), spacing)
