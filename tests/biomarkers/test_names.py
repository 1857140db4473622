"""Every column of a biomarker has words, and says where a generator painted what it measures."""

from __future__ import annotations

import numpy as np

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.measure import measure
from metasight.biomarkers.names import in_words
from metasight.maps.cells import cells_of
from metasight.maps.window import TissueWindow


def test_every_measure_has_words_and_no_two_the_same():
    window = TissueWindow(mask=np.ones((60, 60), dtype=bool), spacing_um=8.0)
    x, y = np.random.default_rng(0).uniform(0, 480, (2, 300))
    kinds = np.tile(["tumour", "t_cell", "b_cell"], 100)
    cells = cells_of(x, y, kinds, ("tumour", "t_cell", "b_cell"))
    few = BiomarkerDefinitions(resamples=9, permutations=63, tls_permutations=3)
    names = [m.name for m in measure(cells, window, window, few, seed=3).measures]
    assert len(names) > 30
    words = [in_words(n) for n in names]
    assert not [n for n, w in zip(names, words, strict=True) if n == w or "_" in w]
    assert len(set(words)) == len(words)


def test_a_generated_map_is_said_and_other_columns_stay():
    assert in_words("generated_tls_count") == in_words("tls_count") + " (generated map)"
    assert in_words("ESR1") == "ESR1"
    assert in_words("generated_score_of_somebody") == "generated_score_of_somebody"
