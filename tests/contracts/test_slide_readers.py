"""What every reader must do, by one test over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from metasight.errors import SlideError
from metasight.slides.opening import open_slide
from metasight.slides.reader import RGB, PyramidReader, Region, SlideReader
from metasight.slides.vendor import OpenSlideReader
from slide_files import slides_of_every_kind, tissue_like

KINDS = ("svs", "ome", "generic", "deflate", "fluorescence", "dicom", "picture", "svs/openslide")
MPP = 0.5


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("slides")
    return slides_of_every_kind(folder, tissue_like(1111, 1403))


@pytest.fixture(params=KINDS)
def slide(request: pytest.FixtureRequest, slides: dict[str, Path]) -> Iterator[PyramidReader]:
    kind, _, reader = request.param.partition("/")
    mpp = MPP if kind == "picture" else None
    with open_slide(slides[kind], mpp=mpp, reader=reader or None) as opened:
        yield opened


def whole(slide: PyramidReader, mpp: float) -> np.ndarray:
    width, height = slide.size_at(mpp)
    return slide.read(Region(x=0, y=0, width=width, height=height), mpp)


def test_is_a_slide_reader(slide: PyramidReader) -> None:
    assert isinstance(slide, SlideReader)
    assert slide.mpp == pytest.approx(MPP)
    assert slide.levels[0].downsample == 1
    assert all(
        a.downsample < b.downsample for a, b in zip(slide.levels, slide.levels[1:], strict=False)
    )
    assert slide.software


def test_full_resolution_has_the_levels_size_and_type(slide: PyramidReader) -> None:
    level = slide.levels[0]
    image = whole(slide, slide.mpp)
    assert image.shape == (level.height, level.width, len(slide.channels))
    assert image.dtype == slide.dtype


@pytest.mark.parametrize("mpp", [0.5, 0.65, 1.0, 1.31, 2.0, 3.7, 8.0])
def test_a_part_is_the_part_of_the_whole(slide: PyramidReader, mpp: float) -> None:
    image = whole(slide, mpp)
    height, width = image.shape[:2]
    rng = np.random.default_rng(0)
    for _ in range(4):
        w, h = int(rng.integers(1, width // 2)), int(rng.integers(1, height // 2))
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        part = slide.read(Region(x=x, y=y, width=w, height=h), mpp)
        same = image[y : y + h, x : x + w]
        if isinstance(slide, OpenSlideReader):
            # it places the tiles of a level with odd sizes by fractions of a pixel
            assert np.abs(part.astype(float) - same).mean() < 3
        else:
            assert np.array_equal(part, same)


@pytest.mark.parametrize("factor", [2, 4])
def test_a_coarser_pixel_is_the_mean_of_what_it_covers(slide: PyramidReader, factor: int) -> None:
    fine, coarse = whole(slide, MPP), whole(slide, MPP * factor)
    height, width = coarse.shape[:2]
    mean = cv2.resize(
        fine[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA
    ).reshape(coarse.shape)
    difference = coarse.astype(float) - mean
    limit = 3.0 if slide.dtype == np.uint8 else 200.0  # a level is compressed by itself
    assert np.abs(difference).mean() < limit
    assert np.abs(difference.mean(axis=(0, 1))).max() < limit / 6
    shifted = np.abs(coarse[:, 1:].astype(float) - mean[:, :-1]).mean()
    assert np.abs(difference).mean() < shifted / 2


def test_outside_the_slide_is_glass(slide: PyramidReader) -> None:
    image = slide.read(Region(x=-10, y=-20, width=40, height=50), 1.0)
    empty = 255 if slide.channels == RGB else 0
    assert (image[:20] == empty).all()
    assert (image[:, :10] == empty).all()
    inner = slide.read(Region(x=0, y=0, width=30, height=30), 1.0)
    assert np.array_equal(image[20:, 10:], inner)


def test_a_region_off_the_slide_is_refused(slide: PyramidReader) -> None:
    with pytest.raises(SlideError, match="outside the slide"):
        slide.read(Region(x=10**6, y=0, width=10, height=10), 1.0)


def test_finer_than_the_scan_is_refused(slide: PyramidReader) -> None:
    with pytest.raises(SlideError, match="finer than the scan"):
        slide.read(Region(x=0, y=0, width=10, height=10), 0.25)


def test_what_is_read_may_be_written_on(slide: PyramidReader) -> None:
    """A caller that paints on its pixels must not paint on the next caller's."""
    region = Region(x=3, y=5, width=20, height=10)
    first = slide.read(region, MPP)
    kept = first.copy()
    first[:] = 7
    assert np.array_equal(slide.read(region, MPP), kept)


def test_says_nothing_of_the_file_in_its_properties(slide: PyramidReader) -> None:
    assert not {"Filename", "Date", "User", "Time"} & set(slide.properties)
