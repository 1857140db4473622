"""Counting kernels against the plain definitions, voxel by voxel in Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from metasight.features.radiomics.kernels import (
    DIRECTIONS,
    count_neighbours,
    count_pairs,
    count_runs,
    find_zones,
)

N_LEVELS = 3


@pytest.fixture(scope="module")
def levels() -> np.ndarray:
    """Made-up region with holes: 0 outside, else 1 to 3."""
    rng = np.random.default_rng(3)
    return rng.integers(0, N_LEVELS + 1, (4, 5, 6)).astype(np.int32)


def voxels(levels: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(p) for p in np.argwhere(levels > 0)]


def at(levels: np.ndarray, place: tuple[int, ...]) -> int:
    there = all(0 <= p < s for p, s in zip(place, levels.shape, strict=True))
    return int(levels[place]) if there else 0


def moved(place: tuple[int, ...], step: np.ndarray, n: int = 1) -> tuple[int, ...]:
    return tuple(int(p + n * s) for p, s in zip(place, step, strict=True))


def test_thirteen_directions_and_no_opposites() -> None:
    every = {tuple(d) for d in DIRECTIONS.tolist()}
    assert len(every) == 13
    assert not every & {tuple(-d) for d in DIRECTIONS}
    assert (DIRECTIONS[:4, 0] == 0).all() and (DIRECTIONS[4:, 0] == 1).all()


@pytest.mark.parametrize("distance", [1, 2])
def test_pairs(levels: np.ndarray, distance: int) -> None:
    known = np.zeros((13, N_LEVELS, N_LEVELS))
    for d, step in enumerate(DIRECTIONS):
        for place in voxels(levels):
            for sign in (1, -1):
                j = at(levels, moved(place, step, sign * distance))
                if j:
                    known[d, levels[place] - 1, j - 1] += 1
    found = count_pairs(np.pad(levels, distance), DIRECTIONS, distance, N_LEVELS)
    np.testing.assert_array_equal(found, known)


def test_runs(levels: np.ndarray) -> None:
    known = np.zeros((13, N_LEVELS, 6), dtype=int)
    for d, step in enumerate(DIRECTIONS):
        for place in voxels(levels):
            i = levels[place]
            if at(levels, moved(place, step, -1)) != i:
                n = next(n for n in range(1, 9) if at(levels, moved(place, step, n)) != i)
                known[d, i - 1, n - 1] += 1
    found = count_runs(np.pad(levels, 1), DIRECTIONS, N_LEVELS, 6)
    np.testing.assert_array_equal(found, known)
    assert (found * np.arange(1, 7)).sum() == 13 * (levels > 0).sum()


def test_zones(levels: np.ndarray) -> None:
    depth = ndimage.distance_transform_cdt(np.pad(levels > 0, 1), metric="taxicab")
    known = []
    for i in range(1, N_LEVELS + 1):
        labelled, n = ndimage.label(levels == i, np.ones((3, 3, 3)))
        for zone in range(1, n + 1):
            there = labelled == zone
            known.append((i, there.sum(), depth[1:-1, 1:-1, 1:-1][there].min()))
    found = find_zones(np.pad(levels, 1), depth.astype(np.int32))
    assert sorted(map(tuple, found.tolist())) == sorted(known)


@pytest.mark.parametrize("coarseness", [0, 1])
def test_neighbours(levels: np.ndarray, coarseness: int) -> None:
    tones = np.zeros((N_LEVELS, 2))
    dependence = np.zeros((N_LEVELS, 27), dtype=int)
    for place in voxels(levels):
        i = int(levels[place])
        around = [
            at(levels, moved(place, np.array(step)))
            for step in itertools.product((-1, 0, 1), repeat=3)
            if any(step)
        ]
        around = [j for j in around if j]
        dependence[i - 1, sum(abs(i - j) <= coarseness for j in around)] += 1
        if around:
            tones[i - 1] += 1, abs(i - np.mean(around))
    found = count_neighbours(np.pad(levels, 1), N_LEVELS, coarseness)
    np.testing.assert_allclose(found[0], tones)
    np.testing.assert_array_equal(found[1], dependence)
