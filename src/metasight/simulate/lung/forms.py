# ruff: noqa: PLR0917  (kernels take plain numbers: numba passes no keyword-only arguments)
"""What lies at a point of the thorax: surfaces as signed distances, in compiled code.

Every ``…_level`` is a length in mm, negative inside, right to a few percent near its surface.
The mediastinum and the chest's smooth noise are sampled once on a coarse grid and interpolated:
the drawn anatomy *is* that interpolant, so that truth and picture cannot differ.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.simulate.lung.anatomy import Anatomy, Form, Tubes

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

COARSE_MM = 4.0
"""Spacing of the coarse grid."""

COARSE_FROM = (-180.0, -140.0, -60.0)
"""x, y, z of its first point."""

COARSE_SHAPE = (84, 72, 91)
"""Its points in z, y, x: it holds every thorax that `draw_anatomy` draws."""

GRAIN_MM = 1.3
"""Spacing of the tile of fine grain; it repeats every 83 mm."""

GRAIN_SHAPE = (64, 64, 64)

_jit = njit(cache=True, nogil=True, error_model="numpy")


@_jit
def share_inside(level, voxel):  # type: ignore[no-untyped-def]
    """Part of a voxel that lies inside a surface at ``level`` from its middle."""
    return min(max(0.5 - level / voxel, 0.0), 1.0)


@_jit
def interpolated(grid, x, y, z):  # type: ignore[no-untyped-def]
    """Value of a coarse grid at a point; the nearest inside where the point lies outside."""
    fx = min(max((x - COARSE_FROM[0]) / COARSE_MM, 0.0), grid.shape[2] - 1.001)
    fy = min(max((y - COARSE_FROM[1]) / COARSE_MM, 0.0), grid.shape[1] - 1.001)
    fz = min(max((z - COARSE_FROM[2]) / COARSE_MM, 0.0), grid.shape[0] - 1.001)
    i, j, k = int(fz), int(fy), int(fx)
    a, b, c = fz - i, fy - j, fx - k
    low = (grid[i, j, k] * (1 - c) + grid[i, j, k + 1] * c) * (1 - b) + (
        grid[i, j + 1, k] * (1 - c) + grid[i, j + 1, k + 1] * c
    ) * b
    high = (grid[i + 1, j, k] * (1 - c) + grid[i + 1, j, k + 1] * c) * (1 - b) + (
        grid[i + 1, j + 1, k] * (1 - c) + grid[i + 1, j + 1, k + 1] * c
    ) * b
    return low * (1 - a) + high * a


@_jit
def tiled(tile, x, y, z):  # type: ignore[no-untyped-def]
    """Value of the tile of fine grain at a point."""
    fx, fy, fz = (x + 1000.0) / GRAIN_MM, (y + 1000.0) / GRAIN_MM, (z + 1000.0) / GRAIN_MM
    i, j, k = int(fz), int(fy), int(fx)
    a, b, c = fz - i, fy - j, fx - k
    i, j, k = i & 63, j & 63, k & 63
    p, q, r = (i + 1) & 63, (j + 1) & 63, (k + 1) & 63
    low = (tile[i, j, k] * (1 - c) + tile[i, j, r] * c) * (1 - b) + (
        tile[i, q, k] * (1 - c) + tile[i, q, r] * c
    ) * b
    high = (tile[p, j, k] * (1 - c) + tile[p, j, r] * c) * (1 - b) + (
        tile[p, q, k] * (1 - c) + tile[p, q, r] * c
    ) * b
    return low * (1 - a) + high * a


@_jit
def cage(form, z):  # type: ignore[no-untyped-def]
    """Half width, half depth and middle (y) of the inner chest wall at a height."""
    t = min(max(z / form.height, -0.3), 0.998)
    rise = max(0.0, (t - 0.22) / 0.78)
    narrow = math.sqrt(max(1.0 - rise**3.0, 0.0004))
    low = max(0.0, 0.22 - t)
    half_width = form.half_width * narrow * (1 - 0.4 * low * low)
    rise_deep = max(0.0, (t - 0.35) / 0.65)
    half_depth = form.half_depth * math.sqrt(max(1.0 - rise_deep**2.6, 0.0004))
    half_depth *= 0.93 + 0.07 * min(1.0, max(0.0, 1 - abs(t - 0.3) / 0.5))
    return half_width, half_depth, 18.0 * t * t


@_jit
def radial(dx, dy, a, b, boxiness):  # type: ignore[no-untyped-def]
    """Distance from an ellipse with fuller corners, along the ray from its middle."""
    u, v = dx / a, dy / b
    u2, v2 = u * u, v * v
    total = u2 + v2
    if total < 1e-9:
        return -min(a, b)
    rho = math.sqrt(total - boxiness * u2 * v2 / total)
    return math.sqrt(dx * dx + dy * dy) * (1.0 - 1.0 / rho)


@_jit
def cage_level(form, x, y, z):  # type: ignore[no-untyped-def]
    """Of the inner surface of the chest wall."""
    if z >= 0.985 * form.height:
        dy = y - 18.0
        return 0.5 * math.sqrt(x * x + dy * dy) + (z - 0.985 * form.height)
    a, b, middle = cage(form, z)
    dy = y - middle
    # the front is flatter than the back
    b = b * 0.94 if dy < 0 else b * 1.10
    level = radial(x, dy, a, b, form.boxiness)
    # the dome of the apex: its surface is slanted, a radial length is too long there
    t = z / form.height
    if t > 0.7:
        level *= 1.0 - 0.5 * (t - 0.7) / 0.3
    return level


@_jit
def diaphragm_height(form, x, y):  # type: ignore[no-untyped-def]
    """Height of the diaphragm; deepest at the back and the side."""
    u = (x + 0.50 * form.half_width) / (0.62 * form.half_width)
    v = (y + 12.0) / (1.05 * form.half_depth)
    right = form.dome_right * (1 - 0.75 * u * u - 0.55 * v * v)
    u = (x - 0.54 * form.half_width) / (0.60 * form.half_width)
    left = form.dome_left * (1 - 0.75 * u * u - 0.55 * v * v)
    top = max(right, left) + 4.0 * math.exp(-abs(right - left) / 4.0)
    height = top - form.recess_slope * max(y, 0.0) * 0.6 + 2.0
    # the recess ends at z = 0, rounded
    return 0.5 * (height + math.sqrt(height * height + 144.0))


@_jit
def heart_level(form, x, y, z):  # type: ignore[no-untyped-def]
    """Of the heart within its pericardium."""
    dx, dy, dz = x - form.heart_x, y - form.heart_y, z - form.heart_z
    c, s = math.cos(form.heart_turn), math.sin(form.heart_turn)
    # the long axis points to the left, the front and down
    u = c * dx - s * dy
    v = s * dx + c * dy
    w = dz + 0.30 * u
    rho = math.sqrt((u / form.heart_a) ** 2 + (v / form.heart_b) ** 2 + (w / form.heart_c) ** 2)
    return (rho - 1.0) * min(form.heart_b, form.heart_c)


@_jit
def tube_level(ends, radii, x, y, z):  # type: ignore[no-untyped-def]
    """Distance from the surface of one tube."""
    dx, dy, dz = ends[3] - ends[0], ends[4] - ends[1], ends[5] - ends[2]
    length2 = dx * dx + dy * dy + dz * dz
    t = 0.0
    if length2 > 0:
        t = ((x - ends[0]) * dx + (y - ends[1]) * dy + (z - ends[2]) * dz) / length2
        t = min(max(t, 0.0), 1.0)
    px, py, pz = x - ends[0] - t * dx, y - ends[1] - t * dy, z - ends[2] - t * dz
    return math.sqrt(px * px + py * py + pz * pz) - radii[0] - t * (radii[1] - radii[0])


@_jit
def joined(a, b, k):  # type: ignore[no-untyped-def]
    """Smooth union: the smaller, rounded over ``k`` mm where both are near."""
    h = max(k - abs(a - b), 0.0) / k
    return min(a, b) - h * h * k * 0.25


@_jit
def _mediastinum(form, ends, radii, x, y, z):  # type: ignore[no-untyped-def]
    t = z / form.height
    spine = 18.0 * t * t + 0.90 * form.half_depth - form.spine_back
    r = form.vertebra * 1.12
    level = math.sqrt(x * x + ((y - spine) * 1.05) ** 2) - r
    # tissue between the lungs: thin where they meet in front, wide round the great vessels
    wide = 16.0 * math.exp(-(((y - spine + 45.0) / 30.0) ** 2))
    if t > 0.66:
        wide += 11.0 * math.exp(-(((y - spine + 62.0) / 26.0) ** 2)) * min(1.0, (t - 0.66) * 8)
    leftward = 8.0 * math.exp(-(((y - spine + 120.0) / 40.0) ** 2))
    level = joined(level, abs(x - leftward) - form.septum - wide, 14.0)
    level = joined(level, heart_level(form, x, y, z) - 3.0, 10.0)
    for i in range(ends.shape[0]):
        d = tube_level(ends[i], radii[i], x, y, z)
        if d < 20.0:
            level = joined(level, d, 9.0)
    return level


@_jit
def _fill_mediastinum(form, ends, radii, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        z = COARSE_FROM[2] + i * COARSE_MM
        for j in range(out.shape[1]):
            y = COARSE_FROM[1] + j * COARSE_MM
            for k in range(out.shape[2]):
                x = COARSE_FROM[0] + k * COARSE_MM
                if cage_level(form, x, y, z) > 30.0:
                    out[i, j, k] = 99.0  # never asked for
                else:
                    out[i, j, k] = _mediastinum(form, ends, radii, x, y, z)


def mediastinum_grid(anatomy: Anatomy) -> Image:
    """Level of the mediastinum on the coarse grid.

    It wraps the great vessels and the proximal airways with 1–3 mm of tissue.
    """
    out = np.empty(COARSE_SHAPE, dtype=np.float32)
    inner: Tubes = anatomy.aorta.widened(2.0) + anatomy.cava.widened(1.5)
    inner = inner + anatomy.pulmonary.widened(1.0) + anatomy.trachea.widened(5.0)
    central = [
        v
        for k, v in anatomy.bronchi.items()
        if k in {"trachea", "right main", "left main", "intermediate"}
    ]
    for part in central:
        inner = inner + part.widened(4.0)
    inner = inner + anatomy.oesophagus.widened(1.5)
    _fill_mediastinum(anatomy.form, inner.ends, inner.radii, out)
    return out


@_jit
def lung_level(form, mediastinum, x, y, z):  # type: ignore[no-untyped-def]
    """Of the two lungs together: inside the chest wall, beside the mediastinum, over the dome."""
    wall = cage_level(form, x, y, z)
    if wall > 6.0:
        return wall
    dome = (diaphragm_height(form, x, y) - z) * 0.75
    inner = -interpolated(mediastinum, x, y, z)
    return max(wall, dome, inner)


@_jit
def oblique_level(form, x, y, z):  # type: ignore[no-untyped-def]
    """Distance over (positive) or under the oblique fissure of that side."""
    start = form.oblique_right if x < 0 else form.oblique_left
    tilt = form.oblique_tilt
    plane = z - start - tilt * y - 0.06 * abs(x)
    wave = form.wave * math.sin(abs(x) / 24.0 + form.wave_phase) * math.cos(y / 37.0)
    return (plane - wave) / math.sqrt(1 + tilt * tilt)


@_jit
def horizontal_level(form, x, y, z):  # type: ignore[no-untyped-def]
    """Distance over (positive) or under the right horizontal fissure."""
    wave = 0.8 * form.wave * math.sin(y / 30.0 + form.wave_phase) + 0.10 * (abs(x) - 70.0)
    return z - form.horizontal - wave


@_jit
def beyond_fissures(form, x, y, z):  # type: ignore[no-untyped-def]
    """Lobe of a point, negative where a fissure may be within 3 mm; needs no sine."""
    start = form.oblique_right if x < 0 else form.oblique_left
    plane = z - start - form.oblique_tilt * y - 0.06 * abs(x)
    near = abs(plane) < form.wave + 4.5
    if x >= 0:
        label = 4 if plane > 0 else 5
    elif plane < 0:
        label = 3
    else:
        level = z - form.horizontal - 0.10 * (abs(x) - 70.0)
        label = 1 if level > 0 else 2
        near = near or abs(level) < 0.8 * form.wave + 4.5
    return -label if near else label


@_jit
def lobe_at(form, x, y, z):  # type: ignore[no-untyped-def]
    """Label of the lobe that a point of the lungs belongs to: 1 to 5, order of ``LOBES``."""
    upper = oblique_level(form, x, y, z) > 0
    if x < 0:
        if not upper:
            return 3
        return 1 if horizontal_level(form, x, y, z) > 0 else 2
    return 4 if upper else 5


@_jit
def fissure_level(form, x, y, z):  # type: ignore[no-untyped-def]
    """Distance to the nearest fissure, ≥ 0."""
    oblique = oblique_level(form, x, y, z)
    if x >= 0 or oblique < 0:
        return abs(oblique)
    return min(abs(oblique), abs(horizontal_level(form, x, y, z)))


@_jit
def _levels(form, mediastinum, points, out):  # type: ignore[no-untyped-def]
    for i in range(points.shape[0]):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        out[i, 0] = lung_level(form, mediastinum, x, y, z)
        out[i, 1] = fissure_level(form, x, y, z)
        out[i, 2] = lobe_at(form, x, y, z)


def levels_at(form: Form, mediastinum: Image, points: Floats) -> Floats:
    """Lung level, distance to a fissure and lobe at points.

    Parameters
    ----------
    form, mediastinum
        The thorax.
    points
        ``(n, 3)``: x, y, z in mm.

    Returns
    -------
    ndarray
        ``(n, 3)``: level of the lungs, mm, negative inside; distance to the nearest fissure, mm;
        label of the lobe (meaningless outside the lungs).
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    out = np.empty((len(points), 3))
    _levels(form, mediastinum, points, out)
    return out


@_jit
def _interpolated_at(grid, points, out):  # type: ignore[no-untyped-def]
    for i in range(points.shape[0]):
        out[i] = interpolated(grid, points[i, 0], points[i, 1], points[i, 2])


def interpolated_at(grid: Image, points: Floats) -> Floats:
    """Values of a coarse grid at ``(n, 3)`` points x, y, z in mm."""
    out = np.empty(len(points))
    _interpolated_at(grid, np.ascontiguousarray(points, dtype=np.float64), out)
    return out
