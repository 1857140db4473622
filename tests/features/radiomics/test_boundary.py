"""Distances to a mask's boundary: exact across a face, signed, at any spacing."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.features.radiomics.boundary import around, distance_outside, signed_distance


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_across_a_face_the_boundary_is_half_a_voxel_away(axis):
    spacing = (3.0, 1.0, 0.5)
    inside = np.zeros((9, 9, 9), dtype=bool)
    inside[(slice(None),) * axis + (slice(0, 4),)] = True
    line = tuple(slice(None) if a == axis else 4 for a in range(3))
    step = spacing[axis]
    wanted = [0, 0, 0, 0, *(step * (k + 0.5) for k in range(5))]
    np.testing.assert_allclose(distance_outside(inside, spacing)[line], wanted)
    # the array ends the mask on its other side
    signed = [-0.5, -1.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5]
    wide = np.zeros((9, 9, 9), dtype=bool)
    wide[(slice(None),) * axis + (slice(0, 4),)] = True
    got = signed_distance(wide, (step * 4,) * 3)[line] / step / 4
    got_near = np.minimum(np.abs(got), 4.5) * np.sign(got)
    np.testing.assert_allclose(got_near, signed)


def test_inside_and_outside_are_mirror_images():
    rng = np.random.default_rng(0)
    inside = rng.random((6, 7, 8)) < 0.5
    inside[0] = inside[-1] = inside[:, 0] = inside[:, -1] = False
    inside[:, :, 0] = inside[:, :, -1] = False
    one = signed_distance(inside, (2.0, 1.0, 1.0))
    assert ((one < 0) == inside).all()
    # far from the array's edge the complement has the opposite sign
    wide = np.pad(inside, 6)
    two = signed_distance(~wide, (2.0, 1.0, 1.0))[6:-6, 6:-6, 6:-6]
    np.testing.assert_allclose(one, -two, atol=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.8, 0.8)])
def test_a_balls_distances_are_those_of_geometry(spacing):
    n = [int(np.ceil(22 / s)) for s in spacing]
    z, y, x = (
        (np.arange(-k, k + 1) * s).reshape([-1 if a == i else 1 for a in range(3)])
        for i, (k, s) in enumerate(zip(n, spacing, strict=True))
    )
    radius = np.sqrt(z**2 + y**2 + x**2)
    found = signed_distance(radius <= 12, spacing)
    near = (radius > 3) & (radius < 20)
    error = (found - (radius - 12))[near]
    assert abs(error.mean()) < 0.2
    assert np.abs(error).max() < max(spacing)


def test_distance_scales_with_the_spacing():
    inside = np.zeros((5, 6, 7), dtype=bool)
    inside[2, 3, 3] = True
    one = distance_outside(inside, (2.0, 1.0, 1.5))
    np.testing.assert_allclose(distance_outside(inside, (6.0, 3.0, 4.5)), 3 * one)


def test_the_box_of_a_mask_ends_with_the_image():
    inside = np.zeros((10, 10, 10), dtype=bool)
    inside[4:6, 1, 9] = True
    # 3 mm at 2 mm: two voxels and one more; at 1 mm four, at 5 mm two
    box = around(inside, 3.0, (2.0, 1.0, 5.0))
    assert box == (slice(1, 9), slice(0, 6), slice(7, 10))
