"""The picture behind a measurement: size, what is drawn, where left and the bar are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.lesions.measured import measure
from metasight.lesions.picture import (
    _BAR_MM,
    _LINE,
    _OUTLINE,
    _SIDE_PX,
    _in_words,
    _middle,
    _mm,
    picture_of,
)
from metasight.volumes.volume import Mask, Volume

SPACING = (1.0, 0.8, 0.8)


def body(shape=(40, 50, 50), at=(20.0, 20.0, 20.0), radii=(9.0, 9.0, 9.0)):
    """An ellipsoid in lung; centre and radii in mm along z, y, x."""
    grid = np.indices(shape)
    away = sum(((g * s - c) / r) ** 2 for g, s, c, r in zip(grid, SPACING, at, radii, strict=True))
    scan = Volume.from_array(
        np.where(away <= 1, -20.0, -870.0), unit="HU", spacing_mm=SPACING[::-1]
    )
    return scan, Mask.from_array(away <= 1, on=scan)


@pytest.fixture(scope="module")
def drawn():
    scan, lesion = body()
    found = measure(scan, lesion)
    coded = picture_of(scan, lesion, found)
    return found, coded, cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)


def of_colour(panel, colour, far=60):
    return (np.abs(panel.astype(int) - np.array(colour)).sum(axis=2) < far).nonzero()


def test_four_square_windows_over_the_numbers(drawn):
    _, _, picture = drawn
    assert picture.shape[1] == 4 * _SIDE_PX
    assert picture.shape[0] > _SIDE_PX
    assert picture[_SIDE_PX:].mean() < 40  # words on black


def test_the_same_measurement_gives_the_same_bytes(drawn):
    found, coded, _ = drawn
    assert picture_of(*body(), found) == coded


def test_every_window_shows_the_outline_in_its_middle_and_as_long_as_measured(drawn):
    found, _, picture = drawn
    longest = max(d.longest_mm for d in found.solidity.whole.by_plane.values())
    scale = (longest + 36) / _SIDE_PX  # 18 mm on either side
    for k in range(4):
        panel = picture[40 : _SIDE_PX - 40, k * _SIDE_PX + 40 : (k + 1) * _SIDE_PX - 40]
        rows, columns = of_colour(panel, _OUTLINE)
        assert len(rows) > 50
        assert np.ptp(rows) * scale == pytest.approx(18, abs=1.5)
        assert np.ptp(columns) * scale == pytest.approx(18, abs=1.5)
        assert rows.mean() + 40 == pytest.approx(_SIDE_PX / 2, abs=6)
        assert columns.mean() + 40 == pytest.approx(_SIDE_PX / 2, abs=6)


def test_diameters_are_drawn_in_the_lung_windows(drawn):
    _, _, picture = drawn
    for k in range(3):
        rows, _ = of_colour(picture[:_SIDE_PX, k * _SIDE_PX : (k + 1) * _SIDE_PX], _LINE)
        assert len(rows) > 20


def test_heads_are_up_off_the_axial_plane():
    """A body that is bright above only: in the coronal window the bright half is on top."""
    scan, lesion = body()
    lit = np.where(np.indices(scan.array.shape)[0] * SPACING[0] > 20, 100.0, -870.0)
    bright = Volume.from_array(lit, unit="HU", spacing_mm=SPACING[::-1])
    coded = picture_of(bright, Mask.from_array(lesion.array, on=bright), measure(scan, lesion))
    picture = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    coronal = picture[:_SIDE_PX, _SIDE_PX : 2 * _SIDE_PX]
    assert coronal[60:160, 100:260].mean() > 2 * coronal[200:300, 100:260].mean()


def test_a_scan_in_other_units_is_refused(drawn):
    scan, lesion = body()
    other = Volume.from_array(scan.array, unit="SUVbw", spacing_mm=SPACING[::-1])
    with pytest.raises(VolumeError):
        picture_of(other, lesion, drawn[0])


def test_the_middle_of_a_region_is_its_mean_index():
    inside = np.zeros((10, 10, 10), dtype=bool)
    inside[2:5, 7, 0:2] = True
    assert _middle(inside) == [3.0, 7.0, 0.5]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("bronchi_2cm", "within 2 cm of the proximal bronchial tree"),
        ("hilum_centre_third", "centre, inner third from the hilum"),
        ("midline_edge_two_thirds", "edge, inner 2 thirds from the midline"),
    ],
)
def test_central_is_said_as_one_would_say_it(definition, words):
    assert _in_words(definition) == words


def test_a_gap_that_was_not_found_is_said_so():
    assert (_mm(12.6), _mm(float("inf")), _mm(float("nan"))) == ("13 mm", "not found", "not found")


def test_the_bar_is_ten_millimetres(drawn):
    found, _, picture = drawn
    longest = max(d.longest_mm for d in found.solidity.whole.by_plane.values())
    pixels = round(_BAR_MM / ((longest + 36) / _SIDE_PX))
    row = picture[_SIDE_PX - 14, _SIDE_PX - 14 - pixels : _SIDE_PX - 14]
    assert (row > 200).all()
    assert (picture[_SIDE_PX - 14, _SIDE_PX - 14 - pixels - 6] < 200).any()
