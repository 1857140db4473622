"""One click or one box on a nodule that four radiologists drew, and clicks that hit nothing."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.lesions.size import size_of
from metasight.segmentation.lesion import (
    LesionFound,
    lesion_from_axis,
    lesion_from_box,
    lesion_from_click,
)
from metasight.segmentation.lesion_network import shipped_lesion_network
from metasight.segmentation.lung import Lungs, find_lungs
from metasight.simulate.lung.phantom import draw_phantom
from metasight.simulate.lung.settings import NoduleSettings, ThoraxSettings
from metasight.volumes.dicom import read_series
from metasight.volumes.polygons import fill
from metasight.volumes.volume import Mask, Volume

READERS_MM3 = (2007.0, 2876.0)
Nodule = tuple[Volume, Lungs, list[np.ndarray]]


@pytest.fixture(scope="module")
def nodule(shared: Path) -> Nodule:
    """LIDC-IDRI-0314: scan, lungs, and the four readers' masks."""
    folder = shared / "data" / "volumes" / "lidc-0314"
    scan = read_series(next(folder.glob("*.zip")))
    readers = []
    for reader in json.loads(next(folder.glob("*.json")).read_text("utf-8")):
        mask = np.zeros(scan.array.shape, dtype=bool)
        for contour in reader["contours"]:
            points = contour["xy"]
            if isinstance(points, str):
                points = [[float(v) for v in p.split(",")[:2]] for p in points.split()]
            k = round((contour["z"] - scan.grid.origin_mm[2]) / scan.spacing_mm[2])
            mask[k] |= fill(np.array(points, dtype=np.float64), mask.shape[1:])
        readers.append(mask)
    return scan, find_lungs(scan), readers


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def agrees(found: LesionFound, readers: list[np.ndarray]) -> None:
    longest = [size_of(Mask.from_array(r, on=found.mask)).longest_mm for r in readers]
    assert min(longest) <= size_of(found.mask).longest_mm <= max(longest)
    low, high = READERS_MM3
    assert low <= 1000 * found.mask.volume_ml <= high
    theirs = np.mean([dice(a, b) for a, b in combinations(readers, 2)])
    assert np.mean([dice(found.mask.array, r) for r in readers]) >= theirs


def test_one_click_agrees_with_the_readers(nodule: Nodule) -> None:
    scan, lungs, readers = nodule
    sure = np.argwhere(np.sum(readers, axis=0) >= 3)
    clicks = [sure.mean(axis=0), *np.random.default_rng(0).choice(sure, 1)]
    for index in clicks:
        x, y, z = scan.grid.to_mm(np.asarray(index, dtype=np.float64)[::-1])
        agrees(lesion_from_click(scan, lungs, (x, y, z)), readers)


def test_one_box_agrees_with_the_readers(nodule: Nodule) -> None:
    scan, lungs, readers = nodule
    index = np.argwhere(np.any(readers, axis=0))
    ends = [
        scan.grid.to_mm(v[::-1].astype(np.float64))
        for v in (index.min(axis=0) - 1, index.max(axis=0) + 1)
    ]
    low, high = ((float(e[0]), float(e[1]), float(e[2])) for e in ends)
    agrees(lesion_from_box(scan, lungs, low, high), readers)


@pytest.mark.parametrize("point", [(0.0, 0.0, 9e4), (float("nan"), 0.0, 0.0)])
def test_a_click_off_the_scan_is_refused(nodule: Nodule, point: tuple[float, ...]) -> None:
    with pytest.raises(VolumeError, match="the point is outside the scan"):
        lesion_from_click(nodule[0], nodule[1], (point[0], point[1], point[2]))


def test_a_box_without_extent_or_off_the_scan_is_refused(nodule: Nodule) -> None:
    scan, lungs, _ = nodule
    with pytest.raises(VolumeError, match="the box is empty"):
        lesion_from_box(scan, lungs, (0.0, 0.0, 0.0), (0.0, 5.0, 5.0))
    with pytest.raises(VolumeError, match="outside the scan"):
        lesion_from_box(scan, lungs, (9e4, 0.0, 0.0), (9.1e4, 5.0, 5.0))


def phantom(
    nodule: NoduleSettings, seed: int
) -> tuple[Volume, Lungs, np.ndarray, tuple[float, ...]]:
    settings = ThoraxSettings(nodule=nodule, vessel_ends=4000)
    scan = draw_phantom(settings, seed, crop_mm=nodule.diameter_mm + 50)
    z, y, x = scan.spacing_mm
    volume = Volume.from_array(
        scan.ct_hu, unit="HU", spacing_mm=(x, y, z), origin_mm=scan.origin_mm
    )
    whole = Mask.from_array(scan.lungs, on=volume)
    air = Mask.from_array(scan.lungs & (scan.ct_hu < -400), on=volume)
    lungs = Lungs(right=air, left=air, right_whole=whole, left_whole=whole, airways=None)
    assert scan.lesion is not None
    return volume, lungs, scan.lesion_mask, scan.lesion.centre_mm


def test_ground_glass_round_a_small_solid_part_is_found() -> None:
    volume, lungs, truth, centre = phantom(
        NoduleSettings(diameter_mm=18, solid_diameter_mm=7, ground_glass_hu=-620), seed=3
    )
    found = lesion_from_click(volume, lungs, (centre[0], centre[1], centre[2]))
    assert dice(found.mask.array, truth) > 0.8


def test_pure_ground_glass_is_found() -> None:
    volume, lungs, truth, centre = phantom(
        NoduleSettings(diameter_mm=20, solid_diameter_mm=0, ground_glass_hu=-620), seed=4
    )
    found = lesion_from_click(volume, lungs, (centre[0], centre[1], centre[2]))
    assert dice(found.mask.array, truth) > 0.8


def test_a_click_on_air_is_refused() -> None:
    hu = np.full((60, 60, 60), -870.0)
    volume = Volume.from_array(hu, unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    air = Mask.from_array(np.ones(hu.shape), on=volume)
    lungs = Lungs(right=air, left=air, right_whole=air, left_whole=air, airways=None)
    with pytest.raises(VolumeError, match="nothing denser than lung is at the point"):
        lesion_from_click(volume, lungs, (30.0, 30.0, 30.0))


def test_a_thin_rim_of_ground_glass_is_told_from_blur() -> None:
    """A rim of 2.5 mm; a solid lesion of the same size has none."""
    for solid_mm, rim in ((13.0, True), (18.0, False)):
        volume, lungs, truth, centre = phantom(
            NoduleSettings(diameter_mm=18, solid_diameter_mm=solid_mm, ground_glass_hu=-570),
            seed=5,
        )
        found = lesion_from_click(volume, lungs, (centre[0], centre[1], centre[2]))
        assert found.ground_glass is rim
        assert dice(found.mask.array, truth) > 0.85


def on_a_stalk(wide_mm: float) -> tuple[Volume, Lungs, np.ndarray]:
    """A ball of 12 mm with a strand as dense, wide and long, through it."""
    z, y, x = np.ogrid[:60, :60, :60]
    ball = (z - 30) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 <= 36
    strand = ((z - 30) ** 2 + (y - 30) ** 2 <= (wide_mm / 2) ** 2) & (x >= 0)
    hu = np.where(ball | strand, 30.0, -860.0)
    volume = Volume.from_array(hu, unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    air = Mask.from_array(hu < -400, on=volume)
    whole = Mask.from_array(np.ones(hu.shape), on=volume)
    return (
        volume,
        Lungs(right=air, left=air, right_whole=whole, left_whole=whole, airways=None),
        ball,
    )


def test_both_ends_bound_the_lesion() -> None:
    """A vessel nearly as wide as the lesion runs through it."""
    volume, lungs, ball = on_a_stalk(9.0)
    one, other = (30.0, 24.0, 30.0), (30.0, 36.0, 30.0)
    found = lesion_from_axis(volume, lungs, one, other).mask.array
    for x, y, z in (one, other):
        assert found[round(z), round(y), round(x)]
    away = np.linalg.norm(np.argwhere(found) - 30, axis=1)
    assert away.max() <= 1.2 * 12 / 2 + 1
    assert dice(found, ball) > 0.75
    assert dice(found, ball) >= dice(lesion_from_click(volume, lungs, one).mask.array, ball)
    again = lesion_from_axis(volume, lungs, other, one).mask.array
    assert dice(again, found) > 0.98


@pytest.mark.parametrize("other", [(30.0, 31.0, 30.0), (30.0, 300.0, 30.0), (float("nan"), 1, 1)])
def test_ends_that_are_no_longest_diameter_are_refused(other: tuple[float, ...]) -> None:
    volume, lungs, _ = on_a_stalk(5.0)
    with pytest.raises(VolumeError, match="no longest diameter") as refused:
        lesion_from_axis(volume, lungs, (30.0, 30.0, 30.0), (other[0], other[1], other[2]))
    assert refused.value.remedy


def test_with_the_network_the_same_click_gives_the_same_bytes_and_says_how_sure_it_is() -> None:
    volume, lungs, truth, centre = phantom(
        NoduleSettings(diameter_mm=16, solid_diameter_mm=16, margin="lobulated"), seed=6
    )
    at = (centre[0], centre[1], centre[2])
    network = shipped_lesion_network()
    first, second = (lesion_from_click(volume, lungs, at, network=network) for _ in range(2))
    assert dice(first.mask.array, truth) > 0.8
    assert first.mask.array.tobytes() == second.mask.array.tobytes()
    assert first.outlines.spread is not None and first.outlines.spread == second.outlines.spread
    assert set(first.outlines.compared) == {"rules", "network", "lower", "upper"}
    assert lesion_from_click(volume, lungs, at).outlines.spread is None
    ends = np.argwhere(truth)
    low, high = (volume.grid.to_mm(ends[k][::-1].astype(float)) for k in (0, -1))
    axis = lesion_from_axis(
        volume, lungs, (low[0], low[1], low[2]), (high[0], high[1], high[2]), network=network
    )
    assert axis.outlines.spread is None
    assert axis.mask.array[tuple(ends[0])] and axis.mask.array[tuple(ends[-1])]


def test_with_the_network_one_click_agrees_with_the_readers(nodule: Nodule) -> None:
    scan, lungs, readers = nodule
    index = np.argwhere(np.sum(readers, axis=0) >= 3).mean(axis=0)
    x, y, z = scan.grid.to_mm(np.asarray(index, dtype=np.float64)[::-1])
    found = lesion_from_click(scan, lungs, (x, y, z), network=shipped_lesion_network())
    agrees(found, readers)
