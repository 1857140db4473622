import cv2
import numpy as np
import pytest
from scipy import ndimage

from metasight.errors import MarkerError
from metasight.maps.cells import cells_of
from metasight.maps.density import density_from_cells
from metasight.maps.tumour import tumour_from_marker, tumour_from_nuclei
from metasight.maps.window import TissueWindow
from metasight.segmentation.nucleus import detect_in_he

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


def test_he_agrees_with_the_tumour_nuclei_that_others_marked(shared):
    """Cells of the reference's neoplastic nuclei make the map to compare with."""
    folder = shared / "data/slides/histolytics"
    rgb = cv2.cvtColor(cv2.imread(str(folder / "hgsc_nest.jpg")), cv2.COLOR_BGR2RGB)
    labels = np.load(folder / "hgsc_nest_inst_mask.npz")["nuc_raster"]
    kinds = np.load(folder / "hgsc_nest_type_mask.npz")["nuc_raster"]
    number = np.unique(labels)[1:]
    centre = np.array(ndimage.center_of_mass(labels > 0, labels, number)) * 0.5
    neoplastic = ndimage.median(kinds, labels, number) == 3
    window = TissueWindow.rectangle(752, 752, spacing_um=16)
    cells = cells_of(
        centre[neoplastic, 1], centre[neoplastic, 0], ["Pan-CK"] * int(neoplastic.sum())
    )
    density = density_from_cells(cells, window)
    area = window.area_um2
    truth = tumour_from_marker(density, "Pan-CK", scanned_area_um2=area)
    found = tumour_from_nuclei(detect_in_he(rgb, 0.5), window, scanned_area_um2=area)
    assert found.lower <= truth.percent <= found.upper
    assert found.basis == "H&E"
    print(
        f"H&E {found.percent:.0f} ({found.lower:.0f}–{found.upper:.0f}) %, "
        f"marked nuclei {truth.percent:.0f} %"
    )
