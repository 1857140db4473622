"""Small made-up H&E with the cells of another section, quick enough for tests of a generator.

Nests, a field of T cells and round aggregates of B cells draw the densities; the H&E and the other
section each draw their own cells from them, so that regions agree and cells do not. T and B cells
look the same: only their crowding tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from scipy import ndimage

from metasight.maps.cells import Cells
from metasight.maps.training_tiles import (
    MarkedSection,
    Tiles,
    TilesSettings,
    collect_tiles,
    save_tiles,
)
from metasight.maps.window import TissueWindow
from metasight.slides.opening import open_slide

MARKERS = ("Pan-CK", "CD3", "CD20")
FIELD_UM = 8.0
H, E = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])


@dataclass(frozen=True, kw_only=True)
class MadeUp:
    """A field of H&E at 1 µm a pixel, the true densities, and the other section's cells."""

    rgb: np.ndarray
    truth: np.ndarray  # (marker, y, x) cells/mm² every 8 µm
    cells: Cells
    side_um: float


def made_up(
    seed: int,
    side_um: int = 1024,
    shift_um: float = 0.0,
    strength: float = 1.0,
    other: bool = False,
) -> MadeUp:
    """Draw a patient; ``other`` draws tissue of another kind in another stain."""
    rng = np.random.default_rng(seed)
    n = int(side_um / FIELD_UM)

    def field(width_um: float) -> np.ndarray:
        noise = ndimage.gaussian_filter(rng.normal(size=(n, n)), width_um / FIELD_UM, mode="wrap")
        return noise / noise.std()

    nest = ndimage.gaussian_filter((field(45) > 0.3).astype(float), 1.0)
    t_level = np.exp(0.9 * field(90)) * rng.uniform(200, 900)
    aggregate = np.zeros((n, n))
    yy, xx = np.mgrid[:n, :n] * FIELD_UM
    for _ in range(rng.integers(1, 4)):
        y, x, r = *rng.uniform(0.15, 0.85, 2) * side_um, rng.uniform(60, 130)
        aggregate = np.maximum(aggregate, ((yy - y) ** 2 + (xx - x) ** 2 < r * r).astype(float))
    aggregate = ndimage.gaussian_filter(aggregate, 1.0)
    nest *= 1 - aggregate
    truth = np.stack(
        [
            4500 * nest,
            t_level * (1 - 0.8 * nest) * (1 - aggregate) + 4000 * aggregate,
            20 + 5000 * aggregate,
        ]
    )
    fibre = 900 * (1 - nest) * (1 - aggregate)
    rgb = _painted(rng, truth, fibre, nest, int(side_um), strength, other)
    shift = rng.normal(size=2) * shift_um / 2.146  # p90 of its length is shift_um
    return MadeUp(rgb=rgb, truth=truth, cells=_cells(rng, truth, shift), side_um=float(side_um))


def _drawn(rng: np.random.Generator, density: np.ndarray) -> np.ndarray:
    count = rng.poisson(np.maximum(density, 0) * FIELD_UM**2 / 1e6)
    row, column = np.nonzero(count)
    row, column = (np.repeat(i, count[count > 0]) for i in (row, column))
    return (np.stack([column, row], 1) + rng.random((len(row), 2))) * FIELD_UM


def _painted(rng, truth, fibre, nest, side, strength, other) -> np.ndarray:
    amount = np.zeros((2, side, side), np.float32)  # haematoxylin, eosin
    coarse = cv2.resize(nest.astype(np.float32), (side, side))
    grain = cv2.GaussianBlur(rng.normal(size=(side, side)).astype(np.float32), (0, 0), 3)
    amount[1] = 0.22 - 0.06 * coarse + 0.25 * grain
    amount[0] = 0.05 + 0.08 * coarse
    for density, radius, dark in (
        (truth[0], 5.2, 0.35),
        (truth[1] + truth[2], 3.2, 0.65),
        (fibre, 2.8, 0.4),
    ):
        for x, y in _drawn(rng, density):
            r = radius * rng.uniform(0.85, 1.2) * (1.5 if other else 1.0)
            axes = (r * rng.uniform(1, 1.4), r) if radius > 3 else (r * 2.2, r * 0.8)
            level = float(dark * rng.uniform(0.8, 1.2))
            size = tuple(round(float(a) * 8) for a in axes)
            cv2.ellipse(
                amount[0],
                (round(x * 8), round(y * 8)),
                size,
                rng.uniform(0, 180),
                0,
                360,
                level,
                -1,
                cv2.LINE_AA,
                3,
            )
    amount = np.stack([cv2.GaussianBlur(a, (0, 0), 0.7) for a in amount]) * strength
    second = np.array([0.27, 0.57, 0.78]) if other else E  # DAB in the place of eosin
    od = amount[0][..., None] * H + amount[1][..., None] * second
    od += rng.normal(size=od.shape) * 0.015
    return np.clip(245 * 10**-od, 0, 255).astype(np.uint8)


def _cells(rng: np.random.Generator, truth: np.ndarray, shift: np.ndarray) -> Cells:
    parts = [_drawn(rng, plane) + shift for plane in truth]
    code = np.repeat(np.arange(1, 4), [len(p) for p in parts]).astype(np.int16)
    points = np.concatenate(parts)
    return Cells(
        x_um=points[:, 0],
        y_um=points[:, 1],
        type_code=code,
        type_names=("other", *MARKERS),
        positive={m: code == i + 1 for i, m in enumerate(MARKERS)},
    )


def write_slide(patient: MadeUp, path: Path) -> None:
    """As a tiled TIFF of 1 µm a pixel."""
    tifffile.imwrite(
        path,
        patient.rgb,
        tile=(256, 256),
        photometric="rgb",
        compression="zlib",
        resolution=(1e4, 1e4),
        resolutionunit="CENTIMETER",
        software=False,
        metadata=None,
    )


def tiles_of(
    patient: MadeUp,
    folder: Path,
    name: str,
    *,
    p90_um: float = 10.0,
    markers: tuple[str, ...] = MARKERS,
) -> Tiles:
    """Tiles as the study collects them, through a slide on disk."""
    path = folder / f"{name}.tif"
    write_slide(patient, path)
    n = int(patient.side_um / 16)
    tissue = np.ones((n, n), dtype=bool)
    window = TissueWindow(mask=tissue, spacing_um=16.0)

    def error(x_um: np.ndarray, y_um: np.ndarray) -> np.ndarray:
        return np.full_like(x_um, p90_um)

    targets = {
        m: MarkedSection(cells=patient.cells, window=window, error_um=error, section="mIHC")
        for m in markers
    }
    with open_slide(path, name=name) as slide:
        return collect_tiles(slide, tissue, 16.0, targets, TilesSettings())


def tile_files(
    folder: Path, n: int, *, side_um: int = 1024, shift_um: float = 10.0, first: int = 0
):
    """Files of ``n`` patients."""
    out = {}
    for i in range(n):
        name = f"P{i:02d}"
        path = folder / f"{name}.h5"
        save_tiles(
            tiles_of(
                made_up(first + i, side_um, shift_um), folder, name, p90_um=max(shift_um, 5.0)
            ),
            path,
        )
        out[name] = path
    return out
