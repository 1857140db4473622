"""An alignment for the eye: two sections as squares by turns, and where it may be how far off."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.alignment.align import Alignment
from metasight.alignment.section import Section
from metasight.alignment.transform import Transform
from metasight.slides.scale_bar import strip_below, with_scale_bar

Rgb = npt.NDArray[np.uint8]

_SQUARE_UM = 500.0
_LEAST_SQUARE_PX = 24
_SQUARES = 16
_MOST_PX = 1600
_BORDER = (255, 215, 0)
_ARROWS = 14  # along the longer side
_FEWEST_ARROWS = 6  # of a piece: fewer say nothing of what it does as a whole
_LONGER = 10  # sections bend by tens of µm, which nobody sees on a whole section
_NO_ERROR = (90, 90, 90)


def checkerboard(fixed: Section, moving: Section, alignment: Alignment) -> Rgb:
    """Squares of the two sections by turns, half a millimetre and more a side; the fixed first.

    Borders of the pieces of a torn section are drawn in yellow; a bar of round length stands
    below. At most 1,600 pixels along the longer side.
    """
    still, mpp = _shrunk(fixed)
    height, width = still.shape[:2]

    def read(box: tuple[float, float, float, float], mpp: float) -> Rgb:
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

    out = still.copy()
    warped = np.full_like(out, 255)
    for column, row, tile in alignment.transform.warp_tiles(read, fixed.size_um, mpp):
        part = warped[row : row + tile.shape[0], column : column + tile.shape[1]]
        part[:] = tile[: part.shape[0], : part.shape[1]]
    side = max(_LEAST_SQUARE_PX, round(_SQUARE_UM / mpp), max(height, width) // _SQUARES)
    odd = (np.arange(height)[:, None] // side + np.arange(width)[None, :] // side) % 2 == 1
    out[odd] = warped[odd]
    _draw_borders(out, alignment.transform, mpp)
    return with_scale_bar(out, mpp)


def error_picture(fixed: Section, alignment: Alignment) -> Rgb:
    """The fixed section in grey under the predicted p90 of each tile, with the displacement.

    Colours run from 0 (dark blue) to the largest p90 of a tile, but at least 100 µm (yellow);
    tiles of tissue without an error are dark grey. Arrows show how far tissue was moved beyond
    what turning, shifting and stretching its piece as a whole does, ten times as long. A bar of
    round length and the colours' range stand below.
    """
    still, mpp = _shrunk(fixed)
    grey = cv2.cvtColor(cv2.cvtColor(still, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    error = alignment.error
    most_um = max(100.0, float(np.nan_to_num(error.tile_p90_um).max(initial=0.0)))
    tissue = still.astype(np.float32).mean(axis=2) < 225
    p90 = error.at(_centres(still, mpp))[1].reshape(still.shape[:2])
    level = np.clip(255 * np.nan_to_num(p90) / most_um, 0, 255).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    colour[np.isnan(p90)] = _NO_ERROR
    shown = (0.45 * grey + 0.55 * colour).astype(np.uint8)
    out = np.where(tissue[:, :, None], shown, grey).astype(np.uint8)
    _draw_borders(out, alignment.transform, mpp)
    _draw_arrows(out, tissue, alignment.transform, mpp)
    out = with_scale_bar(out, mpp)
    return _with_colours(out, most_um)


def _shrunk(section: Section) -> tuple[Rgb, float]:
    """The section small enough for a page, and its micrometres a pixel."""
    factor = section.mpp / max(section.mpp, max(section.size_um) / _MOST_PX)
    if factor >= 1:
        return section.rgb, section.mpp
    size = tuple(max(1, round(n * factor)) for n in section.rgb.shape[1::-1])
    rgb = np.asarray(cv2.resize(section.rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return rgb, section.mpp * section.rgb.shape[1] / rgb.shape[1]


def _draw_borders(rgb: Rgb, transform: Transform, mpp: float) -> None:
    """Where one piece of a torn section ends and the next begins."""
    if not transform.torn:
        return
    owner = transform.piece_at(_centres(rgb, mpp)).reshape(rgb.shape[:2]).astype(np.uint8)
    kernel = np.ones((5, 5), np.uint8)
    rgb[cv2.dilate(owner, kernel) != cv2.erode(owner, kernel)] = _BORDER


def _draw_arrows(rgb: Rgb, tissue: npt.NDArray[np.bool_], transform: Transform, mpp: float) -> None:
    """Displacement beyond what an affine map of each piece does, as arrows on the tissue."""
    step = max(rgb.shape[:2]) / _ARROWS
    y, x = (np.arange(step / 2, n, step) for n in rgb.shape[:2])
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    grid = grid[tissue[grid[:, 1].astype(int), grid[:, 0].astype(int)]]
    at = (grid + 0.5) * mpp
    moved, piece = transform.points(at), transform.piece_at(at)
    for number in np.unique(piece):
        own = piece == number
        if own.sum() < _FEWEST_ARROWS:
            continue
        known = np.column_stack([at[own], np.ones(own.sum())])
        affine = np.linalg.lstsq(known, moved[own], rcond=None)[0]
        shift = np.linalg.solve(affine[:2].T, (moved[own] - known @ affine).T).T / mpp
        for start, end in zip(grid[own], grid[own] + _LONGER * shift, strict=True):
            if np.abs(end - start).max() < 1:
                continue
            tail, head = ((round(float(u)), round(float(v))) for u, v in (start, end))
            cv2.arrowedLine(rgb, tail, head, (255, 255, 255), 3, cv2.LINE_AA, 0, 0.3)
            cv2.arrowedLine(rgb, tail, head, (0, 0, 0), 1, cv2.LINE_AA, 0, 0.3)


def _centres(rgb: Rgb, mpp: float) -> npt.NDArray[np.float64]:
    """Of every pixel, (n, 2) in µm, row by row."""
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    return np.asarray((np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * mpp, dtype=np.float64)


def _with_colours(rgb: Rgb, most_um: float) -> Rgb:
    """The range of the colours at the right of the strip below."""
    height, width = rgb.shape[:2]
    strip, scale = strip_below(width)
    wide, high = width // 5, strip // 2
    ramp = np.tile(np.linspace(0, 255, wide).astype(np.uint8), (high, 1))
    colours = cv2.cvtColor(cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    text = f"{most_um:.0f} um"
    size = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.7 * scale, 1)[0][0]
    left, top = width - wide - size - 12, height - strip + strip // 4
    rgb[top : top + high, left : left + wide] = colours
    for word, x in (("0", left - round(16 * scale)), (text, left + wide + 4)):
        cv2.putText(
            rgb,
            word,
            (x, top + high),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.7 * scale,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    return rgb
