"""The tumour's share of an H&E's scanned field, from the nuclei of tiles spread over its tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError
from metasight.estimate import Estimate
from metasight.maps.tumour import tumour_from_nuclei
from metasight.maps.window import TissueWindow
from metasight.segmentation.nucleus import Nuclei, detect_in_he
from metasight.slides.reader import PyramidReader, Region
from metasight.slides.tiling import TileGrid

_TILE_PX = 512
_TILES = 60
_LEAST_TISSUE = 0.5
_FINEST_MPP = 0.5
_COARSEST_MPP = 1.0
_WINDOW_PX = 16


def tumour_share_on_he(
    slide: PyramidReader, tissue: npt.NDArray[np.bool_], tissue_mpp: float
) -> Estimate:
    """Tumour area in % of the scanned field, with the interval of `tumour_from_nuclei`.

    At most 60 tiles of 512 pixels, evenly spread over those that are at least half tissue, stand
    for all tissue; the field's empty glass holds no tumour.

    Parameters
    ----------
    slide
        Open, H&E.
    tissue, tissue_mpp
        Where its tissue is, and the mask's micrometres a pixel.

    Raises
    ------
    MarkerError
        The pixels are coarser than 1 µm, or no tile is half tissue.
    """
    if slide.mpp > _COARSEST_MPP:
        raise MarkerError(f"{slide.mpp:g} µm per pixel are too coarse to recognise nuclei")
    mpp = max(_FINEST_MPP, slide.mpp)
    shares = [_share(slide, region, mpp) for region in _tiles(slide, tissue, tissue_mpp, mpp)]
    if not shares:
        raise MarkerError("too little tissue")
    width, height = slide.size_at(slide.mpp)
    of_field = float(tissue.sum()) * tissue_mpp**2 / (width * height * slide.mpp**2)
    value, lower, upper = (float(v) * of_field for v in np.mean(shares, axis=0))
    return Estimate(value=value, lower=lower, upper=upper)


def _tiles(
    slide: PyramidReader, tissue: npt.NDArray[np.bool_], tissue_mpp: float, mpp: float
) -> list[Region]:
    """Tiles that are tissue for the most part, thinned out evenly."""
    width, height = slide.size_at(mpp)
    grid = TileGrid(width=width, height=height, mpp=mpp, tile_size=_TILE_PX, step=_TILE_PX)
    tiles = grid.on_tissue(tissue, tissue_mpp, _LEAST_TISSUE)
    if not len(tiles):
        return []
    chosen = np.unique(np.linspace(0, len(tiles) - 1, _TILES).astype(int))
    return [grid.region(row, column) for row, column in tiles[chosen].tolist()]


def _share(slide: PyramidReader, region: Region, mpp: float) -> tuple[float, float, float]:
    nuclei: Nuclei = detect_in_he(slide.read(region, mpp), mpp)
    side_um = _TILE_PX * mpp
    window = TissueWindow.rectangle(side_um, side_um, spacing_um=mpp * _WINDOW_PX)
    area = tumour_from_nuclei(nuclei, window, scanned_area_um2=window.area_um2)
    return area.percent, area.lower, area.upper
