"""How much of the scanned field is tumour, and how sure that is.

Tumour is where tumour cells are dense, on a measured or a painted map of a tumour marker; from
the nuclei of an H&E alone see `metasight.maps.tumour_on_he`. The interval holds the limits of
density that a reader could as well have chosen, 1.5 times lower and higher, and for a painted map
its error. The random error of a measured density averages out over a region and is not added. The
intervals have not been checked against readers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import MarkerError
from metasight.estimate import Estimate
from metasight.maps.density import DensityMap
from metasight.maps.drawn import drawn_map
from metasight.maps.window import TissueWindow

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

EPITHELIUM_PER_MM2 = 1250.0
"""Tumour cells per mm² from which a place is tumour: half of the sparsest nests."""

LIMIT_FACTOR = 1.5
"""How much lower or higher a reader could as well have put that limit."""

NUCLEI_OF_HE = "nuclei of the H&E"
"""The basis of a tumour area for which no marker is known."""

_BANDWIDTH_UM = 32.0
_GAP_UM = 100.0
_SMALLEST_UM2 = 10_000.0
_DRAWS = 20
_OF_90_PERCENT = 1.645


@dataclass(frozen=True, kw_only=True)
class TumourArea:
    """Tumour of a section.

    Attributes
    ----------
    percent
        Tumour region in % of the scanned field.
    lower, upper
        Interval; see the module.
    epithelium_percent
        Epithelium alone, without the stroma within the tumour's borders.
    region
        The tumour region, stroma inside it included; None where there is no tumour.
    basis
        The marker's name, that with "painted", or `NUCLEI_OF_HE`.
    """

    percent: float
    lower: float
    upper: float
    epithelium_percent: float
    region: TissueWindow | None
    basis: str

    @property
    def estimate(self) -> Estimate:
        """The percentage and its interval."""
        return Estimate.of(self.percent, self.lower, self.upper)


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
    smooth = smoothed_density(plane, density.window)
    return area_of(smooth, density.window, marker, scanned_area_um2)


def tumour_from_painted(
    painted: DensityMap, marker: str, *, scanned_area_um2: float, seed: int
) -> TumourArea:
    """Tumour region from a painted map, whose own error widens the interval.

    Twenty maps that the error allows are drawn; 1.645 standard deviations of their areas and what
    the limit's factor does are joined as independent errors. A map that is too pale or too dark as
    a whole is what that factor stands for: the drawn errors are those of regions of 128 µm and
    average out over a section.

    Parameters
    ----------
    painted
        With its error.
    marker
        The tumour marker's plane.
    scanned_area_um2
        Of the scanned field.
    seed
        Of the maps drawn.

    Raises
    ------
    MarkerError
        As `tumour_from_marker`, or the map states no error, as one of a published generator.
    """
    error = painted.error[painted.markers.index(marker)] if marker in painted.markers else None
    if error is not None and not np.isfinite(error[painted.support]).all():
        raise MarkerError("the painted map states no error", value=marker)
    limits = tumour_from_marker(painted, marker, scanned_area_um2=scanned_area_um2)
    window, drawn = painted.window, []
    for draw in range(_DRAWS):
        other = drawn_map(painted, seed=seed, draw=draw)
        region = tumour_region(_epithelium(other, marker), window)
        drawn.append(share_percent(region, window, scanned_area_um2))
    of_map = _OF_90_PERCENT * float(np.std(drawn, ddof=1))
    return replace(
        limits,
        lower=max(0.0, limits.percent - float(np.hypot(limits.percent - limits.lower, of_map))),
        upper=min(100.0, limits.percent + float(np.hypot(limits.upper - limits.percent, of_map))),
        basis=f"painted {marker}",
    )


def _epithelium(density: DensityMap, marker: str) -> Mask:
    plane = np.nan_to_num(density.plane(marker)).astype(np.float64)
    smooth = smoothed_density(plane, density.window)
    return np.asarray(density.support & (smooth >= EPITHELIUM_PER_MM2), dtype=np.bool_)


def area_of(
    smooth: Floats, window: TissueWindow, basis: str, scanned_area_um2: float
) -> TumourArea:
    """Tumour area of a density (tumour cells per mm²) that is smooth already.

    Parameters
    ----------
    smooth
        Shape of the window's mask; see `smoothed_density`.
    window
        The tissue.
    basis
        What the density comes from.
    scanned_area_um2
        Of the scanned field.

    Raises
    ------
    MarkerError
        The field is smaller than the tissue.
    """
    if not scanned_area_um2 >= window.area_um2 * (1 - 1e-6):
        raise MarkerError(
            "the scanned field is smaller than the tissue in it",
            value=f"{scanned_area_um2:.0f} and {window.area_um2:.0f} µm²",
        )

    def region_from(limit: float) -> Mask:
        return tumour_region(window.mask & (smooth >= limit), window)

    def percent(mask: Mask) -> float:
        return share_percent(mask, window, scanned_area_um2)

    region = region_from(EPITHELIUM_PER_MM2)
    return TumourArea(
        percent=percent(region),
        # closing gaps can undo what a stricter limit took away; the ends enclose the middle
        lower=min(percent(region_from(EPITHELIUM_PER_MM2 * LIMIT_FACTOR)), percent(region)),
        upper=max(percent(region_from(EPITHELIUM_PER_MM2 / LIMIT_FACTOR)), percent(region)),
        epithelium_percent=percent(window.mask & (smooth >= EPITHELIUM_PER_MM2)),
        region=TissueWindow(mask=region, spacing_um=window.spacing_um, origin_um=window.origin_um)
        if region.any()
        else None,
        basis=basis,
    )


def share_percent(mask: Mask, window: TissueWindow, scanned_area_um2: float) -> float:
    """Area of a mask on the window's grid in % of the scanned field."""
    return float(100 * mask.sum() * window.spacing_um**2 / scanned_area_um2)


def smoothed_density(plane: Floats, window: TissueWindow) -> Floats:
    """Density at a bandwidth of 32 µm, from the window alone; ``plane`` is 0 off it."""
    sigma = _BANDWIDTH_UM / window.spacing_um
    inside = ndimage.gaussian_filter(window.mask.astype(np.float64), sigma, mode="constant")
    smooth = ndimage.gaussian_filter(plane, sigma, mode="constant")
    return np.asarray(smooth / np.maximum(inside, 1e-6), dtype=np.float64)


def tumour_region(epithelium: Mask, window: TissueWindow) -> Mask:
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
