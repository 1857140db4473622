"""Marker sections: fluorescence in four channels, or DAB over haematoxylin."""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.simulate.breast import texture
from metasight.simulate.breast.cells import MARKER_KINDS, TUMOUR
from metasight.simulate.breast.centres import Centre
from metasight.simulate.breast.fields import Image
from metasight.simulate.breast.he import scanned
from metasight.simulate.breast.painting import GROUND, Canvas, grown_to, he_ground, nuclei_on

Rgb = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]

CHANNELS = ("DAPI", *MARKER_KINDS)
MARKERS = tuple(MARKER_KINDS)

_DAB = np.array([0.27, 0.57, 0.78])
_UNSTAINED = 0.02  # of the positive cells lost their antigen
_FULL_WELL = 9000.0  # photons at count 1
_READ_NOISE = 0.0005
_DARK = 0.004
_COUNTS = 40_000.0
# what spectral unmixing leaves: of each dye in the next channel, and of the tissue's own light
_SPILL = 0.004
_GAIN = (0.6, 0.45, 0.45, 0.45)
_OWN_LIGHT = (0.03, 0.004, 0.0025, 0.0015)


@njit(cache=True, fastmath=True)
def _paint_marker(
    x: Floats,
    y: Floats,
    long_px: Floats,
    wide_px: Floats,
    turn: Floats,
    level: Floats,
    inner: float,
    rim_px: float,
    nucleus: float,
    grain: Image,
    out: Image,
) -> None:
    """Antigen round nuclei: up to ``rim_px`` beyond them, ``nucleus`` of it over them.

    ``inner`` is the share of the rim that is even; the rest falls off to the outside. Patches of
    neighbours meet and do not add.
    """
    rows, columns = out.shape
    tile = grain.shape[0]
    for i in range(len(x)):
        if level[i] <= 0:
            continue
        cos, sin = np.cos(turn[i]), np.sin(turn[i])
        box = long_px[i] + rim_px + 2
        r0, r1 = max(int(y[i] - box), 0), min(int(y[i] + box) + 2, rows)
        c0, c1 = max(int(x[i] - box), 0), min(int(x[i] + box) + 2, columns)
        for row in range(r0, r1):
            for column in range(c0, c1):
                dx, dy = column + 0.5 - x[i], row + 0.5 - y[i]
                u, w = cos * dx + sin * dy, -sin * dx + cos * dy
                q = np.sqrt((u / long_px[i]) ** 2 + (w / wide_px[i]) ** 2)
                beyond = (q - 1) * wide_px[i]
                if beyond > rim_px:
                    continue
                value = min(max((rim_px - beyond) / (rim_px * (1 - inner)), 0.0), 1.0)
                if beyond < 0:
                    value *= nucleus + (1 - nucleus) * max(0.0, 1 + beyond / 1.5)
                value *= level[i] * (1 + 0.22 * grain[row % tile, column % tile])
                out[row, column] = max(out[row, column], value)


def _marker_image(canvas: Canvas, marker: str, rng: np.random.Generator) -> Image:
    """Amount of one antigen, 1 in a typical positive cell.

    Pan-CK fills the tumour cell's cytoplasm, CD3 and CD20 lie in the membrane. Cells differ by a
    third (log-normal); one in fifty shows nothing.
    """
    cells, mpp = canvas.cells, canvas.mpp
    mine = np.flatnonzero(cells.kind == MARKER_KINDS[marker])
    column = np.clip((cells.x_um[mine] / 4.0).astype(np.int64), 0, canvas.amount.shape[1] - 1)
    row = np.clip((cells.y_um[mine] / 4.0).astype(np.int64), 0, canvas.amount.shape[0] - 1)
    level = np.exp(0.3 * rng.standard_normal(len(mine))) * (rng.random(len(mine)) > _UNSTAINED)
    level = level * np.where(canvas.amount[row, column] > 0.3, canvas.amount[row, column], 0.0)
    out = np.zeros((canvas.height_px, canvas.width_px), np.float32)
    tumour = MARKER_KINDS[marker] == TUMOUR
    rim_um, nucleus, inner = (4.2, 0.35, 0.6) if tumour else (1.9, 0.45, 0.5)
    _paint_marker(
        cells.x_um[mine] / mpp,
        cells.y_um[mine] / mpp,
        cells.long_um[mine] / mpp,
        cells.wide_um[mine] / mpp,
        cells.turn[mine],
        level,
        inner,
        rim_um / mpp,
        nucleus,
        texture.grain(mpp),
        out,
    )
    return out


def paint_fluorescence(canvas: Canvas, centre: Centre) -> Counts:
    """Counts of `CHANNELS` of one section, shape ``(channel, y, x)``.

    Photon noise, a camera's read noise and dark level, autofluorescence of collagen (more in
    short wavelengths) and 0.4 % of each dye in the channel beside it, as spectral unmixing leaves.
    """
    rng = np.random.default_rng([*canvas.seed, 41])
    mpp = canvas.mpp
    nuclear = np.zeros((canvas.height_px, canvas.width_px), np.float32)
    nuclei_on(canvas, nuclear, np.zeros((1, 1), np.float32) + nuclear, 0.55, 0.0)
    planes = [nuclear] + [_marker_image(canvas, m, rng) for m in MARKERS]
    tissue = _own_light(canvas)
    dim = float(np.exp(0.15 * rng.standard_normal()))
    out = np.empty((len(planes), *nuclear.shape), np.uint16)
    sigma = max(centre.blur_um / mpp, 0.3)
    for plane in planes:
        cv2.GaussianBlur(plane, (0, 0), sigma, dst=plane)
    for k, plane in enumerate(planes):
        beside = planes[k - 1] if k else plane
        spill = _SPILL * _GAIN[k - 1] if k else 0.0
        mixed = (dim * _GAIN[k], dim * spill, _OWN_LIGHT[k])
        _camera(
            plane, beside, tissue, mixed, texture.camera_noise(), int(rng.integers(1 << 20)), out[k]
        )
    return out


def _own_light(canvas: Canvas) -> Image:
    """Autofluorescence relative to usual stroma: collagen and fibres more, nests less."""
    maps = {name: canvas.maps[..., k] for k, name in enumerate(GROUND)}
    dim = 1 - 0.5 * maps["nest"] - 0.85 * maps["fat"] - 0.5 * maps["lymphoid"]
    coarse = maps["tissue"] * np.clip(dim, 0.05, 1) * maps["collagen"] * (1 - 0.8 * maps["cleft"])
    full = grown_to(np.asarray(coarse * canvas.amount, np.float32), canvas)
    mpp, tile = canvas.mpp, texture.TILE_PX
    again = (-(-canvas.height_px // tile), -(-canvas.width_px // tile))
    streak = np.tile(texture.grain(mpp), again)[: canvas.height_px, : canvas.width_px]
    return np.asarray(np.maximum(full * (1 + 0.18 * streak), 0), dtype=np.float32)


@njit(cache=True, fastmath=True)
def _camera(
    plane: Image,
    beside: Image,
    tissue: Image,
    mixed: tuple[float, float, float],
    noise: Image,
    start: int,
    out: Counts,
) -> None:
    """Counts of one channel: its dye, its neighbour's, the tissue's own light; photon noise."""
    n = len(noise)
    at = start
    a, b, c = np.float32(mixed[0]), np.float32(mixed[1]), np.float32(mixed[2])
    read, well = np.float32(_READ_NOISE**2), np.float32(1 / _FULL_WELL)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            v = a * plane[row, column] + b * beside[row, column] + c * tissue[row, column]
            value = np.float32(_DARK) + v + np.sqrt(v * well + read) * noise[at]
            # a camera of 12 bits in a file of 16
            level = min(max(value * np.float32(_COUNTS / 16), np.float32(0)), np.float32(4095))
            out[row, column] = np.uint16(level + np.float32(0.5)) * 16
            at += 7
            if at >= n:
                at -= n


def paint_chromogenic(canvas: Canvas, marker: str, centre: Centre) -> Rgb:
    """RGB picture of a section with one marker in DAB over pale haematoxylin."""
    rng = np.random.default_rng([*canvas.seed, 42])
    mpp = canvas.mpp
    haematoxylin = np.empty((canvas.height_px, canvas.width_px), np.float32)
    ground = np.empty_like(haematoxylin)
    he_ground(
        canvas.maps,
        canvas.amount,
        texture.fibres(mpp),
        texture.grain(mpp),
        texture.fat_walls(mpp),
        rng.integers(texture.TILE_PX, size=4),
        mpp,
        haematoxylin,
        ground,
    )
    nuclei_on(canvas, haematoxylin, ground, 0.62, 1.0)
    dab = 0.62 * _marker_image(canvas, marker, rng)
    pale = 0.55 * haematoxylin + 0.12 * ground
    vectors = np.stack([centre.haematoxylin * centre.haematoxylin_strength, _DAB])
    return scanned(np.stack([pale, dab]), vectors, centre, centre.blur_um, mpp, rng)
