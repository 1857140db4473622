"""Empty glass of a slide, and its pixels as they would look over white glass."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from metasight.slides.reader import Region, SlideReader
from metasight.slides.stain import background_colour

Floats = npt.NDArray[np.float64]

_OVERVIEW_MPP = 8.0
_LEAST_GLASS = 170.0  # grey level, as for the slide's quality
_NEUTRAL = 0.85  # of its brightest channel: a lamp's tint, but no eosin


def glass_of(slide: SlideReader) -> Floats:
    """Colour of the slide's empty glass, seen from far.

    Where the brightest pixels are dark or coloured the field shows no glass (tissue fills it), and
    the scanner's white is taken as it is: 255.
    """
    mpp = max(_OVERVIEW_MPP, slide.mpp)
    width, height = slide.size_at(mpp)
    found = background_colour(slide.read(Region(x=0, y=0, width=width, height=height), mpp))
    if found.min() < _LEAST_GLASS or found.min() < _NEUTRAL * found.max():
        return np.full(3, 255.0)
    return found


def over_white(rgb: npt.NDArray[Any], glass: Floats) -> npt.NDArray[np.uint8]:
    """Pixels as they would look over white glass: a scanner's lamp is no property of tissue."""
    table = np.arange(256)[:, None] * (255.0 / np.maximum(glass, 1.0))
    lookup = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    return np.stack([lookup[rgb[..., c], c] for c in range(3)], axis=-1)
