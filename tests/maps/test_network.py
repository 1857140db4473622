"""The painting network of pixels: where it begins, its dispersion, and colours."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from metasight.maps.generator_settings import GeneratorSettings  # noqa: E402
from metasight.maps.network import (  # noqa: E402
    DensityNetwork,
    colour_features,
    optical_density_of,
)

SMALL = GeneratorSettings(reads="pixels", width=4, depth=1, members=1, device="cpu")
TYPICAL = [300.0, 40.0]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DensityNetwork(TYPICAL, SMALL).eval()


def test_optical_density_of_grey_levels():
    rgb = torch.tensor([[[[255]], [[24]], [[0]]]], dtype=torch.uint8)
    found = optical_density_of(rgb).ravel()
    np.testing.assert_allclose(found, [0, -np.log10(25 / 256), np.log10(256)], atol=1e-6)


def test_an_untrained_network_paints_the_typical_density(network):
    od = torch.rand((2, 3, 64, 96))
    density, log, _ = network(od)
    assert density.shape == log.shape == (2, 2, 4, 6)
    np.testing.assert_allclose(density[:, 0].detach(), 300.0, rtol=1e-5)
    np.testing.assert_allclose(density[:, 1].detach(), 40.0, rtol=1e-5)


def test_dispersion_has_its_bounds_and_one_offset_a_scale(network):
    log = torch.tensor([[[[-20.0, 0.0, 20.0]], [[0.0, 0.0, 0.0]]]])
    with torch.no_grad():
        network.scale_offset[1] = torch.log(torch.tensor([2.0, 0.5]))
        found = network.dispersion(log, 1)[0]
    np.testing.assert_allclose(found[0, 0], [1e-3, 2.0, 1e3], rtol=1e-5)
    np.testing.assert_allclose(found[1, 0], 0.5)


def test_colours_of_a_map_pixel():
    od = torch.zeros((1, 3, 4, 4))
    od[0, 0, :2] = 1.0  # the upper half of the first channel
    found = colour_features(od, 4)[0, :, 0, 0]
    np.testing.assert_allclose(found, [0.5, 0, 0, 0.5, 1e-4, 1e-4], atol=1e-6)
