"""Outlines as pixels of a map."""

import numpy as np
from shapely.geometry import MultiPolygon, box

from metasight.biomarkers.structures import structure_mask
from metasight.biomarkers.tls import Aggregate
from metasight.maps.density import DensityMap


def aggregate(outline) -> Aggregate:
    return Aggregate(
        outline=outline,
        centroid_um=(0, 0),
        area_um2=outline.area,
        lymphocytes=60.0,
        b_percent=40.0,
        density_ratio=5.0,
        distance_to_tumour_um=0.0,
    )


def grid(origin_um=(0.0, 0.0)) -> DensityMap:
    return DensityMap(
        density=np.zeros((1, 20, 30), dtype=np.float32),
        error=np.zeros((1, 20, 30), dtype=np.float32),
        support=np.ones((20, 30), dtype=bool),
        markers=("T",),
        spacing_um=10.0,
        origin_um=origin_um,
    )


def test_a_rectangle_covers_the_pixels_within_it():
    # centres of pixels 5 to 9 across and 3 to 6 down lie on its edges and within
    mask = structure_mask([aggregate(box(55, 35, 95, 65))], grid())
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max()) == (3, 6)
    assert (columns.min(), columns.max()) == (5, 9)
    assert mask.sum() == 4 * 5


def test_the_grid_begins_at_its_origin_and_every_part_counts():
    two = MultiPolygon([box(55, 35, 95, 65), box(155, 35, 165, 45)])
    mask = structure_mask([aggregate(two)], grid(origin_um=(50.0, 30.0)))
    assert mask[0:4, 0:5].all()
    assert mask[0:2, 10:12].all()
    assert mask.sum() == 20 + 4
    assert not structure_mask([], grid()).any()
