"""The box of a region."""

from __future__ import annotations

import numpy as np

from metasight.volumes.box import box_of


def test_the_box_holds_the_region_and_no_more() -> None:
    region = np.zeros((10, 12, 14), dtype=bool)
    region[2, 3, 4] = region[5, 1, 13] = True
    assert box_of(region) == np.s_[2:6, 1:4, 4:14]
    assert region[box_of(region)].sum() == 2


def test_a_margin_ends_at_the_array() -> None:
    region = np.zeros((10, 12, 14), dtype=bool)
    region[1, 6, 13] = True
    assert box_of(region, (3, 2, 1)) == np.s_[0:5, 4:9, 12:14]


def test_an_empty_region_has_an_empty_box() -> None:
    region = np.zeros((3, 3, 3), dtype=bool)
    assert region[box_of(region, (1, 1, 1))].size == 0
