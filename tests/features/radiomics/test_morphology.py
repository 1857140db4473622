"""Shapes and sums over pairs that are known by other means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from metasight.features.radiomics import RadiomicsSettings, measure
from metasight.features.radiomics.morphology import _ellipsoid_area
from metasight.volumes.volume import Mask, Volume

SETTINGS = RadiomicsSettings(
    families=("morphology",),
    aggregations=(),
    interpolation="none",
    rounding=False,
    intensity_range=None,
    outlier_sigma=None,
    bin_size=25.0,
    bin_start="minimum",
)


def shape(inside: np.ndarray, spacing: tuple[float, float, float], **kw: object) -> dict:
    noise = np.random.default_rng(0).normal(50.0, 20.0, inside.shape).astype(np.float32)
    volume = Volume.from_array(noise, unit="HU", spacing_mm=spacing)
    found = measure(volume, Mask.from_array(inside, on=volume), SETTINGS).values
    return {name.partition(":")[2]: value for name, value in found.items()}


def test_a_ball() -> None:
    z, y, x = np.mgrid[-12:13, -24:25, -24:25] * np.array([1.0, 0.5, 0.5])[:, None, None, None]
    found = shape(x**2 + y**2 + z**2 <= 100.0, (0.5, 0.5, 1.0))
    assert found["volume (mesh)"] == pytest.approx(4 / 3 * np.pi * 1000, rel=0.02)
    assert 0.85 < found["sphericity"] < 0.95  # below 1: marching cubes on a binary mask has steps
    assert found["maximum 3D diameter"] == pytest.approx(20.0, abs=1.0)
    for axis in ("major", "minor", "least"):
        # a ball's axis by its covariance is 4 √(r²/5)
        assert found[f"{axis} axis length"] == pytest.approx(4 * np.sqrt(20.0), rel=0.02)
    assert found["flatness"] > 0.97
    assert 0.9 < found["volume density (convex hull)"] < 1.0  # the hull spans the steps


def test_the_ellipsoid_series_is_continuous_where_its_terms_degenerate() -> None:
    # α β = 0 where two axes are equal; the limit must be that of nearly equal ones
    assert _ellipsoid_area(10.0, 10.0, 4.0) == pytest.approx(
        _ellipsoid_area(10.0, 10.0 - 1e-4, 4.0), rel=1e-4
    )
    assert _ellipsoid_area(10.0, 10.0, 10.0) == pytest.approx(400 * np.pi)


def test_moran_and_geary_over_every_pair() -> None:
    rng = np.random.default_rng(1)
    inside = rng.random((5, 7, 6)) < 0.6
    values = rng.normal(50.0, 20.0, inside.shape).astype(np.float32)
    volume = Volume.from_array(values, unit="HU", spacing_mm=(0.7, 0.8, 2.5))
    found = measure(volume, Mask.from_array(inside, on=volume), SETTINGS).values
    x = values[inside].astype(np.float64)
    apart = squareform(pdist(np.argwhere(inside) * np.array([2.5, 0.8, 0.7])))
    np.fill_diagonal(apart, np.inf)
    weight = 1.0 / apart
    away = x - x.mean()
    moran = len(x) / weight.sum() * (away @ weight @ away) / (away @ away)
    squares = (x[:, None] - x[None, :]) ** 2
    geary = (len(x) - 1) / (2 * weight.sum()) * (weight * squares).sum() / (away @ away)
    assert found["morphology:Moran's I index"] == pytest.approx(moran, rel=1e-9)
    assert found["morphology:Geary's C measure"] == pytest.approx(geary, rel=1e-9)


def test_one_voxel_has_a_size_and_no_axes() -> None:
    inside = np.zeros((5, 5, 5), dtype=bool)
    inside[2, 2, 2] = True
    found = shape(inside, (1.0, 1.0, 2.0))
    assert found["volume (voxel counting)"] == 2.0
    assert found["volume (mesh)"] > 0
    for name in ("major axis length", "flatness", "Moran's I index", "Geary's C measure"):
        assert np.isnan(found[name])


def test_what_lies_in_one_plane_has_no_ellipsoid() -> None:
    inside = np.zeros((5, 9, 9), dtype=bool)
    inside[2, 2:7, 3:6] = True
    found = shape(inside, (1.0, 1.0, 2.0))
    assert found["least axis length"] == 0.0 and found["flatness"] == 0.0
    assert np.isnan(found["volume density (approximate enclosing ellipsoid)"])
    assert found["elongation"] == pytest.approx(np.sqrt(8 / 24), rel=1e-9)
