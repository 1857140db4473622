"""Movement during a CT scan: anatomy that jumps between slices, edges that are doubled or wide."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.volumes.chest import Chest
from metasight.volumes.volume import Volume

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]

_SMOOTH_MM = 2.0
_NEIGHBOURS = 4
_INSIDE_HU, _OUTSIDE_HU = -700.0, -250.0  # from lung to the softest tissue, fat at −120
_REACH_MM = 15.0
_LEAST_EDGES = 24
_LEAST_AREA = 0.25  # of the largest cross-section
_LINE_STEP_MM = 2.0


def largest_jump_mm(volume: Volume, chest: Chest) -> float | None:
    """How far the anatomy jumps between two neighbouring slices, beyond the slice distance, mm.

    From slice to slice of a still patient, what changes is in proportion to the way. A pair that
    changes r times as much as the pairs round it lies r slice distances apart, not one: the jump
    is (r − 1) slice distances. None with fewer than ten slices of lung.

    Estimated from the mean absolute difference of neighbouring slices within the body, smoothed
    by 2 mm; r is capped where anatomy no longer resembles itself, so large jumps read too small.
    """
    change = _changes(volume, chest)
    if change is None:
        return None
    ratios = []
    for k in range(len(change)):
        around = np.r_[change[max(0, k - _NEIGHBOURS) : k], change[k + 1 : k + 1 + _NEIGHBOURS]]
        usual = float(np.median(around))
        ratios.append(change[k] / usual if usual > 0 else 1.0)
    return max(0.0, float(max(ratios)) - 1.0) * volume.spacing_mm[2]


def _changes(volume: Volume, chest: Chest) -> Floats | None:
    """Mean absolute difference of each pair of neighbouring slices that cross the lungs."""
    planes = chest.lung_planes
    if planes is None:
        return None
    fz = chest.factor[0]
    low, high = planes[0] * fz, min((planes[1] + 1) * fz, volume.array.shape[0])
    if high - low < 10:
        return None
    inside = (chest.body | chest.lungs)[planes[0] : planes[1] + 1].any(axis=0)
    rows, columns = np.nonzero(inside)
    _, fy, fx = chest.factor
    part = (
        slice(rows.min() * fy, (rows.max() + 1) * fy),
        slice(columns.min() * fx, (columns.max() + 1) * fx),
    )
    changes = []
    before: Floats32 | None = None
    for z in range(low, high):
        now = _smooth(volume, z, part)
        if before is not None:
            changes.append(float(cv2.norm(now, before, cv2.NORM_L1)) / now.size)
        before = now
    return np.array(changes)


def _smooth(volume: Volume, z: int, part: tuple[slice, slice]) -> Floats32:
    _, sy, sx = volume.spacing_zyx_mm
    # bone and metal would drown what the lungs' edges say
    plane = np.clip(volume.array[z][part], -1000.0, 200.0)
    step = max(1, round(1.5 / sx))
    smooth = cv2.GaussianBlur(plane, (0, 0), sigmaX=_SMOOTH_MM / sx, sigmaY=_SMOOTH_MM / sy)
    return np.ascontiguousarray(smooth[::step, ::step])


def widest_edge_mm(volume: Volume, chest: Chest) -> float | None:
    """Width of the lungs' outer edges where they are widest over three neighbouring planes, mm.

    Outward through the chest wall, along rows and along columns, the way from −700 to −250 HU:
    about 1.3 standard deviations of the scanner's blur for a still patient, the displacement
    between the two positions for one who moved. Of each plane and direction the median; over
    three neighbouring planes the median of those, so that one plane's obliquity does not count.
    None with fewer than five planes with enough edges. Planes near apex and base are left out.
    """
    if chest.lung_planes is None:
        return None
    fz = chest.factor[0]
    area = chest.lungs.sum(axis=(1, 2))
    # at apex and base the wall is oblique to the slice and its edge is wide in a still patient
    upright = np.flatnonzero(area >= _LEAST_AREA * area.max())
    widest = []
    for along_rows in (True, False):
        widths = []
        for plane in upright.tolist():
            found = _widths_in_plane(volume, chest, plane, plane * fz + fz // 2, along_rows)
            if len(found) >= _LEAST_EDGES:
                widths.append(float(np.median(found)))
        if len(widths) >= 5:
            widest.append(max(float(np.median(widths[i : i + 3])) for i in range(len(widths) - 2)))
    return max(widest) if widest else None


def _widths_in_plane(
    volume: Volume, chest: Chest, plane: int, z: int, along_rows: bool
) -> list[float]:
    _, fy, fx = chest.factor
    _, sy, sx = volume.spacing_zyx_mm
    lungs, voxels = chest.lungs[plane], volume.array[z]
    if not along_rows:
        lungs, voxels, fy, fx, sy, sx = lungs.T, voxels.T, fx, fy, sx, sy
    reach = round(_REACH_MM / sx)
    step = max(1, round(_LINE_STEP_MM / (fy * sy)))
    widths = []
    for row in np.flatnonzero(lungs.any(axis=1))[::step]:
        blocks = np.flatnonzero(lungs[row])
        line = voxels[row * fy + fy // 2]
        first, last = int(blocks[0]) * fx, int(blocks[-1]) * fx + fx - 1
        outward = line[max(0, first - reach) : first + reach][::-1]
        backward = line[max(0, last - reach + 1) : last + reach + 1]
        for profile in (outward, backward):
            width = _width(profile)
            if width is not None:
                widths.append(width * sx)
    return widths


def _width(profile: Floats32) -> float | None:
    """Samples from the last crossing of −700 to the first of −250 HU after it; None if neither."""
    above = np.flatnonzero(profile > _OUTSIDE_HU)
    if not len(above) or above[0] == 0:
        return None
    end = int(above[0])
    below = np.flatnonzero(profile[:end] < _INSIDE_HU)
    if not len(below):
        return None
    start = int(below[-1])
    first = (_INSIDE_HU - profile[start]) / (profile[start + 1] - profile[start])
    last = (_OUTSIDE_HU - profile[end - 1]) / (profile[end] - profile[end - 1])
    return float((end - 1 + last) - (start + first))
