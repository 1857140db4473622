"""Values that can be worked out by hand; IBSI's reference values are in test_ibsi.py."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.features.radiomics import RadiomicsSettings
from metasight.features.radiomics.first_order import histogram, intensity_volume, statistics

VALUES = np.array([1.0, 2.0, 2.0, 3.0, 12.0])


def settings(**over: object) -> RadiomicsSettings:
    given: dict = {
        "families": ("IVH",),
        "aggregations": (),
        "interpolation": "none",
        "rounding": False,
        "intensity_range": None,
        "outlier_sigma": None,
        "bin_size": 1.0,
        "bin_start": "minimum",
        "ivh_step": 1.0,
    }
    return RadiomicsSettings(**(given | over))


def test_statistics_by_hand() -> None:
    found = statistics(VALUES)
    assert found["mean"] == 4.0
    assert found["variance"] == pytest.approx((9 + 4 + 4 + 1 + 64) / 5)
    assert found["mean absolute deviation"] == pytest.approx((3 + 2 + 2 + 1 + 8) / 5)
    assert found["median absolute deviation"] == pytest.approx((1 + 0 + 0 + 1 + 10) / 5)
    assert found["interquartile range"] == 1.0
    assert found["quartile coefficient of dispersion"] == pytest.approx(1 / 5)
    assert found["energy"] == 1 + 4 + 4 + 9 + 144
    # between the 10th (1.4) and 90th percentile (8.4): 2, 2, 3
    assert found["robust mean absolute deviation"] == pytest.approx(4 / 9)


def test_a_large_mean_loses_no_digits() -> None:
    found, shifted = statistics(VALUES), statistics(VALUES + 1e6)
    for name in ("variance", "skewness", "excess kurtosis", "range"):
        assert shifted[name] == pytest.approx(found[name], rel=1e-9)


def test_the_histogram_by_hand() -> None:
    found = histogram(np.array([1, 2, 2, 4, 4], dtype=np.int32), 4)
    assert found["entropy"] == pytest.approx(-(0.2 * np.log2(0.2) + 0.8 * np.log2(0.4)))
    assert found["uniformity"] == pytest.approx(0.36)
    assert found["mode"] == 2.0  # 2 and 4 are as frequent; the mean is 2.6
    # counts 1, 2, 0, 2: slopes 1, −0.5, 0, 2
    assert (found["maximum gradient"], found["maximum gradient grey level"]) == (2.0, 4.0)
    assert (found["minimum gradient"], found["minimum gradient grey level"]) == (-0.5, 2.0)


def test_the_intensity_volume_histogram_by_hand() -> None:
    values = np.arange(1.0, 11.0)  # ν(i) = (11 − i) / 10, γ(i) = (i − 1) / 9
    found = intensity_volume(values, settings())
    assert found["volume fraction at 10 % intensity"] == pytest.approx(0.9)  # i = 2
    assert found["volume fraction at 90 % intensity"] == pytest.approx(0.1)  # i = 10
    assert found["intensity at 10 % volume"] == 10.0
    assert found["intensity at 90 % volume"] == 2.0
    # SUV, a range open above: the region's own maximum bounds it
    suv = intensity_volume(
        values / 10, settings(intensity_range=(0.0, np.inf), ivh_step=None, ivh_bin_size=0.1)
    )
    assert np.isfinite(list(suv.values())).all()


def test_equal_values_have_no_range_to_speak_of() -> None:
    found = intensity_volume(np.full(5, 40.0), settings())
    assert np.isnan(found["volume fraction at 10 % intensity"])
    flat = statistics(np.full(5, 0.1))
    assert flat["variance"] == 0.0
    assert np.isnan(flat["skewness"]) and np.isnan(flat["excess kurtosis"])
