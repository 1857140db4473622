"""What happens to sections on their way to the scanner, done to real images with known truth.

Every function takes and gives a picture: an image with points on it (pixels, centre of the first
pixel at 0.5) and whether each point is still there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np


@dataclass(frozen=True, kw_only=True)
class Picture:
    rgb: np.ndarray  # (h, w, 3) uint8
    points: np.ndarray  # (n, 2)
    there: np.ndarray  # (n,) bool

    @classmethod
    def of(cls, rgb: np.ndarray, points: np.ndarray) -> Picture:
        return cls(rgb=rgb, points=np.asarray(points, float), there=np.ones(len(points), bool))


def glass(rgb: np.ndarray) -> tuple[int, int, int]:
    """A plain colour near the brightest: what a technician would call empty."""
    light = rgb.astype(np.float32).mean(axis=2)
    bright = rgb[light >= np.percentile(light, 98)]
    return tuple(int(v) for v in np.median(bright, axis=0))


def warped(picture: Picture, matrix: np.ndarray, size: tuple[int, int]) -> Picture:
    """An affine map (2, 3) in corner coordinates onto a canvas of (width, height)."""
    half = np.full(2, 0.5)
    linear = matrix[:, :2]
    pixel = np.column_stack([linear, matrix[:, 2] + linear @ half - half])
    rgb = cv2.warpAffine(
        picture.rgb, pixel, size, flags=cv2.INTER_LINEAR, borderValue=glass(picture.rgb)
    )
    return replace(picture, rgb=rgb, points=picture.points @ linear.T + matrix[:, 2])


def turned(picture: Picture, degrees: float, *, mirrored: bool = False) -> Picture:
    """Turned about its centre, on a canvas that holds all of it."""
    height, width = picture.rgb.shape[:2]
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    size = np.ceil(np.abs(linear) @ [width, height] - 1e-9).astype(int)
    shift = size / 2 - linear @ [width / 2, height / 2]
    return warped(picture, np.column_stack([linear, shift]), (int(size[0]), int(size[1])))


def _side(picture: Picture, degrees: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and points beyond a straight line that leaves ``share`` of the tissue beyond it."""
    towards = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    height, width = picture.rgb.shape[:2]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    along = x * towards[0] + y * towards[1]
    tissue = np.abs(picture.rgb.astype(float) - glass(picture.rgb)).mean(axis=2) > 12
    cut = np.quantile(along[tissue], 1 - share)
    wave = 0.01 * width * np.sin((x * towards[1] - y * towards[0]) / width * 12)
    point_wave = (
        0.01
        * width
        * np.sin(
            (picture.points[:, 0] * towards[1] - picture.points[:, 1] * towards[0]) / width * 12
        )
    )
    return along + wave > cut, picture.points @ towards + point_wave > cut


def missing(picture: Picture, degrees: float, share: float) -> Picture:
    """Without ``share`` of its tissue, beyond a line that faces ``degrees``."""
    beyond, lost = _side(picture, degrees, share)
    rgb = picture.rgb.copy()
    rgb[beyond] = glass(rgb)
    return replace(picture, rgb=rgb, there=picture.there & ~lost)


def torn(
    picture: Picture, degrees: float, *, share: float, gap: float, twist_degrees: float
) -> Picture:
    """Torn along a line; the far piece slides away by ``gap`` of the diagonal and turns."""
    beyond, far = _side(picture, degrees, share)
    height, width = picture.rgb.shape[:2]
    diagonal = float(np.hypot(width, height))
    margin = int(np.ceil((gap + 0.12) * diagonal))
    size = (width + 2 * margin, height + 2 * margin)
    colour = glass(picture.rgb)
    y, x = np.nonzero(beyond)
    pivot = np.array([x.mean(), y.mean()])
    angle = np.deg2rad(twist_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    away = gap * diagonal * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    stay = np.column_stack([np.eye(2), np.full(2, float(margin))])
    go = np.column_stack([turn, pivot - turn @ pivot + away + margin])
    near_rgb, far_rgb = picture.rgb.copy(), picture.rgb.copy()
    near_rgb[beyond] = colour
    far_rgb[~beyond] = colour
    near = warped(replace(picture, rgb=near_rgb), stay, size)
    gone = warped(replace(picture, rgb=far_rgb), go, size)
    mask = cv2.warpAffine(beyond.astype(np.uint8), go, size, flags=cv2.INTER_NEAREST)
    rgb = np.where(mask[..., None] > 0, gone.rgb, near.rgb)
    points = np.where(far[:, None], gone.points, near.points)
    covered = mask[tuple(np.clip(near.points.astype(int), 0, np.array(size) - 1).T[::-1])] > 0
    return Picture(rgb=rgb, points=points, there=picture.there & (far | ~covered))


def restained(picture: Picture, seed: int) -> Picture:
    """Other dyes in other amounts: optical densities mixed and bent, the glass another white."""
    rng = np.random.default_rng(seed)
    density = -np.log((picture.rgb.astype(np.float32) + 1) / (np.array(glass(picture.rgb)) + 1))
    mix = np.abs(rng.normal(0, 0.35, (3, 3)))
    mix = (mix + np.eye(3)[rng.permutation(3)]) * rng.uniform(0.4, 1.3)
    density = np.maximum(density, 0) ** rng.uniform(0.7, 1.4) @ mix.T
    light = rng.uniform(228, 250, 3)
    rgb = np.clip(light * np.exp(-density), 2, 255).astype(np.uint8)
    return replace(picture, rgb=rgb)


def defocused(picture: Picture, sigma_px: float) -> Picture:
    return replace(picture, rgb=cv2.GaussianBlur(picture.rgb, (0, 0), sigma_px))


def bent(picture: Picture, seed: int, *, amount: float, knots: int = 5) -> Picture:
    """A smooth deformation with a root mean square of ``amount`` of the diagonal."""
    rng = np.random.default_rng(seed)
    height, width = picture.rgb.shape[:2]
    diagonal = np.hypot(width, height)
    coarse = rng.normal(0, 1, (2, knots, knots)).astype(np.float32)
    dense = np.stack(
        [cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse]
    )
    dense *= amount * diagonal / np.sqrt((dense**2).sum(axis=0).mean())
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    rgb = cv2.remap(
        picture.rgb, x + dense[0], y + dense[1], cv2.INTER_LINEAR, borderValue=glass(picture.rgb)
    )
    # new(p) = old(p + d(p)): a point at q goes to the p with p + d(p) = q
    at = picture.points.copy()
    for _ in range(60):
        where = (at - 0.5).astype(np.float32)
        shift = np.stack(
            [
                cv2.remap(
                    d,
                    where[:, None, 0],
                    where[:, None, 1],
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE,
                )[:, 0]
                for d in dense
            ],
            axis=1,
        )
        at = picture.points - shift
    return replace(picture, rgb=rgb, points=at)


def next_section(picture: Picture, seed: int) -> Picture:
    """What the microtome would have cut next: other cells, the same structures.

    Cells are displaced by their own size over short distances (a displacement of 4 px whose
    correlation ends within 8 px), then the whole is bent a little, as sections are. The truth
    follows structures: the bend, not the jitter.
    """
    rng = np.random.default_rng(seed)
    height, width = picture.rgb.shape[:2]
    noise = rng.normal(0, 1, (2, height, width)).astype(np.float32)
    jitter = np.stack([cv2.GaussianBlur(n, (0, 0), 3.0) for n in noise])
    jitter *= 4.0 / np.sqrt((jitter**2).sum(axis=0).mean())
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    rgb = cv2.remap(
        picture.rgb, x + jitter[0], y + jitter[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return bent(replace(picture, rgb=rgb), seed + 1, amount=float(rng.uniform(0.002, 0.008)))
