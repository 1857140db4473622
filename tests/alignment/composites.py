"""Sections of 15 to 30 mm from real tissue: patches of consecutive pairs laid side by side.

Each moving image is brought onto its fixed one by the affine map of the experts' landmarks, and
both are cut into the same patches, turned and mirrored alike; so what differs between the two
composites is what differs between real sections (some 30 µm of the median are left between them).
The moving composite is then bent and turned as a whole. A grid of points is the truth.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from alignment.corruptions import Picture, bent, glass, turned
from alignment.known_pairs import CIMA, KnownPair, cima

MPP = 6.0
_PATCH_UM = 2400.0


def mates(shared: Path, tissue: str) -> tuple[np.ndarray, np.ndarray]:
    """A pair's two images at `MPP`, the second brought onto the first by the landmarks."""
    pair = cima(shared, tissue)
    design = np.column_stack([pair.fixed.points, np.ones(len(pair.fixed.points))])
    onto, *_ = np.linalg.lstsq(design, pair.moving.points, rcond=None)
    scale = pair.mpp / MPP
    size = tuple(round(n * scale) for n in pair.fixed.rgb.shape[1::-1])
    fixed = cv2.resize(pair.fixed.rgb, size, interpolation=cv2.INTER_AREA)
    back = np.column_stack([onto[:2].T / scale, onto[2]])
    moving = cv2.warpAffine(
        pair.moving.rgb,
        back,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderValue=glass(pair.moving.rgb),
    )
    return fixed, moving


def composite(shared: Path, extent_um: float, seed: int, *, amount: float = 0.002) -> KnownPair:
    """A fixed and a moving section of an extent, as an ellipse of patches on glass."""
    rng = np.random.default_rng(seed)
    sources = [mates(shared, tissue) for tissue in CIMA]
    side = round(_PATCH_UM / MPP)
    columns, rows = round(extent_um / MPP), round(0.7 * extent_um / MPP)
    margin = columns // 20
    fixed, moving = (
        np.full((rows + 2 * margin, columns + 2 * margin, 3), 240, np.uint8) for _ in range(2)
    )
    for top in range(margin, margin + rows - side, side):
        for left in range(margin, margin + columns - side, side):
            across = (left + side / 2 - margin) / columns * 2 - 1
            down = (top + side / 2 - margin) / rows * 2 - 1
            if across**2 + down**2 > 1:
                continue
            one, other = _patch(rng, sources, side)
            fixed[top : top + side, left : left + side] = one
            moving[top : top + side, left : left + side] = other
    step = columns / 24
    x, y = np.meshgrid(
        np.arange(step / 2, fixed.shape[1], step), np.arange(step / 2, fixed.shape[0], step)
    )
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    around = cv2.GaussianBlur(fixed.astype(np.float32).mean(axis=2), (0, 0), 6)
    points = points[around[tuple(points.astype(int).T[::-1])] < 225]
    other = turned(
        bent(Picture.of(moving, points), seed, amount=amount, knots=7), float(rng.uniform(0, 360))
    )
    return KnownPair(
        tissue=f"composite of {extent_um / 1000:.0f} mm",
        kind="whole",
        fixed=Picture.of(fixed, points),
        moving=other,
        mpp=MPP,
        related=True,
    )


def _patch(
    rng: np.random.Generator, sources: list[tuple[np.ndarray, np.ndarray]], side: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same square of tissue of both mates, turned and mirrored alike."""
    while True:
        one, other = sources[int(rng.integers(len(sources)))]
        top = int(rng.integers(max(1, one.shape[0] - side)))
        left = int(rng.integers(max(1, one.shape[1] - side)))
        box = np.s_[top : top + side, left : left + side]
        patch = one[box]
        stained = patch.mean(axis=2) < 225
        if patch.shape[:2] != (side, side) or stained.mean() < 0.6:
            continue
        quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        both = [np.rot90(p[:, ::-1] if mirrored else p, quarters) for p in (patch, other[box])]
        return both[0], both[1]
