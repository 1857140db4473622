"""How nuclei look: measured as drawn, against the slide's own, and the same wherever blocks end."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from metasight.errors import MarkerError
from metasight.maps.nucleus_looks import N_LOOKS, OWN, RADII_UM, against_the_slide, read_nuclei
from metasight.slides.opening import open_slide

AREA, CROWDED = OWN.index("log_area"), OWN.index(f"log_nuclei_within_{RADII_UM[0]:g}_um")


def slide_of(path: Path, side: tuple[int, int], nuclei: list[tuple[int, int, int, int]]) -> Path:
    """White glass with a pink field and round nuclei: x, y, radius, grey level of red light."""
    rgb = np.full((*side, 3), 245, np.uint8)
    rgb[20:-20, 20:-20] = (235, 190, 215)
    for x, y, radius, red in nuclei:
        cv2.circle(rgb, (x, y), radius, (red, 90, 150), -1, cv2.LINE_AA)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 0.7)
    tifffile.imwrite(
        path,
        rgb,
        tile=(256, 256),
        photometric="rgb",
        resolution=(1e4, 1e4),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    return path


def read(path: Path, side: tuple[int, int]):
    tissue = np.zeros((side[0] // 4, side[1] // 4), bool)
    tissue[5:-5, 5:-5] = True
    with open_slide(path, name="slide") as slide:
        return read_nuclei(slide, tissue, 4.0, mpp=1.0)


def test_nuclei_are_measured_as_they_were_drawn(tmp_path: Path) -> None:
    large = [(80 + 60 * i, 80, 8, 100) for i in range(6)]
    small = [(80 + 60 * i, 200, 4, 60) for i in range(6)]
    pair = [(80, 300, 4, 60), (92, 300, 4, 60)]
    found = read(slide_of(tmp_path / "a.tif", (420, 512), large + small + pair), (420, 512))
    assert found.looks.shape == (14, N_LOOKS)
    at = np.stack([found.x_um, found.y_um], axis=1)
    for x, y, radius, red in large + small + pair:
        away = np.hypot(*(at - (x + 0.5, y + 0.5)).T)
        own = found.looks[away.argmin()]
        assert away.min() < 1.0
        assert np.exp(own[AREA]) == pytest.approx(np.pi * radius**2, rel=0.25)
        assert own[OWN.index("od_red")] == pytest.approx(np.log10(246 / (red + 1)), abs=0.12)
        alone = 2 if (x, y, radius, red) in pair else 1
        assert np.exp(own[CROWDED]) == pytest.approx(alone)


def test_a_nucleus_at_a_blocks_border_is_told_once_with_all_its_neighbours(tmp_path: Path) -> None:
    """Blocks are 1024 pixels: a cluster across the border is crowded like one that is not."""
    cluster = [(dx, dy) for dx in (-14, 0, 14) for dy in (-14, 0, 14)]
    nuclei = [(x + dx, 200 + dy, 4, 60) for x in (1024, 400) for dx, dy in cluster]
    others = [(x, y, 5, 70) for x in range(60, 1350, 60) for y in (60, 340)]
    found = read(slide_of(tmp_path / "b.tif", (400, 1400), nuclei + others), (400, 1400))
    assert len(found) == 18 + len(others)
    left, across = (
        found.looks[np.hypot(found.x_um - x, found.y_um - 200) < 40][:, CROWDED : CROWDED + 2]
        for x in (400, 1024)
    )
    assert left.shape == (9, 2)
    np.testing.assert_allclose(np.sort(left, axis=0), np.sort(across, axis=0))


def test_a_paler_laboratory_changes_a_number_but_not_its_place_on_the_slide(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    reds = [(60 + 40 * i, 60 + 40 * j, int(rng.integers(3, 8))) for i in range(9) for j in range(7)]
    looks = []
    for name, factor in (("dark", 1.0), ("pale", 1.35)):
        drawn = [(x, y, r, round((60 + 8 * r) * factor)) for x, y, r in reds]
        found = read(slide_of(tmp_path / f"{name}.tif", (400, 480), drawn), (400, 480))
        order = np.lexsort([np.rint(found.x_um / 40), np.rint(found.y_um / 40)])
        looks.append(found.looks[order])
    red = OWN.index("od_red")
    dark, pale = looks
    assert len(dark) == len(pale) == len(reds)
    assert np.median(dark[:, red]) > np.median(pale[:, red]) + 0.1
    for column in (AREA, red):
        both = np.stack([dark, pale])[:, :, len(OWN) + column]
        assert np.corrcoef(both)[0, 1] > 0.97
        assert np.abs(np.median(both[0]) - np.median(both[1])) < 0.1


def test_against_the_slide() -> None:
    looks = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0], [9.0, 7.0]])
    found = against_the_slide(looks)
    np.testing.assert_allclose(found[:, 0], [-1, -0.5, 0, 0.5, 3])
    np.testing.assert_array_equal(found[:, 1], 0)  # the middle half does not vary


def test_what_shows_no_nuclei(tmp_path: Path) -> None:
    path = slide_of(tmp_path / "c.tif", (300, 300), [])
    inner = np.zeros((75, 75), bool)
    inner[30:45, 30:45] = True
    with open_slide(path, name="slide") as slide:
        with pytest.raises(MarkerError, match="no tissue"):
            read_nuclei(slide, np.zeros((75, 75), bool), 4.0, mpp=1.0)
        with pytest.raises(MarkerError, match="cannot be recognised at this resolution"):
            read_nuclei(slide, inner, 4.0, mpp=2.0)
