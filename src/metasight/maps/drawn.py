"""Other maps that the error of a painted one allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from metasight.maps.density import DensityMap

_REGION_UM = 128.0
_LARGEST_RELATIVE = 2.0


def drawn_map(painted: DensityMap, *, seed: int, draw: int) -> DensityMap:
    """A map that the painted one's error allows.

    The error is that of 128 µm regions, so it is drawn as a smooth field of that reach; it acts
    as a factor (log-normal of mean 1), for a density is not negative.

    Parameters
    ----------
    painted
        With its error in cells per mm².
    seed, draw
        The same two give the same map.
    """
    rng = np.random.default_rng([seed, draw, 0x6D6170])
    reach = _REGION_UM / painted.spacing_um / 2
    out = painted.density.copy()
    for plane in range(len(out)):
        noise = ndimage.gaussian_filter(rng.standard_normal(painted.support.shape), reach)
        noise /= max(float(noise.std()), 1e-12)
        relative = np.log1p(painted.error[plane] / np.maximum(painted.density[plane], 1.0))
        relative = np.minimum(np.nan_to_num(relative), _LARGEST_RELATIVE)
        out[plane] = out[plane] * np.exp(relative * noise - relative**2 / 2)
    return replace(painted, density=out.astype(np.float32))
