"""Lobes by an atlas of two planes, and by the fissure that is seen where there is one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from metasight.segmentation.lobes import LobeFound, find_lobe
from metasight.volumes.volume import Mask, Volume

SHAPE, STEP = (110, 90, 60), 2.0
LOW, FRONT = 5, 5  # first slice and row of the lung: 200 mm high, 160 mm deep


@pytest.fixture(scope="module")
def lung():
    """A box of lung without any fissure, and its texture."""
    rng = np.random.default_rng(0)
    inside = np.zeros(SHAPE, dtype=bool)
    inside[LOW : LOW + 100, FRONT : FRONT + 80, 5:55] = True
    hu = np.where(inside, -870.0, 40.0) + rng.normal(0, 12, SHAPE)
    return hu, inside


def found(hu, inside, place, side="right", radius_mm=6.0) -> LobeFound:
    scan = Volume.from_array(hu, unit="HU", spacing_mm=(STEP,) * 3)
    grid = np.indices(SHAPE)
    away = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, place, strict=True))) * STEP
    lesion = Mask.from_array(away <= radius_mm, on=scan)
    return find_lobe(scan, Mask.from_array(inside, on=scan), lesion, side)


# The atlas's oblique fissure rises from 0 at the front to 0.8 of the height at the back.
def height(share_of_height: float) -> int:
    return round(LOW + 100 * share_of_height)


def row(share_of_depth: float) -> int:
    return round(FRONT + 80 * share_of_depth)


@pytest.mark.parametrize(
    ("side", "up", "back", "lobe"),
    [
        ("right", 0.95, 0.3, "right upper"),
        ("right", 0.30, 0.1, "right middle"),
        ("right", 0.15, 0.9, "right lower"),
        ("left", 0.95, 0.3, "left upper"),
        ("left", 0.30, 0.1, "left upper"),
        ("left", 0.15, 0.9, "left lower"),
    ],
)
def test_the_atlas_where_no_fissure_is_seen(lung, side, up, back, lobe):
    told = found(*lung, (height(up), row(back), 30), side)
    assert told.lobe == lobe
    assert math.isnan(told.fissure_gap_mm)
    assert told.why.startswith("no fissure is visible")


def test_near_an_atlas_border_the_lobe_is_unsure():
    """The atlas is right to 20 mm only; the oblique fissure at half depth lies at 0.4."""
    told = LobeFound(lobe="left upper", others=("left lower",), fissure_gap_mm=1.0, why="")
    assert told.unsure
    assert told.upper_lobe is None
    middle = LobeFound(lobe="right middle", others=("right lower",), fissure_gap_mm=1.0, why="")
    assert middle.upper_lobe is False  # whichever it is, it is no upper one
    sure = LobeFound(lobe="left upper", others=(), fissure_gap_mm=1.0, why="")
    assert sure.upper_lobe is True


def test_a_lesion_within_twenty_millimetres_of_the_atlas_may_lie_on_either_side(lung):
    near = found(*lung, (height(0.40) + 4, row(0.5), 30), "left")  # 8 mm above
    assert near.lobe == "left upper"
    assert near.others == ("left lower",)
    far = found(*lung, (height(0.40) + 25, row(0.5), 30), "left")  # 50 mm above
    assert far.others == ()


def with_sheet(lung, shift_mm: float):
    """A fissure parallel to the atlas's, ``shift_mm`` above it."""
    hu, inside = lung
    z, y, _ = np.indices(SHAPE)
    plane = LOW + 0.8 * 100 / 80 * (y - FRONT) + shift_mm / STEP
    sheet = inside & (np.abs(z - plane) < 0.75)
    return np.where(sheet, -600.0, hu), inside


def test_a_fissure_that_is_seen_moves_the_border_and_gives_the_gap(lung):
    """Seen 16 mm above the atlas's: what is 8 mm above that is below."""
    place = (height(0.40) + 4, row(0.5), 30)
    told = found(*with_sheet(lung, 16.0), place, "left", radius_mm=4.0)
    assert told.lobe == "left lower"
    assert not told.unsure
    # 8 mm below along z, on a plane that rises by 1 mm a mm; the lesion has a radius of 4 mm
    wanted = 8.0 / math.sqrt(2) - 4.0
    assert told.fissure_gap_mm == pytest.approx(wanted, abs=1.8)
    assert told.why == ""


def test_a_vessel_is_no_fissure(lung):
    hu, inside = lung
    z, y, _ = np.indices(SHAPE)
    rod = inside & (np.hypot(z - height(0.45), y - row(0.5)) < 1)
    told = found(np.where(rod, 40.0, hu), inside, (height(0.40) + 10, row(0.5), 30), "left")
    assert math.isnan(told.fissure_gap_mm)
