import numpy as np
import pytest

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.tils import labels_in_part, part_tumour
from metasight.maps.window import TissueWindow

D = BiomarkerDefinitions()


def test_nests_are_told_from_stroma():
    """Nests of 5,000 tumour cells per mm² in a stroma of 100."""
    window = TissueWindow(mask=np.ones((80, 80), dtype=bool), spacing_um=16.0)
    nest = np.zeros((80, 80), dtype=bool)
    nest[10:40, 10:30] = nest[50:70, 40:75] = True
    region = np.ones((80, 80), dtype=bool)
    region[:, 78:] = False
    rng = np.random.default_rng(0)
    count = rng.poisson(np.where(nest, 5000, 100) * 16**2 / 1e6)
    parts = part_tumour(count.astype(float), window, region, D)
    assert not (parts.epithelium & parts.stroma).any()
    assert (parts.epithelium | parts.stroma == region).all()
    overlap = 2 * (parts.epithelium & nest).sum() / (parts.epithelium.sum() + nest.sum())
    assert overlap > 0.93


def test_labels_in_a_part_are_hypergeometric():
    rng = np.random.default_rng(1)
    drawn = rng.hypergeometric(30, 70, 40, size=20000)
    mean, deviation = labels_in_part(40, 30, 100)
    assert mean == pytest.approx(drawn.mean(), rel=0.01)
    assert deviation == pytest.approx(drawn.std(), rel=0.02)
    assert np.isnan(labels_in_part(1, 1, 1)).all()
