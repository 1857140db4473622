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

_LUNG_OR_AIR_HU = -700.0  # even a dense lung's lightest hundredth, and any air, is below
_TISSUE_HU = -200.0  # fat begins at −120
_SAMPLE = 2_000_000


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
