"""Coarse regions of a chest CT by physics alone: field of view, body, lungs, air, aorta.

Enough to say whether a scan can be measured; the lungs that features are taken from are segmented
elsewhere. Everything is found on blocks of about 2.5 mm, whose mean is nearly free of noise:

* field of view: what the scanner reconstructed; outside, every slice holds the same constant;
* gas: blocks below −400 HU, half-way from lung to tissue;
* lungs: pieces of gas of at least 50 ml that are lighter than tissue and denser than air (the
  usual value inside them lies 50 to 500 HU above the scan's air; gas in bowel or round the body
  is air) and lie between parts of the body (air under a couch can read as lung);
* outside air: pieces of gas with the value of air that reach the edge of the field of view;
* body: what is neither, largest piece;
* aorta: see :func:`find_aorta`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.volumes.blocks import block_means
from metasight.volumes.hounsfield import AIR_HU
from metasight.volumes.volume import Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]

BLOCK_MM = 2.5
NOISE_SIGMA_MM = 1.0
_GAS_HU = -400.0
_LUNG_HU = (-950.0, -500.0)
_LUNG_ML = 50.0
_ENCLOSED_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Chest:
    """Regions on blocks of voxels.

    Attributes
    ----------
    blocks
        (z, y, x) mean HU of each block.
    factor
        Voxels in a block along z, y, x.
    block_mm
        Size of a block along z, y, x.
    view
        (y, x) blocks that were reconstructed.
    body, lungs, outside_air
        (z, y, x) see the module.
    within
        (z, y, x) body, and what has body on both sides along a row or column.
    """

    blocks: Floats32
    factor: tuple[int, int, int]
    block_mm: tuple[float, float, float]
    view: Booleans
    body: Booleans
    within: Booleans
    lungs: Booleans
    outside_air: Booleans

    @property
    def block_ml(self) -> float:
        """Volume of a block."""
        z, y, x = self.block_mm
        return z * y * x / 1000.0

    @property
    def lung_planes(self) -> tuple[int, int] | None:
        """First and last plane of blocks with at least 10 cm² of lung; None without lung."""
        area = self.lungs.sum(axis=(1, 2)) * self.block_mm[1] * self.block_mm[2]
        planes = np.flatnonzero(area >= 1000.0)
        return (int(planes[0]), int(planes[-1])) if len(planes) else None

    def at_voxels(self, blocks: Booleans, shape: tuple[int, int]) -> Booleans:
        """Blocks (y, x) of one plane as voxels of a slice."""
        _, fy, fx = self.factor
        grown = np.repeat(np.repeat(blocks, fy, axis=0), fx, axis=1)
        whole = np.zeros(shape, dtype=np.bool_)
        whole[: grown.shape[0], : grown.shape[1]] = grown[: shape[0], : shape[1]]
        return whole


def find_chest(volume: Volume) -> Chest:
    """Find the coarse regions of a chest CT in HU."""
    voxels = volume.require("HU").array
    factor = tuple(max(1, round(BLOCK_MM / s)) for s in volume.spacing_zyx_mm)
    fz, fy, fx = factor
    blocks = block_means(voxels, (fz, fy, fx))
    spacing = volume.spacing_zyx_mm
    block_mm = (spacing[0] * fz, spacing[1] * fy, spacing[2] * fx)
    view = _field_of_view(voxels, (fy, fx))
    gas = (blocks < _GAS_HU) & view
    pieces, n = ndimage.label(gas)
    index = np.arange(1, n + 1)
    ml = np.bincount(pieces.ravel(), minlength=n + 1)[1:] * float(np.prod(block_mm)) / 1000.0
    large = index[ml >= _LUNG_ML]
    usual = _usual_inside(blocks, pieces, gas, large)
    # measured from this scan's own air, so that a scan whose offset is wrong shows that it is
    shift = float(np.percentile(blocks[gas], 2.0)) - AIR_HU if gas.any() else 0.0
    low, high = (hu + shift for hu in _LUNG_HU)
    body = _largest(~gas & view)
    enclosed = _between(body)
    lung = [
        i
        for i, hu in usual.items()
        if low <= hu <= high and np.mean(enclosed[pieces == i]) > _ENCLOSED_SHARE
    ]
    air = [i for i, hu in usual.items() if hu < low]
    lungs = np.isin(pieces, lung)
    outside = np.isin(pieces, _reaching_edge(pieces, air, view))
    return Chest(
        blocks=blocks,
        factor=(fz, fy, fx),
        block_mm=block_mm,
        view=view,
        body=body,
        within=enclosed,
        lungs=lungs,
        outside_air=outside,
    )


def _usual_inside(
    blocks: Floats32, pieces: npt.NDArray[np.int32], gas: Booleans, wanted: npt.NDArray[np.int64]
) -> dict[int, float]:
    """Median of each wanted piece's blocks that have gas on all sides.

    Blocks on a border are half tissue: a thin rim of air along the skin would read as lung.
    Pieces without an inside are left out.
    """
    inside = np.where(ndimage.binary_erosion(gas, border_value=1), pieces, 0)
    there = np.intersect1d(wanted, inside)
    medians = ndimage.median(blocks, inside, there) if len(there) else []
    return {int(i): float(hu) for i, hu in zip(there, medians, strict=True)}


def edge_of_view(view: Booleans) -> Booleans:
    """Blocks of the field of view that touch what lies outside it."""
    inner = np.asarray(ndimage.binary_erosion(view, border_value=0), dtype=np.bool_)
    return np.asarray(view & ~inner)


def _field_of_view(voxels: Floats32, factor: tuple[int, int]) -> Booleans:
    """Blocks (y, x) that hold a measurement in some slice: not the same constant in all.

    Only what reaches a corner of the image is outside: air that is cut off at the lowest stored
    value may be constant too.
    """
    fy, fx = factor
    ny, nx = voxels.shape[1] // fy, voxels.shape[2] // fx
    constant = voxels.min(axis=0) == voxels.max(axis=0)
    lowest = voxels[0] <= -900.0
    outside = (constant & lowest)[: ny * fy, : nx * fx].reshape(ny, fy, nx, fx).any(axis=(1, 3))
    pieces, _ = ndimage.label(outside)
    corners = {int(pieces[i, j]) for i in (0, -1) for j in (0, -1)} - {0}
    view: Booleans = ~np.isin(pieces, sorted(corners))
    # a circle's corners are four alike; air cut off at the lowest value is not a field's shape
    return view if view.mean() > 0.5 else np.ones_like(view)


def _between(body: Booleans) -> Booleans:
    """Blocks with body on both sides, along the rows or along the columns of their plane."""
    between = np.zeros_like(body)
    for axis in (1, 2):
        before = np.logical_or.accumulate(body, axis=axis)
        after = np.flip(np.logical_or.accumulate(np.flip(body, axis), axis=axis), axis)
        between |= before & after
    return between


def _reaching_edge(pieces: npt.NDArray[np.int32], wanted: list[int], view: Booleans) -> list[int]:
    at_edge = np.unique(pieces[:, edge_of_view(view)])
    return sorted(set(wanted) & {int(i) for i in at_edge})


def _largest(region: Booleans) -> Booleans:
    pieces, n = ndimage.label(region)
    if n == 0:
        return region
    return np.asarray(pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])))


@dataclass(frozen=True, kw_only=True)
class Aorta:
    """Discs that lie in the descending aorta.

    Attributes
    ----------
    centres
        (n, 3) slice, row, column of each disc's centre, voxels.
    radius_mm
        Of every disc.
    hu
        Median over the discs of their mean.
    noise_hu
        Median over the discs of the robust standard deviation of their voxels, at the resolution
        of :func:`at_noise_resolution`; a little low, as the most even discs were chosen.
    """

    centres: npt.NDArray[np.int64]
    radius_mm: float
    hu: float
    noise_hu: float


_DISC_MM = 7.0  # an adult's descending aorta is 20–35 mm wide: a disc of 14 mm lies well inside
_BLOOD_HU = (10.0, 600.0)
_LEFT_MM = (-10.0, 60.0)  # of the middle between the lungs
_FRONT_MM = (15.0, 80.0)  # of the lungs' posterior end
_APART_MM = 12.0
_LEAST_SHARE = 0.4


def find_aorta(volume: Volume, chest: Chest) -> Aorta | None:
    """Find the descending aorta as the most even disc of blood left of the spine, slice by slice.

    In the middle half of the lungs' height the descending aorta lies left of and before the
    spine, and behind the heart; muscle lies behind it, vertebrae are not even. Discs of 14 mm that
    hold no lung, fat or bone are ranked by the spread of their values; slices whose disc is not
    near the usual place are dropped. None if fewer than 40 % of the slices agree.
    """
    planes = chest.lung_planes
    if planes is None or planes[1] - planes[0] < 4:
        return None
    low, high = planes
    margin = (high - low) // 4
    found = [c for p in range(low + margin, high - margin + 1) if (c := _disc(volume, chest, p))]
    wanted = high - low - 2 * margin + 1
    if len(found) < max(3, _LEAST_SHARE * wanted):
        return None
    centres = np.array(found, dtype=np.int64)
    _, sy, sx = volume.spacing_zyx_mm
    place = centres[:, 1:] * [sy, sx]
    near = np.linalg.norm(place - np.median(place, axis=0), axis=1) <= _APART_MM
    if near.sum() < max(3, _LEAST_SHARE * wanted):
        return None
    centres = centres[near]
    values = [_disc_values(volume, centre) for centre in centres]
    return Aorta(
        centres=centres,
        radius_mm=_DISC_MM,
        hu=float(np.median([v.mean() for v in values])),
        noise_hu=float(np.median([robust_sd(v) for v in values])),
    )


def at_noise_resolution(volume: Volume, z: int) -> Floats32:
    """One slice smoothed by a Gaussian of 1 mm, at which noise is stated.

    A sharp kernel's noise is mostly finer than anything that is measured: voxel by voxel it is
    three times a smooth kernel's at the same dose, over the 2.4 mm (width at half height) of the
    smallest solid part that counts it is nearly the same. So one limit serves all kernels.
    """
    _, sy, sx = volume.spacing_zyx_mm
    smooth: Floats32 = cv2.GaussianBlur(
        volume.array[z], (0, 0), sigmaX=NOISE_SIGMA_MM / sx, sigmaY=NOISE_SIGMA_MM / sy
    )
    return smooth


def robust_sd(values: npt.NDArray[np.floating]) -> float:
    """Standard deviation from the median absolute deviation, for values with a few outliers."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _disc(volume: Volume, chest: Chest, plane: int) -> tuple[int, int, int] | None:
    lungs = chest.lungs[plane]
    rows, columns = np.nonzero(lungs)
    if len(rows) < 50:
        return None
    _, by, bx = chest.block_mm
    middle, back = (columns.min() + columns.max()) / 2 * bx, rows.max() * by
    fz = chest.factor[0]
    z = plane * fz + fz // 2
    _, sy, sx = volume.spacing_zyx_mm
    top = max(0, int((back - _FRONT_MM[1]) / sy))
    left = max(0, int((middle + _LEFT_MM[0]) / sx))
    part = volume.array[
        z, top : int((back - _FRONT_MM[0]) / sy), left : int((middle + _LEFT_MM[1]) / sx)
    ]
    size = (2 * round(_DISC_MM / sy) + 1, 2 * round(_DISC_MM / sx) + 1)
    if part.shape[0] < size[0] or part.shape[1] < size[1]:
        return None
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size[::-1]).astype(np.float32)
    smooth = cv2.GaussianBlur(part, (0, 0), sigmaX=1.5 / sx, sigmaY=1.5 / sy)
    mean = cv2.filter2D(smooth, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    square = cv2.filter2D(smooth * smooth, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    spread = np.sqrt(np.maximum(square - mean * mean, 0.0))
    kernel = disc.astype(np.uint8)
    darkest, brightest = cv2.erode(smooth, kernel), cv2.dilate(smooth, kernel)
    fit = (darkest > _BLOOD_HU[0] - 40.0) & (brightest < _BLOOD_HU[1]) & (mean > _BLOOD_HU[0])
    hy, hx = size[0] // 2, size[1] // 2
    inner = np.zeros_like(fit)
    inner[hy:-hy, hx:-hx] = True
    fit &= inner
    if not fit.any():
        return None
    row, column = np.unravel_index(int(np.argmin(np.where(fit, spread, np.inf))), fit.shape)
    return z, top + int(row), left + int(column)


def _disc_values(volume: Volume, centre: npt.NDArray[np.int64]) -> Floats32:
    """Voxels of a disc at the resolution at which noise is stated."""
    z, row, column = (int(v) for v in centre)
    _, sy, sx = volume.spacing_zyx_mm
    hy, hx = round(_DISC_MM / sy), round(_DISC_MM / sx)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * hx + 1, 2 * hy + 1)) > 0
    part = at_noise_resolution(volume, z)[row - hy : row + hy + 1, column - hx : column + hx + 1]
    return np.asarray(part[disc])
