import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.positivity import positive_cells


def drawn(negative, positive, level, seed=0):
    rng = np.random.default_rng(seed)
    values = np.r_[rng.normal(0, 1, negative), level * rng.lognormal(0, 0.4, positive)]
    return values, np.repeat([False, True], [negative, positive])


@pytest.mark.parametrize(("negative", "positive"), [(900, 100), (500, 500), (60, 600)])
def test_two_populations_of_any_share(negative, positive):
    values, truth = drawn(negative, positive, 40)
    found = positive_cells(values, 1.0)
    assert found.rule == "between two populations"
    assert (found.positive == truth).mean() > 0.99


@pytest.mark.parametrize("seed", range(5))
def test_one_population_is_not_cut_in_two(seed):
    negative, _ = drawn(800, 0, 1, seed)
    assert not positive_cells(negative, 1.0).positive.any()
    positive, _ = drawn(0, 800, 60, seed)
    assert positive_cells(positive, 1.0).positive.all()


def test_few_cells_and_none():
    assert positive_cells(np.array([50.0, 60]), 1.0).positive.all()
    assert positive_cells(np.zeros(0), 1.0).positive.shape == (0,)
    with pytest.raises(MarkerError, match="noise"):
        positive_cells(np.ones(3), 0.0)
