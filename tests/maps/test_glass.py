"""White glass: a lamp's tint is taken off, and tissue is not taken for glass."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from metasight.maps.glass import glass_of, over_white
from metasight.slides.picture import PictureReader


def slide(path: Path, colour: tuple[int, int, int]) -> PictureReader:
    picture = np.empty((200, 200, 3), np.uint8)
    picture[:] = colour
    picture[60:140, 60:140] = np.array(colour) // 2
    cv2.imwrite(str(path / "s.png"), picture[..., ::-1])
    return PictureReader(path / "s.png", name="slide", mpp=4.0)


def test_a_lamps_tint_is_glass(tmp_path: Path) -> None:
    found = glass_of(slide(tmp_path, (240, 236, 228)))
    np.testing.assert_allclose(found, (240, 236, 228), atol=1.5)


@pytest.mark.parametrize("colour", [(150, 150, 150), (240, 170, 210)])
def test_dark_or_coloured_fields_are_no_glass(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    np.testing.assert_array_equal(glass_of(slide(tmp_path, colour)), 255.0)


def test_pixels_over_white_glass() -> None:
    rgb = np.array([[[240, 236, 228], [120, 118, 114], [255, 255, 255]]], np.uint8)
    found = over_white(rgb, np.array([240.0, 236.0, 228.0]))
    np.testing.assert_array_equal(found[0], [[255] * 3, [128] * 3, [255] * 3])
