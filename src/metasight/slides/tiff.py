"""TIFF-based slides (Aperio SVS, OME-TIFF, any pyramidal TIFF), decoded without a detour.

tifffile reads the file's index; tiles are then fetched by offset and decoded by imagecodecs, each
once for all the regions that share it. A JPEG tile wanted at half its size is decoded at half
its size (in the DCT domain), which is quicker than decoding and averaging.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from metasight.errors import SlideError
from metasight.slides.cache import TileCache
from metasight.slides.picture import claimed_size
from metasight.slides.pictures_in_file import chosen_picture
from metasight.slides.reader import (
    RGB,
    Level,
    Pixels,
    PyramidReader,
    ReadAs,
    Region,
    checked_mpp,
    level_downsamples,
    mpp_note,
)
from metasight.slides.tiff_index import (
    DAMAGED,
    EXPORT_AGAIN,
    Plane,
    Tiles,
    channels_of,
    check_chain,
    check_levels,
    opened,
    orientation_note,
    pages_of,
    properties_of,
    series_of,
    stated_mpp,
    tiles_of,
)

_JPEG = 7
# tifffile takes levels from the dialect; in others any page of half the size is one to it
_LEVELS_BY_DIALECT = {"svs", "ome", "qpi"}
_PLACES = 8
_SQUARE = 32  # pixels of the coarser level
_BLANK = 0.5
_SAME_CONTENT = 0.8
_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_shared_cache = TileCache()
_serial = itertools.count()


class TiffReader(PyramidReader):
    """A slide in a TIFF file; see `SlideReader`.

    Parameters
    ----------
    path
        SVS, OME-TIFF (one file or several) or pyramidal TIFF; tiled, or in small strips.
    name
        How messages call it.
    mpp
        Overrides what the file says.
    read_as
        What the study says of the file, instead of ``mpp``.
    cache
        Where decoded tiles are kept; one for the process where it is None.

    Raises
    ------
    SlideError
        Truncated, damaged, without its parts, of a kind that is not a slide, or without mpp.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        mpp: float | None = None,
        read_as: ReadAs | None = None,
        cache: TileCache | None = None,
    ) -> None:
        self._cache = cache if cache is not None else _shared_cache
        self._id = next(_serial)
        self._file = opened(path, name)
        self._levels_tiles: list[Tiles] = []
        try:
            self._read_index(name, read_as or ReadAs(mpp=mpp))
        except SlideError:
            self.close()
            raise
        except DAMAGED as error:
            self.close()
            raise SlideError(
                "the file's index is damaged",
                where=name,
                value=type(error).__name__,
                remedy=EXPORT_AGAIN,
            ) from error

    def _read_index(self, name: str, asked: ReadAs) -> None:
        check_chain(self._file, name)
        index, choice = chosen_picture(self._file, name, asked.picture)
        series = series_of(self._file, name, index)
        pages = [pages_of(level, name) for level in series.levels]
        keyframe = pages[0][0].keyframe
        channels = channels_of(self._file, series, keyframe, name, index=index, read_as=asked)
        check_levels(pages, channels, name)
        self._levels_tiles = [tiles_of(p, name) for p in pages]
        sizes = [(t.width, t.height) for t in self._levels_tiles]
        x, y = stated_mpp(self._file, keyframe, index)
        super().__init__(
            name=name,
            software=f"tifffile {tifffile.__version__}, imagecodecs {imagecodecs.__version__}",
            levels=level_downsamples(sizes, name=name),
            mpp=checked_mpp(
                x,
                y,
                name=name,
                override=asked.mpp if asked.replaces_mpp else None,
                default=asked.mpp,
            ),
            channels=channels,
            dtype=np.dtype(keyframe.dtype),
            properties=properties_of(self._file, keyframe),
            notes=[choice, mpp_note(x, y, asked), orientation_note(keyframe)],
            reductions=_reductions(self._levels_tiles) if channels == RGB else (1,),
        )
        if series.kind not in _LEVELS_BY_DIALECT:
            self._check_unmarked(pages)

    def _check_unmarked(self, pages: Sequence[Sequence[Any]]) -> None:
        """Refuse a page of half the size that is no level: other pictures of a file may be.

        A page that says it is reduced is believed; another is held against the level before it, in
        places spread over the slide.
        """
        for level in range(1, len(pages)):
            if pages[level][0].keyframe.is_reduced:
                continue
            finer, coarser = self.levels[level - 1], self.levels[level]
            ratio = coarser.downsample / finer.downsample
            pairs: list[tuple[float, float]] = []
            for row, column in np.ndindex(_PLACES, _PLACES):
                there = _square(coarser, row, column, 1.0)
                here = _square(finer, row, column, ratio)
                pairs.append(
                    (
                        float(self.read_level(level - 1, here, 1).mean()),
                        float(self.read_level(level, there, 1).mean()),
                    )
                )
            seen = np.array(pairs).T
            if seen.std(axis=1).min() > _BLANK and np.corrcoef(seen)[0, 1] < _SAME_CONTENT:
                raise SlideError(
                    "a page of the file is as large as a level of the slide, and shows something "
                    "else",
                    where=self.name,
                    value=f"{coarser.width} × {coarser.height} pixels",
                    remedy="Export the slide as a file of its own, or each picture as an image of "
                    "an OME-TIFF",
                )

    def close(self) -> None:
        """Let go of the file and of its tiles."""
        self._cache.forget(self._id)
        for tiles in self._levels_tiles:
            for plane in tiles.planes:
                plane.page.parent.filehandle.close()
        self._levels_tiles = []  # its handles may soon be another file's
        self._file.close()

    def read_level(self, level: int, region: Region, reduction: int) -> Pixels:
        """Pixels of one level, decoded ``reduction`` times smaller; inside the level."""
        if not self._levels_tiles:
            raise ValueError("the slide is closed")
        tiles = self._levels_tiles[level]
        width, height = tiles.tile_width // reduction, tiles.tile_height // reduction
        first_column, first_row = region.x // width, region.y // height
        last_column = (region.x + region.width - 1) // width
        last_row = (region.y + region.height - 1) // height
        if first_column == last_column and first_row == last_row:
            index = first_row * tiles.across + first_column
            row, column = region.y - first_row * height, region.x - first_column * width
            if region.width == width and region.height == height:
                return self._whole(level, index, reduction)
            tile = self._tile(level, index, reduction)
            return tile[row : row + region.height, column : column + region.width].copy()
        out = np.empty((region.height, region.width, len(self.channels)), dtype=self.dtype)
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                tile = self._tile(level, row * tiles.across + column, reduction)
                _paste(out, tile, row * height - region.y, column * width - region.x)
        return out

    def _whole(self, level: int, index: int, reduction: int) -> Pixels:
        """A tile for a caller that takes all of it: no other will ask for a part of it."""
        tile = self._cache.get((self._id, level, index, reduction))
        return tile.copy() if tile is not None else self._joined(level, index, reduction)

    def _tile(self, level: int, index: int, reduction: int) -> Pixels:
        key = (self._id, level, index, reduction)
        tile = self._cache.get(key)
        if tile is None:
            tile = self._joined(level, index, reduction)
            self._cache.put(key, tile)
        return tile

    def _joined(self, level: int, index: int, reduction: int) -> Pixels:
        planes = self._levels_tiles[level].planes
        parts = [self._decoded(level, plane, index, reduction) for plane in planes]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _decoded(self, level: int, plane: Plane, index: int, reduction: int) -> Pixels:
        page, tiles = plane.page, self._levels_tiles[level]
        at = plane.first + index
        count = page.databytecounts[at]
        shape = (tiles.tile_height // reduction, tiles.tile_width // reduction, plane.samples)
        if count == 0:  # sparse: the scanner left out a tile of glass
            return np.full(shape, self._empty, dtype=self.dtype)
        try:
            data = os.pread(plane.handle, count, page.dataoffsets[at])
            if len(data) < count:
                raise self._damaged(level, at, "the file has become shorter")
            claimed = claimed_size(data) if page.keyframe.compression == _JPEG else (0, 0)
            if claimed[0] > tiles.tile_width or claimed[1] > tiles.tile_height:
                # before it is decoded: its memory would be that of what it claims
                raise self._damaged(level, at, f"{claimed[0]} × {claimed[1]} pixels")
            if _is_colour_jpeg(page, plane.samples):
                tile = _jpeg(page.keyframe, data, reduction)
            else:
                tile = page.keyframe.decode(data, at, jpegtables=page.keyframe.jpegtables)[0][0]
        except (imagecodecs.DelayedImportError, ImportError) as error:
            raise self._damaged(level, at, f"no decoder: {type(error).__name__}") from error
        except (*DAMAGED, cv2.error) as error:
            raise self._damaged(level, at, type(error).__name__) from error
        row, column = divmod(index, tiles.across)
        least = (
            min(tiles.tile_height, tiles.height - row * tiles.tile_height) // reduction,
            min(tiles.tile_width, tiles.width - column * tiles.tile_width) // reduction,
            plane.samples,
        )  # a tile at the slide's edge may be cut off there
        if any(not a <= n <= b for a, n, b in zip(least, tile.shape, shape, strict=True)):
            raise self._damaged(level, at, f"{tile.shape[1]} × {tile.shape[0]} pixels")
        return np.asarray(tile)

    def _damaged(self, level: int, tile: int, value: str) -> SlideError:
        return SlideError(
            f"tile {tile} of level {level} cannot be decoded",
            where=self.name,
            value=value,
            remedy=EXPORT_AGAIN,
        )


def _is_colour_jpeg(page: Any, samples: int) -> bool:
    return page.keyframe.compression == _JPEG and samples == len(RGB)


def _reductions(levels: Sequence[Tiles]) -> tuple[int, ...]:
    """Factors by which every tile can be decoded smaller and still end on a whole pixel."""
    if not all(_is_colour_jpeg(p.page, p.samples) for t in levels for p in t.planes):
        return (1,)
    return tuple(
        r
        for r in (1, *_REDUCED)
        if all(t.tile_width % r == 0 and t.tile_height % r == 0 for t in levels)
    )


def _jpeg(keyframe: Any, data: bytes, reduction: int) -> npt.NDArray[np.uint8]:
    if reduction == 1:
        # As tifffile reads it: Aperio keeps red, green and blue without a word of it in the JPEG.
        is_rgb = keyframe.photometric == 2 and not keyframe.is_jfif
        return np.asarray(
            imagecodecs.jpeg8_decode(
                data,
                tables=keyframe.jpegtables,
                colorspace=2 if is_rgb else None,
                outcolorspace=2,
            )
        )
    whole = _with_tables(keyframe, data)
    image = cv2.imdecode(np.frombuffer(whole, np.uint8), _REDUCED[reduction])
    if image is None:
        raise ValueError("not a JPEG")
    return np.asarray(image[..., ::-1])


def _with_tables(keyframe: Any, data: bytes) -> bytes:
    """A JPEG that stands alone: the file's shared tables and its colour space put before it."""
    transform = 0 if keyframe.photometric == 2 and not keyframe.is_jfif else 1
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    tables = keyframe.jpegtables or b"\xff\xd8\xff\xd9"
    return b"\xff\xd8" + adobe + tables[2:-2] + data[2:]


def _square(level: Level, row: int, column: int, ratio: float) -> Region:
    """One of `_PLACES` × `_PLACES` squares spread over a level."""
    side = max(round(_SQUARE * ratio), 1)
    x = int(column * max(level.width - side, 0) / (_PLACES - 1))
    y = int(row * max(level.height - side, 0) / (_PLACES - 1))
    return Region(x=x, y=y, width=min(side, level.width), height=min(side, level.height))


def _paste(out: Pixels, tile: Pixels, row: int, column: int) -> None:
    """Copy what of ``tile``, whose corner lies at (row, column), falls on ``out``."""
    top, left = max(row, 0), max(column, 0)
    bottom = min(row + tile.shape[0], out.shape[0])
    right = min(column + tile.shape[1], out.shape[1])
    out[top:bottom, left:right] = tile[top - row : bottom - row, left - column : right - column]
