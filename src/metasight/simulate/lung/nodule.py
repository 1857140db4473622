"""A pulmonary nodule: its shape as a function, so that its size is known and not measured."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from metasight.errors import VolumeError
from metasight.simulate.lung.anatomy import Tubes

Floats = npt.NDArray[np.float64]

Attenuation = Literal["solid", "part-solid", "ground-glass"]
Margin = Literal["smooth", "lobulated", "spiculated"]

_DIRECTIONS = 2000


def directions(n: int) -> Floats:
    """``(n, 3)`` unit vectors spread evenly over the sphere (Fibonacci's spiral)."""
    k = np.arange(n) + 0.5
    z = 1 - 2 * k / n
    turn = np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - z * z)
    return np.column_stack([flat * np.cos(turn), flat * np.sin(turn), z])


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A body that every ray from its centre leaves once.

    Its radius is that of an ellipsoid times 1 + Σ height · exp(−(1 − cos angle)/width) over bumps.

    Attributes
    ----------
    centre_mm
        x, y, z.
    half_axes_mm
        Of the ellipsoid.
    turn
        ``(3, 3)``; rows are its axes.
    bumps
        ``(n, 5)``: direction (unit vector), height as a share of the radius, width (1 − cos).
    """

    centre_mm: tuple[float, float, float]
    half_axes_mm: tuple[float, float, float]
    turn: Floats
    bumps: Floats

    def radius(self, toward: Floats) -> Floats:
        """Radius in mm along unit vectors ``(…, 3)``."""
        local = toward @ (self.turn / np.array(self.half_axes_mm)[:, None]).T
        out = 1 / np.sqrt((local**2).sum(axis=-1))
        bumps = self.bumps
        factor = 1 + np.exp((toward @ bumps[:, :3].T - 1) / bumps[:, 4]) @ bumps[:, 3]
        return np.asarray(out * factor, dtype=np.float64)

    def level(self, points: Floats) -> Floats:
        """Distance along the ray from the surface at ``(…, 3)`` points, mm, negative inside."""
        away = points - np.array(self.centre_mm)
        length = np.sqrt((away**2).sum(axis=-1))
        # at the very centre any direction will do
        away = np.where(length[..., None] < 1e-9, np.array([1e-9, 0.0, 0.0]), away)
        unit = away / np.maximum(length, 1e-9)[..., None]
        return np.asarray(length - self.radius(unit), dtype=np.float64)

    @cached_property
    def surface(self) -> Floats:
        """``(2000, 3)`` points of the surface, mm."""
        d = directions(_DIRECTIONS)
        return np.asarray(np.array(self.centre_mm) + d * self.radius(d)[:, None])

    @cached_property
    def volume_mm3(self) -> float:
        """Volume: the mean of the cube of the radius over the sphere."""
        return float(4 / 3 * np.pi * np.mean(self.radius(directions(_DIRECTIONS)) ** 3))

    @cached_property
    def longest_mm(self) -> float:
        """Longest diameter in three dimensions."""
        return _longest(self.surface)

    def sections(self, axis: int, planes: int = 39, angles: int = 120) -> tuple[Floats, Floats]:
        """Outlines in planes across ``axis`` (0 x, 1 y, 2 z).

        Returns
        -------
        positions, outlines
            ``(n,)`` where the planes lie, mm, and ``(n, angles, 2)`` points of the outlines;
            planes that miss the ray's origin (only the two last caps can) are left out.
        """
        centre = np.array(self.centre_mm)
        plane = [k for k in range(3) if k != axis]
        extent = self.surface[:, axis]
        at = np.linspace(extent.min(), extent.max(), planes + 2)[1:-1]
        turn = np.linspace(0, 2 * np.pi, angles, endpoint=False)
        unit = np.column_stack([np.cos(turn), np.sin(turn)])
        low = np.zeros((planes, angles))
        high = np.full((planes, angles), 1.1 * float(np.abs(self.surface - centre).max()) * 1.75)
        points = np.empty((planes, angles, 3))
        points[..., axis] = at[:, None]
        for _ in range(24):
            middle = (low + high) / 2
            points[..., plane] = centre[plane] + unit * middle[..., None]
            inside = self.level(points) < 0
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        met = low.min(axis=1) > 1e-3
        return at[met], (centre[plane] + unit * ((low + high) / 2)[..., None])[met]

    def largest_section(self, axis: int) -> tuple[float, float, float, float]:
        """Of the plane across ``axis`` in which the section's area is largest.

        Returns
        -------
        longest, perpendicular, area, position
            Longest diameter and the widest extent at right angles to it, mm; mm²; mm.
        """
        at, outlines = self.sections(axis)
        x, y = np.moveaxis(outlines - outlines.mean(axis=1, keepdims=True), -1, 0)
        area = 0.5 * np.abs((x * np.roll(y, 1, axis=1) - y * np.roll(x, 1, axis=1)).sum(axis=1))
        k = int(area.argmax())
        return (*_diameters(outlines[k]), float(area[k]), float(at[k]))

    def longest_in_plane(self, axis: int) -> float:
        """Longest diameter over all planes across ``axis``, mm."""
        return max(float(pdist(outline).max()) for outline in self.sections(axis)[1])


def _longest(points: Floats) -> float:
    return float(pdist(points[ConvexHull(points).vertices]).max())


def _diameters(outline: Floats) -> tuple[float, float]:
    """Longest diameter of an outline, and its widest chord extent at right angles."""
    hull = outline[ConvexHull(outline).vertices]
    pairs = np.array(list(itertools.combinations(range(len(hull)), 2)))
    apart = hull[pairs[:, 1]] - hull[pairs[:, 0]]
    length = np.sqrt((apart**2).sum(axis=1))
    k = int(length.argmax())
    across = np.array([-apart[k, 1], apart[k, 0]]) / length[k]
    side = hull @ across
    return float(length[k]), float(side.max() - side.min())


@dataclass(frozen=True, kw_only=True)
class Nodule:
    """A lesion in the lung.

    Attributes
    ----------
    whole
        Its body without spicules and tags: the longest diameter of a spiculated lesion is that of
        its body (Bankier et al., Radiology 2017).
    solid
        Its solid part; ``None`` where it has none, equal to ``whole`` where it is all solid.
    attenuation, margin
        As radiologists name them.
    ground_glass_hu, solid_hu
        CT numbers.
    texture_hu
        Standard deviation of its unevenness.
    spicules
        Spicules, pleural tags and vessels that reach it; no part of its size.
    suv
        Its uptake if a PET is drawn, in SUV by body weight.
    """

    whole: Shape
    solid: Shape | None
    attenuation: Attenuation
    margin: Margin
    ground_glass_hu: float
    solid_hu: float
    texture_hu: float
    spicules: Tubes
    suv: float

    def __post_init__(self) -> None:
        if (self.attenuation == "ground-glass") != (self.solid is None):
            raise VolumeError(
                "a ground-glass lesion has no solid part and every other has one",
                where="simulated nodule",
                value=self.attenuation,
                remedy="Give solid_diameter_mm 0 for pure ground glass",
            )

    @property
    def ctr_1d(self) -> float:
        """Consolidation-to-tumour ratio of the longest diameters in three dimensions."""
        return 0.0 if self.solid is None else self.solid.longest_mm / self.whole.longest_mm

    @property
    def ctr_3d(self) -> float:
        """The same of the volumes."""
        return 0.0 if self.solid is None else self.solid.volume_mm3 / self.whole.volume_mm3


def draw_shape(
    rng: np.random.Generator, *, centre_mm: Floats, longest_mm: float, lobulated: bool
) -> Shape:
    """A body whose longest diameter is the one asked for, to 0.1 %."""
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    second, third = np.sort(rng.uniform(0.68, 0.97, 2))[::-1]
    n = int(rng.integers(6, 11)) if lobulated else 2
    low, high = (0.14, 0.28) if lobulated else (-0.03, 0.04)
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    heights = rng.uniform(low, high, n)
    widths = rng.uniform(0.04, 0.09, n) if lobulated else np.full(n, 0.4)
    bumps = np.column_stack([toward, heights, widths])
    centre = tuple(float(v) for v in centre_mm)
    shape = Shape(centre_mm=centre, half_axes_mm=(1.0, second, third), turn=q, bumps=bumps)  # type: ignore[arg-type]
    scale = longest_mm / shape.longest_mm
    return Shape(
        centre_mm=shape.centre_mm,
        half_axes_mm=(scale, scale * second, scale * third),
        turn=q,
        bumps=bumps,
    )


def solid_within(rng: np.random.Generator, whole: Shape, diameter_mm: float) -> Shape:
    """A solid part of the given longest diameter inside a body.

    It is the body made smaller and moved by less than what is left, so that it lies inside
    wherever the body is convex.

    Raises
    ------
    VolumeError
        It would be larger than the body.
    """
    ratio = diameter_mm / whole.longest_mm
    if not 0 < ratio <= 1 + 1e-6:
        raise VolumeError(
            "the solid part must be smaller than the lesion",
            where="simulated nodule",
            value=f"{diameter_mm:.1f} mm",
            remedy=f"Give at most {whole.longest_mm:.1f} mm",
        )
    if ratio > 0.999:
        return whole
    a, b, c = whole.half_axes_mm
    flat = rng.uniform(0.85, 1.0)
    toward = rng.standard_normal(3)
    toward /= np.linalg.norm(toward)
    shift = 0.5 * (1 - ratio) * rng.random() * c * toward
    small = Shape(
        centre_mm=tuple(float(v) for v in np.array(whole.centre_mm) + shift),  # type: ignore[arg-type]
        half_axes_mm=(ratio * a, ratio * b, ratio * c * flat),
        turn=whole.turn,
        bumps=whole.bumps,
    )
    grow = diameter_mm / small.longest_mm
    return Shape(
        centre_mm=small.centre_mm,
        turn=whole.turn,
        bumps=whole.bumps,
        half_axes_mm=tuple(float(v * grow) for v in small.half_axes_mm),  # type: ignore[arg-type]
    )


def draw_spicules(
    rng: np.random.Generator,
    whole: Shape,
    *,
    spiculated: bool,
    pleura_mm: Floats | None,
    vessel_mm: Floats | None,
) -> Tubes:
    """Strands that leave a body.

    Parameters
    ----------
    rng
        Of the patient.
    whole
        The body.
    spiculated
        With 50 to 90 spicules, of which a slice shows some eight, of 5–12 mm, at most 0.6 of the
        body's longest diameter.
    pleura_mm, vessel_mm
        Where a pleural tag and a vessel end, x, y, z; ``None`` without.
    """
    ends, radii = [], []
    centre = np.array(whole.centre_mm)
    if spiculated:
        toward = rng.standard_normal((int(rng.integers(50, 91)), 3))
        toward /= np.linalg.norm(toward, axis=1, keepdims=True)
        length = np.minimum(rng.uniform(5, 12, len(toward)), 0.6 * whole.longest_mm)
        r = whole.radius(toward)
        bend = toward + 0.15 * rng.standard_normal(toward.shape)
        start = centre + toward * (0.9 * r)[:, None]
        ends.append(np.hstack([start, start + bend * (length + 0.1 * r)[:, None]]))
        radii.append(
            np.column_stack([rng.uniform(1.1, 1.7, len(toward)), np.full(len(toward), 0.55)])
        )
    for end, width in ((pleura_mm, 0.5), (vessel_mm, 1.1)):
        if end is None:
            continue
        toward = (end - centre) / np.linalg.norm(end - centre)
        start = centre + 0.85 * float(whole.radius(toward[None])[0]) * toward
        ends.append(np.hstack([start, end])[None])
        radii.append(np.array([[width, width]]))
    if not ends:
        return Tubes(ends=np.empty((0, 6)), radii=np.empty((0, 2)))
    return Tubes(ends=np.vstack(ends), radii=np.vstack(radii))
