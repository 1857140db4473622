"""What a generator learns from: tiles of an H&E with the cells that other sections show there.

A tile holds the pixels, the cells of each marker on the map's grid as plain counts over area (not
smoothed: the generator's loss pools them), where that marker was looked at, and the predicted
error of the alignment; where a table tells of regions of the H&E itself, these too, each whole in
one tile; and how the nuclei of the tile look. One file a patient; the same input gives the same
bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from metasight.alignment.error import ErrorMap
from metasight.cohort.region_table import RegionRow
from metasight.errors import MarkerError
from metasight.maps.cells import Cells
from metasight.maps.glass import glass_of, over_white
from metasight.maps.nucleus_looks import read_nuclei
from metasight.maps.table_regions import (
    PlacedRegion,
    TileRegions,
    corners_of_regions,
    lay_regions,
    of_tiles,
    why_unusable,
)
from metasight.maps.tile_nuclei import TileNuclei, lay_nuclei
from metasight.maps.window import TissueWindow
from metasight.slides.reader import RGB, Region, SlideReader

FORMAT = "metasight-training-tiles-3"

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
ErrorUm = Callable[[Floats, Floats], Floats]

_LEAST_TISSUE = 0.25  # of a tile


@dataclass(frozen=True, kw_only=True)
class TilesSettings:
    """Which tiles are taken.

    Attributes
    ----------
    mpp
        µm a pixel of the H&E.
    tile_um
        Side of a tile; a multiple of ``spacing_um``.
    spacing_um
        Side of a pixel of the map.
    most_tiles
        Of a patient; drawn evenly over the tissue where there are more.
    seed
        Of that draw.
    """

    mpp: float = 1.0
    tile_um: float = 512.0
    spacing_um: float = 16.0
    most_tiles: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.mpp > 0 and self.spacing_um > 0 and self.most_tiles >= 1):
            raise MarkerError("tiles need a resolution, a spacing and at least one tile")
        for whole, name in (
            (self.tile_um / self.spacing_um, "tile_um"),
            (self.spacing_um / self.mpp, "spacing_um"),
        ):
            if abs(whole - round(whole)) > 1e-9 or round(whole) < 1:
                raise MarkerError(
                    "a tile is a multiple of the map's pixel, and that of the H&E's",
                    where=name,
                    value=f"{whole:g} times",
                )

    @property
    def tile_px(self) -> int:
        """Side of a tile in pixels of the H&E."""
        return round(self.tile_um / self.mpp)

    @property
    def grid_px(self) -> int:
        """Side of a tile in pixels of the map."""
        return round(self.tile_um / self.spacing_um)


@dataclass(frozen=True, kw_only=True)
class MarkedSection:
    """Cells of one marker, brought into the H&E's frame.

    Attributes
    ----------
    cells
        With ``positive[marker]``; µm from the H&E's level-0 corner.
    window
        Where the marker was looked at and the H&E has tissue, in the same frame.
    error_um
        Predicted p90 of the alignment there: an `ErrorMap`, or a function of x and y (µm); 0 for
        the H&E's own section.
    section
        Which section was stained: markers of one section are displaced together.
    """

    cells: Cells
    window: TissueWindow
    error_um: ErrorMap | ErrorUm
    section: str

    def p90_um(self, x_um: Floats, y_um: Floats) -> Floats:
        """Predicted error at points; NaN where none is known: torn, or without a counterpart."""
        if not isinstance(self.error_um, ErrorMap):
            return np.asarray(self.error_um(x_um, y_um), dtype=np.float64)
        _, p90 = self.error_um.at(np.stack([x_um, y_um], axis=1))
        return p90


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """Tiles of one patient.

    Attributes
    ----------
    rgb
        uint8 (n, h, h, 3), over white glass.
    density
        float32 (n, marker, k, k), cells/mm²; 0 off the support.
    support
        bool (n, marker, k, k).
    p90_um
        float32 (n, marker) predicted error of the alignment.
    corner_um
        float32 (n, 2) x and y of each tile's corner on the H&E.
    markers, sections
        Name of each marker and of the section that it was stained on.
    mpp, spacing_um
        Of the pixels and of the map.
    regions
        Of a table, on the H&E itself; None without one.
    nuclei
        Of the H&E; None where nobody looked for them.
    """

    rgb: npt.NDArray[np.uint8]
    density: npt.NDArray[np.float32]
    support: Mask
    p90_um: npt.NDArray[np.float32]
    corner_um: npt.NDArray[np.float32]
    markers: tuple[str, ...]
    sections: tuple[str, ...]
    mpp: float
    spacing_um: float
    regions: TileRegions | None = None
    nuclei: TileNuclei | None = None

    def __post_init__(self) -> None:
        n, m = len(self.rgb), len(self.markers)
        k = round(self.rgb.shape[1] * self.mpp / self.spacing_um) if self.rgb.ndim == 4 else 0
        shapes = {
            "rgb": (self.rgb.shape[1:], (self.rgb.shape[1], self.rgb.shape[1], 3)),
            "density": (self.density.shape, (n, m, k, k)),
            "support": (self.support.shape, (n, m, k, k)),
            "p90_um": (self.p90_um.shape, (n, m)),
            "corner_um": (self.corner_um.shape, (n, 2)),
        }
        if self.regions is not None:
            found = self.regions.covered.shape
            shapes["regions"] = (found, (n, found[1], k, k))
        for name, (found, wanted) in shapes.items():
            if found != wanted:
                raise MarkerError("training tiles differ in shape", where=name, value=f"{found}")
        none = not m and self.regions is None
        if len(set(self.markers)) != m or len(self.sections) != m or none:
            raise MarkerError(
                "training tiles name each marker and its section once",
                value=", ".join(self.markers),
            )
        if not (np.isfinite(self.density).all() and (self.density >= 0).all()):
            raise MarkerError("a training tile's density is negative or missing")
        if not (np.isfinite(self.p90_um).all() and (self.p90_um >= 0).all()):
            raise MarkerError("a training tile has no predicted alignment error")

    def __len__(self) -> int:
        return len(self.rgb)


def collect_tiles(
    slide: SlideReader,
    tissue: Mask,
    tissue_mpp: float,
    targets: Mapping[str, MarkedSection],
    settings: TilesSettings | None = None,
    *,
    regions: Sequence[RegionRow] = (),
) -> Tiles:
    """Tiles of an H&E with the cells of other sections, or of regions of the H&E.

    Parameters
    ----------
    slide
        The H&E, open.
    tissue, tissue_mpp
        Its tissue mask and µm per pixel.
    targets
        Marker → its cells. ``nuclei`` of the H&E itself are a target like any other, with
        error 0.
    settings
        Which tiles.
    regions
        Of a table, on this slide. Those that cannot be used are left out; see
        :func:`metasight.maps.table_regions.unusable`.

    Raises
    ------
    MarkerError
        No target and no region, no brightfield slide, no tile with tissue that another section or
        a region shows, or cells without the marker.
    """
    s = settings or TilesSettings()
    if not targets and not regions:
        raise MarkerError(
            "there is nothing to learn from",
            where=slide.name,
            remedy="Give at least one marker of an accepted pair, or a table of regions",
        )
    if slide.channels != RGB:
        raise MarkerError(
            "a generator paints from brightfield H&E",
            where=slide.name,
            value=", ".join(slide.channels),
        )
    grids = {m: _on_grid(m, t, slide, s) for m, t in targets.items()}
    shape = _grid_shape(slide, s)
    mask = on_grid(TissueWindow(mask=tissue, spacing_um=tissue_mpp), s.spacing_um, shape)
    placed = [
        p
        for p in lay_regions(regions, mask, spacing_um=s.spacing_um, mpp=slide.mpp)
        if not why_unusable(p, longest_px=s.grid_px) and p.is_learnt_from
    ]
    corners = _corners(slide, mask, [g[1] for g in grids.values()], placed, s)
    k, n = s.grid_px, len(corners)
    density = np.zeros((n, len(grids), k, k), dtype=np.float32)
    support = np.zeros((n, len(grids), k, k), dtype=np.bool_)
    p90 = np.zeros((n, len(grids)), dtype=np.float32)
    centre = (corners * s.spacing_um + s.tile_um / 2).astype(np.float64)
    for plane, (marker, (counted, seen)) in enumerate(grids.items()):
        error = targets[marker].p90_um(centre[:, 0], centre[:, 1])
        known = np.isfinite(error)
        p90[:, plane] = np.where(known, error, 0.0)
        for tile, (column, row) in enumerate(corners.tolist()):
            # where nobody knows how far the section is off, nothing is learnt from it
            if not known[tile]:
                continue
            there = slice(row, row + k), slice(column, column + k)
            support[tile, plane] = seen[there]
            density[tile, plane] = counted[there] * seen[there]
    at = [(c, r) for c, r in corners.tolist()]
    return Tiles(
        rgb=_pixels(slide, corners, s),
        density=density,
        support=support,
        p90_um=p90,
        corner_um=(corners * s.spacing_um).astype(np.float32),
        markers=tuple(grids),
        sections=tuple(t.section for t in targets.values()),
        mpp=s.mpp,
        spacing_um=s.spacing_um,
        regions=of_tiles(placed, at, k) if placed else None,
        nuclei=lay_nuclei(read_nuclei(slide, tissue, tissue_mpp, mpp=s.mpp), at, k, s.spacing_um),
    )


def _on_grid(
    marker: str, target: MarkedSection, slide: SlideReader, s: TilesSettings
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Density and support on the map's grid over the whole slide, from its corner."""
    if marker not in target.cells.positive:
        raise MarkerError(
            "the cell table does not state which cells are positive for the marker",
            where=slide.name,
            value=marker,
            remedy=f"They say it for: {', '.join(target.cells.positive) or 'none'}",
        )
    rows, columns = _grid_shape(slide, s)
    seen = on_grid(target.window, s.spacing_um, (rows, columns))
    grid = TissueWindow(mask=np.ones((rows, columns), dtype=np.bool_), spacing_um=s.spacing_um)
    cells = target.cells
    chosen = cells.positive[marker] & target.window.contains(cells.x_um, cells.y_um)
    chosen &= grid.contains(cells.x_um, cells.y_um)
    count = grid.counts(cells.x_um[chosen], cells.y_um[chosen])
    return (count / (s.spacing_um**2 / 1e6)).astype(np.float32), seen


def _grid_shape(slide: SlideReader, s: TilesSettings) -> tuple[int, int]:
    """Whole pixels of the map that the slide fills, and at least a tile."""
    width, height = slide.size_at(s.mpp)
    per = round(s.spacing_um / s.mpp)
    return max(-(-height // per), s.grid_px), max(-(-width // per), s.grid_px)


def on_grid(window: TissueWindow, spacing_um: float, shape: tuple[int, int]) -> Mask:
    """Pixels of a grid from the slide's corner of which at least half lie in ``window``."""
    fine = 4
    at = [(np.arange(n * fine) + 0.5) * spacing_um / fine for n in shape]
    row = np.floor((at[0] - window.origin_um[1]) / window.spacing_um).astype(np.int64)
    column = np.floor((at[1] - window.origin_um[0]) / window.spacing_um).astype(np.int64)
    inside = [(i >= 0) & (i < n) for i, n in zip((row, column), window.mask.shape, strict=True)]
    read = window.mask[
        np.clip(row, 0, window.mask.shape[0] - 1)[:, None],
        np.clip(column, 0, window.mask.shape[1] - 1)[None, :],
    ]
    read = read & inside[0][:, None] & inside[1][None, :]
    share = read.reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3))
    return np.asarray(share >= 0.5, dtype=np.bool_)


def _corners(
    slide: SlideReader,
    tissue: Mask,
    seen: Sequence[Mask],
    placed: Sequence[PlacedRegion],
    s: TilesSettings,
) -> npt.NDArray[np.int64]:
    """(n, 2) column and row, in pixels of the map, of the tiles that are taken."""
    rows, columns = tissue.shape
    told = tissue & np.logical_or.reduce([np.zeros_like(tissue), *seen])
    k = s.grid_px
    found = []
    for row in _starts(rows, k):
        for column in _starts(columns, k):
            if told[row : row + k, column : column + k].mean() >= _LEAST_TISSUE:
                found.append((column, row))
    found += corners_of_regions(placed, k, (rows, columns), found)
    if not found:
        raise MarkerError(
            "no tile of the slide shows tissue that another section or a table's region shows",
            where=slide.name,
            remedy="Check the tissue mask, the alignment and the size of the tiles",
        )
    if len(found) > s.most_tiles:
        rng = np.random.default_rng(s.seed)
        # one tile of each of so many stretches: even over the tissue, drawn within it
        edges = np.linspace(0, len(found), s.most_tiles + 1)
        low, high = np.ceil(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
        found = [found[int(rng.integers(a, b))] for a, b in zip(low, high, strict=True)]
    return np.asarray(found, dtype=np.int64)


def _starts(length: int, k: int) -> list[int]:
    """Where tiles begin along one side: evenly, the least number that covers it."""
    n = max(1, -(-length // k))
    return [int(i) for i in np.unique(np.linspace(0, length - k, n).round())]


def _pixels(
    slide: SlideReader, corners: npt.NDArray[np.int64], s: TilesSettings
) -> npt.NDArray[np.uint8]:
    glass = glass_of(slide)
    out = np.empty((len(corners), s.tile_px, s.tile_px, 3), dtype=np.uint8)
    per = round(s.spacing_um / s.mpp)
    for tile, (column, row) in enumerate(corners.tolist()):
        region = Region(x=column * per, y=row * per, width=s.tile_px, height=s.tile_px)
        out[tile] = over_white(slide.read(region, s.mpp), glass)
    return out


# ------------------------------------------------------------------ files

_ARRAYS = ("rgb", "density", "support", "p90_um", "corner_um")
_OF_REGIONS = ("covered", "count")
_OF_NUCLEI = ("looks", "tile", "pixel")


def save_tiles(tiles: Tiles, path: Path) -> None:
    """Write one patient's tiles as HDF5, a chunk a tile; the same tiles give the same bytes."""
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.attrs["format"] = FORMAT
        file.attrs["markers"] = list(tiles.markers)
        file.attrs["sections"] = list(tiles.sections)
        file.attrs["mpp"], file.attrs["spacing_um"] = tiles.mpp, tiles.spacing_um
        for name in _ARRAYS:
            array = getattr(tiles, name)
            file.create_dataset(
                name,
                data=array,
                track_times=False,
                **_stored(array, packed=name in ("density", "support")),
            )
        if tiles.regions is not None:
            file.attrs["region_markers"] = list(tiles.regions.markers)
            for name in _OF_REGIONS:
                array = getattr(tiles.regions, name)
                file.create_dataset(
                    f"regions_{name}",
                    data=array,
                    track_times=False,
                    **_stored(array, packed=True),
                )
        if tiles.nuclei is not None:
            for name in _OF_NUCLEI:
                array = getattr(tiles.nuclei, name)
                file.create_dataset(f"nuclei_{name}", data=array, track_times=False)


def _stored(array: npt.NDArray[Any], *, packed: bool) -> dict[str, Any]:
    """A chunk a tile; packed where most of it is 0. An array without numbers is neither."""
    if array.ndim < 3 or not array.size:
        return {}
    chunks = {"chunks": (1, *array.shape[1:])}
    return chunks | ({"compression": "gzip", "compression_opts": 4} if packed else {})


@dataclass(frozen=True, kw_only=True)
class TilesHeader:
    """What a file of tiles says of itself without its pixels."""

    n: int
    tile_px: int
    markers: tuple[str, ...]
    sections: tuple[str, ...]
    mpp: float
    spacing_um: float
    region_markers: tuple[str, ...] = ()
    nuclei: int | None = None

    @property
    def area_mm2(self) -> float:
        """Of all tiles; where two overlap it counts twice."""
        return self.n * (self.tile_px * self.mpp) ** 2 / 1e6


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT or any(name not in file for name in _ARRAYS):
                raise MarkerError(
                    "not a file of training tiles", where=path.name, remedy=f"Expected {FORMAT}"
                )
            yield file
    except OSError as error:
        raise MarkerError(
            "the training tiles cannot be read",
            where=path.name,
            value=type(error).__name__,
            remedy="Collect them again",
        ) from error


def tiles_header(path: Path) -> TilesHeader:
    """Markers, sizes and number of tiles of a file.

    Raises
    ------
    MarkerError
        It is missing, damaged or something else.
    """
    with _opened(path) as file:
        return TilesHeader(
            n=int(file["rgb"].shape[0]),
            tile_px=int(file["rgb"].shape[1]),
            markers=tuple(str(m) for m in file.attrs["markers"]),
            sections=tuple(str(m) for m in file.attrs["sections"]),
            mpp=float(file.attrs["mpp"]),
            spacing_um=float(file.attrs["spacing_um"]),
            region_markers=tuple(str(m) for m in file.attrs.get("region_markers", ())),
            nuclei=int(file["nuclei_tile"].shape[0]) if "nuclei_tile" in file else None,
        )


def load_tiles(path: Path, chosen: slice | None = None) -> Tiles:
    """Read tiles of one patient: all, or those of ``chosen``, which are consecutive.

    Raises
    ------
    MarkerError
        As `tiles_header`.
    """
    header = tiles_header(path)
    with _opened(path) as file:
        part = slice(None) if chosen is None else chosen
        arrays: dict[str, Any] = {name: np.asarray(file[name][part]) for name in _ARRAYS}
        regions = None
        if header.region_markers:
            own = {name: np.asarray(file[f"regions_{name}"][part]) for name in _OF_REGIONS}
            regions = TileRegions(**own, markers=header.region_markers)
        nuclei = _nuclei_of(file, part, header.n) if header.nuclei is not None else None
    return Tiles(
        **arrays,
        regions=regions,
        nuclei=nuclei,
        markers=header.markers,
        sections=header.sections,
        mpp=header.mpp,
        spacing_um=header.spacing_um,
    )


def load_nuclei(path: Path) -> TileNuclei | None:
    """Nuclei of all tiles of a file, without reading its pixels; None where it has none.

    Raises
    ------
    MarkerError
        As `tiles_header`.
    """
    header = tiles_header(path)
    if header.nuclei is None:
        return None
    with _opened(path) as file:
        return _nuclei_of(file, slice(None), header.n)


def _nuclei_of(file: h5py.File, part: slice, n: int) -> TileNuclei:
    """Nuclei of some consecutive tiles, which are numbered from 0."""
    tile = np.asarray(file["nuclei_tile"])
    first, last, _ = part.indices(n)
    rows = slice(*np.searchsorted(tile, [first, last]).tolist())
    return TileNuclei(
        looks=np.asarray(file["nuclei_looks"][rows]),
        tile=tile[rows] - np.int32(first),
        pixel=np.asarray(file["nuclei_pixel"][rows]),
    )
