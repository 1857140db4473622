"""Averaging onto a coarser grid against the plain definition: a mean over what a pixel covers."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.slides.resample import average_onto, covered

SCALES = [0.97, 1.01, 1.37, 2.0, 2.5, 3.3, 5.7, 7.9, 8.0, 9.3, 37.2]


def shares(available: int, first: int, start: int, count: int, scale: float) -> np.ndarray:
    """(count, available): how much of each new pixel each fine one covers."""
    edges = np.arange(start, start + count + 1) * scale - first
    fine = np.arange(available)
    share = np.minimum(fine + 1, edges[1:, None]) - np.maximum(fine, edges[:-1, None])
    share = np.clip(share, 0, None)
    return share / share.sum(axis=1, keepdims=True)


def both(
    source: np.ndarray, scale: float, start: tuple[int, int], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    first = tuple(covered(s, n, scale)[0] for s, n in zip(start, shape, strict=True))
    ours = average_onto(source, first=first, scale=(scale, scale), start=start, shape=shape)
    down, across = (shares(source.shape[i], first[i], start[i], shape[i], scale) for i in (0, 1))
    return ours.astype(float), np.einsum(
        "ih,hwc,jw->ijc", down, source.astype(float), across, optimize=True
    )


def fine_size(scale: float, start: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    spans = [covered(s, n, scale) for s, n in zip(start, shape, strict=True)]
    return spans[0][1] - spans[0][0], spans[1][1] - spans[1][0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_sixteen_bits_are_the_mean_to_rounding(scale: float, channels: int) -> None:
    rng = np.random.default_rng(0)
    start, shape = (137, 1009), (23, 31)
    source = rng.integers(0, 65536, (*fine_size(scale, start, shape), channels), dtype=np.uint16)
    ours, mean = both(source, scale, start, shape)
    assert np.abs(ours - mean).max() <= 0.52  # float32 over 65535


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["noise", "bars", "edge"])
def test_bytes_are_the_mean_to_a_grey_level_at_an_edge(scale: float, kind: str) -> None:
    """Black beside white is the hardest: there the shares' rounding shows in full."""
    rng = np.random.default_rng(1)
    worst = 0.0
    for start in ((0, 0), (137, 1009), (3001, 5)):
        shape = (19, 29)
        height, width = fine_size(scale, start, shape)
        if kind == "noise":
            source = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        else:
            run = max(1, round(scale * 0.6)) if kind == "bars" else width // 2 + 1
            line = (np.arange(width) // run % 2 * 255).astype(np.uint8)
            source = np.repeat(np.tile(line, (height, 1))[..., None], 3, axis=2)
        ours, mean = both(np.ascontiguousarray(source), scale, start, shape)
        worst = max(worst, float(np.abs(ours - mean).max()))
        assert abs((ours - mean).mean()) <= 0.51  # no lean
    assert worst <= (2.0 if kind == "bars" else 1.5)


def test_white_stays_white_and_black_black() -> None:
    for value in (0, 255):
        source = np.full((80, 90, 3), value, np.uint8)
        ours = average_onto(source, first=(0, 0), scale=(3.3, 3.3), start=(0, 0), shape=(24, 27))
        assert (ours == value).all()


def test_a_pixel_does_not_depend_on_the_region_that_it_was_read_with() -> None:
    source = np.random.default_rng(2).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    scale = 2.71
    whole = average_onto(source, first=(0, 0), scale=(scale, scale), start=(0, 0), shape=(140, 140))
    top, bottom = covered(50, 30, scale)
    left, right = covered(77, 41, scale)
    part = average_onto(
        source[top:bottom, left:right],
        first=(top, left),
        scale=(scale, scale),
        start=(50, 77),
        shape=(30, 41),
    )
    assert np.array_equal(part, whole[50:80, 77:118])


def test_one_pixel_of_one_pixel() -> None:
    source = np.array([[[10, 20, 30]]], np.uint8)
    ours = average_onto(source, first=(0, 0), scale=(16.0, 16.0), start=(0, 0), shape=(1, 1))
    assert ours.tolist() == [[[10, 20, 30]]]
