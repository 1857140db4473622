from __future__ import annotations

import itertools

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.features.radiomics.boundary import distance_outside
from metasight.features.radiomics.shells import shells
from metasight.volumes.volume import Mask, Volume


def ball(radius_mm: float, spacing: tuple[float, float, float], reach_mm: float) -> Mask:
    """Centred ball; spacing as (x, y, z)."""
    half = [int(np.ceil(reach_mm / s)) for s in spacing]
    x, y, z = (np.arange(-h, h + 1) * s for h, s in zip(half, spacing, strict=True))
    inside = z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2 <= radius_mm**2
    volume = Volume.from_array(np.zeros(inside.shape), unit="HU", spacing_mm=spacing)
    return Mask.from_array(inside, on=volume, name="GTV")


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 2.5)])
def test_a_ball_has_the_shells_of_geometry(spacing: tuple[float, float, float]) -> None:
    lesion = ball(10.0, spacing, 21.0)
    found = shells(lesion)
    assert [(s.inner_mm, s.outer_mm) for s in found] == [(0, 3), (3, 6), (6, 9)]
    for shell in found:
        assert shell.mask is not None
        known = 4 / 3 * np.pi * ((10 + shell.outer_mm) ** 3 - (10 + shell.inner_mm) ** 3) / 1000
        assert shell.mask.volume_ml == pytest.approx(known, rel=0.12)
        assert not (shell.mask.array & lesion.array).any()
    for a, b in itertools.combinations(found, 2):
        assert a.mask is not None and b.mask is not None
        assert not (a.mask.array & b.mask.array).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_distances_across_a_face_are_exact(axis: int) -> None:
    spacing = (2.5, 0.8, 0.7)
    inside = np.zeros((9, 9, 9), dtype=bool)
    np.moveaxis(inside, axis, 0)[:3] = True
    found = np.moveaxis(distance_outside(inside, spacing), axis, 0)
    known = np.maximum(np.arange(9) - 2.5, 0.0) * spacing[axis]
    np.testing.assert_allclose(found, np.broadcast_to(known[:, None, None], (9, 9, 9)), atol=1e-12)


def test_the_lung_bounds_a_shell_and_an_empty_one_is_none() -> None:
    lesion = ball(5.0, (1.0, 1.0, 1.0), 16.0)
    lung = np.zeros(lesion.array.shape, dtype=bool)
    lung[:, :, : lung.shape[2] // 2] = True
    within = Mask.from_array(lung, on=lesion)
    for shell in shells(lesion, within=within):
        assert shell.mask is not None
        assert not (shell.mask.array & ~lung).any()
    near = Mask.from_array(lesion.array, on=lesion)
    assert all(s.mask is None for s in shells(lesion, within=near))


@pytest.mark.parametrize("edges", [(0.0,), (0.0, 3.0, 3.0), (-1.0, 2.0)])
def test_edges_that_do_not_rise_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(VolumeError, match="rising"):
        shells(ball(3.0, (1.0, 1.0, 1.0), 6.0), edges_mm=edges)


def test_a_lung_on_another_grid_is_refused() -> None:
    with pytest.raises(VolumeError, match="grid"):
        shells(ball(3.0, (1.0, 1.0, 1.0), 6.0), within=ball(3.0, (1.0, 1.0, 1.0), 8.0))
