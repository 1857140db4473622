"""Slides through OpenSlide: what the scanner did not see is white, errors say what to do."""

from __future__ import annotations

import numpy as np
import openslide
import pytest
from PIL import Image

from metasight.errors import SlideError
from metasight.slides.reader import Region
from metasight.slides.vendor import OpenSlideReader
from slide_files import tissue_like, write_pyramid


class Scanner:
    """A slide as OpenSlide shows it: 8 × 4 pixels, transparent on the right."""

    level_dimensions = ((8, 4), (4, 2))
    level_downsamples = (1.0, 2.0)
    closed = False
    asked: tuple | None = None

    def __init__(self, alpha: int = 0) -> None:
        self.alpha = alpha
        self.properties = {
            "openslide.mpp-x": "0.5",
            "openslide.mpp-y": "0.5",
            "openslide.vendor": "mirax",
            "openslide.objective-power": "20",
        }

    def read_region(self, corner, level, size):
        self.asked = corner, level, size
        rgba = np.full((size[1], size[0], 4), (100, 40, 20, 255), np.uint8)
        rgba[:, size[0] // 2 :] = (100, 40, 20, self.alpha)
        return Image.fromarray(rgba)

    def close(self):
        self.closed = True


def reader_of(monkeypatch, slide, **changes) -> OpenSlideReader:
    monkeypatch.setattr(openslide, "OpenSlide", lambda _: slide)
    return OpenSlideReader("any", name="slide", **changes)


@pytest.mark.parametrize(
    ("alpha", "right"),
    [
        (0, (255, 255, 255)),
        (255, (100, 40, 20)),
        # half seen over white: (100 × 128 + 255 × 127) / 255
        (128, (177, 147, 137)),
    ],
)
def test_what_the_scanner_did_not_see_is_white(monkeypatch, alpha, right):
    reader = reader_of(monkeypatch, Scanner(alpha))
    rgb = reader.read_level(0, Region(x=0, y=0, width=8, height=4), 1)
    assert rgb.shape == (4, 8, 3)
    np.testing.assert_array_equal(rgb[0, 0], (100, 40, 20))
    np.testing.assert_array_equal(rgb[3, 7], right)


def test_corners_are_asked_for_in_pixels_of_the_largest_level(monkeypatch):
    slide = Scanner(255)
    reader = reader_of(monkeypatch, slide)
    reader.read_level(1, Region(x=1, y=1, width=2, height=1), 1)
    assert slide.asked == ((2, 2), 1, (2, 1))


def test_resolution_comes_from_the_file_unless_it_is_given(monkeypatch):
    assert reader_of(monkeypatch, Scanner()).mpp == 0.5
    assert reader_of(monkeypatch, Scanner(), mpp=0.25).mpp == 0.25


def test_a_slide_without_resolution_is_let_go_and_refused(monkeypatch):
    slide = Scanner()
    slide.properties = {"openslide.vendor": "mirax"}
    with pytest.raises(SlideError) as refused:
        reader_of(monkeypatch, slide)
    assert slide.closed
    assert "mpp" in refused.value.remedy


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (openslide.OpenSlideUnsupportedFormatError("x"), "no slide that OpenSlide knows"),
        (openslide.OpenSlideError("Secret^Name.mrxs"), "missing or damaged"),
        (OSError("Secret^Name.mrxs"), "missing or damaged"),
    ],
)
def test_errors_have_a_remedy_and_hide_what_the_library_said(monkeypatch, error, said):
    def broken(_):
        raise error

    monkeypatch.setattr(openslide, "OpenSlide", broken)
    with pytest.raises(SlideError, match=said) as refused:
        OpenSlideReader("any", name="slide")
    assert "export it again from the scanner" in refused.value.remedy
    assert "Secret" not in str(refused.value)


def test_a_real_pyramid_reads_the_same_as_it_was_written(tmp_path):
    rgb = tissue_like(300, 400)
    path = write_pyramid(tmp_path / "a.svs", rgb)
    reader = OpenSlideReader(path, name="a")
    read = reader.read_level(0, Region(x=17, y=29, width=90, height=70), 1)
    reader.close()
    assert np.abs(read.astype(int) - rgb[29:99, 17:107]).mean() < 3
