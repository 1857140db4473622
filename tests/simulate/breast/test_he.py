"""Light through dyes: Beer and Lambert, a tone curve, blur and the camera's noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metasight.simulate.breast.centres import centre_of
from metasight.simulate.breast.he import scanned
from metasight.simulate.breast.settings import BreastSettings

QUIET = replace(
    centre_of(BreastSettings(centres=1), 1, 0),
    glass=np.array([240.0, 240.0, 240.0]),
    noise=0.0,
    gamma=1.0,
)
VECTORS = np.array([[0.6, 0.7, 0.3], [0.2, 0.9, 0.2]])


def seen(dyes, *, centre=QUIET, blur_um=0.0, mpp=1.0, seed=0):
    shape = (40, 50)
    image = np.stack([np.broadcast_to(np.asarray(d, np.float32), shape) for d in dyes])
    return scanned(
        np.ascontiguousarray(image, np.float32),
        VECTORS,
        centre,
        blur_um,
        mpp,
        np.random.default_rng(seed),
    )


def test_glass_is_the_scanners_glass():
    assert (seen([0.0, 0.0]) == 240).all()


@pytest.mark.parametrize("dyes", [(0.5, 0.0), (0.0, 0.5), (0.4, 0.6), (1.0, 1.0)])
def test_optical_densities_add(dyes):
    found = seen(dyes)[20, 25].astype(float)
    wanted = 240 * 10 ** -(np.array(dyes) @ VECTORS)
    np.testing.assert_allclose(found, wanted, atol=1.0)


def test_more_dye_is_never_lighter_and_the_darkest_is_black():
    levels = [seen([a, 0.0])[0, 0, 1] for a in (0.0, 0.2, 0.5, 1.0, 2.0, 20.0)]
    assert (np.diff(np.array(levels, float)) <= 0).all()
    assert levels[-1] <= 1


def test_a_tone_curve_of_more_than_one_darkens_what_is_stained():
    plain, steep = seen([0.5, 0.0]), seen([0.5, 0.0], centre=replace(QUIET, gamma=1.2))
    wanted = 240 * (10 ** -(0.5 * VECTORS[0])) ** 1.2
    np.testing.assert_allclose(steep[0, 0], wanted, atol=1.0)
    assert (steep[0, 0] < plain[0, 0]).all()


def test_blur_is_in_micrometres():
    """The same blur of 2 µm spreads an edge over twice as many pixels of half the size."""
    edge = np.zeros((40, 50), np.float32)
    edge[:, 25:] = 1.0
    widths = []
    for mpp in (1.0, 0.5):
        profile = seen([edge, 0.0], blur_um=2.0, mpp=mpp)[20, :, 1].astype(float)
        share = (profile.max() - profile) / np.ptp(profile)
        at = np.interp([0.16, 0.84], share, np.arange(50))
        widths.append((at[1] - at[0]) * mpp / 2)
    assert widths[0] == pytest.approx(2.0, rel=0.2)
    assert widths[1] == pytest.approx(2.0, rel=0.2)


def test_noise_has_its_deviation_and_depends_on_the_seed():
    noisy = replace(QUIET, noise=3.0, glass=np.full(3, 120.0))
    one, two = (seen([0.0, 0.0], centre=noisy, seed=s).astype(float) for s in (1, 2))
    assert one.std() == pytest.approx(3.0, rel=0.15)
    assert one.mean() == pytest.approx(120, abs=0.7)
    assert (one != two).mean() > 0.5
    np.testing.assert_array_equal(one, seen([0.0, 0.0], centre=noisy, seed=1))
