from dataclasses import replace

import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.cells import cells_of
from metasight.maps.density import density_from_cells
from metasight.maps.tumour import tumour_from_marker, tumour_from_painted
from metasight.maps.window import TissueWindow

NAMES = ("Pan-CK", "other")


def section(share, seed=0, side_um=3200.0):
    """A tumour on the left ``share`` of the tissue: nests in stroma, 60 µm apart."""
    window = TissueWindow.rectangle(side_um, side_um, spacing_um=16)
    rng = np.random.default_rng(seed)
    n = int(4000 * (side_um / 1000) ** 2)
    x, y = rng.uniform(0, side_um, (2, n))
    nest = (np.floor(x / 180) * 180 + 120 > x) & (np.floor(y / 180) * 180 + 120 > y)
    tumour = (x < share * side_um) & nest
    types = np.where(tumour, "Pan-CK", "other")
    stray = (~tumour) & (rng.random(n) < 0.01)
    return cells_of(x, y, np.where(stray, "Pan-CK", types), NAMES), window


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.9])
def test_share_of_the_field_from_pan_ck(share):
    cells, window = section(share)
    density = density_from_cells(cells, window, markers={"Pan-CK": ("Pan-CK",)})
    field = window.area_um2 * 1.5
    found = tumour_from_marker(density, "Pan-CK", scanned_area_um2=field)
    truth = 100 * share / 1.5
    assert found.lower <= found.percent <= found.upper
    assert found.percent == pytest.approx(truth, abs=5.0)  # the outer stroma is no tumour
    assert (found.region is None) == (share == 0)
    if share > 0:
        assert found.epithelium_percent < found.percent  # the region holds the stroma between


def test_no_marker_and_a_wrong_field():
    cells, window = section(0.3)
    density = density_from_cells(cells, window, markers={"CD3": ("Pan-CK",)})
    with pytest.raises(MarkerError, match="no such marker"):
        tumour_from_marker(density, "Pan-CK", scanned_area_um2=window.area_um2)
    with pytest.raises(MarkerError, match="smaller than the tissue"):
        tumour_from_marker(density, "CD3", scanned_area_um2=1.0)


def painted(share, relative_error):
    """The section's density at a bandwidth of 20 µm, off by that share of itself."""
    cells, window = section(share)
    density = density_from_cells(cells, window, markers={"Pan-CK": ("Pan-CK",)}, bandwidth_um=20.0)
    return replace(density, error=density.density * relative_error)


def test_the_error_of_a_painted_map_widens_the_interval():
    areas = [
        tumour_from_painted(painted(0.3, error), "Pan-CK", scanned_area_um2=3200.0**2 * 1.5, seed=1)
        for error in (0.0, 0.3, 1.0)
    ]
    exact = tumour_from_marker(painted(0.3, 0.0), "Pan-CK", scanned_area_um2=3200.0**2 * 1.5)
    assert {a.percent for a in areas} == {exact.percent}
    assert (areas[0].lower, areas[0].upper) == pytest.approx((exact.lower, exact.upper))
    widths = [a.upper - a.lower for a in areas]
    assert widths[0] < widths[1] < widths[2]
    assert all(a.lower <= a.percent <= a.upper for a in areas)
    assert {a.basis for a in areas} == {"painted Pan-CK"}


def test_painted_areas_are_the_same_for_the_same_seed():
    one, two, other = (
        tumour_from_painted(painted(0.1, 1.0), "Pan-CK", scanned_area_um2=3200.0**2, seed=s)
        for s in (1, 1, 2)
    )
    assert (one.lower, one.upper) == (two.lower, two.upper)
    assert (one.lower, one.upper) != (other.lower, other.upper)


def test_a_map_without_tumour_has_none_at_either_end():
    found = tumour_from_painted(painted(0.0, 0.3), "Pan-CK", scanned_area_um2=3200.0**2, seed=1)
    assert found.region is None
    assert (found.lower, found.percent) == (0.0, 0.0)
    assert found.upper < 1.0


def test_a_map_that_states_no_error_decides_nothing():
    silent = painted(0.3, np.nan)
    with pytest.raises(MarkerError, match="states no error"):
        tumour_from_painted(silent, "Pan-CK", scanned_area_um2=3200.0**2, seed=1)
    with pytest.raises(MarkerError, match="no such marker"):
        tumour_from_painted(silent, "CD3", scanned_area_um2=3200.0**2, seed=1)
