"""Pixels follow the cells: same nuclei, same pixels, whatever their kind of lymphocyte."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from metasight.segmentation.nucleus import detect_in_he
from metasight.simulate.breast.cells import B_CELL, T_CELL, draw_cells
from metasight.simulate.breast.centres import centre_of
from metasight.simulate.breast.he import paint_he
from metasight.simulate.breast.laying import draw_defects, lie_still
from metasight.simulate.breast.other import other_stain
from metasight.simulate.breast.patients import Patients
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.tissue import biology_of, tissue_at

FINE = 0.5


@pytest.fixture(scope="module")
def canvas(small: BreastSettings, average: Patients):
    biology = biology_of(replace(average, tls=np.array([1.0])), 0)
    regions = tissue_at(small, biology, (8,), 0.0)
    cells = draw_cells(regions, 2, (8, 1))
    return lie_still(regions, cells, draw_defects(0.0, regions.tissue, (8,)), mpp=FINE, seed=(8, 2))


def test_h_and_e_does_not_know_t_from_b(small: BreastSettings, canvas) -> None:
    """All B cells made T cells: not one pixel changes."""
    centre = centre_of(small, 1, 0)
    kind = canvas.cells.kind.copy()
    assert (kind == B_CELL).sum() > 20
    kind[kind == B_CELL] = T_CELL
    swapped = replace(canvas, cells=replace(canvas.cells, kind=kind))
    assert (paint_he(canvas, centre) == paint_he(swapped, centre)).all()


def test_nuclei_can_be_found_where_they_are(small: BreastSettings, canvas) -> None:
    rgb = paint_he(canvas, centre_of(small, 1, 0))
    found = detect_in_he(rgb, FINE)
    assert len(found) == pytest.approx(len(canvas.cells), rel=0.25)
    dark = rgb[..., 0].astype(float)
    lymphocytes = np.isin(canvas.cells.kind, (T_CELL, B_CELL))
    column = (canvas.cells.x_um[lymphocytes] / FINE).astype(int)
    row = (canvas.cells.y_um[lymphocytes] / FINE).astype(int)
    assert np.mean(dark[row, column] < np.median(dark[dark < 230])) > 0.95


def test_centres_differ_as_far_as_the_setting_says(small: BreastSettings, canvas) -> None:
    def colours(shift: float) -> np.ndarray:
        s = small.model_copy(update={"stain_shift": shift, "scanner_shift": 0.0})
        pictures = [paint_he(canvas, centre_of(s, 3, c)) for c in range(3)]
        return np.stack([p[p[..., 1] < 200].mean(axis=0) for p in pictures])

    same, real, worse = (np.ptp(colours(v), axis=0).max() for v in (0.0, 1.0, 2.0))
    assert same < 1.0
    assert real > 4.0
    assert worse > 1.4 * real


def test_another_stain_is_another_colour(small: BreastSettings, canvas) -> None:
    centre = centre_of(small, 1, 0)
    plain, other = (paint_he(canvas, c) for c in (centre, other_stain(centre)))
    stained = plain[..., 1] < 200
    # red passes eosin and not the other stain's ground
    assert other[stained, 0].mean() < plain[stained, 0].mean() - 20


def test_a_spoilt_section_is_blurred(small: BreastSettings, canvas) -> None:
    centre = centre_of(small, 1, 0)
    sharp, blurred = (paint_he(canvas, centre, out_of_focus_um=b) for b in (0.0, 4.0))
    calm = [ndimage.gaussian_filter(p[..., 0].astype(float), 1.0) for p in (sharp, blurred)]
    edges = [np.abs(np.diff(p, axis=1)).mean() for p in calm]  # without the camera's noise
    assert edges[1] < 0.5 * edges[0]
