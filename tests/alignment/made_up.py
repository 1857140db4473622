"""Transforms and images made up for tests."""

import cv2
import numpy as np

from metasight.alignment.field import Field
from metasight.alignment.placement import Piece, Placement
from metasight.alignment.transform import Transform


def turn(degrees: float, shift=(0.0, 0.0), *, mirrored: bool = False) -> np.ndarray:
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    return np.column_stack([linear, shift])


def bent_piece(seed: int = 0, degrees: float = 25.0) -> Piece:
    """A turn with a smooth displacement of some 20 µm on a section of 2 × 1.5 mm."""
    rng = np.random.default_rng(seed)
    field = Field(
        spacing_um=200.0, origin_um=(0.0, 0.0), coefficients_um=rng.normal(0, 20, (11, 13, 2))
    )
    return Piece(matrix=turn(degrees, (300.0, -80.0)), field=field)


def bent_transform(seed: int = 0) -> Transform:
    return Transform.of(Placement.whole(bent_piece(seed), (2000.0, 1500.0)))


def torn_transform() -> Transform:
    """Two pieces: the right half of a 2 × 1.5 mm section slid away and turned by 8°."""
    labels = np.zeros((15, 20), np.uint8)
    labels[:, 10:] = 1
    away = Piece(matrix=turn(8.0, (450.0, -100.0)))
    pieces = Piece(matrix=turn(0.0)), away
    return Transform.of(Placement(pieces=pieces, labels=labels, label_spacing_um=100.0))


def grid(n: int = 15) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(40, 1960, n), np.linspace(40, 1460, n))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def tissue(seed: int, size: int = 420) -> np.ndarray:
    """A section simulated from nothing: lobules, ducts with lumens and cells on clean glass."""
    rng = np.random.default_rng(seed)

    def noise(sigma: float) -> np.ndarray:
        field = cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), sigma)
        return field / field.std()

    x, y = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    outline = (x / 0.85) ** 2 + (y / 0.7) ** 2 + 0.12 * noise(size / 10) < 1
    lobules, ducts, cells = noise(size / 18), noise(size / 60), noise(1.0)
    density = 0.25 + 0.12 * (lobules > 0.3) + 0.15 * (ducts > 0.8) + 0.05 * cells
    density[(ducts > 1.9) | (lobules < -1.9)] = 0.0
    density = np.maximum(density, 0) * outline
    colour = np.array([0.7, 1.2, 0.6])
    rgb = 243 * 10 ** (-density[:, :, None] * colour) + rng.normal(0, 1, (size, size, 3))
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
