"""Coarse blocks and back."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.volumes.blocks import block_means, repeated


@pytest.mark.parametrize("factor", [(1, 1, 1), (1, 2, 2), (2, 3, 3), (3, 1, 4)])
def test_a_block_is_the_mean_of_its_voxels(factor: tuple[int, int, int]) -> None:
    voxels = np.random.default_rng(0).normal(0, 500, (7, 13, 17)).astype(np.float32)
    found = block_means(voxels, factor)
    z, y, x = (n // f for n, f in zip(voxels.shape, factor, strict=True))
    assert found.shape == (z, y, x)
    fz, fy, fx = factor
    for i, j, k in ((0, 0, 0), (z - 1, y - 1, x - 1), (z // 2, y // 2, x // 2)):
        own = voxels[i * fz : (i + 1) * fz, j * fy : (j + 1) * fy, k * fx : (k + 1) * fx]
        assert found[i, j, k] == pytest.approx(own.mean(), abs=0.01)


def test_blocks_repeated_are_voxels_again() -> None:
    blocks = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    again = repeated(blocks, (2, 1, 3))
    assert again.shape == (4, 2, 6)
    assert (again[::2, :, ::3] == blocks).all() and (again[1::2, :, 2::3] == blocks).all()
