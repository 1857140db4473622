"""Stains against known mixtures and against a published Macenko normalisation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from metasight.errors import SlideError
from metasight.slides.stain import (
    Stains,
    background_colour,
    deconvolve,
    estimate_stains,
    normalise,
    optical_density,
    published_stains,
    residual,
)

METHODS = ("macenko", "vahadane")


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1].copy()


def painted(amounts: np.ndarray, stains: Stains) -> np.ndarray:
    """The picture of known amounts of dye, made by Beer–Lambert."""
    light = (stains.background + 1) * 10.0 ** -(amounts @ stains.vectors) - 1
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def known() -> tuple[np.ndarray, np.ndarray, Stains]:
    """A section with cells, stroma and glass whose dyes are known."""
    rng = np.random.default_rng(3)
    amounts = np.zeros((200, 300, 2))
    amounts[:, 40:, 1] = rng.gamma(6, 0.06, (200, 260))  # eosin everywhere but on glass
    cells = cv2.GaussianBlur((rng.random((200, 300)) > 0.99).astype(float), (0, 0), 2) > 0.015
    amounts[..., 0] = np.where(cells, rng.gamma(12, 0.06, (200, 300)), 0.0)
    amounts[:, :40] = 0
    amounts[cells & (amounts[..., 0] > 0), 1] *= 0.2
    # an eosin that absorbs in every channel, as on slides: Macenko leaves out pixels that do not
    vectors = np.array([[0.650, 0.704, 0.286], [0.27, 0.92, 0.28]])
    stains = Stains(
        names=("haematoxylin", "eosin"),
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        strongest=np.ones(2),
        background=np.array([238.0, 240.0, 236.0]),
    )
    return painted(amounts, stains), amounts, stains


@pytest.mark.parametrize("method", METHODS)
def test_vectors_of_a_known_mixture_are_found(known, method) -> None:
    rgb, _, truth = known
    found = estimate_stains(rgb, method=method)
    angles = np.degrees(np.arccos(np.clip((found.vectors * truth.vectors).sum(1), -1, 1)))
    # eosin is never alone in Macenko's 99th percentile: a few degrees are the method's own
    assert angles[0] < 10
    assert angles[1] < 6


def test_amounts_of_a_known_mixture_are_found(known) -> None:
    rgb, amounts, truth = known
    found = deconvolve(rgb, truth)
    dark = (rgb < 4).any(-1)  # eight bits cannot tell what lies below
    assert np.abs(found - amounts)[~dark].mean() < 0.01
    assert residual(rgb, truth)[~dark].mean() < 0.01


def test_optical_density_of_glass_is_zero_and_of_a_tenth_is_one() -> None:
    rgb = np.array([[[239, 239, 239], [23, 23, 23]]], np.uint8)
    density = optical_density(rgb, (239, 239, 239))
    assert density[0, 0] == pytest.approx(0.0)
    assert density[0, 1] == pytest.approx(1.0)


@pytest.mark.parametrize("fill", [0, 255])
def test_glass_is_not_what_the_scanner_filled_in(fill) -> None:
    rgb = np.full((100, 100, 3), fill, np.uint8)
    rgb[:50] = (238, 235, 241)
    rgb[10:20] = (180, 100, 160)
    assert background_colour(rgb) == pytest.approx([238, 235, 241])


def test_published_macenko_result(shared: Path) -> None:
    """torchstain's figure of its own result; its formula is log((I + 1) / 240)."""
    tiles = shared / "data/slides/he-tiles"
    source, target = read(tiles / "torchstain_source.png"), read(tiles / "torchstain_target.png")
    figure = read(tiles / "torchstain_result.png")
    original, published = figure[58:226, 81:305], figure[58:226, 351:575]
    glass = (239.0, 239.0, 239.0)
    result = normalise(
        source,
        estimate_stains(source, background=glass),
        estimate_stains(target, background=glass),
    )
    inside = (slice(4, -4), slice(4, -4))  # the panel's frame

    def shown(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, (224, 168), interpolation=cv2.INTER_AREA).astype(float)

    drawn = np.abs(shown(source) - original)[inside].mean()
    assert drawn < 2  # the figure's own resampling
    difference = shown(result)[inside] - published[inside]
    assert np.abs(difference).mean() < 2
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_a_normalised_tile_has_the_targets_stains(shared: Path, method) -> None:
    tiles = shared / "data/slides/he-tiles"
    source, target = read(tiles / "torchstain_source.png"), read(tiles / "torchstain_target.png")
    wanted = estimate_stains(target, method=method)
    result = normalise(source, estimate_stains(source, method=method), wanted)
    strongest = np.percentile(deconvolve(result, wanted).reshape(-1, 2), 99, axis=0)
    assert strongest == pytest.approx(wanted.strongest, rel=0.1)
    assert residual(result, wanted).mean() < residual(source, wanted).mean() / 2


def test_dab_is_told_from_haematoxylin(shared: Path) -> None:
    rgb = read(shared / "data/slides/he-tiles/skimage_ihc.png")
    found = estimate_stains(rgb, dyes=("haematoxylin", "dab"))
    assert found.angle_degrees("haematoxylin") < 25
    assert found.angle_degrees("dab") < 25
    brown = deconvolve(rgb, found)[..., 1]
    assert np.corrcoef(brown.ravel(), rgb[..., 2].astype(float).ravel())[0, 1] < -0.6


def test_too_little_tissue_is_refused() -> None:
    with pytest.raises(SlideError, match="too little stained tissue"):
        estimate_stains(np.full((50, 50, 3), 240, np.uint8))


def test_stains_of_different_dyes_do_not_mix(known) -> None:
    rgb, _, he = known
    with pytest.raises(SlideError, match="different dyes"):
        normalise(rgb, he, published_stains(("haematoxylin", "dab")))


def test_the_same_picture_gives_the_same_bytes(known) -> None:
    rgb, _, _ = known
    first, second = (estimate_stains(rgb, method="vahadane") for _ in range(2))
    assert first.vectors.tobytes() == second.vectors.tobytes()
