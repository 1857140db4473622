"""The tissue that was looked at: a raster window on a µm grid.

A count means nothing without the area it was counted in, and a distance between cells means
little near an edge behind which nobody looked. Every spatial measure takes its area, its
distances to the edge and its set covariance from one :class:`TissueWindow`, never from a
bounding box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy import fft, ndimage
from shapely.geometry import MultiPolygon, Polygon

from metasight.errors import MarkerError
from metasight.maps.cells import Cells

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class TissueWindow:
    """Where cells could have been seen.

    Attributes
    ----------
    mask
        Whether each pixel belongs, shape ``(y, x)``. The window is the union of the squares of
        the true pixels, and nothing lies outside the array.
    spacing_um
        Side of a pixel.
    origin_um
        (x, y) of the outer corner of pixel (0, 0), in the cells' frame.

    Raises
    ------
    MarkerError
        No pixel belongs, or the spacing is not positive.
    """

    mask: Mask
    spacing_um: float
    origin_um: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.spacing_um) and self.spacing_um > 0):
            raise MarkerError("a window needs a spacing in µm", value=str(self.spacing_um))
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_:
            raise MarkerError("a window's mask is a two-dimensional array of flags")
        if not self.mask.any():
            raise MarkerError("the window is empty", remedy="Give the tissue that was looked at")

    @classmethod
    def rectangle(
        cls,
        width_um: float,
        height_um: float,
        *,
        spacing_um: float,
        origin_um: tuple[float, float] = (0.0, 0.0),
    ) -> TissueWindow:
        """A whole field of view.

        Raises
        ------
        MarkerError
            The sides are no multiples of ``spacing_um``: the area would be wrong.
        """
        nx, ny = width_um / spacing_um, height_um / spacing_um
        if min(abs(nx - round(nx)), 1) > 1e-6 or min(abs(ny - round(ny)), 1) > 1e-6:
            raise MarkerError(
                "a rectangle's sides are no multiples of the spacing",
                value=f"{width_um:g} × {height_um:g} µm at {spacing_um:g} µm",
            )
        mask = np.ones((round(ny), round(nx)), dtype=bool)
        return cls(mask=mask, spacing_um=spacing_um, origin_um=origin_um)

    @classmethod
    def from_polygons(
        cls, polygons: Sequence[Polygon | MultiPolygon], *, spacing_um: float
    ) -> TissueWindow:
        """Pixels whose centre lies in one of ``polygons`` (µm; holes are left out).

        Raises
        ------
        MarkerError
            A polygon is not valid, or none covers a pixel's centre.
        """
        whole = shapely.union_all(list(polygons))
        if not whole.is_valid or whole.is_empty:
            raise MarkerError("the window's polygons are empty or cross themselves")
        x0, y0, x1, y1 = whole.bounds
        # the grid's lines are multiples of the spacing, so that windows of one slide coincide
        i0, j0 = int(np.floor(x0 / spacing_um)), int(np.floor(y0 / spacing_um))
        nx = max(int(np.ceil(x1 / spacing_um)) - i0, 1)
        ny = max(int(np.ceil(y1 / spacing_um)) - j0, 1)
        shapely.prepare(whole)
        centre_x = (np.arange(nx) + i0 + 0.5) * spacing_um
        mask = np.zeros((ny, nx), dtype=bool)
        for row in range(ny):
            mask[row] = shapely.contains_xy(whole, centre_x, (row + j0 + 0.5) * spacing_um)
        return cls(mask=mask, spacing_um=spacing_um, origin_um=(i0 * spacing_um, j0 * spacing_um))

    @property
    def area_um2(self) -> float:
        """Area of the window in µm²."""
        return float(self.mask.sum()) * self.spacing_um**2

    @property
    def area_mm2(self) -> float:
        """Area of the window in mm²."""
        return self.area_um2 / 1e6

    def pixel(self, x_um: Floats, y_um: Floats) -> tuple[npt.NDArray[np.int64], ...]:
        """(row, column) of the pixel that each point lies in; may be outside the array."""
        row = np.floor((y_um - self.origin_um[1]) / self.spacing_um).astype(np.int64)
        column = np.floor((x_um - self.origin_um[0]) / self.spacing_um).astype(np.int64)
        return row, column

    def contains(self, x_um: Floats, y_um: Floats) -> Mask:
        """Whether each point lies in the window."""
        row, column = self.pixel(x_um, y_um)
        ny, nx = self.mask.shape
        inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
        inside[inside] = self.mask[row[inside], column[inside]]
        return np.asarray(inside, dtype=np.bool_)

    def cells_inside(self, cells: Cells) -> Cells:
        """The cells that lie in the window; the others were not in the tissue looked at."""
        inside = self.contains(cells.x_um, cells.y_um)
        return cells if inside.all() else cells.take(inside)

    def counts(self, x_um: Floats, y_um: Floats) -> npt.NDArray[np.int64]:
        """Points per pixel, shape ``(y, x)``; every point must lie in the array."""
        row, column = self.pixel(x_um, y_um)
        flat = np.bincount(row * self.mask.shape[1] + column, minlength=self.mask.size)
        return flat.reshape(self.mask.shape).astype(np.int64)

    def boundary_distance_um(self, x_um: Floats, y_um: Floats) -> Floats:
        """Distance of each point inside to the window's edge, µm.

        Read from the distance transform with linear interpolation; right to about a third of a
        pixel.
        """
        outside = np.pad(self.mask, 1)
        distance = ndimage.distance_transform_edt(outside) * self.spacing_um
        # the transform measures between pixel centres; the edge is half a pixel nearer
        distance = np.maximum(distance - self.spacing_um / 2, -self.spacing_um / 2)
        at = [
            (y_um - self.origin_um[1]) / self.spacing_um + 0.5,
            (x_um - self.origin_um[0]) / self.spacing_um + 0.5,
        ]
        read = ndimage.map_coordinates(distance, at, order=1, mode="nearest")
        return np.asarray(np.maximum(read, 0.0), dtype=np.float64)

    def set_covariance_um2(self, reach_um: float) -> Floats:
        """Area of the window that overlaps itself shifted by each lag.

        Returns
        -------
        array, shape ``(2m + 1, 2m + 1)``
            Element ``[m + j, m + i]`` belongs to the lag ``(i, j)`` pixels; between whole lags it
            is bilinear, exactly, because the window is a union of pixels. ``m`` covers
            ``reach_um``.
        """
        m = int(np.ceil(reach_um / self.spacing_um)) + 1
        shape = [fft.next_fast_len(n + m, real=True) for n in self.mask.shape]
        spectrum = fft.rfft2(self.mask.astype(np.float32), shape)
        power = (spectrum * spectrum.conj()).real
        overlap = fft.irfft2(power, shape)
        rows = np.arange(-m, m + 1) % shape[0]
        columns = np.arange(-m, m + 1) % shape[1]
        pixels = np.rint(overlap[np.ix_(rows, columns)].astype(np.float64))
        # lags beyond the array wrap round in the transform: there is no overlap there
        far_y, far_x = (np.abs(np.arange(-m, m + 1)) >= n for n in self.mask.shape)
        pixels[far_y, :] = 0
        pixels[:, far_x] = 0
        return np.asarray(np.maximum(pixels, 0.0) * self.spacing_um**2, dtype=np.float64)

    def covered_share(self, grid: TissueWindow) -> Floats:
        """Share of each pixel of ``grid`` that this window covers, whether or not it belongs.

        Returns
        -------
        array, shape of ``grid``
            0 to 1, exactly: integrals along each axis, which are linear between pixel edges.
        """
        share = self.mask.astype(np.float64)
        for axis in (0, 1):
            n, shift = grid.mask.shape[axis], grid.origin_um[1 - axis] - self.origin_um[1 - axis]
            edge = (shift + np.arange(n + 1) * grid.spacing_um) / self.spacing_um
            edge = np.clip(edge, 0, self.mask.shape[axis])
            whole = np.minimum(edge.astype(np.int64), self.mask.shape[axis] - 1)
            along = np.moveaxis(share, axis, 0)
            before = np.concatenate([np.zeros_like(along[:1]), along.cumsum(axis=0)])
            integral = before[whole] + (edge - whole)[:, None] * along[whole]
            share = np.moveaxis(np.diff(integral, axis=0), 0, axis)
            share = share * (self.spacing_um / grid.spacing_um)
        return np.clip(share, 0.0, 1.0)

    def resampled(self, spacing_um: float) -> TissueWindow:
        """The same window on a grid of another spacing: pixels of which at least half belong.

        Raises
        ------
        MarkerError
            No pixel keeps half its area.
        """
        ny = max(round(self.mask.shape[0] * self.spacing_um / spacing_um + 0.4999), 1)
        nx = max(round(self.mask.shape[1] * self.spacing_um / spacing_um + 0.4999), 1)
        step = spacing_um / self.spacing_um
        fine = 4
        row = np.floor((np.arange(ny * fine) + 0.5) * step / fine).astype(np.int64)
        column = np.floor((np.arange(nx * fine) + 0.5) * step / fine).astype(np.int64)
        wide = np.pad(
            self.mask,
            (
                (0, max(0, row[-1] + 1 - self.mask.shape[0])),
                (0, max(0, column[-1] + 1 - self.mask.shape[1])),
            ),
        )
        share = wide[np.ix_(row, column)].reshape(ny, fine, nx, fine).mean(axis=(1, 3))
        return TissueWindow(mask=share >= 0.5, spacing_um=spacing_um, origin_um=self.origin_um)
