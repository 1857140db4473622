import numpy as np
import pytest

from metasight.biomarkers.blocks import draw_blocks, tissue_blocks
from metasight.maps.window import TissueWindow

from .patterns import poisson, thomas


def test_blocks_share_out_the_window(l_window):
    blocks = tissue_blocks(l_window, 250.0)
    assert len(blocks) == 12
    assert blocks.area_um2 == pytest.approx(np.full(12, 250.0**2))
    x, y = poisson(l_window, 300, np.random.default_rng(0))
    number = blocks.of_points(l_window, x, y)
    assert number.min() >= 0
    image = l_window.counts(x, y)
    assert blocks.sums(image) == pytest.approx(np.bincount(number, minlength=12))


def test_few_blocks_give_no_interval():
    bootstrap = draw_blocks(9, resamples=99, minimum_blocks=10, rng=np.random.default_rng(0))
    assert np.isnan(bootstrap.interval(np.ones((9, 1)), lambda s: s[:, 0])).all()


@pytest.mark.parametrize("clustered", [False, True])
def test_interval_of_a_density_covers_the_truth(clustered):
    """Clusters are smaller than a block: resampling blocks, not cells, keeps them whole."""
    window = TissueWindow(mask=np.ones((100, 100), dtype=bool), spacing_um=20.0)
    blocks = tissue_blocks(window, 250.0)
    rng = np.random.default_rng(1)
    bootstrap = draw_blocks(len(blocks), resamples=399, minimum_blocks=10, rng=rng)
    covered, by_cells = [], []
    for _ in range(300):
        if clustered:
            x, y = thomas(window, 30, 10, 25.0, rng)
        else:
            x, y = poisson(window, 300, rng)
        count = np.bincount(blocks.of_points(window, x, y), minlength=len(blocks))
        by_block = np.column_stack([count, blocks.area_um2 / 1e6])
        lower, upper = bootstrap.interval(by_block, lambda s: s[:, 0] / s[:, 1])
        covered.append(lower <= 300 <= upper)
        spread = 1.96 * np.sqrt(len(x)) / window.area_mm2
        by_cells.append(abs(len(x) / window.area_mm2 - 300) <= spread)
    assert 0.90 <= np.mean(covered) <= 0.98
    if clustered:
        assert np.mean(by_cells) < 0.6  # what treating cells as independent would give
