"""Tubes laid over a picture: their volume, and what may be painted over."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.lung.anatomy import Tubes
from metasight.simulate.lung.raster import AIRWAY, MUSCLE, Grid
from metasight.simulate.lung.tubes import paint_tubes

GRID = Grid(shape=(40, 40, 60), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(0.0, 0.0, 0.0))


def along_x(radius: float, y: float = 20.0, z: float = 20.0) -> Tubes:
    return Tubes(ends=np.array([[10.0, y, z, 50.0, y, z]]), radii=np.array([[radius, radius]]))


def painted(tubes, *, over=False, label=0, labels=None, value=40.0):
    hu = np.full(GRID.shape, -860.0, np.float32)
    kind = np.ones(GRID.shape, np.uint8) if labels is None else labels
    paint_tubes(tubes, GRID, hu, kind, value_hu=value, over=over, label=label)
    return hu, kind


@pytest.mark.parametrize("radius", [2.0, 3.0, 5.0])
def test_a_tube_has_its_cross_section(radius):
    hu, _ = painted(along_x(radius))
    share = (hu + 860) / 900
    assert share[:, :, 30].sum() == pytest.approx(np.pi * radius**2, rel=0.06)
    assert share[:, :, :5].sum() == 0


def test_a_tube_thinner_than_a_voxel_fills_a_part_of_it():
    thin, thick = (((painted(along_x(r))[0] + 860) / 900)[:, :, 30].max() for r in (0.25, 2.0))
    assert thick == pytest.approx(1.0)
    assert 0 < thin < 0.5


def test_tubes_in_order_or_not_give_the_brighter():
    one, two = along_x(3.0), along_x(3.0, y=22.0)
    both = Tubes(ends=np.vstack([one.ends, two.ends]), radii=np.vstack([one.radii, two.radii]))
    other = Tubes(ends=both.ends[::-1].copy(), radii=both.radii[::-1].copy())
    np.testing.assert_array_equal(painted(both)[0], painted(other)[0])
    np.testing.assert_allclose(
        painted(both)[0], np.maximum(painted(one)[0], painted(two)[0]), atol=1e-3
    )


def test_vessels_stay_within_lobes():
    labels = np.ones(GRID.shape, np.uint8)
    labels[:, :, 30:] = MUSCLE
    hu, _ = painted(along_x(3.0), labels=labels)
    assert hu[20, 20, 20] == pytest.approx(40, abs=1)
    assert hu[20, 20, 40] == -860


def test_a_lumen_replaces_what_was_there_and_is_labelled():
    labels = np.full(GRID.shape, MUSCLE, np.uint8)
    hu, kind = painted(along_x(3.0), over=True, label=AIRWAY, labels=labels, value=-1000.0)
    assert hu[20, 20, 30] == pytest.approx(-1000, abs=1)
    assert kind[20, 20, 30] == AIRWAY
    assert kind[0, 0, 0] == MUSCLE
    assert (kind == AIRWAY).sum() == pytest.approx(np.pi * 9 * 40, rel=0.15)
