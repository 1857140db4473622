"""Air and tissue must both be there, at their values; slips of rescaling are refused."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.volumes.hounsfield import check_hounsfield


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
