"""How a section comes to lie on its glass: turned, stretched, folded, torn; and where, truly."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from metasight.alignment.field import Field, lattice
from metasight.alignment.placement import Piece, Placement
from metasight.alignment.transform import Transform
from metasight.simulate.breast.cells import SectionCells
from metasight.simulate.breast.fields import Image
from metasight.simulate.breast.painting import GROUND, Canvas, ground_maps
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.tissue import GRID_UM, Regions, side_um

Floats = npt.NDArray[np.float64]

_KNOTS_UM = 500.0
_FINE_KNOTS_UM = 120.0
_COARSE_UM = 32.0
_ANGLE = GROUND.index("angle")


def draw_transform(settings: BreastSettings, seed: tuple[int, ...]) -> tuple[Transform, float]:
    """Where each point of the H&E lies on a marker section, and the side of its canvas in µm.

    A turn, a stretch of up to 1.5 %, a shift, a smooth deformation, and `misalignment_um` on top.
    Amplitudes are standard deviations of the displacement in x and in y.
    """
    rng = np.random.default_rng([*seed, 31])
    side = side_um(settings)
    angle = np.deg2rad(settings.turn_degrees) * rng.uniform(-1, 1)
    stretch = 1 + 0.015 * rng.uniform(-1, 1, 2)
    grown = side * (abs(np.cos(angle)) + abs(np.sin(angle))) - 2000 * settings.margin_mm * 0.6
    moved_side = float(np.ceil(max(grown, side) / 16.0) * 16.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag(stretch)
    shift = moved_side / 2 - linear @ np.full(2, side / 2) + rng.uniform(-40, 40, 2)
    rough = _smooth(rng, side, _KNOTS_UM, settings.deformation_um)
    first = Placement.whole(
        Piece(matrix=np.column_stack([linear, shift]), field=rough), (side, side)
    )
    transform = Transform.of(first)
    if settings.misalignment_um > 0:
        fine = _smooth(rng, side, _FINE_KNOTS_UM, settings.misalignment_um)
        same = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        before = Placement.whole(Piece(matrix=same, field=fine), (side, side))
        transform = Transform.of(before).then(transform)
    return transform, moved_side


def _smooth(rng: np.random.Generator, side: float, spacing: float, sd_um: float) -> Field:
    """Displacement with this standard deviation, of knots drawn independently.

    A cubic B-spline of independent knots varies by about 0.48 of theirs, each way; amplitudes
    that would fold the section (slope above 1) do not occur below a sixth of the spacing.
    """
    shape = lattice((side, side), spacing)
    knots = np.clip(rng.standard_normal((*shape, 2)), -2, 2) * sd_um / 0.48
    return Field(spacing_um=spacing, origin_um=(0.0, 0.0), coefficients_um=knots)


@dataclass(frozen=True, kw_only=True)
class Defects:
    """What happened to a section on the way to the glass.

    Attributes
    ----------
    amount
        Factor of everything stained on the regions' grid.
    names
        ``fold`` and ``tear``.
    """

    amount: Image
    names: tuple[str, ...]


def draw_defects(share: float, tissue: Image, seed: tuple[int, ...]) -> Defects:
    """A fold or a tear across part of the tissue in ``share`` of the sections."""
    rng = np.random.default_rng([*seed, 32])
    amount = np.ones(tissue.shape, np.float32)
    drawn = rng.random(8)
    if drawn[0] >= share:
        return Defects(amount=amount, names=())
    n = tissue.shape[0]
    angle, length = np.pi * drawn[1], (0.15 + 0.2 * drawn[2]) * n
    middle = n * (0.3 + 0.4 * drawn[3:5])
    t = np.linspace(-0.5, 0.5, 40)
    bow = (drawn[5] - 0.5) * 0.5
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    path = middle + length * (t[:, None] * along + bow * (0.25 - t[:, None] ** 2) * across)
    line = np.zeros(tissue.shape, np.uint8)
    wide = round((16 + 24 * drawn[6]) / GRID_UM)
    cv2.polylines(line, [np.rint(path).astype(np.int32)], False, 255, wide, cv2.LINE_AA)
    soft = cv2.GaussianBlur(line.astype(np.float32) / 255, (0, 0), 0.8)
    name = "fold" if drawn[7] < 0.5 else "tear"
    amount = amount * (1 + 0.9 * soft) if name == "fold" else amount * (1 - soft)
    return Defects(amount=np.asarray(amount, np.float32), names=(name,))


def lie_still(
    regions: Regions, cells: SectionCells, defects: Defects, *, mpp: float, seed: tuple[int, ...]
) -> Canvas:
    """The H&E, whose frame is the block's."""
    side = round(regions.tissue.shape[0] * GRID_UM / mpp)
    return Canvas(
        maps=ground_maps(regions),
        amount=defects.amount,
        cells=cells,
        width_px=side,
        height_px=side,
        mpp=mpp,
        seed=seed,
    )


def lay(
    regions: Regions,
    cells: SectionCells,
    defects: Defects,
    transform: Transform,
    moved_side_um: float,
    *,
    mpp: float,
    seed: tuple[int, ...],
) -> Canvas:
    """A section under its transform: cells exactly, regions on their grid."""
    n = round(moved_side_um / GRID_UM)
    back_x, back_y = _back(transform, moved_side_um, n)
    maps = ground_maps(regions)
    # OpenCV warps at most four channels at once
    warped = [
        cv2.remap(
            np.ascontiguousarray(maps[..., k]),
            back_x,
            back_y,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        for k in range(maps.shape[2])
    ]
    amount = cv2.remap(
        defects.amount, back_x, back_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    at = transform.points(np.stack([cells.x_um, cells.y_um], axis=1))
    turned = _turn(transform, moved_side_um)
    warped[_ANGLE] = (warped[_ANGLE] + turned).astype(np.float32)
    moved = SectionCells(
        x_um=at[:, 0],
        y_um=at[:, 1],
        kind=cells.kind,
        long_um=cells.long_um,
        wide_um=cells.wide_um,
        turn=cells.turn + turned,
        dark=cells.dark,
        mitosis=cells.mitosis,
    )
    side = round(moved_side_um / mpp)
    return Canvas(
        maps=np.ascontiguousarray(np.stack(warped, axis=-1)),
        amount=np.ascontiguousarray(amount),
        cells=moved,
        width_px=side,
        height_px=side,
        mpp=mpp,
        seed=seed,
    )


def _back(transform: Transform, side: float, n: int) -> tuple[Image, Image]:
    """Block's grid position (pixels) under each grid point of the moved section.

    Found on a lattice of 32 µm and interpolated: the deformation is smooth at that scale.
    """
    m = int(np.ceil(side / _COARSE_UM)) + 1
    at = np.arange(m) * _COARSE_UM
    points = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
    found = transform.inverse().points(points).reshape(m, m, 2).astype(np.float32)
    step = GRID_UM / _COARSE_UM
    matrix = np.array([[step, 0, step / 2], [0, step, step / 2]])
    full = cv2.warpAffine(
        found,
        matrix,
        (n, n),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    grid = full / GRID_UM - 0.5
    return np.ascontiguousarray(grid[..., 0]), np.ascontiguousarray(grid[..., 1])


def _turn(transform: Transform, side: float) -> float:
    """Turn in the middle of the section, radians."""
    a, b = transform.points(np.array([[side / 2 - 50, side / 2], [side / 2 + 50, side / 2]]))
    return float(np.arctan2(b[1] - a[1], b[0] - a[0]))
