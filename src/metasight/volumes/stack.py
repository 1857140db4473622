"""Where the slices of a series lie: their order, distance, gaps, copies and tilt. Pure geometry.

Slices of one orientation are sorted along their normal. What lies between them is one of: an even
step; a multiple of it (slices are missing); something else (unevenly spaced, refused). Positions
that also wander within the plane in proportion to the way are a tilted gantry, which is undone by
shifting each slice; any other wandering is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError
from metasight.volumes.grid import directions
from metasight.volumes.headers import SliceHeader

Floats = npt.NDArray[np.float64]

SAME_POSITION_MM = 0.01  # headers write positions with two to six decimals
UNEVEN_SHARE = 0.1  # of a step: shifts a slice by less than the in-plane voxel at 3 mm
_SHIFT_MM = 0.1
_LARGEST_TILT_DEGREES = 35.0  # no gantry tilts further


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A series' slices in space.

    Attributes
    ----------
    order
        Indices of the given headers, from the first position to the last, copies left out.
    places
        For each of ``order`` its whole-number place on the even grid, from 0.
    step_mm
        Distance of neighbouring places.
    copies
        Pairs of given headers at one position (kept, left out).
    shift_mm
        For each of ``order``, how far its first pixel lies from the straight line, along a row
        and along a column; zero without tilt.
    tilt_degrees
        Angle between the way of the table and the slices' normal.
    direction
        (3, 3) columns: along a row, along a column, normal.
    origin_mm
        Of the first slice.
    """

    order: tuple[int, ...]
    places: tuple[int, ...]
    step_mm: float
    copies: tuple[tuple[int, int], ...]
    shift_mm: Floats
    tilt_degrees: float
    direction: Floats
    origin_mm: tuple[float, float, float]

    @property
    def n_places(self) -> int:
        """Slices of the even grid, missing ones too."""
        return self.places[-1] + 1

    @property
    def missing(self) -> tuple[int, ...]:
        """Places of the even grid without a slice."""
        return tuple(sorted(set(range(self.n_places)) - set(self.places)))


def usual_directions(headers: Sequence[SliceHeader]) -> Floats:
    """(3, 3) columns: along a row, along a column, normal; of the usual direction cosines.

    Some archives write them with few decimals, and neighbours then differ in the last one.
    """
    return directions(np.median([h.orientation for h in headers], axis=0).tolist())


def extent_mm(headers: Sequence[SliceHeader]) -> float:
    """Distance from the first slice's centre to the last's, along their normal."""
    normal = usual_directions(headers)[:, 2]
    along = np.array([h.position_mm for h in headers]) @ normal
    return float(np.ptp(along))


def stack(headers: Sequence[SliceHeader]) -> Stack:
    """Bring slices of one orientation into order.

    Parameters
    ----------
    headers
        At least two, of one orientation, size and pixel spacing.

    Raises
    ------
    VolumeError
        One slice only, unevenly spaced, or not stacked along a line.
    """
    if len(headers) < 2:
        raise VolumeError(
            "one slice is not a scan",
            value="1 slice",
            remedy="Give the folder or archive with the whole series",
        )
    axes = usual_directions(headers)
    positions = np.array([h.position_mm for h in headers], dtype=np.float64)
    along = positions @ axes[:, 2]
    # ties (copies) are broken by the object's own UID: the order of files changes nothing
    sorted_order = np.array(
        sorted(
            range(len(headers)), key=lambda i: (round(float(along[i]), 4), headers[i].sop_uid, i)
        )
    )
    kept, copies = _without_copies(sorted_order, along)
    if len(kept) < 2:
        raise VolumeError(
            "all slices are at one position",
            value=f"{len(headers)} slices",
            remedy="Give a series of slices, not a time series of one",
        )
    places, step = _places(along[kept])
    shift, tilt = _shifts(positions[kept], axes)
    first = positions[kept[0]]
    return Stack(
        order=tuple(int(k) for k in kept),
        places=places,
        step_mm=step,
        copies=copies,
        shift_mm=shift,
        tilt_degrees=tilt,
        direction=axes,
        origin_mm=(float(first[0]), float(first[1]), float(first[2])),
    )


def _without_copies(
    order: npt.NDArray[np.intp], along: Floats
) -> tuple[list[int], tuple[tuple[int, int], ...]]:
    kept: list[int] = []
    copies: list[tuple[int, int]] = []
    for index in order.tolist():
        if kept and along[index] - along[kept[-1]] < SAME_POSITION_MM:
            copies.append((kept[-1], index))
        else:
            kept.append(index)
    return kept, tuple(copies)


def _places(along: Floats) -> tuple[tuple[int, ...], float]:
    gaps = np.diff(along)
    step = float(gaps.min())  # every other slice may be missing: the usual gap is no step then
    count = np.rint(gaps / step)
    last = float(count.sum())
    if last >= 1:
        # positions are rounded, their span less so; the rest below 1 nm is float noise
        step = round(float((along[-1] - along[0]) / last), 6)
    worst = int(np.argmax(np.abs(gaps - count * step)))
    if count.min() < 1 or abs(gaps[worst] - count[worst] * step) > UNEVEN_SHARE * step:
        raise VolumeError(
            "slices are unevenly spaced",
            where=f"{along[worst] - along[0]:.1f} mm into the stack",
            value=f"{gaps.min():.2f} to {gaps.max():.2f} mm, usual {np.median(gaps):.2f} mm",
            remedy="Give a reconstruction with one slice distance",
        )
    places = np.concatenate([[0], np.cumsum(count)]).astype(int)
    return tuple(int(p) for p in places), step


def _shifts(positions: Floats, axes: Floats) -> tuple[Floats, float]:
    """In-plane offset of each slice from the first, and the tilt that explains it."""
    offset = (positions - positions[0]) @ axes
    along, within = offset[:, 2], offset[:, :2]
    if float(np.abs(within).max()) <= _SHIFT_MM:
        return np.zeros_like(within), 0.0
    slope = (along @ within) / float(along @ along)
    residual = float(np.abs(within - along[:, None] * slope).max())
    tilt = float(np.degrees(np.arctan(np.linalg.norm(slope))))
    if residual > 2 * _SHIFT_MM or tilt > _LARGEST_TILT_DEGREES:
        raise VolumeError(
            "slices are not stacked along a line",
            value=f"off by {residual:.1f} mm, {tilt:.0f}°",
            remedy="Give a series of parallel slices from one acquisition",
        )
    return along[:, None] * slope, tilt
