"""JPEG and JPEG 2000 without what may hold a text."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from metasight.deidentify.codestream import plain_jpeg, plain_jpeg2000
from metasight.errors import SlideError

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


@pytest.mark.parametrize("marker", [0xFE, 0xE1, 0xE2, 0xED, 0xE0, 0xEE])
def test_comments_and_application_data_go(marker):
    coded = imagecodecs.jpeg8_encode(PICTURE, level=90)
    spoiled = coded[:2] + segment(marker, b"Kanarius") + coded[2:] + b"Kanarius"
    plain = plain_jpeg(spoiled)
    assert b"Kanarius" not in plain
    np.testing.assert_array_equal(imagecodecs.jpeg8_decode(plain), imagecodecs.jpeg8_decode(coded))


def test_what_says_the_colours_stays():
    coded = imagecodecs.jpeg8_encode(PICTURE, level=90, colorspace="RGB", outcolorspace="RGB")
    assert b"Adobe" in coded or b"JFIF" in coded
    assert plain_jpeg(coded) == coded


def test_tables_alone():
    tables = b"\xff\xd8" + segment(0xFE, b"Kanarius") + segment(0xDB, bytes(65)) + b"\xff\xd9"
    assert plain_jpeg(tables) == b"\xff\xd8" + segment(0xDB, bytes(65)) + b"\xff\xd9"


def test_jpeg_2000():
    coded = imagecodecs.jpeg2k_encode(PICTURE, level=0, codecformat="j2k")
    place = coded.index(b"\xff\x90")
    spoiled = coded[:place] + segment(0x64, b"\0\x01Kanarius") + coded[place:]
    plain = plain_jpeg2000(spoiled)
    assert b"Kanarius" not in plain
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(plain), PICTURE)


@pytest.mark.parametrize("stream", [b"", b"Kanarius", b"\xff\xd8\xff\xfe\xff\xff", b"\xff\xd8ab"])
def test_what_is_no_stream_is_refused(stream):
    for plain in (plain_jpeg, plain_jpeg2000):
        with pytest.raises(SlideError, match="not coded as the file says"):
            plain(stream)
