"""A bar of round length on a picture of tissue, so that distances can be read off it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

_SHARE = 0.25  # of the picture's width that the bar takes at most


def round_length_um(width_um: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that takes at most a quarter of a width, µm.

    Parameters
    ----------
    width_um
        Of what is shown; above 0.
    """
    most = _SHARE * width_um
    ten = 10.0 ** math.floor(math.log10(most))
    return max(step * ten for step in (1.0, 2.0, 5.0) if step * ten <= most * (1 + 1e-9))


def length_in_words(length_um: float) -> str:
    """``2 mm``, ``500 µm``."""
    return f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"


def strip_below(width_px: int) -> tuple[int, float]:
    """Height in pixels of the strip below a picture, and the size of what is written on it."""
    scale = max(0.4, width_px / 1600)
    return max(18, round(30 * scale)), scale


def with_scale_bar(rgb: npt.NDArray[np.uint8], mpp: float) -> npt.NDArray[np.uint8]:
    """A copy of a picture (h, w, 3) with a bar and its length on a strip of white below it.

    Parameters
    ----------
    mpp
        Micrometres to a pixel of the picture.
    """
    height, width = rgb.shape[:2]
    length_um = round_length_um(width * mpp)
    strip, scale = strip_below(width)
    out = np.full((height + strip, width, 3), 255, dtype=np.uint8)
    out[:height] = rgb
    left, middle = max(2, width // 80), height + strip // 2
    right = min(width - 1, left + round(length_um / mpp))
    cv2.rectangle(out, (left, middle - strip // 8), (right, middle + strip // 8), (0, 0, 0), -1)
    # OpenCV's letters have no µ
    text = length_in_words(length_um).replace("µ", "u")
    place = right + max(4, width // 160), middle + strip // 4
    cv2.putText(out, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7 * scale, (0, 0, 0), 1, cv2.LINE_AA)
    return out
