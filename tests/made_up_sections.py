"""Consecutive sections of a made-up block: H&E, and Pan-CK, CD3 and CD20 in DAB or fluorescence.

Nests of large tumour nuclei in stroma, with T cells round them and one aggregate of B and T cells.
Every section has its own cells of the same regions. Only for tests of how the parts work
together: the tissue is far too simple to say how well they measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from slide_files import write_fluorescence, write_pyramid

MPP = 1.0
PER_MASK_PIXEL = 8  # pixels of a section to one of the block's, of 8 µm
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
EOSIN = np.array([0.20, 0.90, 0.35])
DAB = np.array([0.27, 0.57, 0.78])


@dataclass(frozen=True)
class Block:
    """Regions at 8 µm: tissue, nests, aggregate."""

    tissue: np.ndarray
    nests: np.ndarray
    aggregate: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Pixels of a section."""
        return self.tissue.shape[0] * PER_MASK_PIXEL, self.tissue.shape[1] * PER_MASK_PIXEL


def block(seed: int, side_px: int = 190) -> Block:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side_px, :side_px] / side_px - 0.5
    wobble = cv2.GaussianBlur(rng.standard_normal((side_px, side_px)), (0, 0), 14) * 1.6
    tissue = np.hypot(x / 1.15, y) + 0.22 * wobble < 0.4
    ducts = cv2.GaussianBlur(rng.standard_normal((side_px, side_px)), (0, 0), 5)
    tissue &= ducts < np.quantile(ducts, 0.9)  # gaps that all sections share
    noise = cv2.GaussianBlur(rng.standard_normal((side_px, side_px)), (0, 0), 7)
    nests = (noise > np.quantile(noise[tissue], 0.55)) & tissue
    nests = cv2.morphologyEx(nests.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5))) > 0
    clear = cv2.distanceTransform((tissue & ~nests).astype(np.uint8), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(clear.argmax()), clear.shape)
    yy, xx = np.mgrid[:side_px, :side_px]
    aggregate = (np.hypot(yy - row, xx - column) < 9) & tissue & ~nests
    return Block(tissue, nests, aggregate)


def cells(b: Block, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Centres (x, y in pixels) by kind; other cells in every section."""

    def strewn(mask: np.ndarray, per_mm2: float, apart: float) -> np.ndarray:
        rows, columns = np.nonzero(mask)
        n = rng.poisson(per_mm2 * len(rows) * 64e-6)
        i = rng.integers(len(rows), size=n)
        points = (np.stack([columns[i], rows[i]], axis=1) + rng.random((n, 2))) * PER_MASK_PIXEL
        taken: dict[tuple[int, int], np.ndarray] = {}
        for p in points:
            key = tuple((p // apart).astype(int))
            taken.setdefault(key, p)
        return np.array(list(taken.values())).reshape(-1, 2)

    stroma = b.tissue & ~b.nests & ~b.aggregate
    return {
        "tumour": strewn(b.nests, 3500, 11),
        "t": np.concatenate([strewn(stroma, 700, 8), strewn(b.aggregate, 4500, 6.5)]),
        "b": np.concatenate([strewn(stroma, 60, 8), strewn(b.aggregate, 4500, 6.5)]),
        "stroma": strewn(stroma, 600, 10),
    }


RADIUS = {"tumour": 4.8, "t": 3.3, "b": 3.3, "stroma": 3.2}
POSITIVE = {"Pan-CK": "tumour", "CD3": "t", "CD20": "b"}


def painted(
    b: Block, kinds: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Nuclei by kind and cell rims of each marker, as amounts 0–1."""
    shape = b.size
    nuclei = np.zeros(shape, np.uint8)
    rims = {m: np.zeros(shape, np.uint8) for m in POSITIVE}
    for kind, points in kinds.items():
        for x, y in points:
            long = RADIUS[kind] * rng.uniform(0.85, 1.15)
            wide = long * (0.55 if kind == "stroma" else rng.uniform(0.8, 1.0))
            angle, at = rng.uniform(0, 180), (round(16 * x), round(16 * y))  # in sixteenths
            for marker, positive in POSITIVE.items():
                if kind == positive:
                    _disc(rims[marker], at, (long + 2.5, wide + 2.5), angle)
            _disc(nuclei, at, (long, wide), angle)
    fine = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), 0.8) * 2
    out = {"nuclei": cv2.GaussianBlur(nuclei.astype(np.float32) / 255, (0, 0), 0.5)}
    out["nuclei"] *= 1 + 0.18 * fine
    for marker, rim in rims.items():
        out[marker] = cv2.GaussianBlur(rim.astype(np.float32) / 255, (0, 0), 0.5)
    big = cv2.resize(b.tissue.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_LINEAR)
    out["tissue"] = cv2.GaussianBlur(big.astype(np.float32), (0, 0), 3) * (1 + 0.15 * fine)
    return out


def _disc(image: np.ndarray, at: tuple[int, int], axes: tuple[float, float], angle: float) -> None:
    half = (round(16 * axes[0]), round(16 * axes[1]))
    cv2.ellipse(image, at, half, angle, 0, 360, 255, -1, cv2.LINE_AA, 4)


def brightfield(density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    light = 243 * 10.0**-density + rng.normal(0, 0.8, density.shape)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def he(p: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    eosin = (0.22 * p["tissue"] * (1 - 0.6 * p["nuclei"]))[..., None] * EOSIN
    return brightfield(eosin + (0.75 * p["nuclei"])[..., None] * HAEMATOXYLIN, rng)


def ihc(p: dict[str, np.ndarray], marker: str, rng: np.random.Generator) -> np.ndarray:
    pale = (0.07 * p["tissue"] + 0.5 * p["nuclei"])[..., None] * HAEMATOXYLIN
    brown = (0.6 * np.clip(p[marker] - 0.55 * p["nuclei"], 0, 1))[..., None] * DAB
    return brightfield(pale + brown, rng)


def turned(image: np.ndarray, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += shift
    return cv2.warpAffine(image, matrix, (width, height), borderValue=(243, 243, 243))


def write_sections(folder: Path, name: str, seed: int) -> dict[str, Path]:
    """H&E and three DAB sections of one block; each has its own cells, turn and shift."""
    b = block(seed)
    out = {}
    for i, stain in enumerate(("HE", *POSITIVE)):
        rng = np.random.default_rng([seed, i])
        p = painted(b, cells(b, rng), rng)
        image = he(p, rng) if stain == "HE" else ihc(p, stain, rng)
        if stain != "HE":
            image = turned(image, (0, 37, -80, 170)[i], (20.0 * i, -15.0 * i))
        out[stain] = write_pyramid(folder / f"{name}-{stain}.svs", image, mpp=MPP, levels=2)
    return out


def write_multiplex(folder: Path, name: str, seed: int) -> Path:
    """One fluorescence section with DAPI and the three markers."""
    b = block(seed)
    rng = np.random.default_rng([seed, 9])
    p = painted(b, cells(b, rng), rng)
    glow = 0.02 + 0.03 * p["tissue"]
    planes = [0.6 * p["nuclei"] + glow]
    planes += [0.5 * np.clip(p[m] - 0.4 * p["nuclei"], 0, 1) + glow for m in POSITIVE]
    counts = np.stack(planes) + rng.normal(0, 0.004, (4, *b.size))
    data = (np.clip(counts, 0, 1) * 40_000).astype(np.uint16)
    return write_fluorescence(folder / f"{name}.ome.tif", data, ["DAPI", *POSITIVE], mpp=MPP)
