"""Tissue masks: on real consecutive sections, and where there is nothing to find."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from metasight.slides.tissue import tissue_mask
from slide_files import tissue_like

MPP = 10.0


def mask_of(rgb: np.ndarray) -> np.ndarray:
    return tissue_mask(rgb, MPP)


PAIRS = {
    "kidney": ("rat-kidney_", "Rat-Kidney_HE.jpg", "Rat-Kidney_PanCytokeratin.jpg"),
    "lesion": ("lesions_", "Izd2-29-041-w35_HE.jpg", "Izd2-29-041-w35_proSPC.jpg"),
}


def section(shared: Path, folder: str, name: str) -> np.ndarray:
    """A section at 10 µm, told apart from black by colour order only."""
    found = sorted((shared / "data/alignment/cima" / folder).rglob(name))
    if not found:
        pytest.skip(f"{name} is not in ../shared")
    return cv2.imread(str(found[0]))[..., ::-1].copy()


@pytest.mark.parametrize("pair", PAIRS)
def test_a_section_has_as_much_tissue_in_either_stain(shared: Path, pair: str) -> None:
    """A pale counterstain is as much tissue as eosin: areas of neighbours differ by little."""
    folder, he, ihc = PAIRS[pair]
    areas = [mask_of(section(shared, folder, n)).mean() for n in (he, ihc)]
    assert min(areas) > 0.05
    assert min(areas) / max(areas) > 0.8


@pytest.mark.parametrize("pair", PAIRS)
def test_glass_beside_a_section_is_not_tissue(shared: Path, pair: str) -> None:
    folder, he, ihc = PAIRS[pair]
    for name in (he, ihc):
        rgb = section(shared, folder, name)
        mask = mask_of(rgb)
        light = rgb.astype(float).min(axis=2)
        assert light[mask].mean() < light[~mask].mean() - 10
        # the same section on four times as much of its own glass: the same tissue
        glass = np.median(rgb[~mask], axis=0).astype(np.uint8)
        high, wide = rgb.shape[:2]
        on_glass = np.full((2 * high, 2 * wide, 3), glass, np.uint8)
        noise = np.random.default_rng(0).normal(0, 1.5, on_glass.shape)
        on_glass = np.clip(on_glass + noise, 0, 254).astype(np.uint8)
        on_glass[:high, :wide] = rgb
        placed = mask_of(on_glass)
        assert not placed[high + 5 :, wide + 5 :].any()
        both = placed[:high, :wide]
        assert (both & mask).sum() / (both | mask).sum() > 0.9


@pytest.mark.parametrize("value", [0, 1, 200, 243, 254, 255])
def test_one_grey_level_is_no_tissue(value: int) -> None:
    assert not mask_of(np.full((300, 400, 3), value, np.uint8)).any()


def test_noise_of_glass_is_no_tissue() -> None:
    noise = np.random.default_rng(0).normal(240, 2.5, (400, 500, 3))
    assert not mask_of(np.clip(noise, 0, 254).astype(np.uint8)).any()


@pytest.mark.parametrize("fill", [0, 255])
def test_what_was_not_scanned_is_not_tissue(fill: int) -> None:
    """Black or white fill round a section neither is tissue nor changes what is."""
    rgb = tissue_like(500, 500)
    rgb[:60] = 242
    filled = np.full((900, 900, 3), fill, np.uint8)
    filled[200:700, 200:700] = rgb
    mask = mask_of(filled)
    assert mask[200:700, 200:700].any()
    mask[200:700, 200:700] = False
    assert not mask.any()


def test_a_known_disc_in_pale_counterstain() -> None:
    """0.07 of haematoxylin's density, as stroma in IHC: found to within 3 % of its area."""
    y, x = np.mgrid[:600, :600]
    disc = np.hypot(y - 300, x - 300) < 200
    density = disc[..., None] * 0.07 * np.array([0.65, 0.70, 0.29]) / 0.55
    rng = np.random.default_rng(0)
    light = 240 * 10.0**-density + rng.normal(0, 1.0, (600, 600, 3))
    mask = mask_of(np.clip(np.rint(light), 0, 254).astype(np.uint8))
    assert mask.sum() == pytest.approx(disc.sum(), rel=0.03)
    assert (mask & disc).sum() / (mask | disc).sum() > 0.96


def test_small_pieces_go_and_small_holes_are_filled() -> None:
    """0.04 mm² are 400 pixels of 10 µm, 0.02 mm² are 200."""
    rgb = np.full((300, 400, 3), 240, np.uint8)
    rgb[50:250, 50:250] = (200, 120, 180)
    rgb[100:106, 100:106] = 240  # a hole of 36 pixels
    rgb[150:190, 150:190] = 240  # one of 1600
    rgb[100:110, 340:350] = (200, 120, 180)  # a piece of 100
    mask = mask_of(rgb)
    assert mask[103, 103]
    assert not mask[170, 170]
    assert not mask[:, 300:].any()


@pytest.mark.parametrize("mpp", [2.0, 8.0, 30.0, 200.0])
def test_any_resolution_and_the_smallest_picture(mpp: float) -> None:
    assert tissue_mask(np.full((1, 1, 3), 120, np.uint8), mpp).shape == (1, 1)
    assert tissue_mask(tissue_like(64, 90), mpp).shape == (64, 90)
