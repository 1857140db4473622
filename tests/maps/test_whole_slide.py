import cv2
import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.whole_slide import cells_of_slide
from metasight.slides import blocks
from oracles.matched_centres import match_centres

from .section import CHANNELS, MPP, paint, place

MARKERS = ("Pan-CK", "CD3", "CD20")


class FakeSlide:
    """A picture that is read like a slide."""

    name = "fake"

    def __init__(self, pixels, mpp, channels):
        self.pixels, self.mpp, self.channels = pixels, mpp, channels

    def size_at(self, mpp):
        height, width = self.pixels.shape[:2]
        return round(width * self.mpp / mpp), round(height * self.mpp / mpp)

    def read(self, region, mpp):
        seen = self.pixels
        if mpp != self.mpp:
            seen = cv2.resize(seen, self.size_at(mpp), interpolation=cv2.INTER_AREA)
        part = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
        return np.ascontiguousarray(seen[part])


@pytest.fixture(scope="module")
def section():
    rng = np.random.default_rng(5)
    x, y, kind = place(rng)
    return x, y, kind, np.moveaxis(paint(rng, x, y, kind), 0, -1)


def tissue(pixels):
    return np.ones((pixels.shape[0] // 8 + 1, pixels.shape[1] // 8 + 1), dtype=bool)


def test_tiles_of_a_fluorescence_slide(section, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 256)
    x, y, kind, pixels = section
    found = cells_of_slide(FakeSlide(pixels, MPP, CHANNELS), tissue(pixels), 4.0, MARKERS)
    for marker in MARKERS:
        positive, truth = found.cells.positive[marker], kind == marker
        same = match_centres(
            found.cells.x_um[positive], found.cells.y_um[positive], x[truth], y[truth], 4.0
        )
        assert same.f1 > 0.93, marker


def test_channels_may_be_called_otherwise_than_in_the_file(section):
    pixels = section[3]
    spelled = ("DAPI", "AE1/AE3", "CD3 (Opal 520)", "L26")
    named = tuple({"DAPI": "DAPI"}.get(c, m) for c, m in zip(spelled, CHANNELS, strict=True))
    found = cells_of_slide(
        FakeSlide(pixels, MPP, spelled), tissue(pixels), 4.0, MARKERS, channels=named
    )
    own = cells_of_slide(FakeSlide(pixels, MPP, CHANNELS), tissue(pixels), 4.0, MARKERS)
    for marker in MARKERS:
        assert (found.cells.positive[marker] == own.cells.positive[marker]).all()


def test_names_are_checked(section):
    pixels = section[3]
    swapped = ("CD3", "Pan-CK", "DAPI", "CD20")
    with pytest.raises(MarkerError, match="swapped"):
        cells_of_slide(FakeSlide(pixels, MPP, swapped), tissue(pixels), 4.0, MARKERS)
    with pytest.raises(MarkerError, match="a marker is missing"):
        cells_of_slide(FakeSlide(pixels[..., :3], MPP, CHANNELS[:3]), tissue(pixels), 4.0, MARKERS)


def test_brightfield(shared):
    rgb = ("red", "green", "blue")
    strip = cv2.imread(str(shared / "data/slides/deepliif/train/Lung1.png"))
    ihc = cv2.cvtColor(np.split(strip, 6, axis=1)[0], cv2.COLOR_BGR2RGB)
    slide = FakeSlide(ihc, 0.25, rgb)
    found = cells_of_slide(slide, np.ones((40, 40), dtype=bool), 4.0, ("Ki67",))
    assert 5 <= found.cells.positive["Ki67"].sum() <= 20
    with pytest.raises(MarkerError, match="one marker"):
        cells_of_slide(slide, np.ones((40, 40), dtype=bool), 4.0, MARKERS)
    bgr = cv2.imread(str(shared / "data/slides/histolytics/hgsc_nest.jpg"))
    he = FakeSlide(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)[:600, :600], 0.5, rgb)
    with pytest.raises(MarkerError, match="H&E section"):
        cells_of_slide(he, np.ones((80, 80), dtype=bool), 4.0, ("CD3",))
    with pytest.raises(MarkerError, match="no tissue"):
        cells_of_slide(he, np.zeros((80, 80), dtype=bool), 4.0, ("CD3",))
