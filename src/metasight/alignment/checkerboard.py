"""Two aligned sections as squares by turns, for the eye."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.alignment.align import Alignment
from metasight.alignment.section import Section

_SQUARE_UM = 500.0
_LEAST_SQUARE_PX = 24
_SQUARES = 16


def checkerboard(fixed: Section, moving: Section, alignment: Alignment) -> npt.NDArray[np.uint8]:
    """Squares of the two sections by turns, half a millimetre and more a side; the fixed first."""
    height, width = fixed.rgb.shape[:2]

    def read(box: tuple[float, float, float, float], mpp: float) -> npt.NDArray[np.uint8]:
        left, top, wide, high = box
        scale = mpp / moving.mpp
        size = (max(1, round(wide / mpp)), max(1, round(high / mpp)))
        matrix = np.array([[scale, 0, left / moving.mpp], [0, scale, top / moving.mpp]])
        return np.asarray(
            cv2.warpAffine(
                moving.rgb,
                matrix,
                size,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(255, 255, 255),
            ),
            dtype=np.uint8,
        )

    out = fixed.rgb.copy()
    warped = np.full_like(out, 255)
    for column, row, tile in alignment.transform.warp_tiles(read, fixed.size_um, fixed.mpp):
        part = warped[row : row + tile.shape[0], column : column + tile.shape[1]]
        part[:] = tile[: part.shape[0], : part.shape[1]]
    side = max(_LEAST_SQUARE_PX, round(_SQUARE_UM / fixed.mpp), max(height, width) // _SQUARES)
    odd = (np.arange(height)[:, None] // side + np.arange(width)[None, :] // side) % 2 == 1
    out[odd] = warped[odd]
    return out
