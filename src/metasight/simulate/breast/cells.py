"""Cells of a section: drawn from the regions, none on top of another."""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.simulate.breast.tissue import GRID_UM, KINDS, Regions

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int16]

TUMOUR, T_CELL, B_CELL, PLASMA, FIBROBLAST, MIMIC = range(len(KINDS))

MARKER_KINDS = {"Pan-CK": TUMOUR, "CD3": T_CELL, "CD20": B_CELL}
"""Which kind each marker shows."""

_ROOM_UM = np.array([0.97, 3.75, 3.75, 4.2, 3.2, 3.5])
"""Half the least distance between two cells of a kind, a tumour cell's as a share of its nuclear
radius; up to 15 % less, since sections are 3–4 µm thick."""

_TRIES = 30
_REACH_UM = 12.0
_BLOCK = 5  # of the regions' grid: 20 µm


@dataclass(frozen=True, kw_only=True)
class SectionCells:
    """Nuclei of a section; every array has shape ``(n,)``.

    Attributes
    ----------
    x_um, y_um
        Centre, in the block's frame.
    kind
        Index into `KINDS`.
    long_um, wide_um
        Semi-axes of the nucleus as cut.
    turn
        Direction of the long axis, radians.
    dark
        Haematoxylin relative to the slide's.
    mitosis
        Whether a tumour cell is in mitosis.
    """

    x_um: Floats
    y_um: Floats
    kind: Codes
    long_um: Floats
    wide_um: Floats
    turn: Floats
    dark: Floats
    mitosis: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x_um)


@njit(cache=True)
def _settle(
    x: Floats, y: Floats, room: Floats, jitter: Floats, side_um: float
) -> npt.NDArray[np.bool_]:
    """Move each point until it has room among those before it; those that find none go."""
    bin_um = 5.0
    n_bins = int(side_um / bin_um) + 1
    head = np.full((n_bins, n_bins), -1, dtype=np.int64)
    behind = np.full(len(x), -1, dtype=np.int64)
    kept = np.zeros(len(x), dtype=np.bool_)
    for i in range(len(x)):
        for attempt in range(jitter.shape[1]):
            px, py = x[i] + jitter[i, attempt, 0], y[i] + jitter[i, attempt, 1]
            cx, cy = int(px / bin_um), int(py / bin_um)
            if px < 0 or py < 0 or cx >= n_bins or cy >= n_bins:
                continue
            free = True
            for by in range(max(cy - 2, 0), min(cy + 3, n_bins)):
                for bx in range(max(cx - 2, 0), min(cx + 3, n_bins)):
                    j = head[by, bx]
                    while j >= 0:
                        apart = room[i] + room[j]
                        if (px - x[j]) ** 2 + (py - y[j]) ** 2 < apart * apart:
                            free = False
                        j = behind[j]
            if free:
                x[i], y[i] = px, py
                behind[i] = head[cy, cx]
                head[cy, cx] = i
                kept[i] = True
                break
    return kept


def draw_cells(regions: Regions, grade: int, seed: tuple[int, ...]) -> SectionCells:
    """Cells of one section.

    Their number in a place follows the regions' intensity; a cell without room moves by
    up to 12 µm, so that crowding does not thin the dense regions.
    """
    rng = np.random.default_rng(seed)
    x, y, kind = _strewn(regions, rng)
    order = rng.permutation(len(x))
    x, y, kind = x[order], y[order], kind[order]
    reach = np.linspace(0, _REACH_UM, _TRIES)[None, :, None]
    jitter = rng.uniform(-1, 1, (len(x), _TRIES, 2)) * reach
    room = np.where(kind == TUMOUR, _tumour_radius_um(grade), 1.0) * _ROOM_UM[kind]
    room *= rng.uniform(0.85, 1.0, len(x))
    kept = _settle(x, y, room, jitter, regions.tissue.shape[0] * GRID_UM)
    return _shaped(x[kept], y[kept], kind[kept], regions, grade, rng)


def _tumour_radius_um(grade: int) -> float:
    # 9.5, 11 and 12 µm across in grades 1, 2 and 3; 13.5 µm was measured in a high-grade
    # carcinoma on slides/histolytics
    return 4.1 + 0.65 * grade


def _strewn(regions: Regions, rng: np.random.Generator) -> tuple[Floats, Floats, Codes]:
    """Cells of blocks of 20 µm: as many as the intensity says, give or take one.

    Cells fill space, so their number varies less than a Poisson count where they are dense; where
    they are sparse the two are the same.
    """
    kinds, rows, columns = regions.intensity.shape
    pad = (-rows) % _BLOCK, (-columns) % _BLOCK
    wide = np.pad(regions.intensity, ((0, 0), (0, pad[0]), (0, pad[1])))
    down, across = wide.shape[1] // _BLOCK, wide.shape[2] // _BLOCK
    blocks = wide.reshape(kinds, down, _BLOCK, across, _BLOCK).transpose(0, 1, 3, 2, 4)
    running = np.cumsum(blocks.reshape(kinds, down, across, _BLOCK**2), axis=-1, dtype=np.float64)
    mean = running[..., -1] * (GRID_UM**2 / 1e6)
    count = np.floor(mean + rng.random(mean.shape)).astype(np.int64)
    kind, by, bx = np.nonzero(count)
    many = count[kind, by, bx]
    kind, by, bx = (np.repeat(v, many) for v in (kind, by, bx))
    level = rng.random(len(kind)) * running[kind, by, bx, -1]
    inside = (running[kind, by, bx] < level[:, None]).sum(axis=1)
    x = (bx * _BLOCK + inside % _BLOCK + rng.random(len(kind))) * GRID_UM
    y = (by * _BLOCK + inside // _BLOCK + rng.random(len(kind))) * GRID_UM
    return x, y, kind.astype(np.int16)


_RADIUS_UM = np.array([0.0, 3.75, 3.75, 4.0, 4.6, 3.4])
_RADIUS_CV = np.array([0.0, 0.11, 0.11, 0.12, 0.22, 0.2])
_DARK = np.array([0.56, 1.0, 1.0, 0.92, 0.72, 0.95])
_DARK_CV = np.array([0.14, 0.14, 0.14, 0.13, 0.2, 0.2])
"""Of the nuclei labelled on ``slides/histolytics`` at 0.5 µm a pixel: medians of area 50 µm²
(inflammatory), 60 (connective), 140 (neoplastic, high grade), and red optical densities in the
proportion 1 : 0.68 : 0.55. T and B cells draw from one distribution."""


def _shaped(
    x: Floats, y: Floats, kind: Codes, regions: Regions, grade: int, rng: np.random.Generator
) -> SectionCells:
    n = len(x)
    tumour, spindle = kind == TUMOUR, kind == FIBROBLAST
    radius = _RADIUS_UM[kind] * np.exp(_RADIUS_CV[kind] * rng.standard_normal(n))
    pleomorphism = 0.08 + 0.05 * grade
    large = _tumour_radius_um(grade) * np.exp(pleomorphism * rng.standard_normal(n))
    radius = np.where(tumour, large, radius)
    # a section meets a nucleus anywhere: mostly near its widest, now and then a cap
    cap = np.sqrt(1 - 0.8 * rng.random(n) ** 4)
    ratio = np.where(tumour, rng.uniform(0.62, 1.0, n), rng.uniform(0.8, 1.0, n))
    ratio = np.where(spindle, rng.uniform(0.22, 0.5, n), ratio)
    long = radius * cap / np.sqrt(ratio)
    column = np.minimum((x / GRID_UM).astype(np.int64), regions.angle.shape[1] - 1)
    row = np.minimum((y / GRID_UM).astype(np.int64), regions.angle.shape[0] - 1)
    along = regions.angle[row, column] + 0.25 * rng.standard_normal(n)
    turn = np.where(spindle, along, rng.uniform(0, np.pi, n))
    mitosis = tumour & (rng.random(n) < np.array([0.0005, 0.002, 0.006])[grade - 1])
    dark = _DARK[kind] * np.exp(_DARK_CV[kind] * rng.standard_normal(n)) * (0.7 + 0.3 * cap)
    return SectionCells(
        x_um=x,
        y_um=y,
        kind=kind,
        long_um=long,
        wide_um=long * ratio,
        turn=turn,
        dark=np.where(mitosis, 1.5, dark),
        mitosis=mitosis,
    )
