"""A plane as a square picture: places, marks, bars of round length, text that fits."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.lesions.picture_view import (
    SIDE_PX,
    SOLID,
    WHITE,
    PlaneView,
    bar,
    fused,
    heat_scale,
    marked,
    outlined,
    text_px,
    windowed,
    wrapped,
)
from metasight.volumes.volume import Volume


@pytest.fixture
def scan() -> Volume:
    grid = np.indices((20, 30, 40)).astype(np.float32)
    return Volume.from_array(
        grid[0] * 100 + grid[2], unit="HU", spacing_mm=(0.8, 0.9, 2.0), origin_mm=(-10, -20, 30)
    )


def test_a_picture_is_about_its_place_and_heads_are_up(scan):
    view = PlaneView.about(scan, "coronal", 7, np.array([9.0, 7.0, 20.0]), side_mm=16.0)
    drawn = view.drawn(view.slice_of(scan.array), -1.0)
    middle = drawn[SIDE_PX // 2, SIDE_PX // 2]
    assert middle == pytest.approx(9 * 100 + 20, abs=3)
    assert drawn[20, SIDE_PX // 2] > middle > drawn[-20, SIDE_PX // 2]  # z rises upwards
    assert drawn[SIDE_PX // 2, -20] > middle  # x rises to the right


def test_places_and_pixels_are_one_another(scan):
    view = PlaneView.about(scan, "axial", 4, np.array([4.0, 10.0, 20.0]), side_mm=20.0)
    (column, row) = view.pixels(np.array([[10.0, 20.0]]))[0]
    assert (column, row) == (SIDE_PX // 2, SIDE_PX // 2)
    x, y, z = view.points_mm(scan)[row, column]
    assert (x, y, z) == pytest.approx((-10 + 0.8 * 20, -20 + 0.9 * 10, 30 + 2 * 4), abs=0.05)
    assert view.place_mm(scan) == ("z", pytest.approx(38.0))
    across = PlaneView.about(scan, "sagittal", 5, np.array([4.0, 10.0, 5.0]), side_mm=20.0)
    assert across.place_mm(scan) == ("x", pytest.approx(-6.0))


def test_a_window_is_black_below_and_white_above():
    grey = windowed(np.array([[-2000.0, -600.0, 900.0]], dtype=np.float32), (-1350.0, 150.0))
    assert [int(v) for v in grey[0, :, 0]] == [0, 127, 255]


def test_bars_are_of_round_length_and_drawn_as_long():
    for mm_per_px, expected in ((0.1, 10.0), (0.2, 20.0), (1.0, 100.0), (0.02, 2.0)):
        panel = np.zeros((SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        assert bar(panel, mm_per_px) == expected
        white = (panel[SIDE_PX - 10] == WHITE).all(axis=1).sum()
        assert white == pytest.approx(expected / mm_per_px, abs=3)


def test_sides_are_marked_at_every_edge():
    panel = np.zeros((SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    marked(panel, "axial")
    for part in (panel[:25], panel[-25:], panel[:, :25], panel[:, -25:]):
        assert part.max() > 200
    assert panel[30:-30, 30:-30].max() == 0


def test_a_dashed_outline_has_gaps_and_a_whole_one_none():
    share = np.zeros((200, 200), dtype=np.float32)
    share[50:150, 50:150] = 1
    counts = []
    for dashed in (False, True):
        panel = np.zeros((200, 200, 3), dtype=np.uint8)
        outlined(panel, share, SOLID, dashed=dashed)
        counts.append(int((panel[50, 50:150].max(axis=1) > 60).sum()))
    assert counts[0] == 100
    assert 40 < counts[1] < 90


def test_uptake_is_brighter_where_it_is_higher_in_grey_as_well(scan):
    view = PlaneView.about(scan, "axial", 4, np.array([4.0, 15.0, 20.0]), side_mm=20.0)
    grey = np.full((SIDE_PX, SIDE_PX, 3), 60, dtype=np.uint8)
    rising = np.broadcast_to(np.linspace(0, 10, 40, dtype=np.float32), (20, 30, 40))
    pet = scan.of_array(rising, unit="SUVbw")
    row = fused(grey, view, scan, pet)[SIDE_PX // 2].mean(axis=1)
    assert row[-40] > row[SIDE_PX // 2] > row[40]
    scale = heat_scale(200)[2].mean(axis=1)
    assert (np.diff(scale[::20]) > 0).all()


def test_long_text_is_broken_and_nothing_is_lost():
    text = " ".join(f"word{k}" for k in range(60))
    lines = wrapped(text, 300)
    assert len(lines) > 3
    assert all(text_px(line) <= 300 for line in lines)
    assert " ".join(line.strip() for line in lines) == text
    assert wrapped("", 300) == [""]
