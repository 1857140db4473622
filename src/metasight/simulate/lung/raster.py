# ruff: noqa: PLR0917  (kernels take plain numbers: numba passes no keyword-only arguments)
"""The thorax on a grid of voxels: CT numbers and labels, with partial volume at every surface."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.simulate.lung.anatomy import Form
from metasight.simulate.lung.forms import (
    beyond_fissures,
    cage,
    cage_level,
    diaphragm_height,
    fissure_level,
    heart_level,
    interpolated,
    lobe_at,
    lung_level,
    radial,
    share_inside,
    tiled,
)

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

_jit = njit(cache=True, nogil=True, error_model="numpy")

AIR, BODY, BONE, FAT, MUSCLE = 0, 10, 11, 12, 13
MEDIASTINUM, HEART, AORTA, VESSEL, OESOPHAGUS = 20, 21, 22, 23, 24
AIRWAY, AIRWAY_WALL, LIVER, ABDOMEN, TABLE = 30, 31, 40, 41, 50
"""Labels; 1 to 5 are the lobes, vessels and small airways inside them included."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Voxels of a scan.

    Attributes
    ----------
    shape
        Slices, rows, columns.
    spacing_mm
        Between slices, rows, columns.
    origin_mm
        x, y, z of the middle of the first voxel.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    def axes(self) -> tuple[Floats, Floats, Floats]:
        """z, y and x of the voxels' middles."""
        return tuple(
            np.asarray(self.origin_mm[2 - k] + self.spacing_mm[k] * np.arange(self.shape[k]))
            for k in range(3)
        )  # type: ignore[return-value]

    def with_spacing(self, spacing_mm: tuple[float, float, float]) -> Grid:
        """The same field with other voxels."""
        first = [self.origin_mm[2 - k] - 0.5 * self.spacing_mm[k] for k in range(3)]
        shape = tuple(
            max(1, round(self.shape[k] * self.spacing_mm[k] / spacing_mm[k])) for k in range(3)
        )
        origin = tuple(first[2 - a] + 0.5 * spacing_mm[2 - a] for a in range(3))
        return Grid(shape=shape, spacing_mm=spacing_mm, origin_mm=origin)  # type: ignore[arg-type]


@_jit
def _spine(form, noise, x, dy, z, voxel):  # type: ignore[no-untyped-def]
    """CT number and bone share of the spine; dy from the middle of the vertebral body."""
    pitch = 1.05 * form.rib_pitch
    phase = (z + form.rib_phase) % pitch
    r = form.vertebra
    waist = 1.0 - 0.07 * math.sin(math.pi * phase / pitch)
    body = math.sqrt((x / 1.12) ** 2 + (dy / 0.92) ** 2) - 0.92 * r * waist
    body = max(body, dy - 0.72 * r)
    if body < 1.0:
        ends = min(phase, pitch - phase)
        share = share_inside(body, voxel)
        if ends < 2.4:
            return 85.0, share
        depth = min(-body, ends - 2.4)
        shell = share_inside(depth - 1.1, max(voxel, 0.8))
        return 150.0 + 0.9 * noise + 260.0 * shell, share
    canal = math.sqrt(x * x + ((dy - 1.25 * r) * 1.1) ** 2)
    if canal < 8.5:
        return (32.0 if canal < 5.5 else -60.0), -1.0
    arch = abs(phase - 0.55 * pitch)
    ring = abs(canal - 11.0) - 2.7 + 0.10 * max(0.0, arch - 6.0) * 2.0
    process = max(
        abs(x) - 2.6,
        1.5 * r + 4.0 - dy,
        dy - 2.45 * r,
        abs(phase - 0.35 * pitch + 0.25 * (dy - 2 * r)) - 7.0,
    )
    side = max(
        abs(dy - 1.2 * r + 0.10 * abs(x)) - 4.6,
        abs(x) - 2.0 * r,
        10.0 - abs(x),
        abs(phase - 0.62 * pitch) - 5.5,
    )
    level = min(ring, process, side)
    if level < 1.0:
        return 260.0 + 240.0 * share_inside(-level - 1.4, voxel), share_inside(level, voxel)
    return 0.0, 0.0


@_jit
def _rib(form, wall, x, y, z, middle, half_width, half_depth, voxel):  # type: ignore[no-untyped-def]
    """CT number and share of ribs, cartilage and breastbone in the chest wall."""
    if z > 0.93 * form.height:
        return 0.0, 0.0
    front = math.atan2(abs(x) * half_depth / (half_width + 1e-6), y - middle) / math.pi
    rise = form.rib_slope * front + 12.0 * math.sin(math.pi * front) * front
    phase = (z + form.rib_phase * 0.7 + rise) % form.rib_pitch - 0.5 * form.rib_pitch
    across = wall - 0.52 * form.wall
    level = math.sqrt((phase / 1.15) ** 2 + (across * 1.5) ** 2) - 5.6
    if level > 1.0:
        return 0.0, 0.0
    share = share_inside(level, voxel)
    if front > 0.86 and abs(x) < 62.0:
        return 105.0, share
    shell = share_inside(-level - 1.3, max(voxel, 0.7))
    return 210.0 + 430.0 * shell, share


@_jit
def _sternum(form, x, y, z, front, voxel):  # type: ignore[no-untyped-def]
    t = z / form.height
    if t < 0.30 or t > 0.88:
        return 0.0, 0.0
    width = 15.0 + (10.0 if t > 0.70 else 0.0)
    level = max(
        math.sqrt((x / width) ** 2 + ((y - front) / 6.0) ** 2) * 6.0 - 6.0,
        (0.30 - t) * 200,
        (t - 0.88) * 200,
    )
    if level > 1.0:
        return 0.0, 0.0
    shell = share_inside(-level - 1.2, max(voxel, 0.7))
    return 150.0 + 300.0 * shell, share_inside(level, voxel)


@_jit
def body_level(form, x, y, z):  # type: ignore[no-untyped-def]
    """Of the skin."""
    t = min(max(z / form.height, -0.2), 1.15)
    shoulder = max(0.0, t - 0.72) / 0.28
    a = form.half_width + form.wall + 19.0 + 0.9 * form.fat - 12.0 * shoulder * shoulder
    b = form.half_depth + form.wall + 13.0 + form.fat - 26.0 * shoulder * shoulder
    dy = y - 5.0 - 6.0 * shoulder
    level = radial(x, dy, a, b, 0.45)
    if dy < 0 and form.breast > 1.0:
        for side in (-1.0, 1.0):
            ux, uy, uz = x - side * 0.58 * form.half_width, dy + 0.82 * b, z - 0.42 * form.height
            ball = math.sqrt(ux * ux + (uy * 1.3) ** 2 + (uz * 0.8) ** 2)
            blob = ball - 30.0 - form.breast
            h = max(24.0 - abs(level - blob), 0.0) / 24.0
            level = min(level, blob) - h * h * 6.0
    # the groove over the spine
    return level + (4.0 * math.exp(-((x / 14.0) ** 2)) if dy > 0 else 0.0)


@_jit
def _muscle_depth(form, x, y, z):  # type: ignore[no-untyped-def]
    """How thick muscle lies outside the ribs."""
    t = z / form.height
    high = min(max((t - 0.25) * 2.2, 0.0), 1.0)
    back = min(max(y / form.half_depth, 0.0), 1.0)
    before = min(max(-y / form.half_depth, 0.0), 1.0)
    side = min(abs(x) / form.half_width, 1.0)
    spinal = math.exp(-(((abs(x) - 30.0) / 22.0) ** 2)) * back
    return (
        3.0
        + 5.0 * side
        + 15.0 * high * back * side
        + 9.0 * high * before * side
        + 22.0 * spinal * back
    )


@_jit
def _wall_hu(form, noise, smooth, wall, skin, x, y, z, a, b, middle, voxel):  # type: ignore[no-untyped-def]
    """CT number and label between the pleura and the skin."""
    muscle = form.muscle_hu + 0.25 * noise
    fat = -103.0 + 0.25 * noise
    if skin > -1.8:
        return 10.0, BODY
    if wall < form.wall:
        thin = share_inside(abs(wall - 0.5) - 0.4, 1.0)
        hu = muscle * (1 - 0.5 * thin) - 50.0 * thin
        label = MUSCLE
        if abs(wall - form.wall * 0.52) > 4.2 and smooth > -0.4:
            hu = 0.45 * muscle + 0.55 * fat
        bone, share = _rib(form, wall, x, y, z, middle, a, b, voxel)
        if share > 0:
            hu = hu * (1 - share) + bone * share
            if share > 0.5:
                label = BONE
        return hu, label
    deep = _muscle_depth(form, x, y, z) + 2.5 * smooth
    under_skin = -skin - 1.8
    free = min(form.fat, under_skin + wall) * 0.55
    if wall - form.wall < deep or under_skin > free + 16.0 + 4.0 * smooth:
        # planes of fat between muscles
        plane = abs(smooth + 0.25 * math.sin((wall - form.wall) * 0.55))
        if under_skin > 3.0 and plane > 0.16:
            return muscle, MUSCLE
        return 0.5 * (muscle + fat), MUSCLE
    if form.breast > 5.0 and y < -0.5 * form.half_depth and smooth + 0.01 * noise > 0.55:
        return 5.0, FAT
    return fat, FAT


@_jit
def _abdomen_hu(form, noise, smooth, below, x, y, z):  # type: ignore[no-untyped-def]
    """CT number and label under the diaphragm."""
    spleen = math.sqrt(((x - 78) / 32.0) ** 2 + ((y - 38) / 30.0) ** 2 + ((z - 10) / 40.0) ** 2)
    stomach = math.sqrt(((x - 48) / 34.0) ** 2 + ((y + 18) / 36.0) ** 2 + ((z - 4) / 30.0) ** 2)
    if x < 22.0 + 0.25 * y + 6.0 * smooth:
        return form.liver_hu + 0.3 * noise, LIVER
    if spleen < 1.0:
        return 50.0 + 0.3 * noise, ABDOMEN
    if stomach < 1.0:
        if stomach > 0.90:
            return 40.0, ABDOMEN
        return (-960.0 if y < -34.0 else 22.0 + 0.3 * noise), ABDOMEN
    if below < 3.0:
        return form.muscle_hu, MUSCLE
    return -102.0 + 0.3 * noise, FAT


@_jit
def _inner_hu(form, noise, smooth, x, y, z, voxel):  # type: ignore[no-untyped-def]
    """CT number and label between the lungs."""
    heart = heart_level(form, x, y, z)
    fat = -98.0 + 0.25 * noise
    if heart < 1.5:
        share = share_inside(heart, voxel)
        # fat in the groove between atria and ventricles
        u = (x - form.heart_x) * 0.8 + (y - form.heart_y) * 0.6
        groove = math.exp(-(((u + 14.0) / 3.5) ** 2)) * share_inside(-heart - 9.0, 4.0) * 0.8
        blood = form.blood_hu + 0.2 * noise
        inside = blood * (1 - groove) + fat * groove
        return inside * share + fat * (1 - share), HEART
    # lymph nodes and small vessels in the fat
    node = min(max((smooth - 0.75) * 5.0, 0.0), 1.0)
    return fat * (1 - node) + 38.0 * node, MEDIASTINUM


@_jit
def _tissue(form, noise, smooth, inner, wall, x, y, z, a, b, middle, voxel):  # type: ignore[no-untyped-def]
    """CT number and label of what is not lung at a point."""
    skin = body_level(form, x, y, z)
    if skin > 0.5 * voxel:
        return -1000.0, AIR
    outside = share_inside(-skin, voxel)
    t = z / form.height
    spine_middle = 18.0 * t * t + 0.90 * form.half_depth - form.spine_back
    dy = y - spine_middle
    share = 0.0
    bone = 0.0
    if abs(x) < 42.0 and dy > -24.0 and skin < -4.0:
        bone, share = _spine(form, noise, x, dy, z, voxel)
        if share < 0:
            return bone, BODY
    if share < 1.0 and y < 0 and abs(x) < 32.0:
        front = middle - 0.92 * b - 0.5 * form.wall
        other, part = _sternum(form, x, y, z, front, voxel)
        if part > share:
            bone, share = other, part
    if wall > 0.0:
        hu, label = _wall_hu(form, noise, smooth, wall, skin, x, y, z, a, b, middle, voxel)
    elif z < diaphragm_height(form, x, y) and inner > -4.0:
        hu, label = _abdomen_hu(form, noise, smooth, diaphragm_height(form, x, y) - z, x, y, z)
    else:
        hu, label = _inner_hu(form, noise, smooth, x, y, z, voxel)
    if share > 0:
        hu = hu * (1 - share) + bone * share
        if share > 0.5:
            label = BONE
    return hu * (1 - outside) - 1000.0 * outside, label


@_jit
def _lung_hu(form, coarse, fine, x, y, z):  # type: ignore[no-untyped-def]
    """CT number of lung between its visible vessels, in HU."""
    down = (y / form.half_depth) * 0.5 + 0.2
    return (
        form.lung_hu
        + form.gravity_hu * down
        + form.texture_hu * fine
        + 0.5 * form.texture_hu * coarse
    )


@_jit
def paint_tissue(form, mediastinum, coarse, fine, grain, zs, ys, xs, voxel, hu, labels):  # type: ignore[no-untyped-def]
    """Fill ``hu`` and ``labels`` with everything but tubes and lesions."""
    for i in range(len(zs)):
        z = zs[i]
        a, b, middle = cage(form, min(z, 0.98 * form.height))
        for j in range(len(ys)):
            y = ys[j]
            for k in range(len(xs)):
                x = xs[k]
                wall = cage_level(form, x, y, z)
                if wall > 12.0 and body_level(form, x, y, z) > voxel:
                    hu[i, j, k] = -1000.0
                    labels[i, j, k] = AIR
                    continue
                inner = interpolated(mediastinum, x, y, z) if wall < 6.0 else 99.0
                lung = lung_level(form, mediastinum, x, y, z) if wall < voxel else wall
                part = share_inside(lung, voxel)
                smooth = interpolated(coarse, x, y, z)
                ripple = interpolated(fine, x, y, z)
                value = 0.0
                label = AIR
                if part > 0:
                    value = part * (
                        _lung_hu(form, smooth, ripple, x, y, z)
                        + form.grain_hu * tiled(grain, x, y, z)
                    )
                    label = beyond_fissures(form, x, y, z)
                    if label < 0:
                        gap = fissure_level(form, x, y, z) - 0.5 * form.fissure_mm
                        line = share_inside(gap, voxel) - share_inside(gap + form.fissure_mm, voxel)
                        value += part * 560.0 * max(line, 0.0)
                        label = lobe_at(form, x, y, z)
                if part < 1:
                    other, kind = _tissue(
                        form, 40.0 * ripple, smooth, inner, wall, x, y, z, a, b, middle, voxel
                    )
                    value += (1 - part) * other
                    if part < 0.5:
                        label = kind
                hu[i, j, k] = value
                labels[i, j, k] = label


def paint_body(
    form: Form, mediastinum: Image, coarse: Image, fine: Image, grain: Image, grid: Grid
) -> tuple[Image, Labels]:
    """CT numbers and labels of a grid, without tubes and lesions."""
    hu = np.empty(grid.shape, dtype=np.float32)
    labels = np.empty(grid.shape, dtype=np.uint8)
    voxel = float(np.prod(grid.spacing_mm)) ** (1 / 3)
    paint_tissue(form, mediastinum, coarse, fine, grain, *grid.axes(), voxel, hu, labels)
    return hu, labels
