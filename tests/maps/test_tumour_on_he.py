"""Tumour area from the nuclei of an H&E: what counts as epithelial, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage

from metasight.errors import MarkerError
from metasight.maps.cells import cells_of
from metasight.maps.density import density_from_cells
from metasight.maps.tumour import tumour_from_marker
from metasight.maps.tumour_on_he import tumour_from_nuclei
from metasight.maps.window import TissueWindow
from metasight.segmentation.nucleus import detect_in_he
from metasight.segmentation.slide_nuclei import NucleusTable

SIDE_UM = 2400.0
WINDOW = TissueWindow.rectangle(SIDE_UM, SIDE_UM, spacing_um=16)


def section(share: float, *, scale: float = 1.0, seed: int = 0) -> NucleusTable:
    """Epithelium on the left ``share``, 4,000 per mm²; lymphocytes and fibroblasts on the right.

    Epithelial nuclei are of 10 µm, of which a section cuts off caps, lymphocytes' of 7 µm;
    ``scale`` is how much larger the slide shows all of them.
    """
    rng = np.random.default_rng(seed)
    n = int(4000 * (SIDE_UM / 1000) ** 2)
    x, y = rng.uniform(0, SIDE_UM, (2, n))
    tumour = x < share * SIDE_UM
    spindle = ~tumour & (rng.random(n) < 0.4)
    diameter = np.where(tumour, 10.0, 7.0) * np.exp(0.15 * rng.standard_normal(n))
    return NucleusTable(
        x_um=x,
        y_um=y,
        area_um2=np.pi / 4 * diameter**2 * scale,
        amount=np.where(tumour, 0.8, 1.2) + 0.1 * rng.standard_normal(n),
        contrast=np.ones(n),
        axis_ratio=np.where(spindle, 2.8, 1.3) + 0.1 * rng.random(n),
        lymphocyte_like=~tumour & ~spindle,
    )


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("scale", [1.0, 1.4])
def test_the_share_of_the_field_whatever_size_the_slide_shows_nuclei_at(share, scale) -> None:
    found = tumour_from_nuclei(
        section(share, scale=scale), WINDOW, scanned_area_um2=WINDOW.area_um2 * 2
    )
    # the bandwidth and gaps move a border by less than 100 µm of 2,400
    assert found.percent == pytest.approx(100 * share / 2, abs=2)
    assert found.basis == "nuclei of the H&E"
    assert (found.lower >= 10) == (share >= 0.3)
    assert (found.upper < 10) == (share < 0.3)


def test_without_lymphocytes_to_compare_with_tumour_is_not_denied() -> None:
    found = tumour_from_nuclei(section(1.0), WINDOW, scanned_area_um2=WINDOW.area_um2)
    assert found.percent > 90
    assert found.upper > 95


def test_lymphocytes_however_dense_are_no_tumour() -> None:
    nuclei = section(0.0)
    keep = np.flatnonzero(nuclei.lymphocyte_like)
    crowd = NucleusTable(
        **{name: getattr(nuclei, name)[keep] for name in NucleusTable.__dataclass_fields__}
    )
    found = tumour_from_nuclei(crowd, WINDOW, scanned_area_um2=WINDOW.area_um2)
    assert found.percent < 2
    assert found.lower == 0


def test_large_nuclei_that_are_long_are_no_tumour() -> None:
    nuclei = section(0.5)
    long = replace(nuclei, axis_ratio=np.full(len(nuclei), 2.5))
    assert tumour_from_nuclei(long, WINDOW, scanned_area_um2=WINDOW.area_um2).percent == 0


def test_sparse_epithelium_is_undecided_between_the_ends() -> None:
    """At the limit of 1,250 per mm² the area depends on how many nuclei were overlooked."""
    nuclei = section(1.0)
    some = np.arange(len(nuclei)) % 4 == 0  # 1,000 found per mm², 1,300 if a quarter is overlooked
    sparse = NucleusTable(
        **{name: getattr(nuclei, name)[some] for name in NucleusTable.__dataclass_fields__}
    )
    found = tumour_from_nuclei(sparse, WINDOW, scanned_area_um2=WINDOW.area_um2)
    assert found.lower < 10
    assert found.upper > 50


def test_where_other_nuclei_look_nearly_as_epithelial_nothing_is_sure() -> None:
    """A quarter of the others' and 0.4 of the epithelial nuclei are large: errors of both meet."""
    nuclei, rng = section(0.5), np.random.default_rng(1)
    left = nuclei.x_um < SIDE_UM / 2
    large = rng.random(len(nuclei)) < np.where(left, 0.4, 0.25)
    alike = replace(
        nuclei,
        area_um2=np.where(large, 110.0, 40.0),
        axis_ratio=np.full(len(nuclei), 1.2),
        amount=np.where(large, 0.8, 1.2),
    )
    found = tumour_from_nuclei(alike, WINDOW, scanned_area_um2=WINDOW.area_um2)
    assert found.lower < 50 < found.upper
    assert found.upper - found.lower > 20


def test_what_cannot_be_told_is_a_named_error() -> None:
    nuclei = section(0.3)
    few = NucleusTable(
        **{name: getattr(nuclei, name)[:99] for name in NucleusTable.__dataclass_fields__}
    )
    with pytest.raises(MarkerError) as caught:
        tumour_from_nuclei(few, WINDOW, scanned_area_um2=WINDOW.area_um2)
    assert caught.value.problem == "too few nuclei to tell a tumour by"
    with pytest.raises(MarkerError, match="smaller than the tissue"):
        tumour_from_nuclei(nuclei, WINDOW, scanned_area_um2=1.0)


def test_it_agrees_with_the_tumour_nuclei_that_others_marked(shared) -> None:
    """Cells of the reference's neoplastic nuclei make the map to compare with.

    The nest's cells are large and few, about as many per mm² as the limit, so that the reference
    itself is uncertain; the eye outlines about a third of the tile. The intervals must meet.
    """
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
    assert found.lower <= truth.upper
    assert truth.lower <= found.upper < 80
    print(
        f"H&E {found.percent:.0f} ({found.lower:.0f}–{found.upper:.0f}) %, "
        f"marked nuclei {truth.percent:.0f} %"
    )
