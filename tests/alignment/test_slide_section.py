"""A slide as a section: resolution of alignment, and fluorescence as absorption."""

import numpy as np
import pytest

from metasight.alignment.slide_section import section_of_slide
from metasight.errors import SlideError

RGB = ("red", "green", "blue")


class Slide:
    def __init__(self, width, height, mpp, channels):
        self.mpp, self.channels, self.name = mpp, channels, "slide"
        self.levels = (type("Level", (), {"width": width, "height": height}),)
        self.asked = []

    def size_at(self, mpp):
        level = self.levels[0]
        return round(level.width * self.mpp / mpp), round(level.height * self.mpp / mpp)

    def read(self, region, mpp):
        self.asked.append(mpp)
        light = np.zeros((region.height, region.width, len(self.channels)), dtype=np.uint16)
        light[: region.height // 2, :, -1] = 1000
        return light.astype(np.uint8) if self.channels == RGB else light


@pytest.mark.parametrize(
    ("width", "mpp", "at"),
    [
        (1000, 0.5, 4.0),
        (1000, 6.0, 6.0),
        (20_480, 0.5, 5.0),
        (40_960, 0.5, 6.0),
        (40_960, 2.0, 10.0),
    ],
)
def test_resolution_is_4_um_and_6_on_a_large_field_whose_pixels_are_bounded(width, mpp, at):
    slide = Slide(width, width // 2, mpp, RGB)
    found = section_of_slide(slide, "DAPI")
    assert found.mpp == pytest.approx(at)
    assert found.rgb.shape[1] <= 8192


def test_bright_nuclei_become_dark():
    found = section_of_slide(Slide(800, 800, 1.0, ("CD3", "DAPI")), "DAPI")
    assert found.rgb.shape == (200, 200, 3)
    assert (found.rgb[:100] == 45).all()
    assert (found.rgb[100:] == 245).all()


def test_a_nuclear_channel_that_is_not_there():
    with pytest.raises(SlideError, match="no such nuclear channel"):
        section_of_slide(Slide(800, 800, 1.0, ("CD3", "DAPI")), "Hoechst")
