"""Plain pictures as slides: their own pixels, a stated resolution, nothing decoded that claims
too much."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from metasight.errors import SlideError
from metasight.slides.picture import PictureReader, claimed_size
from metasight.slides.reader import Region
from slide_files import tissue_like


@pytest.fixture
def png(tmp_path):
    rgb = tissue_like(120, 90)
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    return tmp_path / "a.png", rgb


def test_the_pixels_are_those_of_the_file_in_red_green_blue(png):
    path, rgb = png
    with PictureReader(path, name="slide", mpp=2.0) as slide:
        assert (slide.levels[0].width, slide.levels[0].height) == (90, 120)
        assert (slide.mpp, slide.channels) == (2.0, ("red", "green", "blue"))
        part = slide.read(Region(x=10, y=20, width=30, height=40), 2.0)
        np.testing.assert_array_equal(part, rgb[20:60, 10:40])
        # what is read is a copy
        part[:] = 0
        again = slide.read(Region(x=10, y=20, width=30, height=40), 2.0)
        np.testing.assert_array_equal(again, rgb[20:60, 10:40])


def test_a_coarser_resolution_is_the_mean(png):
    path, rgb = png
    with PictureReader(path, name="slide", mpp=1.0) as slide:
        part = slide.read(Region(x=0, y=0, width=45, height=60), 2.0)
    wanted = rgb.reshape(60, 2, 45, 2, 3).mean(axis=(1, 3))
    assert np.abs(part - wanted).max() <= 1


def test_a_picture_has_no_resolution_of_its_own(png):
    with pytest.raises(SlideError, match=r"resolution|µm a pixel|mpp"):
        PictureReader(png[0], name="slide")


def test_size_by_the_head_of_the_file(png, tmp_path):
    path, rgb = png
    assert claimed_size(path.read_bytes()) == (90, 120)
    cv2.imwrite(str(tmp_path / "a.jpg"), rgb)
    assert claimed_size((tmp_path / "a.jpg").read_bytes()) == (90, 120)
    assert claimed_size(b"GIF89a....") == (0, 0)
    assert claimed_size(b"\xff\xd8\x00\x00" + bytes(20)) == (0, 0)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_a_picture_that_claims_too_much_is_refused_before_it_is_decoded(tmp_path):
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(SlideError, match="larger than a picture may be") as error:
        PictureReader(tmp_path / "bomb.png", name="slide", mpp=1.0)
    assert error.value.value.startswith("60000 × 60000 pixels")
    assert "pyramidal TIFF" in error.value.remedy


@pytest.mark.parametrize("keep", [0, 10, 20, 200])
def test_a_damaged_picture(png, tmp_path, keep):
    (tmp_path / "b.png").write_bytes(png[0].read_bytes()[:keep])
    with pytest.raises(SlideError):
        PictureReader(tmp_path / "b.png", name="slide", mpp=1.0)
