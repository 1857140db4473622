"""The painting network of pixels: where it begins, its dispersion, and colours."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from metasight.maps.generator_settings import GeneratorSettings  # noqa: E402
from metasight.maps.network import DensityNetwork, colour_features  # noqa: E402

SMALL = GeneratorSettings(reads="pixels", width=4, depth=1, members=1, device="cpu")
TYPICAL = [300.0, 40.0]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DensityNetwork(TYPICAL, SMALL).eval()


def test_an_untrained_network_paints_the_typical_density(network):
    od = torch.rand((2, 3, 64, 96))
    density, log, _ = network(od)
    assert density.shape == log.shape == (2, 2, 4, 6)
    np.testing.assert_allclose(density[:, 0].detach(), 300.0, rtol=1e-5)
    np.testing.assert_allclose(density[:, 1].detach(), 40.0, rtol=1e-5)


def test_colours_of_a_map_pixel():
    od = torch.zeros((1, 3, 4, 4))
    od[0, 0, :2] = 1.0  # the upper half of the first channel
    found = colour_features(od, 4)[0, :, 0, 0]
    np.testing.assert_allclose(found, [0.5, 0, 0, 0.5, 1e-4, 1e-4], atol=1e-6)
