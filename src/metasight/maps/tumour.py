"""How much of the scanned field is tumour, and how sure that is.

From a tumour marker the tumour is where tumour cells are dense; without it, where large nuclei
other than lymphocytes' are dense in H&E, which reactive epithelium and histiocytes can imitate.
Both give a region and an interval: the area at limits of density that a reader could as well have
chosen, 1.5 times lower and higher with a marker, twice with H&E. The density's random error
averages out over a region and is not added. The intervals have not been checked against readers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import MarkerError
from metasight.maps.cells import cells_of
from metasight.maps.density import DEFAULT_SPACING_UM, DensityMap, density_from_cells
from metasight.maps.window import TissueWindow
from metasight.segmentation.nucleus import Nuclei

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

EPITHELIUM_PER_MM2 = 1250.0
"""Tumour cells per mm² from which a place is tumour: half of the sparsest nests."""

_BANDWIDTH_UM = 32.0
_GAP_UM = 100.0
_SMALLEST_UM2 = 10_000.0
_LARGE_NUCLEUS_UM2 = 45.0
_ROUND_NUCLEUS = 2.5
_FACTOR_WITH_MARKER, _FACTOR_ON_HE = 1.5, 2.0


@dataclass(frozen=True, kw_only=True)
class TumourArea:
    """Tumour of a section.

    Attributes
    ----------
    percent
        Tumour region in % of the scanned field.
    lower, upper
        Interval over the limits of density; see the module.
    epithelium_percent
        Epithelium alone, without the stroma within the tumour's borders.
    region
        The tumour region, stroma inside it included; None where there is no tumour.
    basis
        The marker's name, or ``H&E``.
    """

    percent: float
    lower: float
    upper: float
    epithelium_percent: float
    region: TissueWindow | None
    basis: str


def tumour_from_marker(density: DensityMap, marker: str, *, scanned_area_um2: float) -> TumourArea:
    """Tumour region from the density of tumour cells.

    Parameters
    ----------
    density
        Pixels of 8 to 64 µm.
    marker
        The tumour marker's plane.
    scanned_area_um2
        Area of the scanned field, of which the criterion asks the share.

    Raises
    ------
    MarkerError
        The marker is missing, or the field is smaller than the tissue.
    """
    plane = np.nan_to_num(density.plane(marker)).astype(np.float64)
    return _area(plane, density.window, marker, _FACTOR_WITH_MARKER, scanned_area_um2)


def tumour_from_nuclei(
    nuclei: Nuclei, window: TissueWindow, *, scanned_area_um2: float
) -> TumourArea:
    """Tumour region from the nuclei of an H&E section.

    Nuclei count that are larger than a lymphocyte's (45 µm²: a disc of 7.6 µm), not long like a
    fibroblast's and not like a lymphocyte's.
    """
    large = (nuclei.area_um2 >= _LARGE_NUCLEUS_UM2) & (nuclei.axis_ratio <= _ROUND_NUCLEUS)
    large &= ~nuclei.lymphocyte_like
    cells = cells_of(
        nuclei.x_um[large], nuclei.y_um[large], ["large"] * int(large.sum()), ("large",)
    )
    density = density_from_cells(cells, window, spacing_um=DEFAULT_SPACING_UM)
    plane = np.nan_to_num(density.density[0]).astype(np.float64)
    return _area(plane, density.window, "H&E", _FACTOR_ON_HE, scanned_area_um2)


def _area(
    plane: Floats, window: TissueWindow, basis: str, factor: float, scanned_area_um2: float
) -> TumourArea:
    if not scanned_area_um2 >= window.area_um2 * (1 - 1e-6):
        raise MarkerError(
            "the scanned field is smaller than the tissue in it",
            value=f"{scanned_area_um2:.0f} and {window.area_um2:.0f} µm²",
        )
    smooth = _smoothed(plane, window)
    pixel_um2 = window.spacing_um**2

    def percent(mask: Mask) -> float:
        return float(100 * mask.sum() * pixel_um2 / scanned_area_um2)

    epithelium = window.mask & (smooth >= EPITHELIUM_PER_MM2)
    region = _region(epithelium, window)
    strict = window.mask & (smooth >= EPITHELIUM_PER_MM2 * factor)
    generous = window.mask & (smooth >= EPITHELIUM_PER_MM2 / factor)
    return TumourArea(
        percent=percent(region),
        # closing gaps can undo what a stricter limit took away; the ends enclose the middle
        lower=min(percent(_region(strict, window)), percent(region)),
        upper=max(percent(_region(generous, window)), percent(region)),
        epithelium_percent=percent(epithelium),
        region=TissueWindow(mask=region, spacing_um=window.spacing_um, origin_um=window.origin_um)
        if region.any()
        else None,
        basis=basis,
    )


def _smoothed(plane: Floats, window: TissueWindow) -> Floats:
    """Density at a bandwidth of 32 µm, from the window alone."""
    sigma = _BANDWIDTH_UM / window.spacing_um
    inside = ndimage.gaussian_filter(window.mask.astype(np.float64), sigma, mode="constant")
    smooth = ndimage.gaussian_filter(plane, sigma, mode="constant")
    return np.asarray(smooth / np.maximum(inside, 1e-6), dtype=np.float64)


def _region(epithelium: Mask, window: TissueWindow) -> Mask:
    """Epithelium with the stroma between its nests: gaps up to 100 µm closed, specks left out."""
    reach = _GAP_UM / 2 / window.spacing_um
    margin = int(np.ceil(reach)) + 1
    wide = np.pad(epithelium, margin)
    grown = ndimage.distance_transform_edt(~wide) <= reach
    closed = ndimage.distance_transform_edt(grown) > reach
    closed = (closed | wide)[margin:-margin, margin:-margin] & window.mask
    labels, n = ndimage.label(closed)
    size = np.bincount(labels.ravel(), minlength=n + 1) * window.spacing_um**2
    size[0] = 0
    return np.asarray((size >= _SMALLEST_UM2)[labels], dtype=np.bool_)
