import cv2
import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.segmentation.nucleus import (
    NucleusSettings,
    detect_nuclei,
    haematoxylin_image,
    nuclear_levels,
)
from metasight.segmentation.slide_nuclei import nuclei_on_slide
from metasight.slides import blocks
from metasight.slides.stain import background_colour
from oracles.matched_centres import match_centres


class FakeSlide:
    """A picture that is read like a slide, and remembers the largest region asked for."""

    def __init__(self, pixels, mpp, channels=("red", "green", "blue")):
        self.pixels, self.mpp, self.channels = pixels, mpp, channels
        self.name = "fake"
        self.largest = 0

    def size_at(self, mpp):
        height, width = self.pixels.shape[:2]
        return round(width * self.mpp / mpp), round(height * self.mpp / mpp)

    def read(self, region, mpp):
        seen = self.pixels
        if mpp != self.mpp:
            seen = cv2.resize(seen, self.size_at(mpp), interpolation=cv2.INTER_AREA)
        else:
            self.largest = max(self.largest, region.width * region.height)
        part = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
        return np.ascontiguousarray(seen[part])


@pytest.fixture(scope="module")
def picture(shared):
    bgr = cv2.imread(str(shared / "data/slides/histolytics/hgsc_nest.jpg"))
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)[:700, :700]


def test_tiles_find_what_the_whole_picture_shows(picture, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 256)
    slide = FakeSlide(picture, 0.5)
    tissue = np.ones((88, 88), dtype=bool)
    found = nuclei_on_slide(slide, tissue, 4.0)
    image = haematoxylin_image(picture, background_colour(slide.read(_all(slide), 8.0)))
    levels = nuclear_levels(image, 0.5, NucleusSettings())
    whole = detect_nuclei(image, 0.5, levels=levels)
    same = match_centres(found.x_um, found.y_um, whole.x_um, whole.y_um, 0.5)
    assert same.f1 > 0.97
    assert slide.largest <= (256 + 240) ** 2  # never the whole slide
    assert found.lymphocyte_like.sum() == pytest.approx(whole.lymphocyte_like.sum(), rel=0.05)


def _all(slide):
    from metasight.slides.reader import Region

    width, height = slide.size_at(8.0)
    return Region(x=0, y=0, width=width, height=height)


def test_only_tissue_is_looked_at(picture, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 256)
    tissue = np.zeros((88, 88), dtype=bool)
    tissue[:16, :16] = True
    found = nuclei_on_slide(FakeSlide(picture, 0.5), tissue, 4.0)
    assert len(found) > 0
    assert found.x_um.max() <= 128
    with pytest.raises(MarkerError, match="no tissue"):
        nuclei_on_slide(FakeSlide(picture, 0.5), np.zeros((88, 88), dtype=bool), 4.0)


def test_fluorescence_needs_its_nuclear_channel(picture):
    counts = (255 - picture[:300, :300]).astype(np.uint16)
    slide = FakeSlide(counts, 0.5, ("DAPI", "CD3", "CD20"))
    tissue = np.ones((40, 40), dtype=bool)
    assert len(nuclei_on_slide(slide, tissue, 4.0, nuclear_channel="DAPI")) > 50
    with pytest.raises(MarkerError, match="nuclear channel"):
        nuclei_on_slide(slide, tissue, 4.0, nuclear_channel="Hoechst")
