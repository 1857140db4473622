"""Tiles show the slide's own pixels, in bounded memory."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metasight.alignment.transform import Transform
from metasight.cohort.slide_table import SlideRow
from metasight.errors import SlideError
from metasight.serve.tiles import TILE_PX, OpenSlides, Pyramid, jpeg
from slide_files import tissue_like, write_fluorescence, write_pyramid

MPP = 0.5


def row(path: Path, name: str = "P0123456789abcdef-HE-1", stain: str = "H&E") -> SlideRow:
    return SlideRow(
        patient="P0123456789abcdef", name=name, path=path, stain=stain, markers=(), mpp=None
    )


def pixels(tile: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(tile)).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    image = tissue_like(700, 1000)
    path = tmp_path_factory.mktemp("tiles") / "he.tif"
    return write_pyramid(path, image, mpp=MPP, kind="ome", compression="zlib", levels=2), image


@pytest.fixture
def opened():
    """Slides that are closed when the test is over."""
    made = []

    def start(*args, **kwargs) -> OpenSlides:
        made.append(OpenSlides(*args, **kwargs))
        return made[-1]

    yield start
    for slides in made:
        slides.close()


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_tiles_of_a_level_cover_it_once(width: int, height: int) -> None:
    pyramid = Pyramid(width=width, height=height, mpp=MPP)
    assert pyramid.size(pyramid.max_level) == (width, height)
    assert pyramid.size(0) == (1, 1)
    for level in {0, pyramid.max_level // 2, pyramid.max_level}:
        w, h = pyramid.size(level)
        last = (w - 1) // TILE_PX, (h - 1) // TILE_PX
        region, mpp = pyramid.region(level, *last)
        assert (region.x + region.width, region.y + region.height) == (w, h)
        assert mpp == MPP * 2 ** (pyramid.max_level - level)
        for column, row_ in ((last[0] + 1, 0), (0, last[1] + 1), (-1, 0)):
            with pytest.raises(SlideError, match="no such tile"):
                pyramid.region(level, column, row_)


def test_full_resolution_is_the_slide_s_own_pixels(slide: tuple[Path, np.ndarray], opened) -> None:
    path, image = slide
    slides = opened()
    for column, row_ in ((0, 0), (1, 1), (3, 2)):
        found = pixels(slides.tile(row(path), (10, column, row_), None))
        y, x = row_ * TILE_PX, column * TILE_PX
        own = image[y : y + TILE_PX, x : x + TILE_PX].astype(int)
        assert found.shape == own.shape
        assert np.abs(found - own).mean() < 4  # JPEG
    slides.close()


def test_coarser_levels_are_means(slide: tuple[Path, np.ndarray], opened) -> None:
    path, image = slide
    found = pixels(opened().tile(row(path), (8, 0, 0), None))
    small = cv2.resize(image, (250, 175), interpolation=cv2.INTER_AREA).astype(int)
    assert found.shape == small.shape and np.abs(found - small).mean() < 4


def test_tiles_that_there_are_not(slide: tuple[Path, np.ndarray], opened) -> None:
    path, _ = slide
    for place in ((10, 4, 0), (10, 0, 3), (11, 0, 0), (-1, 0, 0)):
        with pytest.raises(SlideError, match="no such tile"):
            opened().tile(row(path), place, None)
    with pytest.raises(SlideError, match="no such tile"):
        opened().tile(row(path), (10, 0, 0), 3)


def test_channels_of_fluorescence_are_drawn_apart_or_together(tmp_path: Path, opened) -> None:
    light = np.zeros((2, 400, 400), np.uint16)
    light[0, :200], light[1, 200:] = 1000, 3000
    path = tmp_path / "if.ome.tif"
    write_fluorescence(path, light, ["DAPI", "CD3"], mpp=MPP)
    slides = opened()
    at = row(path, stain="fluorescence")
    both, first, second = (pixels(slides.tile(at, (8, 0, 0), c)) for c in (None, 0, 1))
    assert first[:90].max() > 200 and first[110:].max() < 60
    assert second[110:].max() > 200 and second[:90].max() < 60
    assert np.abs(both - np.clip(first + second, 0, 255)).mean() < 6


def test_an_aligned_section_lies_where_the_transform_says(
    slide: tuple[Path, np.ndarray], tmp_path: Path, opened
) -> None:
    path, image = slide
    moved = np.full_like(image, 255)
    moved[40:, 60:] = image[:-40, :-60]
    above = write_pyramid(tmp_path / "m.tif", moved, mpp=MPP, kind="ome", compression="zlib")
    matrix = np.array([[1.0, 0.0, 60 * MPP], [0.0, 1.0, 40 * MPP]])
    transform = Transform.affine(matrix, (1000 * MPP, 700 * MPP))
    slides = opened()
    other = row(above, "P0123456789abcdef-IHC-1", "IHC")
    own = pixels(slides.tile(row(path), (10, 1, 1), None))
    found = pixels(slides.aligned_tile(row(path), other, transform, (10, 1, 1)))
    assert np.abs(found - own).mean() < 6


def test_slides_are_closed_when_others_are_wanted(slide: tuple[Path, np.ndarray], opened) -> None:
    path, _ = slide
    slides = opened(most_open=2)
    for n in range(6):
        slides.tile(row(path, f"P0123456789abcdef-HE-{n}"), (10, 0, 0), None)
        assert len(slides._open) <= 2
    with slides.slide(row(path, "a")), slides.slide(row(path, "b")), slides.slide(row(path, "c")):
        assert {"a", "b", "c"} <= set(slides._open)  # none that is read is closed
    assert len(slides._open) <= 2
    slides.close()
    assert not slides._open


def test_encoded_tiles_take_no_more_than_they_may(slide: tuple[Path, np.ndarray], opened) -> None:
    path, _ = slide
    slides = opened(most_encoded=60_000)
    for column in range(4):
        for row_ in range(3):
            slides.tile(row(path), (10, column, row_), None)
            assert slides._encoded._bytes <= 60_000
    assert slides._encoded._bytes == sum(map(len, slides._encoded._tiles.values())) > 0


def test_threads_get_the_same_tiles(slide: tuple[Path, np.ndarray], opened) -> None:
    path, _ = slide
    places = [(10, c, r) for c in range(4) for r in range(3)]
    alone = {p: opened().tile(row(path), p, None) for p in places}
    slides, found = opened(most_open=1, most_encoded=1), []

    def read(names: list[str]) -> None:
        found.extend((p, slides.tile(row(path, n), p, None)) for p in places for n in names)

    threads = [threading.Thread(target=read, args=(["a", "b"],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 * 2 * len(places)
    assert all(tile == alone[place] for place, tile in found)


def test_a_slide_that_cannot_be_read_is_named(tmp_path: Path, opened) -> None:
    with pytest.raises(SlideError, match="not there"):
        opened().tile(row(tmp_path / "none.svs"), (0, 0, 0), None)


def test_jpeg_keeps_colours() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 250
    found = pixels(jpeg(red))
    assert found[..., 0].min() > 240 and found[..., 1:].max() < 12
