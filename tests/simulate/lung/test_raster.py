"""The grid of a scan, and the same field with other voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.simulate.lung.raster import Grid

GRID = Grid(shape=(10, 20, 30), spacing_mm=(3.0, 0.8, 0.7), origin_mm=(-10.0, 5.0, 100.0))


def edges(grid: Grid) -> np.ndarray:
    """Outer corners (z, y, x) of the field."""
    first = np.array(grid.origin_mm[::-1]) - 0.5 * np.array(grid.spacing_mm)
    return np.stack([first, first + np.array(grid.shape) * grid.spacing_mm])


def test_axes_begin_at_the_origin():
    z, y, x = GRID.axes()
    assert (len(z), len(y), len(x)) == (10, 20, 30)
    assert (z[0], y[0], x[0]) == (100.0, 5.0, -10.0)
    assert z[1] - z[0] == pytest.approx(3.0)
    assert x[-1] == pytest.approx(-10 + 29 * 0.7)


@given(st.tuples(*[st.floats(0.4, 4.0)] * 3))
def test_other_voxels_fill_the_same_field(spacing):
    other = GRID.with_spacing(spacing)
    assert other.spacing_mm == spacing
    one, two = edges(GRID), edges(other)
    np.testing.assert_allclose(two[0], one[0], atol=1e-9)  # they begin at the same edge
    assert (np.abs(two[1] - one[1]) <= np.array(spacing) / 2 + 1e-9).all()


def test_the_same_voxels_are_the_same_grid():
    assert GRID.with_spacing(GRID.spacing_mm) == GRID
