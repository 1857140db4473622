"""Air and tissue must both be there, at their values; slips of rescaling are refused."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.volumes.hounsfield import check_hounsfield, check_scale


def chest(air: float = 0.5, slope: float = 1.0, intercept: float = 0.0) -> np.ndarray:
    """A share of air, the rest soft tissue of 40 HU, as a slip of rescaling would show it."""
    voxels = np.full((10, 100, 100), 40.0, np.float32)
    voxels.reshape(-1)[: round(air * voxels.size)] = -1000.0
    return voxels * np.float32(slope) + np.float32(intercept)


@pytest.mark.parametrize("air", [0.02, 0.5, 0.98])
def test_a_chest_of_little_or_much_air(air):
    check_hounsfield(chest(air), "scan")


@pytest.mark.parametrize(
    "voxels",
    [
        chest(intercept=1024.0),  # the stored values, from 24 up
        chest(intercept=-1024.0),  # the intercept taken off twice: tissue reads −984
        chest(slope=0.1),
        chest(air=0.0),
        chest(air=1.0),
        chest(air=0.005),  # less than a hundredth
        chest(air=0.995),
    ],
)
def test_what_cannot_be_hounsfield_units(voxels):
    with pytest.raises(VolumeError, match="not Hounsfield units") as error:
        check_hounsfield(voxels, "scan")
    assert "rescale" in error.value.remedy


def test_the_values_found_are_told():
    with pytest.raises(VolumeError) as error:
        check_hounsfield(chest(intercept=1024.0), "scan")
    assert error.value.value == "24 HU in the darkest hundredth, 1064 HU in the brightest"


def test_outside_of_the_reconstruction_does_not_pass_for_tissue():
    """A scan whose values are all far too low, with a corner as scanners mark it."""
    voxels = np.full((4, 50, 50), -3024.0, np.float32)
    voxels[:, 10:40, 10:40] = -900.0
    with pytest.raises(VolumeError):
        check_hounsfield(voxels, "scan")


def test_a_slice_beside_the_scale_of_its_neighbours_is_refused() -> None:
    voxels = np.full((5, 20, 20), -1000.0, dtype=np.float32)
    voxels[:, 5:15, 5:15] = np.linspace(0, 80, 5)[:, None, None]
    none, second = np.zeros(5, dtype=bool), np.array([0, 1, 0, 0, 0], dtype=bool)
    check_scale(voxels, none, "series 1")
    check_scale(voxels, second, "series 1")  # rescaled otherwise, and rightly
    check_scale(voxels, ~none, "series 1")  # each slice by its own: nothing to compare with
    voxels[1] = (voxels[1] + 1024) * 2 - 1024
    check_scale(voxels, none, "series 1")
    with pytest.raises(VolumeError, match="do not fit its neighbours") as error:
        check_scale(voxels, second, "series 1")
    assert error.value.where == "series 1"


@pytest.mark.parametrize("place", [0, 4])
def test_an_end_slice_has_one_neighbour(place: int) -> None:
    voxels = np.full((5, 20, 20), -1000.0, dtype=np.float32)
    own = np.arange(5) == place
    check_scale(voxels, own, "")
    voxels[place] = 40
    with pytest.raises(VolumeError):
        check_scale(voxels, own, "")
