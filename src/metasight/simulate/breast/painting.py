"""What H&E and marker sections share: the tissue's ground, and nuclei painted on it."""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.simulate.breast import texture
from metasight.simulate.breast.cells import SectionCells
from metasight.simulate.breast.fields import Image
from metasight.simulate.breast.tissue import GRID_UM, Regions

Floats = npt.NDArray[np.float64]

GROUND = ("tissue", "nest", "fat", "lymphoid", "cleft", "collagen", "lumen", "angle")
"""Maps that a section is painted from, in the order of `Canvas.maps`."""


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """A section laid on its glass.

    Attributes
    ----------
    maps
        `GROUND` on ``GRID_UM`` in the section's own frame, shape ``(y, x, map)``, float32.
    amount
        Factor of everything stained, same grid: 0 in a tear, 2 in a fold.
    cells
        In the section's own frame.
    width_px, height_px, mpp
        Of the picture.
    seed
        Of what differs from section to section and has no meaning.
    """

    maps: Image
    amount: Image
    cells: SectionCells
    width_px: int
    height_px: int
    mpp: float
    seed: tuple[int, ...]


def ground_maps(regions: Regions) -> Image:
    """`GROUND` of a section, shape ``(y, x, map)``."""
    return np.ascontiguousarray(np.stack([getattr(regions, name) for name in GROUND], axis=-1))


def grown_to(image: Image, canvas: Canvas) -> Image:
    """A map of the regions' grid at the picture's resolution."""
    step = canvas.mpp / GRID_UM
    matrix = np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2]])
    return np.asarray(
        cv2.warpAffine(
            image,
            matrix,
            (canvas.width_px, canvas.height_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.float32,
    )


@njit(cache=True, fastmath=True)
def _streak(fibres: Image, row: int, column: int, angle: float) -> float:
    """Fibres' pattern at an angle, blended from the two directions beside it."""
    direction = angle * (8 / np.pi)
    lower = np.floor(direction)
    part = np.float32(direction - lower)
    k = int(lower) % 8
    return (1 - part) * fibres[k, row, column] + part * fibres[(k + 1) % 8, row, column]  # type: ignore[no-any-return]


@njit(cache=True, fastmath=True)
def _ground_dyes(
    v: Image, streak: float, grains: tuple[float, float, float], wall: float
) -> tuple[float, float]:
    """Haematoxylin and eosin of one pixel, from what the maps say is there.

    ``v`` holds, from 1 on: nest, fat, lymphoid tissue, opening, collagen, lumen. ``grains`` are
    those of the tissue, of what lies in nests, and of red cells.
    """
    g, g2, g_red = grains
    nest, fat, lymphoid = v[1], v[2], v[3]
    open_ = min(1.0, v[4] * max(0.0, 1.0 + 0.5 * streak))
    collagen = v[5] * max(0.24 + 0.07 * streak + 0.06 * g, 0.03)
    if streak < -1.6:  # gaps between bundles
        collagen *= max(0.15, 1 + 1.2 * (streak + 1.6))
    e = collagen * (1 - nest) * (1 - 0.45 * lymphoid) + nest * (0.23 + 0.07 * g2)
    h = (0.05 + 0.02 * g) * (1 - nest) + nest * (0.17 + 0.06 * g) + 0.09 * lymphoid
    if nest > 0.3 and g2 < -1.5:  # vacuoles, and gaps between cells
        pale = min(1.0, -1.5 * (g2 + 1.5)) * 0.8
        e *= 1 - pale
        h *= 1 - pale
    e *= 1 - 0.93 * open_
    h *= 1 - 0.93 * open_
    if v[6] > 0.05:  # lumen, now and then with red cells
        red = max(0.0, g_red)
        e = e * (1 - v[6]) + v[6] * (0.55 * red)
        h *= 1 - v[6]
    if fat > 0.02:
        e = e * (1 - fat) + fat * (0.22 * wall + 0.004)
        h *= 1 - 0.97 * fat
    return h, e


@njit(cache=True, fastmath=True)
def he_ground(
    maps: Image,
    amount: Image,
    fibres: Image,
    grain: Image,
    walls: Image,
    shift: npt.NDArray[np.int64],
    mpp: float,
    haematoxylin: Image,
    eosin: Image,
) -> None:
    """Stroma, cytoplasm, fat and lumens as amounts of both dyes, before any nucleus.

    Amounts are in optical density of a dye of strength 1: collagen 0.2 to 0.5 of eosin, nests
    0.17 of haematoxylin (cytoplasm and what lies out of focus) and 0.2 of eosin.
    """
    n_rows, n_columns, n_maps = maps.shape
    tile = grain.shape[0]
    period = walls.shape[0]
    v = np.empty(n_maps, np.float32)
    for row in range(haematoxylin.shape[0]):
        gy = min(max((row + 0.5) * mpp / 4.0 - 0.5, 0.0), n_rows - 1.001)
        y0 = int(gy)
        wy = np.float32(gy - y0)
        for column in range(haematoxylin.shape[1]):
            gx = min(max((column + 0.5) * mpp / 4.0 - 0.5, 0.0), n_columns - 1.001)
            x0 = int(gx)
            wx = np.float32(gx - x0)
            w00, w01 = (1 - wy) * (1 - wx), (1 - wy) * wx
            w10, w11 = wy * (1 - wx), wy * wx
            tissue = (
                w00 * maps[y0, x0, 0]
                + w01 * maps[y0, x0 + 1, 0]
                + w10 * maps[y0 + 1, x0, 0]
                + w11 * maps[y0 + 1, x0 + 1, 0]
            )
            if tissue < 0.02:
                haematoxylin[row, column] = 0.0
                eosin[row, column] = 0.0
                continue
            for k in range(1, n_maps):
                v[k] = (
                    w00 * maps[y0, x0, k]
                    + w01 * maps[y0, x0 + 1, k]
                    + w10 * maps[y0 + 1, x0, k]
                    + w11 * maps[y0 + 1, x0 + 1, k]
                )
            ty, tx = (row + shift[0]) % tile, (column + shift[1]) % tile
            streak = _streak(fibres, ty, tx, v[7])
            grains = (
                grain[ty, tx],
                grain[(row + shift[2]) % tile, (column + shift[3]) % tile],
                grain[(row // 3 + shift[1]) % tile, (column // 3 + shift[0]) % tile],
            )
            wall = walls[(row + shift[0]) % period, (column + shift[2]) % period]
            h, e = _ground_dyes(v, streak, grains, wall)
            dose = (
                w00 * amount[y0, x0]
                + w01 * amount[y0, x0 + 1]
                + w10 * amount[y0 + 1, x0]
                + w11 * amount[y0 + 1, x0 + 1]
            ) * min(1.0, tissue * 1.5)
            haematoxylin[row, column] = max(h, 0.0) * dose
            eosin[row, column] = max(e, 0.0) * dose


# By kind (tumour, T, B, plasma, fibroblast, mimic): chromatin's rim, clumps and level, how far
# from the nucleus its cell reaches (of the semi-axis), and wobble of the outline.
_RIM = np.array([0.42, 0.10, 0.10, 0.12, 0.05, 0.10])
_CLUMP = np.array([0.26, 0.16, 0.16, 0.26, 0.12, 0.16])
_LEVEL = np.array([0.88, 1.0, 1.0, 1.0, 1.0, 1.0])
_REACH = np.array([1.9, 1.25, 1.25, 2.4, 1.25, 1.25])
_WOBBLE = np.array(
    [[0.11, 0.16], [0.07, 0.09], [0.07, 0.09], [0.07, 0.09], [0.07, 0.09], [0.07, 0.09]]
)
_ECCENTRIC = np.array([0.0, 0.0, 0.0, 0.55, 0.0, 0.0])
_MITOSIS_CLUMP = 0.5
_TUMOUR, _PLASMA = 0, 3


@njit(cache=True, fastmath=True)
def _elliptic(dx: float, dy: float, frame: tuple[float, float, float, float]) -> float:
    """Distance from the centre in units of the ellipse (cos, sin, long, wide)."""
    u = (frame[0] * dx + frame[1] * dy) / frame[2]
    w = (-frame[1] * dx + frame[0] * dy) / frame[3]
    return np.sqrt(u * u + w * w)  # type: ignore[no-any-return]


@njit(cache=True, fastmath=True)
def _nucleolus(u: float, w: float, chance: Floats) -> float:
    d = (u - 0.5 * (chance[4] - 0.5)) ** 2 + (w - 0.5 * (chance[5] - 0.5)) ** 2
    return 0.8 * (1 - d / 0.05) if d < 0.05 else 0.0


@njit(cache=True, fastmath=True)
def _paint_cell_body(
    row: int, column: int, kind: int, body: float, tint: float, nuclear: Image, other: Image
) -> None:
    """Cytoplasm: tumour cells differ in tint, plasma cells are amphophilic."""
    if kind == _TUMOUR:
        other[row, column] *= 1 + body * (tint - 1)
        nuclear[row, column] *= 1 + body * 0.6 * (tint - 1)
    elif nuclear[row, column] < 0.3:
        nuclear[row, column] += 0.10 * body


@njit(cache=True, fastmath=True)
def paint_nuclei(
    x: Floats,
    y: Floats,
    kind: npt.NDArray[np.int16],
    frames: Floats,
    dark: Floats,
    mitosis: npt.NDArray[np.bool_],
    chance: Floats,
    grain: Image,
    edge_px: float,
    nuclear: Image,
    other: Image,
    cell_factor: float,
) -> None:
    """Nuclei as amounts of the nuclear dye, and their cells' own tint.

    An ellipse with a wobbling outline; chromatin clumped in lymphocytes and plasma cells,
    vesicular with a rim and a nucleolus in tumour cells, even in fibroblasts. ``frames`` holds
    (cos, sin, long, wide) of each ellipse, ``chance`` eight random numbers a cell.
    """
    tile = grain.shape[0]
    for i in range(len(x)):
        k, c = kind[i], chance[i]
        frame = (frames[i, 0], frames[i, 1], frames[i, 2], frames[i, 3])
        clump = _MITOSIS_CLUMP if mitosis[i] else _CLUMP[k]
        box = _REACH[k] * frame[2] + 2
        r0, r1 = max(int(y[i] - box), 0), min(int(y[i] + box) + 2, nuclear.shape[0])
        c0, c1 = max(int(x[i] - box), 0), min(int(x[i] + box) + 2, nuclear.shape[1])
        off_y, off_x = int(c[0] * tile), int(c[1] * tile)
        h2, h3 = _WOBBLE[k, 0] * c[2], _WOBBLE[k, 1] * (c[3] - 0.5)
        tint = 1.0 + 0.7 * (c[6] - 0.5)
        aside = _ECCENTRIC[k] * frame[2]  # plasma cells: the nucleus sits at one end of its cell
        for row in range(r0, r1):
            for column in range(c0, c1):
                dx, dy = column + 0.5 - x[i], row + 0.5 - y[i]
                if k in (_TUMOUR, _PLASMA):
                    cell = _elliptic(dx - aside * frame[0], dy - aside * frame[1], frame)
                    body = min(max((1.75 - cell) * 2.0, 0.0), 1.0) * cell_factor
                    _paint_cell_body(row, column, k, body, tint, nuclear, other)
                q = _elliptic(dx, dy, frame)
                if q > 1.3:
                    continue
                u = (frame[0] * dx + frame[1] * dy) / frame[2]
                w = (-frame[1] * dx + frame[0] * dy) / frame[3]
                ca = u / max(q, 1e-6)
                q /= 1 + h2 * (2 * ca * ca - 1) + h3 * (4 * ca * ca - 3) * ca
                inside = min((1.0 - q) * frame[3] / edge_px + 0.5, 1.0)
                if inside <= 0:
                    continue
                value = clump * grain[(row + off_y) % tile, (column + off_x) % tile]
                value += _LEVEL[k] + _RIM[k] * (2 * q * q - 0.8)
                if k == _TUMOUR and not mitosis[i]:
                    value += _nucleolus(u, w, c)
                have = nuclear[row, column]
                more = max(max(value, 0.25) * dark[i] - 0.6 * have, 0.0)
                nuclear[row, column] = have + inside * more
                other[row, column] *= 1 - 0.45 * inside * cell_factor


def nuclei_on(canvas: Canvas, nuclear: Image, other: Image, strength: float, tint: float) -> None:
    """Paint the canvas's nuclei, each with its own chromatin; ``strength`` scales the dye."""
    cells, mpp = canvas.cells, canvas.mpp
    rng = np.random.default_rng([*canvas.seed, 21])
    chance = rng.random((len(cells), 8))
    column = np.clip((cells.x_um / GRID_UM).astype(np.int64), 0, canvas.amount.shape[1] - 1)
    row = np.clip((cells.y_um / GRID_UM).astype(np.int64), 0, canvas.amount.shape[0] - 1)
    dose = canvas.amount[row, column]
    there = dose > 0.3
    frames = np.stack(
        [np.cos(cells.turn), np.sin(cells.turn), cells.long_um / mpp, cells.wide_um / mpp], axis=1
    )
    paint_nuclei(
        cells.x_um[there] / mpp,
        cells.y_um[there] / mpp,
        cells.kind[there],
        frames[there],
        (cells.dark * dose)[there] * strength,
        cells.mitosis[there],
        chance[there],
        texture.grain(mpp),
        0.7 / mpp,
        nuclear,
        other,
        tint,
    )
