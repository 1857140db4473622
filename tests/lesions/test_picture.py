"""The picture behind a measurement: size, what is drawn, where left and the bar are."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.lesions import picture as module
from metasight.lesions.disagreement import Disagreement
from metasight.lesions.measured import measure
from metasight.lesions.picture import (
    _cut,
    _held,
    _lengths,
    _mm,
    _taken,
    _told,
    _value,
    picture_of,
)
from metasight.lesions.picture_view import DIAMETER, OUTLINE, SIDE_PX, STRIP_PX, text_px
from metasight.lesions.place import Place
from metasight.segmentation.lobes import LobeFound
from metasight.volumes.volume import Mask, ScanFacts, Volume

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


def panel(picture, row, column):
    """Marked ones are row 0, unmarked ones row 1, the whole slices row 2."""
    top = (STRIP_PX, SIDE_PX + 3 * STRIP_PX, 2 * SIDE_PX + 4 * STRIP_PX)[row]
    left = column * (SIDE_PX + 4)
    return picture[top : top + SIDE_PX, left : left + SIDE_PX]


def test_windows_marked_and_unmarked_over_whole_slices_and_the_numbers(drawn):
    _, _, picture = drawn
    assert picture.shape[1] == 4 * SIDE_PX + 3 * 4
    assert picture.shape[0] > 3 * SIDE_PX
    assert picture[3 * SIDE_PX + 4 * STRIP_PX :].mean() < 60  # words on black


def test_the_same_measurement_gives_the_same_bytes(drawn):
    found, coded, _ = drawn
    assert picture_of(*body(), found) == coded


def test_every_window_shows_the_outline_in_its_middle_and_as_long_as_measured(drawn):
    _, _, picture = drawn
    scale = (18.4 + 36) / SIDE_PX  # 23 voxels of 0.8 mm, and 18 mm on either side
    for k in range(4):
        inner = panel(picture, 0, k)[40 : SIDE_PX - 40, 40 : SIDE_PX - 40]
        rows, columns = of_colour(inner, OUTLINE)
        assert len(rows) > 50
        assert np.ptp(rows) * scale == pytest.approx(18, abs=1.5)
        assert np.ptp(columns) * scale == pytest.approx(18, abs=1.5)
        assert rows.mean() + 40 == pytest.approx(SIDE_PX / 2, abs=6)
        assert columns.mean() + 40 == pytest.approx(SIDE_PX / 2, abs=6)


def test_the_twin_below_has_the_same_scan_and_no_line(drawn):
    _, _, picture = drawn
    for k in range(4):
        marked, plain = panel(picture, 0, k), panel(picture, 1, k)
        for colour in (OUTLINE, DIAMETER):
            assert not len(of_colour(plain, colour)[0])
        same = (marked == plain).all(axis=2).mean()
        assert 0.9 < same < 1


def test_diameters_are_drawn_and_the_reported_one_is_thick(drawn):
    found, _, picture = drawn
    counts = [len(of_colour(panel(picture, 0, k), DIAMETER)[0]) for k in range(3)]
    assert min(counts) > 20
    planes = ("axial", "coronal", "sagittal")
    reported = planes.index(found.solidity.whole.longest.plane)
    assert counts[reported] > 1.5 * max(c for k, c in enumerate(counts) if k != reported)
    said = [_lengths(found, plane) for plane in planes]
    assert [k for k, text in enumerate(said) if "= reported size" in text] == [reported]


def test_heads_are_up_off_the_axial_plane():
    """A body that is bright above only: in the coronal window the bright half is on top."""
    scan, lesion = body()
    lit = np.where(np.indices(scan.array.shape)[0] * SPACING[0] > 20, 100.0, -870.0)
    bright = Volume.from_array(lit, unit="HU", spacing_mm=SPACING[::-1])
    coded = picture_of(bright, Mask.from_array(lesion.array, on=bright), measure(scan, lesion))
    picture = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    for row in (0, 1):
        coronal = panel(picture, row, 1)
        assert coronal[60:160, 100:260].mean() > 2 * coronal[200:300, 100:260].mean()


def test_a_scan_in_other_units_is_refused(drawn):
    scan, lesion = body()
    other = Volume.from_array(scan.array, unit="SUVbw", spacing_mm=SPACING[::-1])
    with pytest.raises(VolumeError):
        picture_of(other, lesion, drawn[0])


def test_the_windows_hold_a_bent_lesion_whole():
    inside = np.zeros((40, 50, 50), dtype=bool)
    inside[20, 5, 2:48] = True
    inside[20, 5:48, 2] = True
    scan = Volume.from_array(np.where(inside, 0.0, -870.0), unit="HU", spacing_mm=SPACING[::-1])
    middle, side_mm = _held(scan, inside)
    index = np.argwhere(inside)
    assert (np.abs(index - middle) * SPACING).max() + 17 < side_mm / 2


def test_a_lesion_at_the_scans_edge_is_said_to_be_cut(drawn):
    found, _, _ = drawn
    whole, edge = np.zeros((9, 9, 9), dtype=bool), np.zeros((9, 9, 9), dtype=bool)
    whole[4, 4, 4] = edge[0, 4, 4] = True
    assert not _cut(whole)
    assert _cut(edge)
    assert any("CUT" in line for line in _told(found, cut=True))
    assert not any("CUT" in line for line in _told(found, cut=False))


def test_uptake_is_over_the_axial_window_where_there_is_a_pet(drawn):
    found, _, without = drawn
    scan, lesion = body()
    pet = scan.of_array(np.where(lesion.array, 8.0, 0.0), unit="SUVbw")
    coded = picture_of(scan, lesion, found, pet=pet)
    picture = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    fused = panel(picture, 2, 2)[60:300, 60:300].astype(int)
    coloured = (fused.max(axis=2) - fused.min(axis=2)) > 60
    rows, columns = coloured.nonzero()
    assert rows.mean() == pytest.approx(120, abs=8)
    assert columns.mean() == pytest.approx(120, abs=8)
    grey = panel(without, 2, 2)[60:300, 60:300].astype(int)
    assert coloured.sum() > 4 * ((grey.max(axis=2) - grey.min(axis=2)) > 60).sum()


def test_the_whole_slice_shows_where_the_windows_are(drawn):
    _, _, picture = drawn
    axial = panel(picture, 2, 0)
    white = (axial > 225).all(axis=2)
    assert (white.sum(axis=0) > 150).sum() >= 2  # both upright sides of the box


def test_how_a_scan_was_taken_is_said_without_who(drawn):
    del drawn
    scan, _ = body()
    facts = ScanFacts(
        modality="CT",
        kernel="B30f",
        slice_thickness_mm=1.25,
        tube_voltage_kv=120.0,
        contrast_agent=True,
        series_uid="1.2.3.4",
        frame_of_reference="5.6.7",
    )
    told = " ".join(_taken(replace(scan, facts=facts)))
    assert "40 slices, 1.00 mm apart" in told
    assert "slice thickness 1.25 mm" in told
    assert "kernel B30f, 120 kV" in told
    assert "with contrast agent" in told
    assert "1.2.3" not in told
    assert "5.6.7" not in told
    assert module._legend(replace(scan, facts=facts)).shape[0] == SIDE_PX + STRIP_PX


def test_a_doubt_and_the_range_of_the_ratio_are_said(drawn):
    found, _, _ = drawn
    doubted = replace(
        found,
        solidity=replace(found.solidity, attenuation="undecided", doubts=("it is not seen",)),
    )
    told = _told(doubted, cut=False)
    assert "could be" in told[0]
    assert told[1] == "Not decided: it is not seen"


def test_an_outline_in_doubt_is_said_first(drawn):
    apart = Disagreement(
        n=3,
        dice_distance=0.5,
        size_apart_mm=4.0,
        volume_factor=2.0,
        cut_share=0.5,
        errors={},
        wrong_probability=0.97,
    )
    doubted = replace(drawn[0], disagreement=apart)
    assert _told(doubted, cut=False)[0].startswith("OUTLINE IN DOUBT")
    assert any("is wrong 0.97" in line for line in _told(doubted, cut=False))
    sure = replace(drawn[0], disagreement=replace(apart, wrong_probability=0.01))
    assert not any("IN DOUBT" in line for line in _told(sure, cut=False))


def test_no_line_of_letters_is_wider_than_its_window(drawn):
    found, _, _ = drawn
    for plane in ("axial", "coronal", "sagittal"):
        assert text_px(_lengths(found, plane)) < SIDE_PX - 8
    assert text_px("axial, mediastinal window W 400 L 40 HU") < SIDE_PX - 8
    assert text_px("slice 1000 of 1000 from the front, y -1000.0 mm") < SIDE_PX - 8
    assert text_px("whole coronal slice, 1000 mm, box: window above") < SIDE_PX - 8


def test_the_lesions_own_value_is_beside_the_definition():
    place = Place(
        side="right",
        lobe=LobeFound(lobe="right upper", others=(), fissure_gap_mm=9.0, why=""),
        centre_mm=(0.0, 0.0, 0.0),
        pleura_gap_mm=5.0,
        bronchi_gap_mm=34.0,
        ratios={"hilum_centre": 0.48, "hilum_edge": float("nan")},
        not_found=(),
    )
    assert _value(place, "hilum_centre_two_thirds") == ": 0.48, limit 0.67"
    assert _value(place, "hilum_edge_third") == ": not found"
    assert _value(place, "bronchi_2cm") == ": 34 mm, limit 20 mm"


def test_a_gap_that_was_not_found_is_said_so():
    assert (_mm(12.6), _mm(float("inf")), _mm(float("nan"))) == ("13 mm", "not found", "not found")
