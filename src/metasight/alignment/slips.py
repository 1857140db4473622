"""Parts of a torn section that slid a little: where each window of the section may lie instead.

A flap whose tissue hardly differs from its surroundings is not missed by the first placement: all
of a weakly stained section is explained badly, its flap only worse. So windows of the section are
looked for one by one, turned and shifted a little, and each way in which one fits better than it
does where it is becomes a question for `pieces`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from metasight.alignment.coarse import Pose
from metasight.alignment.fits import after
from metasight.alignment.matching import Pair, warp
from metasight.alignment.placement import Piece
from metasight.alignment.rigid import Candidate, agree
from metasight.alignment.section import Image

Floats = NDArray[np.float64]

_GRID_PX = 256  # along the longer side
_WINDOW, _STEP, _REACH = 0.3, 0.12, 0.16  # of the longer side
_ANGLES = np.arange(-30.0, 31.0, 6.0)
_LEAST_TISSUE = 0.4
_GAIN = 0.03  # in correlation, over the window where it is
_SAME_PLACE = 0.03
_MOST = 8


@dataclass(frozen=True, kw_only=True)
class Slip:
    """A window of the fixed section and where it may lie instead.

    Attributes
    ----------
    window
        0 or 1 on the fixed grid.
    pose
        Fixed µm → moving µm.
    gain
        In correlation, over the first placement.
    """

    window: Image
    pose: Pose
    gain: float


def slips(pair: Pair, first: Candidate) -> tuple[Slip, ...]:
    """Windows that fit better elsewhere, best first, each answer once.

    Parameters
    ----------
    pair
        At low resolution.
    first
        The placement from which windows may have slid: up to 30° and a sixth of the section.
    """
    fixed = pair.fixed
    scale = min(1.0, _GRID_PX / max(fixed.shape))
    size = tuple(max(8, round(n * scale)) for n in fixed.shape[::-1])
    reach = round(_REACH * max(size))
    side = round(_WINDOW * max(size))
    one = np.asarray(cv2.resize(pair.fixed_features, size, interpolation=cv2.INTER_AREA))
    tissue = np.asarray(cv2.resize(fixed.tissue, size, interpolation=cv2.INTER_AREA), np.float32)
    laid_over = warp(pair.moving_features, pair.moving, fixed, Piece(matrix=first.matrix))
    other = np.asarray(cv2.resize(laid_over, size, interpolation=cv2.INTER_AREA), np.float32)
    other = np.pad(other, reach)
    windows = _windows(tissue, side, round(_STEP * max(size)))
    best = [_Fit(score=-1.0, degrees=0.0, shift=(0.0, 0.0)) for _ in windows]
    here = [-1.0] * len(windows)
    for degrees in _ANGLES:
        matrix = cv2.getRotationMatrix2D(_middle(other), float(degrees), 1.0)
        turned = cv2.warpAffine(other, matrix, other.shape[::-1])
        for number, (row, column) in enumerate(windows):
            template = one[row : row + side, column : column + side]
            seen = turned[row : row + side + 2 * reach, column : column + side + 2 * reach]
            surface = cv2.matchTemplate(seen, template, cv2.TM_CCOEFF_NORMED)
            _, score, _, (x, y) = cv2.minMaxLoc(surface)
            if score > best[number].score:
                shift = float(x - reach), float(y - reach)
                best[number] = _Fit(score=float(score), degrees=float(degrees), shift=shift)
            if degrees == 0.0:
                near = max(2, reach // 8)
                middle = surface[reach - near : reach + near + 1, reach - near : reach + near + 1]
                here[number] = float(middle.max())
    return _distinct(pair, first, windows, best, here, side=side, size=size, reach=reach)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    score: float
    degrees: float
    shift: tuple[float, float]


def _windows(tissue: Image, side: int, step: int) -> list[tuple[int, int]]:
    rows, columns = tissue.shape
    sums = cv2.integral(tissue.astype(np.float32))
    found = []
    for row in range(0, rows - side + 1, step):
        for column in range(0, columns - side + 1, step):
            low, right = row + side, column + side
            inside = sums[low, right] - sums[row, right] - sums[low, column] + sums[row, column]
            if inside >= _LEAST_TISSUE * side * side:
                found.append((row, column))
    return found


def _middle(image: Image) -> tuple[float, float]:
    return (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2


def _distinct(
    pair: Pair,
    first: Candidate,
    windows: list[tuple[int, int]],
    best: list[_Fit],
    here: list[float],
    *,
    side: int,
    size: tuple[int, ...],
    reach: int,
) -> tuple[Slip, ...]:
    extent = max(pair.fixed.size_um)
    spacing = pair.fixed.size_um[0] / size[0]
    # the middle that the canvas was turned about, on the fixed section
    about = (np.array([size[0] - 1, size[1] - 1]) / 2 + 0.5) * spacing + pair.fixed.origin_um
    found: list[Slip] = []
    order = sorted(range(len(windows)), key=lambda n: here[n] - best[n].score)
    for number in order:
        fit, (row, column) = best[number], windows[number]
        gain = fit.score - here[number]
        if len(found) == _MOST or gain < _GAIN:
            break
        angle = np.deg2rad(fit.degrees)
        # cv2 turns against the clock on an image whose rows run down; this undoes it
        back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shift = np.array(fit.shift) * spacing
        step = np.column_stack([back, back @ (shift - about) + about])
        matrix = after(first.matrix, step)
        known = [first.matrix, *(s.pose.matrix for s in found)]
        if any(agree(matrix, m, pair.fixed, _SAME_PLACE * extent) for m in known):
            continue
        window = np.zeros((size[1], size[0]), np.float32)
        window[row : row + side, column : column + side] = 1.0
        full = cv2.resize(window, pair.fixed.shape[::-1], interpolation=cv2.INTER_NEAREST)
        pose = Pose(
            matrix=matrix,
            mirrored=first.mirrored,
            angle_degrees=fit.degrees,
            correlation=fit.score,
        )
        found.append(Slip(window=np.asarray(full), pose=pose, gain=gain))
    return tuple(found)
