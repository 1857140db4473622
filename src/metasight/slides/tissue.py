"""Where the tissue is, seen on a thumbnail."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.slides.stain import Rgb, background_colour, optical_density
from metasight.units import Microns

Mask = npt.NDArray[np.bool_]

# Glass varies by about this much over a scan (vignetting, dust, compression); tissue that absorbs
# less than it cannot be told from glass.
_FAINTEST_OD = 0.02
# A counterstain alone leaves stroma at 0.05–0.1: glass that varies more than this is not clean.
_DIRTIEST_GLASS_OD = 0.05
_GLASS_SPREADS = 5.0
_SMOOTH_UM = Microns(16.0)
_SMALLEST_PIECE_UM2 = 40_000.0
_LARGEST_HOLE_UM2 = 20_000.0


def tissue_mask(rgb: Rgb, mpp: float, background: npt.ArrayLike | None = None) -> Mask:
    """Pixels that show stained tissue.

    Optical density over glass, smoothed over 16 µm, that stands out from what this slide's own
    glass varies by (between 0.02 and 0.05): an IHC section with hardly any marker is as much
    tissue as an H&E, where a threshold between dark and pale would lose its stroma. Pieces smaller
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
    threshold = _glass_varies_by(smooth[~filled])
    mask = (smooth > threshold) & ~filled
    mask = _without_small(mask, _SMALLEST_PIECE_UM2 / mpp**2)
    holes_filled = ~_without_small(~mask, _LARGEST_HOLE_UM2 / mpp**2)
    return np.asarray(holes_filled & ~filled, dtype=np.bool_)


def _glass_varies_by(smooth: npt.NDArray[np.float32]) -> float:
    """Optical density that glass of this slide does not reach."""
    glass = smooth[smooth < _DIRTIEST_GLASS_OD]
    if glass.size < 100:
        return _FAINTEST_OD
    counts, edges = np.histogram(glass, bins=50, range=(-_FAINTEST_OD, _DIRTIEST_GLASS_OD))
    peak = float(edges[int(np.argmax(counts))] + edges[1] - edges[0])
    below = glass[glass <= peak]  # the far side holds pale tissue
    spread = float(np.sqrt(np.mean((below - peak) ** 2))) if below.size else 0.0
    return float(np.clip(peak + _GLASS_SPREADS * spread, _FAINTEST_OD, _DIRTIEST_GLASS_OD))


def _without_small(mask: Mask, pixels: float) -> Mask:
    """``mask`` without its connected pieces below ``pixels``."""
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= pixels
    keep[0] = False
    return np.asarray(keep[label], dtype=np.bool_)
