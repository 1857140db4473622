import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.fluorescence import (
    Channels,
    background_of,
    is_transmitted_light,
    unmix,
    without_autofluorescence,
)


def test_background_follows_a_gradient_under_signal():
    rng = np.random.default_rng(0)
    x = np.tile(np.arange(600.0), (600, 1))
    stray = 50 + 0.1 * x
    signal = 500 * (rng.random((600, 600)) < 0.3)
    found = background_of(np.float32(rng.poisson(stray + signal)), 0.5)
    assert (found < stray + 5).all()  # never above: signal is not taken off
    assert np.abs(found - stray).mean() < 35
    assert np.corrcoef(found.ravel(), stray.ravel())[0, 1] > 0.85


def test_autofluorescence_is_taken_off_and_the_marker_stays():
    rng = np.random.default_rng(1)
    tissue = np.float32(rng.gamma(2, 50, (200, 200)))
    marker = 300 * (rng.random((200, 200)) < 0.1)
    found = without_autofluorescence(np.float32(0.4 * tissue + marker), tissue)
    assert found[marker > 0].mean() == pytest.approx(300, rel=0.02)
    assert found[marker == 0].mean() < 1


def test_unmixing_is_exact_and_refuses_what_cannot_be_undone():
    rng = np.random.default_rng(2)
    pure = np.float32(rng.gamma(1, 100, (3, 20, 20)))
    matrix = np.array([[1, 0.2, 0], [0.1, 1, 0.3], [0, 0, 1]])
    mixed = np.float32(np.tensordot(matrix, pure, axes=1))
    assert unmix(mixed, matrix) == pytest.approx(pure, rel=1e-3, abs=1e-3)
    for bad in (np.eye(2), np.full((3, 3), 1.0), 2 * np.eye(3), np.eye(3) - 0.1):
        with pytest.raises(MarkerError, match="spill-over"):
            unmix(mixed, bad)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"names": ("a",)}, "differ in number"),
        ({"names": ("a", "a")}, "named twice"),
        ({"mpp": 0.0}, "per pixel"),
        ({"counts": np.full((2, 4, 4), -1.0)}, "negative"),
        ({"counts": np.full((2, 4, 4), np.nan)}, "finite"),
    ],
)
def test_bad_channels(change, problem):
    good = {"counts": np.ones((2, 4, 4), dtype=np.uint8), "names": ("a", "b"), "mpp": 0.5}
    with pytest.raises(MarkerError, match=problem):
        Channels(**(good | change))


def test_transmitted_light_is_told_from_fluorescence():
    rng = np.random.default_rng(3)
    glass = rng.normal(235, 3, (50, 50, 3)).clip(0, 255)
    stained = np.array([120.0, 70, 150]) + rng.normal(0, 10, (200, 50, 3))
    assert is_transmitted_light(np.concatenate([glass, stained]))
    dark = rng.poisson(8, (200, 200, 3)).astype(float)
    dark[..., 0] += 200 * (rng.random((200, 200)) < 0.2)
    dark[..., 1] += 150 * (rng.random((200, 200)) < 0.1)
    assert not is_transmitted_light(dark)
    assert not is_transmitted_light(np.zeros((4, 4, 3)))
