import numpy as np
import pytest

from metasight.biomarkers.neighbours import (
    in_buckets,
    neighbours_of_each_kind,
    touching_pairs,
)


@pytest.fixture
def scattered():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 300, 400), rng.uniform(0, 200, 400)


def gabriel(x, y, reach):
    """The definition, cell by cell."""
    pairs = set()
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            d2 = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2
            if d2 > reach**2:
                continue
            to_middle = (x - (x[i] + x[j]) / 2) ** 2 + (y - (y[i] + y[j]) / 2) ** 2
            to_middle[[i, j]] = np.inf
            if not (to_middle < d2 / 4).any():
                pairs.add((i, j))
    return pairs


@pytest.mark.parametrize("reach", [12.0, 30.0])
def test_touching_is_gabriels_rule(scattered, reach):
    x, y = scattered
    buckets = in_buckets(x, y, 30.0)
    found = buckets.order[touching_pairs(buckets, reach)]
    assert {tuple(sorted(p)) for p in found.tolist()} == gabriel(x, y, reach)


def test_a_third_cell_between_parts_two():
    x, y = np.array([0.0, 10, 20]), np.array([0.0, 1, 0])
    buckets = in_buckets(x, y, 50.0)
    found = {tuple(sorted(p)) for p in buckets.order[touching_pairs(buckets, 30)].tolist()}
    assert found == {(0, 1), (1, 2)}


def test_neighbours_of_each_kind(scattered):
    x, y = scattered
    kind = np.random.default_rng(1).integers(0, 3, len(x)).astype(np.int8)
    buckets = in_buckets(x, y, 40.0)
    counts = neighbours_of_each_kind(buckets, kind[buckets.order], 35.0, 3)
    away = np.hypot(x[:, None] - x, y[:, None] - y)
    np.fill_diagonal(away, np.inf)
    near = away <= 35
    truth = np.stack([near @ (kind == k).astype(int) for k in range(3)], axis=1)
    assert (counts == truth[buckets.order]).all()


def test_no_cells():
    buckets = in_buckets(np.zeros(0), np.zeros(0), 10.0)
    assert len(touching_pairs(buckets, 10.0)) == 0
