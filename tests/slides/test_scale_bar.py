"""Bars of round length."""

import numpy as np
import pytest

from metasight.slides.scale_bar import length_in_words, round_length_um, with_scale_bar


@pytest.mark.parametrize(
    ("width", "length", "words"),
    [
        (2480.0, 500.0, "500 µm"),
        (4000.0, 1000.0, "1 mm"),
        (3999.0, 500.0, "500 µm"),
        (27000.0, 5000.0, "5 mm"),
        (90.0, 20.0, "20 µm"),
    ],
)
def test_the_longest_round_length_within_a_quarter(width, length, words):
    assert round_length_um(width) == length
    assert length_in_words(length) == words


def test_the_bar_is_as_long_as_it_says_and_the_picture_is_not_covered():
    rgb = np.full((300, 400, 3), 128, np.uint8)
    out = with_scale_bar(rgb, 10.0)  # 4 mm across: a bar of 1 mm is 100 pixels
    np.testing.assert_array_equal(out[:300], rgb)
    strip = out[300:]
    black = (strip == 0).all(axis=2)
    longest = max(int(row.sum()) for row in black[:, :120])
    assert longest == pytest.approx(101, abs=1)
