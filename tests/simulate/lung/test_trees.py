"""Branching by Murray's law: radii, and every end point served once."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.lung.trees import MURRAY, _branch, _grown


@pytest.fixture(scope="module")
def grown():
    rng = np.random.default_rng(0)
    ends = rng.normal(0, 30, (200, 3)) + np.array([60, 0, 0])
    tubes, served = _grown(np.zeros(3), ends, 0.4, rng)
    return ends, tubes, served


def test_every_end_point_is_reached_by_a_branch_of_its_own(grown):
    ends, tubes, served = grown
    last = tubes.ends[served == 1][:, 3:]
    assert len(last) == len(ends)
    apart = np.linalg.norm(last[:, None] - ends[None], axis=2)
    assert apart.min(axis=0).max() < 1e-9


def test_radii_follow_murrays_law(grown):
    _, tubes, served = grown
    np.testing.assert_allclose(tubes.radii[:, 1], 0.4 * served ** (1 / MURRAY), rtol=1e-9)
    assert served.max() == 200
    # the sum of what two branches serve is what their parent serves
    starts = {tuple(np.round(s, 9)): [] for s in tubes.ends[:, :3]}
    for begin, n in zip(tubes.ends[:, :3], served, strict=True):
        starts[tuple(np.round(begin, 9))].append(n)
    for end, n in zip(tubes.ends[:, 3:], served, strict=True):
        if n > 1:
            assert sum(starts[tuple(np.round(end, 9))]) == n


def test_a_branch_is_never_wider_than_its_parent_at_its_start(grown):
    _, tubes, _ = grown
    assert (tubes.radii[:, 0] >= tubes.radii[:, 1] - 1e-12).all()
    assert (tubes.radii[:, 0] <= 1.25 * tubes.radii[:, 1] + 1e-12).all()


def test_a_tree_of_one_end_is_one_tube():
    tubes, radii, served = _branch(
        np.zeros(3), np.array([[3.0, 4.0, 0.0]]), 0.5, MURRAY, np.ones(3)
    )
    assert tubes.tolist() == [[0, 0, 0, 3, 4, 0]]
    assert radii.tolist() == [[0.5, 0.5]]
    assert served.tolist() == [1]
