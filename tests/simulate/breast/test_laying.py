"""Where a section lies is where its transform says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from metasight.simulate.breast.cells import draw_cells
from metasight.simulate.breast.laying import draw_defects, draw_transform, lay
from metasight.simulate.breast.painting import GROUND
from metasight.simulate.breast.patients import Patients
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.tissue import GRID_UM, biology_of, side_um, tissue_at

MASKS = {name: k for k, name in enumerate(GROUND)}


@pytest.mark.parametrize("misalignment", [0.0, 15.0])
def test_regions_and_cells_move_together(
    small: BreastSettings, average: Patients, misalignment: float
) -> None:
    s = small.model_copy(update={"misalignment_um": misalignment, "tissue_mm": 1.2})
    regions = tissue_at(s, biology_of(average, 0), (2,), 0.0)
    cells = draw_cells(regions, 2, (2, 1))
    transform, side = draw_transform(s, (2, 5))
    still = draw_defects(0.0, regions.tissue, (2,))
    canvas = lay(regions, cells, still, transform, side, mpp=1.0, seed=(2,))
    block = np.stack([cells.x_um, cells.y_um], axis=1)
    moved = np.stack([canvas.cells.x_um, canvas.cells.y_um], axis=1)
    assert np.abs(transform.points(block) - moved).max() < 1e-9
    assert np.abs(transform.inverse().points(moved) - block).max() < 0.01

    def under(image: np.ndarray, at: np.ndarray) -> np.ndarray:
        return ndimage.map_coordinates(image, (at / GRID_UM - 0.5)[:, ::-1].T, order=1)

    for name in ("nest", "fat"):
        here = under(getattr(regions, name), block)
        there = under(canvas.maps[..., MASKS[name]], moved)
        assert np.mean(np.abs(here - there)) < 0.02, name
    inside = (moved > 0).all(axis=1) & (moved < side).all(axis=1)
    assert inside.all()


def test_displacements_have_the_size_that_was_asked_for(small: BreastSettings) -> None:
    def residual(**update: float) -> float:
        s = small.model_copy(update={"tissue_mm": 4.0, **update})
        grid = np.stack(np.meshgrid(*[np.linspace(400, side_um(s) - 400, 30)] * 2), -1)
        at = grid.reshape(-1, 2)
        out = []
        for seed in range(10):
            moved = draw_transform(s, (seed,))[0].points(at)
            design = np.column_stack([at, np.ones(len(at))])
            rest = moved - design @ np.linalg.lstsq(design, moved, rcond=None)[0]
            out.append(rest.std())
        return float(np.mean(out))

    assert residual(deformation_um=0.0) < 1e-6
    assert residual(deformation_um=10.0) == pytest.approx(10.0, rel=0.25)
    both = residual(deformation_um=10.0, misalignment_um=20.0)
    assert both == pytest.approx(np.hypot(10.0, 20.0), rel=0.25)


def test_defects_come_as_often_as_asked(small: BreastSettings) -> None:
    tissue = np.ones((200, 200), np.float32)
    found = [draw_defects(0.3, tissue, (seed,)) for seed in range(300)]
    assert np.mean([bool(d.names) for d in found]) == pytest.approx(0.3, abs=0.08)
    for d in found:
        if "fold" in d.names:
            assert d.amount.max() > 1.6
        if "tear" in d.names:
            assert d.amount.min() < 0.2
