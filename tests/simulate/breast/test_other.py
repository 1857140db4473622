"""Slides that a generator must not trust: tubules without tumour, and a stain of other colours."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.breast.centres import centre_of
from metasight.simulate.breast.fields import FieldSource
from metasight.simulate.breast.other import _tubules, other_stain
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.tissue import GRID_UM


@pytest.fixture(scope="module")
def tubules():
    source = FieldSource(seed=(3,), shape=(200, 220), spacing_um=GRID_UM)
    return source, *_tubules(source, 0.0)


def test_epithelium_lies_round_lumens(tubules):
    _, ring, lumen = tubules
    assert ring.shape == lumen.shape == (200, 220)
    assert ((ring >= 0) & (ring <= 1) & (lumen >= 0) & (lumen <= 1)).all()
    assert (ring + lumen).max() <= 1 + 1e-6
    assert not ((ring > 0.95) & (lumen > 0.05)).any()
    # tubules of about 28 µm radius, 68 µm apart: a half of the tissue
    assert (ring + lumen).mean() == pytest.approx(0.5, abs=0.15)
    assert 0.1 < lumen.sum() / (ring + lumen).sum() < 0.5


def test_the_next_section_shows_the_same_tubules_a_little_moved(tubules):
    source, ring, _ = tubules
    near, _ = _tubules(source, 4.0)
    again, _ = _tubules(source, 0.0)
    np.testing.assert_array_equal(again, ring)
    r = np.corrcoef(near.ravel(), ring.ravel())[0, 1]
    assert 0.5 < r < 0.999


def test_another_stain_keeps_the_scanner():
    centre = centre_of(BreastSettings(centres=1), 1, 0)
    other = other_stain(centre)
    for vector in (other.haematoxylin, other.eosin):
        assert np.linalg.norm(vector) == pytest.approx(1)
    for name in ("glass", "gamma", "noise", "blur_um"):
        np.testing.assert_array_equal(getattr(other, name), getattr(centre, name))
    # collagen takes up red light most: it looks blue-green
    assert other.eosin.argmax() == 0
    cosine = float(other.haematoxylin @ centre.haematoxylin)
    assert cosine < 0.97
