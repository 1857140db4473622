"""What spoils a section, found on an overview of 8 µm a pixel: pen, folds, tears, lines, bubbles.

Each function gives a mask of the overview. They rest on what a defect does to light and not on
how it looks on one scanner: ink absorbs where no dye of the section does; a fold is two layers,
so its lightest parts are twice as dense too; a tear or a knife line is glass, and longer and
straighter than a vessel; a bubble is a ring that takes light of all colours alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from metasight.slides.tissue import Mask

Floats32 = npt.NDArray[np.float32]

OVERVIEW_MPP = 8.0

# Over the width of a stroke: single nuclei and red cells can have an ink's colour, areas do not.
_STROKE_UM = 120.0
_INKED_OD = 0.12
# Green and blue ink. Haematoxylin of H&E reaches 0.95; a blue counterstain alone, as on IHC,
# reaches 1.35, but never an ink's density over the width of a stroke.
_INK_RED_TO_GREEN = 1.1
_STRONG_INK_OD = 0.4
_PALE_INK_RED_TO_GREEN = 1.5
_INK_BLUE_TO_GREEN = 0.78  # red ink absorbs blue as green, and no red; DAB absorbs red too
_RED_INK_RED_TO_GREEN = 0.33
_BLACK_OD = 0.6  # in every colour; no dye absorbs red, green and blue alike

_GAP_REACH_UM = 24.0
_FOLDED = 1.85
_SAME_COLOUR = 0.06  # share of the absorption that lies in red, green or blue
_FOLD_LENGTH_UM = 400.0
_FOLD_SLENDERNESS = 3.0
_FOLD_STRAIGHTNESS = 0.5
_AROUND_UM = 330.0

_GAP_CLOSING_UM = 240.0
_TEAR_LENGTH_UM = 400.0
_TEAR_COVERED = 0.97
_TEAR_STEP_DEGREES = 4.0  # tears are wider than lines

_LINE_LENGTH_UM = 800.0
_LINE_WIDTH_UM = 40.0
_LINE_DROP = 0.4
_WIDE_GAP_UM2 = 15_000.0
_LINE_STEP_DEGREES = 3.0
_LINE_COVERED = 0.85
_BESIDE_UM = 70.0

_RING_OD = 0.08
_RADII_UM = (150.0, 800.0)
_RING_SHARE = 0.6


def pen(density: Floats32, mpp: float = OVERVIEW_MPP) -> Mask:
    """Marker ink: green, blue, red or black.

    Parameters
    ----------
    density
        (h, w, 3) optical density over glass.
    mpp
        Micrometres a pixel.
    """
    d = np.maximum(_smoothed(density, _STROKE_UM / 3, mpp), 1e-3)
    red, green, blue = d[..., 0], d[..., 1], d[..., 2]
    strongest, weakest = d.max(axis=-1), d.min(axis=-1)
    green_or_blue = (red > _INK_RED_TO_GREEN * green) & (red > _STRONG_INK_OD)
    green_or_blue |= red > _PALE_INK_RED_TO_GREEN * green
    red_ink = (blue > _INK_BLUE_TO_GREEN * green) & (red < _RED_INK_RED_TO_GREEN * green)
    ink = (strongest > _INKED_OD) & (green_or_blue | red_ink | (weakest > _BLACK_OD))
    return _ribbons(ink, mpp=mpp, least_area_um2=2 * _STROKE_UM**2)


def folds(density: Floats32, tissue: Mask, mpp: float = OVERVIEW_MPP) -> Mask:
    """Tissue lying on itself: a ribbon more than half as dense again as the tissue round it.

    Two layers have the colour of one. What is dense because its nuclei crowd is bluer than what
    lies round it, and light between them; what is dense because a marker is there is browner.

    Parameters
    ----------
    density
        (h, w, 3) optical density over glass.
    tissue
        (h, w) the section.
    mpp
        Micrometres a pixel.
    """
    if not tissue.any():
        return np.zeros_like(tissue)
    reach = _odd(_GAP_REACH_UM / mpp)
    eroded = cv2.GaussianBlur(cv2.erode(density, np.ones((reach, reach), np.uint8)), (0, 0), 1.0)
    lightest: Floats32 = np.maximum(eroded, 1e-3, dtype=np.float32)
    around = np.maximum(_usual(lightest, tissue, mpp), 0.03)
    denser = (lightest / around).min(axis=-1) > _FOLDED
    colour, usual = (d / d.sum(axis=-1, keepdims=True) for d in (lightest, around))
    same = np.abs(colour - usual).max(axis=-1) < _SAME_COLOUR
    found = _ribbons(
        denser & same & tissue,
        mpp=mpp,
        least_length_um=_FOLD_LENGTH_UM,
        least_slenderness=_FOLD_SLENDERNESS,
        least_straightness=_FOLD_STRAIGHTNESS,
    )
    # what erosion, blur and a threshold near the full height take off a ribbon's two sides
    return _grown(found, reach // 2 + 2)


def tears(tissue: Mask, mpp: float = OVERVIEW_MPP) -> Mask:
    """Slender gaps in the section: tears and cracks, not vessels, ducts or fat."""
    width = _odd(_GAP_CLOSING_UM / mpp)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    padded = cv2.copyMakeBorder(
        tissue.astype(np.uint8), width, width, width, width, cv2.BORDER_CONSTANT, value=0
    )
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[width:-width, width:-width]
    gap = (closed > 0) & ~tissue
    # A straight way through a gap: septa and walls bar it in lung, fat and ducts. Tears that
    # cross each other have one each.
    found = np.zeros(gap.shape, np.uint8)
    for kernel, _ in _lines(_TEAR_LENGTH_UM / mpp, mpp, _TEAR_STEP_DEGREES):
        along = cv2.filter2D(gap.astype(np.float32), -1, kernel, borderType=cv2.BORDER_CONSTANT)
        ways = cv2.dilate((along > _TEAR_COVERED).astype(np.uint8), (kernel > 0).astype(np.uint8))
        found |= np.asarray(ways, dtype=np.uint8)
    way = _grown(found > 0, round(_GAP_CLOSING_UM / 4 / mpp)) & gap
    return _ribbons(way, mpp=mpp, least_area_um2=_TEAR_LENGTH_UM * 2 * mpp)


def knife_lines(light: Floats32, tissue: Mask, mpp: float = OVERVIEW_MPP) -> Mask:
    """Straight light lines through tissue, 0.8 mm long and more: nicks in the knife."""
    width = _odd(_LINE_WIDTH_UM / mpp)
    window = 4 * width + 1
    beside = cv2.medianBlur(np.clip(light * 127, 0, 255).astype(np.uint8), window) / 127.0
    inside = cv2.boxFilter(tissue.astype(np.float32), -1, (window, window)) > 0.6
    lighter = (light < (1 - _LINE_DROP) * beside) & (beside > 0.04) & inside
    # wider than a nick: a duct, a vessel, a tear
    wide = cv2.morphologyEx(
        lighter.astype(np.uint8), cv2.MORPH_OPEN, np.ones((width, width), np.uint8)
    )
    wide = _ribbons(wide > 0, mpp=mpp, least_area_um2=_WIDE_GAP_UM2).astype(np.uint8)
    lighter &= cv2.dilate(wide, np.ones((2 * width + 1,) * 2, np.uint8)) == 0
    # on pixels twice as large, so that a line one pixel wide has no gaps in any direction
    coarse = cv2.dilate(lighter.astype(np.uint8), np.ones((2, 2), np.uint8))[::2, ::2]
    found = np.zeros(coarse.shape, np.uint8)
    dense = cv2.resize(light, coarse.shape[::-1], interpolation=cv2.INTER_AREA)
    for kernel, (right, down) in _lines(_LINE_LENGTH_UM / (2 * mpp), 2 * mpp, _LINE_STEP_DEGREES):
        covered = cv2.filter2D(
            coarse.astype(np.float32), -1, kernel, borderType=cv2.BORDER_CONSTANT
        )
        along = cv2.filter2D(dense, -1, kernel, borderType=cv2.BORDER_REFLECT)
        # as dense on one side as on the other: not the border of a nest
        one, other = (np.roll(along, s, axis=(0, 1)) for s in ((down, right), (-down, -right)))
        # part of the drop: a pixel twice as large holds a line of one pixel and what is beside it
        line = (covered > _LINE_COVERED) & (along < (1 - _LINE_DROP / 2) * np.minimum(one, other))
        drawn = cv2.dilate(line.astype(np.uint8), (kernel > 0).astype(np.uint8))
        found |= np.asarray(drawn, dtype=np.uint8)
    lines = cv2.resize(found, light.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(_grown(lines > 0, 1) & inside, dtype=np.bool_)


def _lines(
    length: float, mpp: float, step_degrees: float
) -> Iterator[tuple[Floats32, tuple[int, int]]]:
    """Lines in all directions: a kernel that sums to 1, the step (right, down) to its side."""
    half = int(length / 2)
    for degrees in np.arange(0, 180, step_degrees):
        kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
        x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        ends = [(round(half * (1 + k * x)), round(half * (1 + k * y))) for k in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1)
        beside = _BESIDE_UM / mpp
        yield kernel / kernel.sum(), (round(-y * beside), round(x * beside))


def bubbles(density: Floats32, mpp: float = OVERVIEW_MPP) -> Mask:
    """Discs within a dark ring that takes light of all colours alike: air under the cover slip."""
    grey = cv2.GaussianBlur(density.min(axis=-1), (0, 0), 1.0)
    window = _odd(160.0 / mpp)
    usual = cv2.medianBlur(np.clip(grey * 127, 0, 255).astype(np.uint8), window) / 127.0
    ring = (grey - usual > _RING_OD) & (grey > 1.5 * usual)
    low, high = (int(r / mpp) for r in _RADII_UM)
    found = cv2.HoughCircles(
        cv2.GaussianBlur(ring.astype(np.uint8) * 255, (0, 0), 1.0),
        cv2.HOUGH_GRADIENT,
        dp=2,
        minDist=low,
        param1=100,
        param2=max(20, low),
        minRadius=low,
        maxRadius=high,
    )
    out = np.zeros(ring.shape, np.uint8)
    thick = np.asarray(cv2.dilate(ring.astype(np.uint8), np.ones((3, 3), np.uint8)), np.uint8)
    for x, y, radius in () if found is None else found.reshape(-1, 3):
        if _on_circle(thick, float(x), float(y), float(radius)) >= _RING_SHARE:
            cv2.circle(out, (round(float(x)), round(float(y))), round(float(radius)), 1, -1)
    return out > 0


def _on_circle(mask: npt.NDArray[np.uint8], x: float, y: float, radius: float) -> float:
    """Share of a circle that lies on the mask; what is off the picture does not count."""
    angle = np.linspace(0, 2 * np.pi, max(48, int(4 * radius)), endpoint=False)
    column = np.rint(x + radius * np.cos(angle)).astype(int)
    row = np.rint(y + radius * np.sin(angle)).astype(int)
    seen = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
    if seen.mean() < 0.5:
        return 0.0
    return float(mask[row[seen], column[seen]].mean())


def _usual(density: Floats32, tissue: Mask, mpp: float) -> Floats32:
    """Median within a third of a millimetre, channel by channel; glass counts as mean tissue.

    A ribbon narrower than that is gone from it, and the edge of a dense nest is where it was.
    """
    side = _odd(2 * _AROUND_UM / mpp)
    weight = tissue.astype(np.float32)[..., None]
    total = cv2.boxFilter(density * weight, -1, (side, side), normalize=False)
    count = cv2.boxFilter(weight, -1, (side, side), normalize=False)[..., None]
    filled = np.where(weight > 0, density, total / np.maximum(count, 1.0))
    grey = np.clip(filled * 127, 0, 255).astype(np.uint8)
    return np.asarray(cv2.medianBlur(grey, side) / np.float32(127.0), dtype=np.float32)


def _ribbons(
    mask: Mask,
    *,
    mpp: float,
    least_area_um2: float = 0.0,
    least_length_um: float = 0.0,
    least_slenderness: float = 0.0,
    least_straightness: float = 0.0,
) -> Mask:
    """The connected pieces of ``mask`` that are large, long, slender and straight enough.

    A ribbon's mean distance to its edge is a quarter of its width, however it winds; its length
    is its area over its width. Straightness is how far it reaches over its length: a net, such
    as fat or lung, is long and reaches nowhere.
    """
    filled = mask.astype(np.uint8)
    count, label, stats, _ = cv2.connectedComponentsWithStats(filled, connectivity=8)
    distance = cv2.distanceTransform(cv2.copyMakeBorder(filled, 1, 1, 1, 1, 0), cv2.DIST_L2, 3)
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    to_edge = np.bincount(label.ravel(), distance[1:-1, 1:-1].ravel(), minlength=count)
    width = np.maximum(4 * to_edge / np.maximum(area, 1) - 1, 1.0)
    length = area / width
    reaches = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    keep = (
        (area * mpp**2 >= least_area_um2)
        & (reaches >= least_straightness * length)
        & (length * mpp >= least_length_um)
        & (length / width >= least_slenderness)
    )
    keep[0] = False
    return np.asarray(keep[label], dtype=np.bool_)


def _grown(mask: Mask, by: int) -> Mask:
    side = 2 * by + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def _smoothed(image: Floats32, sigma_um: float, mpp: float) -> Floats32:
    sigma = sigma_um / mpp
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0.3 else image)


def _odd(pixels: float) -> int:
    return max(3, 2 * round(pixels / 2) + 1)
