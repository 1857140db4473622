"""Hospitals and their scanners."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.lung.centres import centre_of
from metasight.simulate.lung.settings import LungSettings


def test_without_a_shift_all_scan_like_the_second():
    settings = LungSettings(centre_shift=0.0)
    found = [centre_of(settings, 1, k) for k in range(4)]
    assert {(c.machine, c.kernel, c.interval_mm, c.noise) for c in found} == {
        (found[0].machine, "standard", 1.25, 1.0)
    }
    assert [c.name for c in found] == ["North", "South", "East", "West"]


def test_with_a_shift_they_differ_in_kernel_slices_and_noise():
    found = [centre_of(LungSettings(), 1, k) for k in range(4)]
    assert [c.kernel for c in found] == ["soft", "standard", "standard", "sharp"]
    assert [c.interval_mm for c in found] == [1.5, 1.25, 2.0, 1.5]
    assert len({c.noise for c in found}) == 4


@pytest.mark.parametrize(("number", "name"), [(3, "West"), (4, "North 2"), (9, "South 3")])
def test_more_than_four_are_numbered(number, name):
    assert centre_of(LungSettings(centres=12), 1, number).name == name


def test_noise_spreads_as_the_shift_says():
    def spread(shift):
        noise = [centre_of(LungSettings(centre_shift=shift), s, 1).noise for s in range(400)]
        return np.std(np.log(noise), ddof=1)

    assert spread(1.0) == pytest.approx(0.12, rel=0.1)
    assert spread(2.0) == pytest.approx(2 * spread(1.0))


def test_slices_are_as_thick_as_they_are_apart():
    settings = LungSettings(pixel_mm=0.9)
    centre = centre_of(settings, 1, 2)
    scan = centre.scan(settings, contrast=True)
    assert (scan.interval_mm, scan.thickness_mm) == (2.0, 2.0)
    assert (scan.pixel_mm, scan.kernel, scan.noise) == (0.9, "standard", centre.noise)
    assert scan.contrast
    assert not centre.scan(settings, contrast=False).contrast
