from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from metasight.features.radiomics.interpolate import axis_weights, interpolated


@pytest.mark.parametrize("shape", [(5, 40, 60), (1, 12, 3), (2, 9, 70)])
def test_cubic_is_scipys_spline(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    voxels = rng.normal(size=shape)
    places = [np.sort(rng.uniform(0, n - 1, 7)).round(9) for n in shape]
    found = interpolated(
        voxels, tuple(axis_weights(n, p, "cubic") for n, p in zip(shape, places, strict=True))
    )
    where = np.meshgrid(*places, indexing="ij")
    known = ndimage.map_coordinates(voxels, where, order=3, mode="mirror")
    np.testing.assert_allclose(found, known, atol=1e-10)


def test_linear_is_linear_and_the_ends_hold() -> None:
    line = np.array([1.0, 3.0, 7.0])[None, None, :]
    one = axis_weights(1, np.zeros(1), "linear")
    x = axis_weights(3, np.array([-0.4, 0.0, 0.25, 1.5, 2.0, 2.3]), "linear")
    found = interpolated(line, (one, one, x))[0, 0]
    np.testing.assert_allclose(found, [1.0, 1.0, 1.5, 5.0, 7.0, 7.0])


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_a_ramp_stays_a_ramp_far_from_the_ends(method: str) -> None:
    places = np.linspace(40.0, 60.0, 33)
    weights = axis_weights(100, places, method)
    ramp = np.arange(100.0)[weights.used]
    np.testing.assert_allclose(weights.matrix @ ramp, places, atol=1e-8)
    np.testing.assert_allclose(weights.matrix.sum(axis=1), 1.0, atol=1e-10)
    # no more of the image is touched than has any weight
    assert weights.matrix.shape[1] < 75
