"""How sharp a picture is, as the width of its edges in micrometres.

Blurring a picture once more takes away the more edge energy the sharper it was. For edges of
Gaussian width s the energy of the gradient falls as 1/√(s² + b²) with the added blur b, so two
added blurs give s — in micrometres, whatever the scanner, the stain's strength or the contrast.
Tissue is not made of single edges; its own softness adds about a micrometre in quadrature.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

# The first blur takes off the noise and compression of pixels of 1 µm or less, the second is
# about what makes a nucleus' chromatin illegible.
ADDED_BLUR_UM = (0.7, 2.0)
COARSEST_MPP = 1.1
_WIDEST_UM = 50.0
_LEAST_ENERGY = 1e-7


def edge_width_um(
    light: npt.NDArray[Any], mpp: float, mask: npt.NDArray[np.bool_] | None = None
) -> float:
    """Width (standard deviation) of the edges in a picture, in micrometres.

    Parameters
    ----------
    light
        (h, w) optical density, or brightness in fluorescence.
    mpp
        Micrometres a pixel, at most 1.1: what is coarser holds no sign of focus.
    mask
        Pixels to look at; those whose neighbourhood is tissue.

    Returns
    -------
    0–50 µm; NaN where there are no edges at all to judge by.
    """
    if mpp > COARSEST_MPP:
        raise ValueError(f"focus cannot be seen at {mpp} µm a pixel")
    energies = [_edge_energy(light, blur / mpp, mask) for blur in ADDED_BLUR_UM]
    if energies[0] < _LEAST_ENERGY:
        return float("nan")
    near, far = (blur**2 for blur in ADDED_BLUR_UM)
    fallen = (energies[1] / energies[0]) ** 2  # (s² + near) / (s² + far)
    if fallen >= 1:
        return _WIDEST_UM
    squared = (fallen * far - near) / (1 - fallen)
    return float(np.clip(np.sqrt(max(squared, 0.0)), 0.0, _WIDEST_UM))


def _edge_energy(
    light: npt.NDArray[Any], sigma: float, mask: npt.NDArray[np.bool_] | None
) -> float:
    smooth = cv2.GaussianBlur(light.astype(np.float32), (0, 0), sigma)
    across = cv2.Scharr(smooth, cv2.CV_32F, 1, 0) / 32
    down = cv2.Scharr(smooth, cv2.CV_32F, 0, 1) / 32
    energy = across**2 + down**2
    return float(energy.mean() if mask is None else energy[mask].mean())
