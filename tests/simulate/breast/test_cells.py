"""Cells keep apart, come as the regions say, and T and B cells look alike."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import ks_2samp

from metasight.simulate.breast.cells import B_CELL, T_CELL, TUMOUR, SectionCells, draw_cells
from metasight.simulate.breast.patients import Patients
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.tissue import GRID_UM, Regions, biology_of, tissue_at


@pytest.fixture(scope="module")
def section(small: BreastSettings, average: Patients) -> tuple[Regions, SectionCells]:
    settings = small.model_copy(update={"tissue_mm": 2.0})
    biology = biology_of(average, 0)
    regions = tissue_at(settings, biology, (5,), 0.0)
    return regions, draw_cells(regions, biology.grade, (5, 1))


def test_t_and_b_cells_share_one_appearance(section) -> None:
    """Nothing about a nucleus tells a B cell from a T cell."""
    _, cells = section
    t, b = cells.kind == T_CELL, cells.kind == B_CELL
    assert min(t.sum(), b.sum()) > 200
    for name in ("long_um", "wide_um", "dark"):
        values = getattr(cells, name)
        assert ks_2samp(values[t], values[b]).pvalue > 0.001, name
        assert np.median(values[t]) == pytest.approx(np.median(values[b]), rel=0.03)


def test_no_two_cells_lie_on_each_other(section) -> None:
    _, cells = section
    away = cKDTree(np.stack([cells.x_um, cells.y_um], axis=1)).query(
        np.stack([cells.x_um, cells.y_um], axis=1), k=2
    )[0][:, 1]
    assert away.min() > 4.5
    lymphocytes = np.isin(cells.kind, (T_CELL, B_CELL))
    assert np.percentile(away[lymphocytes], 1) > 5.5


@pytest.mark.parametrize("kind", [TUMOUR, T_CELL, B_CELL])
def test_as_many_cells_as_the_regions_say(section, kind: int) -> None:
    regions, cells = section
    expected = float(regions.intensity[kind].sum()) * GRID_UM**2 / 1e6
    assert (cells.kind == kind).sum() == pytest.approx(expected, rel=0.1)


def test_another_seed_is_another_section_of_the_same_regions(section, average: Patients) -> None:
    regions, cells = section
    other = draw_cells(regions, 2, (5, 2))
    n = min(len(cells), len(other))
    assert (cells.x_um[:n] != other.x_um[:n]).mean() > 0.99
    again = draw_cells(regions, biology_of(average, 0).grade, (5, 1))
    assert (again.x_um == cells.x_um).all()


def test_grade_makes_nuclei_larger_and_more_varied(section) -> None:
    regions, _ = section
    area, spread = [], []
    for grade in (1, 2, 3):
        c = draw_cells(regions, grade, (6, grade))
        mine = np.pi * (c.long_um * c.wide_um)[c.kind == TUMOUR]
        area.append(np.median(mine))
        spread.append(mine.std() / mine.mean())
    assert area[0] < area[1] < area[2]
    assert spread[0] < spread[2]
