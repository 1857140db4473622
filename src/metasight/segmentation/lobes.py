"""The lobe of a point and the nearest fissure: an atlas of two planes, moved to fissures seen.

Fissures are sheets thinner than a voxel and often incomplete. What is known without seeing them
(Gray's Anatomy, 42nd ed., ch. 54; Aziz et al., Radiographics 2004;24:1003): the oblique fissure
runs from about four fifths of the lung's height at the back to its base at the front, the
horizontal one of the right lung at half its height, level, in front of the oblique one. Near the
lesion each plane is then looked for on the scan: a sheet a little brighter than the lung on both
sides, vessels averaged out. Where no sheet stands out, the atlas holds and borders are wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import isfinite, nan
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.volumes.box import box_of
from metasight.volumes.distance import depth_in, distance_to
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Side = Literal["right", "left"]
Lobe = Literal["right upper", "right middle", "right lower", "left upper", "left lower"]

_OBLIQUE_BACK = 0.80  # share of the height at the back; 0 at the front
_HORIZONTAL = 0.50
_ATLAS_MM = 20.0  # people differ by about this much
_SEEN_MM = 3.0  # a fissure is not flat
_REACH_MM = 40.0
_SEARCH_MM = 30.0
_GRID_MM = 3.0
_OFF_MM = 3.0
_LUNG_HU = (-1000.0, -600.0)  # brighter is vessel, and counts no more than this
_LEAST_POINTS = 120
_LEAST_HU = 20.0
_STANDS_OUT = 6.0  # robust standard deviations above what planes without a fissure score
_TILTS = (-0.3, -0.15, 0.0, 0.15, 0.3)


@dataclass(frozen=True, kw_only=True)
class LobeFound:
    """The lobe of a lesion's centre.

    Attributes
    ----------
    lobe
        The likeliest.
    others
        Lobes that it may be as well: the centre is nearer to their border than that is known to.
    fissure_gap_mm
        Lesion's surface to the nearest fissure seen; NaN where none was.
    why
        Why no fissure gap is given; empty where one is.
    """

    lobe: Lobe
    others: tuple[Lobe, ...]
    fissure_gap_mm: float
    why: str

    @property
    def unsure(self) -> bool:
        """Whether another lobe is possible."""
        return bool(self.others)

    @property
    def upper_lobe(self) -> bool | None:
        """Upper lobe (the lingula is part of the left one); None where that is unsure."""
        answers = {name.endswith("upper") for name in (self.lobe, *self.others)}
        return answers.pop() if len(answers) == 1 else None


@dataclass(frozen=True, kw_only=True)
class _Fissure:
    """z = height + tilt_y (y − y₀) + tilt_x (x − x₀), mm, about the lesion's centre."""

    height_mm: float
    tilt_y: float
    tilt_x: float
    seen: bool

    def above(self, points: Floats, centre: Floats) -> Floats:
        """Distance of points over the plane, mm, negative under it."""
        away = points - centre
        height = self.height_mm + self.tilt_y * away[:, 1] + self.tilt_x * away[:, 0]
        over = points[:, 2] - height
        return np.asarray(over / np.sqrt(1 + self.tilt_y**2 + self.tilt_x**2))


def find_lobe(scan: Volume, lung: Mask, lesion: Mask, side: Side) -> LobeFound:
    """Lobe of a lesion's centre and its gap to the nearest fissure.

    Parameters
    ----------
    scan
        CT in HU.
    lung
        The whole lung of that side, tumour and vessels in it, all of it in the scan.
    lesion
        On the same grid.
    side
        Of the lung.
    """
    grid = scan.grid
    points = grid.to_mm(np.argwhere(lesion.array)[:, ::-1].astype(np.float64))
    centre = points.mean(axis=0)
    near = _Near.of(scan, lung, lesion, centre)
    low, high = _extent(lung)
    height, depth = high[2] - low[2], high[1] - low[1]
    slope = _OBLIQUE_BACK * height / depth
    oblique = near.moved(
        _Fissure(
            height_mm=low[2] + slope * (centre[1] - low[1]), tilt_y=slope, tilt_x=0.0, seen=False
        )
    )
    fissures = [oblique]
    if side == "right":
        level = _Fissure(
            height_mm=low[2] + _HORIZONTAL * height, tilt_y=0.0, tilt_x=0.0, seen=False
        )
        fissures.append(near.moved(level))
    lobe, others = _named(side, fissures, centre)
    gaps = [float(np.abs(f.above(points, centre)).min()) for f in fissures if f.seen]
    # the horizontal fissure ends at the oblique one
    if side == "right" and lobe == "right lower":
        gaps = gaps[:1] if oblique.seen else []
    gap = min(gaps, default=nan)
    why = "" if isfinite(gap) else "no fissure is visible in the lung within 4 cm of the lesion"
    return LobeFound(lobe=lobe, others=others, fissure_gap_mm=gap, why=why)


def _named(side: Side, fissures: list[_Fissure], centre: Floats) -> tuple[Lobe, tuple[Lobe, ...]]:
    """The lobe, and those that would be it if a fissure lay as far off as it may."""
    over = [float(f.above(centre[None], centre)[0]) for f in fissures]
    slack = [_SEEN_MM if f.seen else _ATLAS_MM for f in fissures]
    shifts = [(0.0, -s, s) for s in slack]
    names: list[Lobe] = []
    for shift in product(*shifts):
        moved = [o + s for o, s in zip(over, shift, strict=True)]
        if moved[0] <= 0:
            names.append("right lower" if side == "right" else "left lower")
        elif side == "left":
            names.append("left upper")
        else:
            names.append("right upper" if moved[1] > 0 else "right middle")
    found = names[0]
    return found, tuple(sorted({n for n in names if n != found}))


def _extent(lung: Mask) -> tuple[Floats, Floats]:
    """Lowest and highest x, y, z of the lung, mm."""
    box = box_of(lung.array)[::-1]
    corners = [
        lung.grid.to_mm(np.array([float(v) for v in ends]))
        for ends in ([b.start for b in box], [b.stop - 1 for b in box])
    ]
    return np.minimum(*corners), np.maximum(*corners)


@dataclass(frozen=True, kw_only=True)
class _Near:
    """Lung about the lesion that a fissure can be seen in."""

    scan: Volume
    density: Floats32
    usable: Booleans
    start: npt.NDArray[np.int_]
    centre: Floats

    @classmethod
    def of(cls, scan: Volume, lung: Mask, lesion: Mask, centre: Floats) -> _Near:
        step = np.array(scan.spacing_zyx_mm)
        at = scan.grid.to_index(centre)[::-1]
        reach = np.array([_SEARCH_MM + _REACH_MM + 10, _REACH_MM + 5, _REACH_MM + 5]) / step
        low = np.maximum(np.floor(at - reach), 0).astype(int)
        high = np.minimum(np.ceil(at + reach) + 1, scan.array.shape).astype(int)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        density = np.clip(scan.array[box], *_LUNG_HU)
        smooth = ndimage.gaussian_filter(density, 0.6 / step)
        inside = np.pad(lung.array[box], 1, mode="edge")
        deep = depth_in(inside, scan.spacing_zyx_mm)[1:-1, 1:-1, 1:-1] > _OFF_MM + 1
        own = np.asarray(lesion.array[box])
        off = distance_to(own, scan.spacing_zyx_mm, most_mm=_OFF_MM + 1) > _OFF_MM + 1
        return cls(scan=scan, density=smooth, usable=deep & off, start=low, centre=centre)

    def moved(self, atlas: _Fissure) -> _Fissure:
        """The plane at the fissure seen near where the atlas has it, or the atlas's own."""
        side = np.arange(-_REACH_MM, _REACH_MM + 0.1, _GRID_MM)
        x, y = (v.ravel() for v in np.meshgrid(side, side))
        ring = np.hypot(x, y) <= _REACH_MM
        x, y = x[ring], y[ring]
        heights = np.arange(-_SEARCH_MM, _SEARCH_MM + 0.1, 1.0)
        best, found, scores = -np.inf, atlas, []
        for tilt_y, tilt_x in product(_TILTS, _TILTS):
            plane = atlas.tilt_y + tilt_y, atlas.tilt_x + tilt_x
            score = self._scores(x, y, atlas.height_mm + heights, plane)
            scores.append(score)
            if np.isfinite(score).any() and np.nanmax(score) > best:
                best = float(np.nanmax(score))
                found = _Fissure(
                    height_mm=float(atlas.height_mm + heights[int(np.nanargmax(score))]),
                    tilt_y=plane[0],
                    tilt_x=plane[1],
                    seen=True,
                )
        every = np.concatenate(scores)
        every = every[np.isfinite(every)]
        if len(every) < 50 or best < _LEAST_HU:
            return atlas
        usual = float(np.median(every))
        spread = 1.4826 * float(np.median(np.abs(every - usual)))
        return found if best > usual + _STANDS_OUT * spread else atlas

    def _scores(self, x: Floats, y: Floats, heights: Floats, tilt: tuple[float, float]) -> Floats:
        """How much brighter each plane is than 3 mm off it; NaN with too little lung."""
        flat = np.stack([x, y, tilt[0] * y + tilt[1] * x], axis=1)
        across = np.array([-tilt[1], -tilt[0], 1.0]) / np.sqrt(1 + tilt[0] ** 2 + tilt[1] ** 2)
        points = flat[None] + np.array([self.centre[0], self.centre[1], 0.0])
        points = points + heights[:, None, None] * np.array([0.0, 0.0, 1.0])
        density, usable = self._at(points)
        above, below = (self._at(points + s * _OFF_MM * across)[0] for s in (1, -1))
        count = usable.sum(axis=1)
        gain = ((density - (above + below) / 2) * usable).sum(axis=1) / np.maximum(count, 1)
        return np.where(count >= _LEAST_POINTS, gain, np.nan)

    def _at(self, points: Floats) -> tuple[Floats32, Booleans]:
        index = np.round(self.scan.grid.to_index(points)[..., ::-1]).astype(int) - self.start
        on = ((index >= 0) & (index < self.density.shape)).all(axis=-1)
        index = np.clip(index, 0, np.array(self.density.shape) - 1)
        z, y, x = np.moveaxis(index, -1, 0)
        return self.density[z, y, x], np.asarray(self.usable[z, y, x] & on)
