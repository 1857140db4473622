import numpy as np
import pytest

from metasight.biomarkers.blocks import BlockBootstrap, draw_blocks
from metasight.biomarkers.mixing import mixing_score, tumour_preference

NO_BLOCKS = BlockBootstrap(weights=np.zeros((0, 1), dtype=np.float32))


def score(contacts, tumour, immune, **kwargs):
    n = len(tumour)
    return mixing_score(
        np.array(contacts, dtype=np.int32),
        np.array(tumour, dtype=bool),
        np.array(immune, dtype=bool),
        np.zeros(n, dtype=np.int64),
        NO_BLOCKS,
        permutations=63,
        rng=np.random.default_rng(0),
    )


def test_counts_each_contact_once_and_leaves_stroma_out():
    """Cells T I I I S: T–I, I–I, I–I, I–S, T–S."""
    found = score([(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)], [1, 0, 0, 0, 0], [0, 1, 1, 1, 0])
    assert (found.tumour_immune, found.immune_immune) == (1, 2)
    assert found.score == 0.5
    assert np.isnan(found.lower)


def test_no_immune_contact_no_score():
    assert np.isnan(score([(0, 1)], [1, 0], [0, 1]).score)


def test_random_labels_lie_in_their_null():
    rng = np.random.default_rng(1)
    chain = np.column_stack([np.arange(3999), np.arange(1, 4000)])
    z = []
    for _ in range(40):
        tumour = rng.random(4000) < 0.6
        found = score(chain, tumour, ~tumour)
        z.append((found.score - found.null_scores.mean()) / found.null_scores.std())
    assert abs(np.mean(z)) < 0.6
    assert 0.7 < np.std(z) < 1.4


def test_preference_by_hand():
    """Two T cells among tumour cells, four others half among them."""
    local = np.array([[0, 4, 1], [0, 4, 0], [4, 0, 0], [4, 0, 0], [2, 2, 1], [0, 4, 2]])
    t_cell = np.array([True, True, False, False, False, False])
    found = tumour_preference(
        local.astype(np.int32),
        t_cell,
        np.zeros(6, dtype=np.int64),
        NO_BLOCKS,
        tumour_kind=1,
        t_cell_kind=2,
    )
    assert found.ratio == pytest.approx(1 / (3.5 / 6))
    assert found.z > 0


def test_preference_null_is_calibrated():
    rng = np.random.default_rng(2)
    share = rng.binomial(10, 0.4, 3000)
    local = np.column_stack([10 - share, share, np.zeros(3000, dtype=np.int64)]).astype(np.int32)
    bootstrap = draw_blocks(30, resamples=199, minimum_blocks=10, rng=rng)
    block = rng.integers(0, 30, 3000)
    z, covered = [], []
    for _ in range(300):
        found = tumour_preference(
            local, rng.random(3000) < 0.1, block, bootstrap, tumour_kind=1, t_cell_kind=2
        )
        z.append(found.z)
        covered.append(found.lower <= 1 <= found.upper)
    assert 0.92 < np.mean(np.abs(z) < 1.96) < 0.98
    assert np.mean(covered) > 0.88
