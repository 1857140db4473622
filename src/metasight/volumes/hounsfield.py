"""Whether CT numbers can be Hounsfield units: −1000 is air, 0 is water, on every scanner.

A chest always holds air (lung, and what is round the body) and soft tissue. If nothing in it reads
as air, or nothing reads as tissue, the rescale values are wrong; measuring would give a number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError

AIR_HU = -1000.0
OUTSIDE_HU = -1500.0
"""No matter reads below −1000; noise does not reach −1500. Below lies what scanners write outside
the reconstruction (−2000, −3024 and the like)."""

HIGHEST_HU = 32_768.0
"""Beyond any scanner's scale, the extended one for metal included."""

_LUNG_OR_AIR_HU = -700.0  # even a dense lung's lightest hundredth, and any air, is below
_TISSUE_HU = -200.0  # fat begins at −120
_SAMPLE = 2_000_000
_UNLIKE_HU = 150.0  # neighbouring slices of a body differ by less, in the middle and near the top
_SHARES = (50, 95)


def check_hounsfield(voxels: npt.NDArray[np.float32], where: str) -> None:
    """Refuse voxels (z, y, x) of a chest CT that cannot be Hounsfield units.

    Raises
    ------
    VolumeError
        Less than 1 % of the voxels read as air or lung, or less than 1 % as tissue.
    """
    flat = voxels.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    low, high = (float(v) for v in np.percentile(sample, [1, 99]))
    if low > _LUNG_OR_AIR_HU or high < _TISSUE_HU:
        raise VolumeError(
            "CT numbers are not Hounsfield units of a chest",
            where=where,
            value=f"{low:.0f} HU in the darkest hundredth, {high:.0f} HU in the brightest",
            remedy="Air must read −1000 and water 0: check the rescale slope and intercept",
        )


def check_scale(voxels: npt.NDArray[np.float32], own: npt.NDArray[np.bool_], where: str) -> None:
    """Refuse slices whose own rescale values put them beside the scale of their neighbours.

    Parameters
    ----------
    voxels
        (z, y, x) in HU.
    own
        (z,) slices whose slope or intercept is not that of most others.

    Raises
    ------
    VolumeError
        Such a slice is unlike the nearest slices below and above it that are not such.
    """
    usual = np.flatnonzero(~own)
    if not own.any() or not len(usual):
        return
    for place in np.flatnonzero(own):
        below, above = usual[usual < place][-1:], usual[usual > place][:1]
        ours = np.percentile(voxels[place], _SHARES)
        theirs = [np.percentile(voxels[k], _SHARES) for k in (*below, *above)]
        apart = min(float(np.abs(ours - t).max()) for t in theirs)
        if apart > _UNLIKE_HU:
            raise VolumeError(
                "a slice's rescale slope and intercept do not fit its neighbours",
                where=where,
                value=f"{apart:.0f} HU from the adjacent slice",
                remedy="Fetch the series again from the archive",
            )
