"""Marker density on a grid: cells per mm², where it is known, and how wrong it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import MarkerError
from metasight.maps.cells import Cells
from metasight.maps.window import TissueWindow

Density = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

DEFAULT_SPACING_UM = 16.0


@dataclass(frozen=True, kw_only=True)
class DensityMap:
    """Cells per mm² of each marker on a square grid.

    Attributes
    ----------
    density
        float32, shape ``(marker, y, x)``, cells per mm², ≥ 0 on the support and NaN off it.
    error
        Standard error in cells per mm², same shape; NaN where nobody knows it.
    support
        Where the density is stated, shape ``(y, x)``.
    markers
        Name of each plane.
    spacing_um
        Side of a pixel.
    origin_um
        (x, y) of the outer corner of pixel (0, 0), in the slide's level-0 frame.

    Raises
    ------
    MarkerError
        Shapes differ, a marker is named twice, a density on the support is negative or NaN.
    """

    density: Density
    error: Density
    support: Mask
    markers: tuple[str, ...]
    spacing_um: float
    origin_um: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.density.ndim != 3 or self.density.dtype != np.float32:
            raise MarkerError("a density map is float32 of shape (marker, y, x)")
        if self.error.shape != self.density.shape or self.error.dtype != np.float32:
            raise MarkerError("a density map's error has the map's shape", where="error")
        if self.support.shape != self.density.shape[1:] or self.support.dtype != np.bool_:
            raise MarkerError("a density map's support is a mask of its grid", where="support")
        if len(self.markers) != len(self.density) or len(set(self.markers)) != len(self.markers):
            raise MarkerError("a density map needs one name a plane", value=", ".join(self.markers))
        if not (np.isfinite(self.spacing_um) and self.spacing_um > 0):
            raise MarkerError("a density map needs a spacing in µm", value=str(self.spacing_um))
        stated = self.density[:, self.support]
        if not (np.isfinite(stated).all() and (stated >= 0).all()):
            raise MarkerError("a density on the support is negative or missing")
        if not np.isnan(self.density[:, ~self.support]).all():
            raise MarkerError("a density is stated off the support", remedy="Put NaN there")

    def plane(self, marker: str) -> Density:
        """Density of one marker, shape ``(y, x)``.

        Raises
        ------
        MarkerError
            The map has no such marker.
        """
        if marker not in self.markers:
            raise MarkerError(
                "no such marker in the density map",
                value=marker,
                remedy=f"Its markers: {', '.join(self.markers)}",
            )
        found: Density = self.density[self.markers.index(marker)]
        return found

    @property
    def window(self) -> TissueWindow:
        """The support as a window."""
        return TissueWindow(mask=self.support, spacing_um=self.spacing_um, origin_um=self.origin_um)


def density_from_cells(
    cells: Cells,
    window: TissueWindow,
    *,
    markers: Mapping[str, tuple[str, ...]] | None = None,
    spacing_um: float = DEFAULT_SPACING_UM,
    bandwidth_um: float = 0.0,
) -> DensityMap:
    """Count cells on a grid.

    Parameters
    ----------
    cells
        Those outside ``window`` are not counted.
    window
        The tissue; resampled to ``spacing_um``. A pixel that it covers in part counts with the
        area that is covered.
    markers
        Name of a plane → cell types that it counts; by default positivity where the cells carry
        it, otherwise a plane for each type.
    spacing_um
        Side of a pixel.
    bandwidth_um
        Standard deviation of a Gaussian that spreads each cell, divided by the part of it that
        lies in the window (Diggle's edge correction); 0 is plain counting.

    Returns
    -------
    DensityMap
        Its error is the standard error of a Poisson count of the cells that a pixel draws upon,
        with half a cell added (Jeffreys' prior), so that an empty pixel is not taken to be known
        exactly.

    Raises
    ------
    MarkerError
        A named type is not in ``cells``, or the window vanishes at ``spacing_um``.
    """
    grid = window if window.spacing_um == spacing_um else window.resampled(spacing_um)
    seen = grid.mask.astype(np.float64) if grid is window else window.covered_share(grid)
    flags = _flags(cells, markers)
    density = np.full((len(flags), *grid.mask.shape), np.nan, dtype=np.float32)
    error = density.copy()
    for plane, wanted in enumerate(flags.values()):
        inside = wanted & grid.contains(cells.x_um, cells.y_um)
        if grid is not window:
            inside &= window.contains(cells.x_um, cells.y_um)
        count = grid.counts(cells.x_um[inside], cells.y_um[inside]).astype(np.float64)
        value, variance = _spread(count, np.where(grid.mask, seen, 0.0), spacing_um, bandwidth_um)
        density[plane][grid.mask] = value[grid.mask]
        error[plane][grid.mask] = np.sqrt(variance[grid.mask])
    return DensityMap(
        density=density,
        error=error,
        support=grid.mask,
        markers=tuple(flags),
        spacing_um=spacing_um,
        origin_um=grid.origin_um,
    )


def _flags(
    cells: Cells, markers: Mapping[str, tuple[str, ...]] | None
) -> dict[str, npt.NDArray[np.bool_]]:
    if markers is not None:
        return {name: cells.of_types(types) for name, types in markers.items()}
    if cells.positive:
        return dict(cells.positive)
    return {name: cells.of_types([name]) for name in cells.type_names}


def _spread(
    count: npt.NDArray[np.float64],
    seen: npt.NDArray[np.float64],
    spacing_um: float,
    bandwidth_um: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Density and its variance, in cells per mm² and its square; ``seen`` is 0 off the window."""
    pixel_mm2 = spacing_um**2 / 1e6
    if bandwidth_um == 0:
        area_mm2 = np.where(seen > 0, seen, 1.0) * pixel_mm2
        return count / area_mm2, (count + 0.5) / area_mm2**2
    sigma = bandwidth_um / spacing_um

    def smooth(image: npt.NDArray[np.float64], width: float) -> npt.NDArray[np.float64]:
        return np.asarray(
            ndimage.gaussian_filter(image, width, mode="constant", truncate=4.0), dtype=np.float64
        )

    inside = np.maximum(smooth(seen, sigma), 1e-9)
    value = np.maximum(smooth(count, sigma), 0.0) / inside
    # squaring a Gaussian of width s gives one of width s/√2 and mass 1/(4πs²)
    squared_mass = 1.0 / (4.0 * np.pi * sigma**2)
    drawn = np.maximum(smooth(count, sigma / np.sqrt(2.0)), 0.0) + 0.5 * squared_mass
    return value / pixel_mm2, drawn * squared_mass / inside**2 / pixel_mm2**2
