"""Sections brought onto the H&E: places, the tissue that all show, densities."""

import numpy as np
import pytest

from metasight.alignment.transform import Transform
from metasight.maps.cells import Cells
from metasight.maps.together import bring_onto, density_of_sections
from metasight.maps.window import TissueWindow

HE = TissueWindow.rectangle(160.0, 160.0, spacing_um=16.0)
# a point of the H&E lies 40 µm to the right and 20 µm down on the section
SHIFT = Transform.affine(np.array([[1.0, 0.0, 40.0], [0.0, 1.0, 20.0]]), (160.0, 160.0))


def cells(x, y, marker="T") -> Cells:
    return Cells(
        x_um=np.array(x, dtype=float),
        y_um=np.array(y, dtype=float),
        type_code=np.ones(len(x), dtype=np.int16),
        type_names=("other", marker),
        positive={marker: np.ones(len(x), dtype=bool)},
    )


def brought(x=(60.0,), y=(50.0,), marker="T", side=300.0):
    own = TissueWindow.rectangle(side, side, spacing_um=4.0)
    return bring_onto(cells(x, y, marker), own, SHIFT, HE, (marker,))


def test_a_cell_lies_where_the_transform_takes_it_back_to():
    found = brought()
    assert (found.cells.x_um[0], found.cells.y_um[0]) == pytest.approx((20.0, 30.0), abs=1e-6)
    assert found.window.mask.all()


def test_where_the_section_does_not_reach_nobody_looked():
    found = brought(side=120.0)
    # of the H&E's pixels those count whose centre lies within 80 µm across and 100 µm down
    assert found.window.mask.sum() == 5 * 6
    assert found.window.mask[:6, :5].all()
    assert brought(side=8.0) is None


def test_only_tissue_that_every_section_shows_counts():
    wide, narrow = brought(x=(60.0, 190.0), y=(50.0, 50.0)), brought(marker="B", side=120.0)
    found = density_of_sections([wide, narrow], HE, ("T", "B"), bandwidth_um=0.0)
    assert found.support.sum() == 5 * 6
    pixel_mm2 = (16e-3) ** 2
    # of the two T cells one lies where the second section shows no tissue
    assert np.nansum(found.plane("T")) * pixel_mm2 == pytest.approx(1.0, rel=1e-4)
    assert np.nansum(found.plane("B")) * pixel_mm2 == pytest.approx(1.0, rel=1e-4)
    assert found.plane("T")[1, 1] > 0


def test_a_marker_that_no_section_shows_gives_no_density():
    assert density_of_sections([brought()], HE, ("T", "B"), bandwidth_um=0.0) is None
    assert density_of_sections([brought()], HE, ("T",), bandwidth_um=0.0) is not None
