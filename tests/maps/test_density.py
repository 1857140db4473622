import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.cells import cells_of
from metasight.maps.density import DensityMap, density_from_cells
from metasight.maps.window import TissueWindow

NAMES = ("CD3", "CD20")


def poisson(per_mm2, window, seed):
    rng = np.random.default_rng(seed)
    ny, nx = window.mask.shape
    w, h = nx * window.spacing_um, ny * window.spacing_um
    n = rng.poisson(per_mm2 * w * h / 1e6)
    x, y = rng.uniform(0, w, n), rng.uniform(0, h, n)
    inside = window.contains(x, y)
    return cells_of(x[inside], y[inside], ["CD3"] * int(inside.sum()), NAMES)


@pytest.fixture
def holed():
    mask = np.ones((100, 120), dtype=bool)
    mask[:40, :50] = False
    return TissueWindow(mask=mask, spacing_um=16.0)


@pytest.mark.parametrize("bandwidth_um", [0.0, 40.0])
def test_density_is_the_one_put_in_up_to_the_edge(holed, bandwidth_um):
    maps = [
        density_from_cells(poisson(2000, holed, s), holed, bandwidth_um=bandwidth_um)
        for s in range(20)
    ]
    mean = np.mean([m.plane("CD3") for m in maps], axis=0)
    edge = holed.mask & ~np.pad(holed.mask, 1)[2:, 1:-1]
    assert mean[holed.mask].mean() == pytest.approx(2000, rel=0.02)
    assert mean[edge].mean() == pytest.approx(2000, rel=0.06)
    assert np.nanmax(maps[0].plane("CD20")) == 0


def test_stated_error_is_the_error_made(holed):
    m = density_from_cells(poisson(3000, holed, 1), holed, bandwidth_um=40)
    z = (m.plane("CD3") - 3000) / m.error[0]
    assert 0.85 < np.nanstd(z) < 1.15
    assert (np.abs(z[holed.mask]) < 1.96).mean() > 0.9


def test_counting_keeps_every_cell(holed):
    cells = poisson(500, holed, 3)
    m = density_from_cells(cells, holed)
    assert np.nansum(m.plane("CD3")) * 16**2 / 1e6 == pytest.approx(len(cells), rel=1e-4)
    assert np.isnan(m.density[:, ~m.support]).all()
    assert (m.error[:, m.support] > 0).all()


def test_bad_maps(holed):
    m = density_from_cells(poisson(100, holed, 0), holed)
    parts = {"error": m.error, "support": m.support, "markers": m.markers, "spacing_um": 16.0}
    negative = m.density.copy()
    negative[0, -1, -1] = -1
    for change, problem in [
        ({"density": negative}, "negative"),
        ({"density": m.density.astype(np.float64)}, "float32"),
        ({"density": np.nan_to_num(m.density)}, "off the support"),
        ({"density": m.density, "markers": ("CD3", "CD3")}, "one name a plane"),
        ({"density": m.density, "spacing_um": 0.0}, "spacing"),
        ({"density": m.density, "support": m.support[:5]}, "support"),
    ]:
        with pytest.raises(MarkerError, match=problem):
            DensityMap(**(parts | change))
    with pytest.raises(MarkerError, match="no such marker"):
        m.plane("CD8")


@pytest.mark.parametrize("bandwidth_um", [0.0, 30.0])
def test_a_pixel_that_the_window_half_covers_has_the_density_of_its_half(bandwidth_um):
    window = TissueWindow.rectangle(680, 504, spacing_um=4)
    found = [
        density_from_cells(poisson(4000, window, s), window, bandwidth_um=bandwidth_um)
        for s in range(30)
    ]
    mean = np.mean([m.plane("CD3") for m in found], axis=0)
    assert mean.shape == (32, 43)  # the last ones half covered, their corner a quarter
    assert mean[-1, :-1].mean() == pytest.approx(4000, rel=0.06)
    assert mean[:-1, -1].mean() == pytest.approx(4000, rel=0.06)
    if bandwidth_um == 0:
        assert np.mean([m.error[0, -1, :-1].mean() for m in found]) == pytest.approx(
            np.sqrt(4000 * 128e-6 + 0.5) / 128e-6, rel=0.06
        )


def test_no_cell_beside_the_window_is_counted():
    window = TissueWindow.rectangle(24, 16, spacing_um=8)
    cells = cells_of([20.0, 28.0], [8.0, 8.0], ["CD3", "CD3"], NAMES)
    assert density_from_cells(cells, window).plane("CD3")[0, 1] == pytest.approx(1 / 128e-6)
