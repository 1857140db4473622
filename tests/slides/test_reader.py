"""What every reader shares: resolutions, levels, and pixels beyond the slide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.errors import SlideError
from metasight.slides.reader import (
    RGB,
    PyramidReader,
    ReadAs,
    Region,
    checked_mpp,
    level_downsamples,
    mpp_note,
    stated_number,
)


class InMemory(PyramidReader):
    """A slide of arrays, to which levels are given."""

    def __init__(self, images, *, mpp=0.5, channels=RGB):
        self.images, self.asked = images, []
        sizes = [(i.shape[1], i.shape[0]) for i in images]
        super().__init__(
            name="slide",
            software="test",
            levels=level_downsamples(sizes, name="slide"),
            mpp=(mpp, "file"),
            channels=channels,
            dtype=images[0].dtype,
            properties={},
        )

    def close(self):
        """Nothing to let go of."""

    def read_level(self, level, region, reduction):
        self.asked.append(level)
        rows = slice(region.y, region.y + region.height)
        return self.images[level][rows, region.x : region.x + region.width]


def pyramid(width=64, height=48, levels=3):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8)]
    for _ in range(levels - 1):
        last = images[-1].astype(float)
        h, w = last.shape[0] // 2, last.shape[1] // 2
        mean = last[: 2 * h, : 2 * w].reshape(h, 2, w, 2, 3).mean(axis=(1, 3))
        images.append(np.rint(mean).astype(np.uint8))
    return images


def test_full_resolution_is_the_files_own_pixels():
    images = pyramid()
    slide = InMemory(images)
    part = slide.read(Region(x=3, y=5, width=20, height=10), 0.5)
    np.testing.assert_array_equal(part, images[0][5:15, 3:23])
    assert slide.size_at(0.5) == (64, 48)


def test_the_coarsest_level_that_is_fine_enough_is_read():
    slide = InMemory(pyramid())
    for mpp, level in ((0.5, 0), (0.9, 0), (1.0, 1), (1.9, 1), (2.0, 2), (5.0, 2)):
        slide.asked.clear()
        slide.read(Region(x=0, y=0, width=2, height=2), mpp)
        assert set(slide.asked) == {level}, mpp


@pytest.mark.parametrize("mpp", [1.0, 1.5, 2.0])
def test_a_pixel_is_the_mean_of_what_it_covers(mpp):
    images = pyramid(levels=1)
    slide = InMemory(images)
    width, height = slide.size_at(mpp)
    whole = slide.read(Region(x=0, y=0, width=width, height=height), mpp).astype(float)
    assert (width, height) == (int(64 * 0.5 / mpp), int(48 * 0.5 / mpp))
    assert whole.mean() == pytest.approx(images[0].mean(), abs=3)
    k = mpp / 0.5
    if k == int(k):
        cut = images[0][: height * int(k), : width * int(k)]
        wanted = cut.reshape(height, int(k), width, int(k), 3).mean(axis=(1, 3))
        assert np.abs(whole - wanted).max() <= 1


def test_beyond_the_slide_is_glass_or_the_dark():
    images = pyramid()
    part = InMemory(images).read(Region(x=-2, y=-3, width=6, height=6), 0.5)
    assert (part[:3] == 255).all()
    assert (part[:, :2] == 255).all()
    np.testing.assert_array_equal(part[3:, 2:], images[0][:3, :4])
    dark = InMemory([i[..., :2] for i in images], channels=("DAPI", "CD3"))
    assert (dark.read(Region(x=60, y=44, width=8, height=8), 0.5)[4:] == 0).all()


@pytest.mark.parametrize("corner", [(64, 0), (0, 48), (-5, 0), (0, -5)])
def test_a_region_that_does_not_touch_the_slide(corner):
    with pytest.raises(SlideError, match="outside the slide") as error:
        InMemory(pyramid()).read(Region(x=corner[0], y=corner[1], width=5, height=5), 0.5)
    assert "of 64 × 48 pixels" in error.value.value


def test_finer_than_the_scan_is_refused_but_for_rounding():
    slide = InMemory(pyramid())
    slide.read(Region(x=0, y=0, width=4, height=4), 0.48)
    with pytest.raises(SlideError, match="finer than the scan"):
        slide.read(Region(x=0, y=0, width=4, height=4), 0.47)


def test_a_region_has_pixels():
    with pytest.raises(ValueError, match="needs pixels"):
        Region(x=0, y=0, width=0, height=3)


@given(st.integers(2100, 90_000), st.integers(2100, 90_000), st.integers(1, 5))
def test_levels_cut_off_by_halving_keep_their_factor(width, height, levels):
    sizes = [(width, height)]
    for _ in range(levels):
        sizes.append((max(sizes[-1][0] // 2, 1), max(sizes[-1][1] // 2, 1)))
    found = level_downsamples(sizes, name="slide")
    assert found[0].downsample == 1
    for k, level in enumerate(found):
        assert level.downsample == pytest.approx(2**k, rel=0.02)
    # one cut-off pixel does not change the factor
    assert found[1].downsample == 2


def test_an_odd_width_is_no_odd_factor():
    found = level_downsamples([(4443, 3000), (2221, 1500)], name="slide")
    assert found[1].downsample == 2.0
    uneven = level_downsamples([(20000, 10000), (8000, 4000)], name="slide")
    assert uneven[1].downsample == 2.5


@pytest.mark.parametrize("size", [(500, 100), (2000, 1500), (300, 150)])
def test_a_level_that_shows_something_else(size):
    with pytest.raises(SlideError, match="does not show what its first one shows") as error:
        level_downsamples([(1000, 800), size], name="slide")
    assert error.value.value == f"{size[0]} × {size[1]} of 1000 × 800 pixels"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (((0.25, 0.25), None), (0.25, "file")),
        (((0.25, 0.2549), None), (0.252438, "file")),
        (((None, None), 0.5), (0.5, "settings")),
        (((0.25, 0.25), 0.5), (0.5, "settings")),
    ],
)
def test_a_resolution_and_where_it_is_from(given, told):
    (x, y), override = given
    value, source = checked_mpp(x, y, name="slide", override=override)
    assert (value, source) == (pytest.approx(told[0], rel=1e-5), told[1])


@pytest.mark.parametrize(
    ("x", "y", "override", "problem"),
    [
        (None, 0.25, None, "does not state"),
        (0.25, None, None, "does not state"),
        (353.0, 353.0, None, "implausible"),
        (0.04, 0.04, None, "implausible"),
        (0.25, 0.26, None, "not square"),
        (0.25, 0.25, 25.0, "implausible"),
        (0.25, 0.25, float("nan"), "implausible"),
    ],
)
def test_resolutions_that_are_none(x, y, override, problem):
    with pytest.raises(SlideError, match=problem) as error:
        checked_mpp(x, y, name="slide", override=override)
    assert "study.toml" in error.value.remedy


@pytest.mark.parametrize(
    ("x", "y", "default", "told"),
    [
        (None, None, 0.5, (0.5, "settings")),  # it fills the gap
        (0.25, 0.25, 0.5, (0.25, "file")),  # and replaces nothing
        (353.0, 353.0, 0.5, (0.5, "settings")),  # 72 dpi are no resolution
    ],
)
def test_a_resolution_of_all_fills_gaps_only(x, y, default, told):
    assert checked_mpp(x, y, name="slide", default=default) == (pytest.approx(told[0]), told[1])


def test_a_resolution_of_all_must_be_one():
    with pytest.raises(SlideError, match="the resolution given is implausible") as error:
        checked_mpp(0.25, 0.25, name="slide", default=25.0)
    assert error.value.remedy.index("mpp_of") < error.value.remedy.index("[slides] mpp ")


@pytest.mark.parametrize(
    ("x", "y", "asked", "said"),
    [
        (0.25, 0.25, ReadAs(), ""),
        (None, None, ReadAs(mpp=0.5), ""),
        (0.25, 0.25, ReadAs(mpp=0.2549), ""),  # 2 % are the same
        (0.25, 0.25, ReadAs(mpp=0.2551), "0.2551 µm a pixel, given for this file, replace"),
        (0.25, 0.25, ReadAs(mpp=0.5, replaces_mpp=False), "the file's value is used"),
        (0.25, 0.5, ReadAs(mpp=0.5, replaces_mpp=False), "0.25 × 0.5"),
        (353.0, 353.0, ReadAs(mpp=0.5, replaces_mpp=False), "no scan has"),
        (0.0, 0.0, ReadAs(mpp=0.5, replaces_mpp=False), "no scan has"),
        (float("inf"), 0.5, ReadAs(mpp=0.5, replaces_mpp=False), "no scan has"),
    ],
)
def test_a_contradiction_is_said(x, y, asked, said):
    note = mpp_note(x, y, asked)
    assert said in note
    assert bool(said) == bool(note)


@given(value=st.floats(0.01, 20).map(lambda v: round(v, 5)))
def test_a_decimal_comma_is_a_decimal_point(value):
    assert stated_number(f"{value:.5f}".replace(".", ",")) == value


@pytest.mark.parametrize("text", ["0,25,3", "0.25,3", "1,2 µm", ",5", "0,", ""])
def test_what_is_no_number(text):
    assert stated_number(text) is None


def test_numbers_as_files_state_them():
    assert stated_number("0.25") == 0.25
    assert stated_number(None) is None
    assert stated_number("unknown") is None
