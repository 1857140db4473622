"""Transforms and images made up for tests."""

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
