"""Maps drawn from a painted one: its mean and its error, and the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from metasight.maps.density import DensityMap
from metasight.maps.drawn import drawn_map


def painted(error: float) -> DensityMap:
    shape = (1, 200, 200)
    return DensityMap(
        density=np.full(shape, 1000.0, dtype=np.float32),
        error=np.full(shape, error, dtype=np.float32),
        support=np.ones(shape[1:], dtype=bool),
        markers=("T",),
        spacing_um=16.0,
    )


def test_draws_have_the_mean_and_the_spread_of_the_map():
    draws = np.stack([drawn_map(painted(300.0), seed=1, draw=k).density[0] for k in range(40)])
    assert draws.mean() == pytest.approx(1000, rel=0.02)
    assert draws.std() == pytest.approx(300, rel=0.15)
    assert (draws > 0).all()


def test_an_error_reaches_over_its_region_and_no_further():
    found = drawn_map(painted(300.0), seed=1, draw=0).density[0]
    near = np.corrcoef(found[:, :-1].ravel(), found[:, 1:].ravel())[0, 1]
    far = np.corrcoef(found[:, :-40].ravel(), found[:, 40:].ravel())[0, 1]
    assert near > 0.95  # 16 µm apart
    assert abs(far) < 0.25  # 640 µm apart


def test_a_map_without_error_is_itself_and_a_seed_says_which():
    exact = painted(0.0)
    assert np.allclose(drawn_map(exact, seed=1, draw=0).density, exact.density)
    one, again = (drawn_map(painted(300.0), seed=1, draw=3).density for _ in range(2))
    assert (one == again).all()
    assert (one != drawn_map(painted(300.0), seed=1, draw=4).density).any()
    assert (one != drawn_map(painted(300.0), seed=2, draw=3).density).any()


def test_what_is_unknown_or_off_the_tissue_stays_so():
    base = painted(300.0)
    density, error, support = base.density.copy(), base.error.copy(), base.support.copy()
    density[:, :, :50] = np.nan
    support[:, :50] = False
    error[:, :, 50:60] = np.nan  # nobody knows it: the density is kept
    found = drawn_map(replace(base, density=density, error=error, support=support), seed=1, draw=0)
    assert np.isnan(found.density[:, :, :50]).all()
    assert (found.density[:, :, 50:60] == 1000).all()
