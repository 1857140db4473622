"""Attention on a slide: colours by the mean share, places by the patch's corner and side."""

import cv2
import numpy as np

from metasight.report.attention import STRONGEST, Patches, attention_overlay


def colour(level: float) -> np.ndarray:
    bgr = cv2.applyColorMap(np.array([[round(255 * level)]], np.uint8), cv2.COLORMAP_MAGMA)
    return bgr[0, 0, ::-1].astype(int)


def overlay(share, side=100.0) -> np.ndarray:
    overview = np.full((60, 90, 3), 200, dtype=np.uint8)
    patches = Patches(
        corner_px=np.array([[0.0, 0.0], [200.0, 100.0]]),
        side_px=np.full(2, side),
        share=np.array(share),
    )
    return attention_overlay(overview, patches, scale=0.1)


def test_a_patch_is_coloured_where_it_lies_and_nothing_else():
    picture = overlay([0.5, 0.5])
    # both patches have the mean share: a quarter of the scale's end
    mixed = (200 + colour(1 / STRONGEST)) / 2
    assert np.abs(picture[5, 5] - mixed).max() <= 1
    assert np.abs(picture[15, 25] - mixed).max() <= 1
    assert (picture[5, 15] == 200).all()
    assert (picture[10, 19] == 200).all()  # the pixel beside the second patch
    assert (picture[10, 20] != 200).any()
    assert (picture[20, 20] == 200).all()  # a patch of 100 pixels is ten of the overview


def test_attention_beyond_the_scale_is_its_end():
    share = np.zeros(10)
    share[0] = 1.0
    patches = Patches(
        corner_px=np.arange(20.0).reshape(10, 2) * 100, side_px=np.full(10, 50.0), share=share
    )
    picture = attention_overlay(np.full((300, 300, 3), 200, np.uint8), patches, scale=0.1)
    assert np.abs(picture[11, 1] - (200 + colour(1.0)) / 2).max() <= 1
    assert np.abs(picture[31, 21] - (200 + colour(0.0)) / 2).max() <= 1


def test_a_patch_of_unknown_size_is_a_dot_and_a_strip_is_added():
    picture = overlay([0.5, 0.5], side=0.0)
    assert picture.shape == (60 + 32, 90, 3)
    assert (picture[10:12, 20:22] != 200).any(axis=2).all()
    assert (picture[13, 23] == 200).all()
