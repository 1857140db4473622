"""Runs, zones and their distances on an image that one can count by eye."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metasight.features.radiomics.definitions import DIRECTIONAL, names_of
from metasight.features.radiomics.size_matrices import SizeMatrix, glrlm, zones

# The image of the examples in IBSI's manual.
IMAGE = np.array([[[1, 2, 2, 3], [1, 2, 3, 3], [4, 2, 4, 1], [4, 1, 2, 3]]], dtype=np.int32)

# Along a row: level, length, how often; 14 runs of 16 voxels
RUNS = [(1, 1, 4), (2, 1, 3), (2, 2, 1), (3, 1, 2), (3, 2, 1), (4, 1, 3)]


def features(entries, n_voxels, family="GLRLM"):
    level, size, count = (np.array(v, dtype=float) for v in zip(*entries, strict=True))
    matrix = SizeMatrix(level=level, size=size, count=count, n_voxels=n_voxels)
    return dict(zip(names_of(family), matrix.features()[0].tolist(), strict=True)), matrix


def test_the_runs_along_a_row_by_hand():
    told, _ = features(RUNS, 16)
    share = [n / 14 for _, _, n in RUNS]
    mean_i, mean_j = (4 + 8 + 9 + 12) / 14, 16 / 14
    wanted = {
        "short runs emphasis": (12 + 2 / 4) / 14,
        "long runs emphasis": (12 + 2 * 4) / 14,
        "low grey level run emphasis": (4 + 4 / 4 + 3 / 9 + 3 / 16) / 14,
        "high grey level run emphasis": (4 + 16 + 27 + 48) / 14,
        "short run low grey level emphasis": (4 + 3 / 4 + 1 / 16 + 2 / 9 + 1 / 36 + 3 / 16) / 14,
        "short run high grey level emphasis": (4 + 12 + 1 + 18 + 9 / 4 + 48) / 14,
        "long run low grey level emphasis": (4 + 3 / 4 + 1 + 2 / 9 + 4 / 9 + 3 / 16) / 14,
        "long run high grey level emphasis": (4 + 12 + 16 + 18 + 36 + 48) / 14,
        "grey level non-uniformity": (16 + 16 + 9 + 9) / 14,
        "normalised grey level non-uniformity": 50 / 14**2,
        "run length non-uniformity": (144 + 4) / 14,
        "normalised run length non-uniformity": 148 / 14**2,
        "run percentage": 14 / 16,
        "grey level variance": sum(
            p * (i - mean_i) ** 2 for p, (i, _, _) in zip(share, RUNS, strict=True)
        ),
        "run length variance": sum(
            p * (j - mean_j) ** 2 for p, (_, j, _) in zip(share, RUNS, strict=True)
        ),
        "run entropy": -sum(p * math.log2(p) for p in share),
    }
    assert told == pytest.approx(wanted, rel=1e-12)


def test_runs_of_each_slice_and_direction_are_averaged():
    """A column of two levels: across it runs of 1, along it the whole length."""
    image = np.array([[[1, 2], [1, 2], [1, 2]]], dtype=np.int32)
    told = glrlm(image, 2, ("2D:avg", "2.5D:vmrg"))
    # four directions: along the column 2 runs of 3; in the other three 6 runs of 1
    assert told["2D:avg"]["long runs emphasis"] == pytest.approx((9 + 1 + 1 + 1) / 4)
    assert told["2D:avg"]["run percentage"] == pytest.approx((2 / 6 + 3 * 1) / 4)
    # merged: 20 runs of 4 · 6 voxels counted
    assert told["2.5D:vmrg"]["long runs emphasis"] == pytest.approx((18 + 2 * 9) / 20)
    assert told["2.5D:vmrg"]["run percentage"] == pytest.approx(20 / 24)


def test_runs_cross_slices_in_space_only():
    image = np.ones((3, 1, 1), dtype=np.int32)
    told = glrlm(image, 1, DIRECTIONAL)
    # of 13 directions one runs through the slices: 1 run of 3, elsewhere 3 runs of 1
    assert told["3D:avg"]["long runs emphasis"] == pytest.approx((9 + 12) / 13)
    assert told["3D:mrg"]["long runs emphasis"] == pytest.approx((9 + 12 * 3) / 37)
    assert told["2D:avg"]["long runs emphasis"] == 1


def test_zones_of_the_image_by_eye():
    """Eight neighbours: a zone goes on across a corner.

    ====  ==================================================
    1     the first two of the first column; the 1 of row 3 and that of row 4 by themselves
    2     all five: row 4's hangs on by a corner
    3     three in the right upper corner; the 3 of row 4
    4     two in the first column; the 4 within row 3
    ====  ==================================================
    """
    told = zones(IMAGE, IMAGE > 0, ("2D", "3D"), ("GLSZM", "GLDZM"))
    entries = [(1, 2, 1), (1, 1, 2), (2, 5, 1), (3, 3, 1), (3, 1, 1), (4, 2, 1), (4, 1, 1)]
    wanted, _ = features(entries, 16, "GLSZM")
    assert told["GLSZM"]["2D"] == pytest.approx(wanted, rel=1e-12)
    assert told["GLSZM"]["3D"] == told["GLSZM"]["2D"]  # one slice
    # a zone's distance is its least: only the 4 within row 3 does not touch the edge
    wanted, _ = features([(1, 1, 3), (2, 1, 1), (3, 1, 2), (4, 1, 1), (4, 2, 1)], 16, "GLDZM")
    assert told["GLDZM"]["2D"] == pytest.approx(wanted, rel=1e-12)
    assert told["GLDZM"]["3D"]["large distance emphasis"] == 1  # in space a slice is all border


def test_distances_are_those_of_the_region_as_it_was_drawn():
    """A hole that re-segmentation cut is no border."""
    levels = np.ones((1, 5, 5), dtype=np.int32)
    levels[0, 2, 2] = 2
    region = np.ones((1, 5, 5), dtype=bool)
    told = zones(levels, region, ("2D",), ("GLDZM",))["GLDZM"]["2D"]
    # two zones: the rim at distance 1, the middle at 3
    assert told["large distance emphasis"] == pytest.approx((1 + 9) / 2)
    assert told["zone distance variance"] == pytest.approx(1.0)
    cut = levels.copy()
    cut[0, 1, 1] = 0
    assert zones(cut, region, ("2D",), ("GLDZM",))["GLDZM"]["2D"][
        "large distance emphasis"
    ] == pytest.approx((1 + 9) / 2)


def test_slices_merged_or_averaged():
    """Slices of one zone of 4 and of four zones: 1 and 4 zones."""
    levels = np.array([[[1, 1], [1, 1]], [[1, 2], [3, 4]]], dtype=np.int32)
    told = zones(levels, levels > 0, ("2D", "2.5D"), ("GLSZM",))["GLSZM"]
    assert told["2D"]["zone percentage"] == pytest.approx((1 / 4 + 4 / 4) / 2)
    assert told["2.5D"]["zone percentage"] == pytest.approx(5 / 8)
    assert told["2D"]["large zone emphasis"] == pytest.approx((16 + 1) / 2)
    assert told["2.5D"]["large zone emphasis"] == pytest.approx((16 + 4) / 5)


def test_a_dense_matrix_and_a_list_of_zones_are_one_thing():
    rng = np.random.default_rng(0)
    level, size = rng.integers(1, 5, 50).astype(np.int32), rng.integers(1, 9, 50).astype(np.int32)
    dense = np.zeros((4, 8))
    np.add.at(dense, (level - 1, size - 1), 1)
    one, two = SizeMatrix.of_dense(dense, 300), SizeMatrix.of_pairs(level, size, 300)
    np.testing.assert_allclose(one.features(), two.features(), rtol=1e-12)
    assert one.energy() == pytest.approx(((dense / 50) ** 2).sum())
    assert two.energy() == pytest.approx(one.energy())
