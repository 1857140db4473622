"""Where the tissue is, seen on a thumbnail."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_otsu

from metasight.slides.stain import Rgb, background_colour, optical_density
from metasight.units import Microns

Mask = npt.NDArray[np.bool_]

# Glass varies by about this much over a scan (vignetting, dust, compression); tissue that absorbs
# less than it cannot be told from glass.
_FAINTEST_OD = 0.02
# Otsu splits pale stroma from dark nuclei where there is hardly any glass: never above this.
_PALEST_TISSUE_OD = 0.12
_SMOOTH_UM = Microns(16.0)
_SMALLEST_PIECE_UM2 = 40_000.0
_LARGEST_HOLE_UM2 = 20_000.0


def tissue_mask(rgb: Rgb, mpp: float, background: npt.ArrayLike | None = None) -> Mask:
    """Pixels that show stained tissue.

    Optical density over glass, smoothed over 16 µm, above Otsu's threshold of this slide, which
    is held between what glass may vary by (0.02) and the palest stroma (0.12). Pieces smaller
    than 0.04 mm² go, holes smaller than 0.02 mm² are filled. Pure black and pure white, with
    which scanners fill what they did not scan, are not tissue. Pen is not told from tissue here;
    `quality` does that.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8 thumbnail, best at 5–30 µm a pixel.
    mpp
        Micrometres a pixel.
    background
        Colour of empty glass; estimated where it is None.

    Returns
    -------
    (h, w) bool; all False where nothing is stained.
    """
    glass = background_colour(rgb) if background is None else np.asarray(background, np.float64)
    light = optical_density(rgb, glass).mean(axis=-1)
    filled = (rgb == 0).all(axis=-1) | (rgb == 255).all(axis=-1)
    light[filled] = 0.0
    sigma = _SMOOTH_UM / mpp / 2
    smooth = cv2.GaussianBlur(light, (0, 0), sigma) if sigma > 0.3 else light
    if float(smooth.max()) <= _FAINTEST_OD:
        return np.zeros(smooth.shape, dtype=np.bool_)
    threshold = np.clip(threshold_otsu(smooth) / 2, _FAINTEST_OD, _PALEST_TISSUE_OD)
    mask = (smooth > threshold) & ~filled
    mask = _without_small(mask, _SMALLEST_PIECE_UM2 / mpp**2)
    return ~_without_small(~mask, _LARGEST_HOLE_UM2 / mpp**2) & ~filled


def _without_small(mask: Mask, pixels: float) -> Mask:
    """``mask`` without its connected pieces below ``pixels``."""
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= pixels
    keep[0] = False
    return np.asarray(keep[label], dtype=np.bool_)
