"""A BigTIFF from coded pieces, as another program reads it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from metasight.deidentify.tiff_writer import (
    Page,
    long_tag,
    rational_tag,
    short_tag,
    text_tag,
    write_tiff,
)


def page(pixels, order, *, reduced=(), kind=0, tile=16):
    height, width = pixels.shape
    tags = [
        long_tag(254, kind, order=order),
        *(long_tag(c, n, order=order) for c, n in ((256, width), (257, height))),
        *(short_tag(c, n, order=order) for c, n in ((258, 16), (259, 1), (262, 1), (277, 1))),
        *(short_tag(c, n, order=order) for c, n in ((322, tile), (323, tile))),
        rational_tag(282, 10_000_000, 499, order=order),
        text_tag(270, f"{width} pixels wide"),
    ]
    pieces = [
        pixels[y : y + tile, x : x + tile].astype(f"{order}u2").tobytes()
        for y in range(0, height, tile)
        for x in range(0, width, tile)
    ]
    return Page(tags=tags, pieces=pieces, tiled=True, reduced=reduced)


@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_and_smaller_ones(order, tmp_path):
    large = np.arange(32 * 48, dtype=np.uint16).reshape(32, 48)
    small = large[::2, ::2].copy()
    with (tmp_path / "a.tif").open("wb") as file:
        write_tiff(
            file,
            [page(large, order, reduced=[page(small, order, kind=1, tile=8)]), page(large, order)],
            order=order,
        )
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert (len(file.pages), file.byteorder, file.is_bigtiff) == (2, order, True)
        first = file.pages.first
        np.testing.assert_array_equal(first.asarray(), large)
        np.testing.assert_array_equal(first.pages[0].asarray(), small)
        assert first.tags["XResolution"].value == (10_000_000, 499)
        assert first.description == "48 pixels wide"


def test_a_hole_stays_a_hole(tmp_path):
    one = page(np.ones((16, 32), np.uint16), "<")
    pieces = list(one.pieces)
    with (tmp_path / "a.tif").open("wb") as file:
        write_tiff(file, [Page(tags=one.tags, pieces=[b"", pieces[1]], tiled=True)], order="<")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.databytecounts[0] == 0
        assert file.pages.first.asarray()[:, :16].max() == 0
