"""What both networks share: optical density, the bounds of a dispersion, and a quick import."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from metasight.maps.counting_network import CountingNetwork, optical_density_of  # noqa: E402


def test_optical_density_of_grey_levels():
    rgb = torch.tensor([[[[255]], [[24]], [[0]]]], dtype=torch.uint8)
    found = optical_density_of(rgb).ravel()
    np.testing.assert_allclose(found, [0, -np.log10(25 / 256), np.log10(256)], atol=1e-6)


def test_dispersion_has_its_bounds_and_one_offset_a_scale():
    network = CountingNetwork([300.0, 40.0], 2)
    log = torch.tensor([[[[-20.0, 0.0, 20.0]], [[0.0, 0.0, 0.0]]]])
    with torch.no_grad():
        network.scale_offset[1] = torch.log(torch.tensor([2.0, 0.5]))
        found = network.dispersion(log, 1)[0]
    np.testing.assert_allclose(found[0, 0], [1e-3, 2.0, 1e3], rtol=1e-5)
    np.testing.assert_allclose(found[1, 0], 0.5)


def test_a_generator_of_nuclei_does_not_wait_for_monai():
    told = "import sys, metasight.maps.train; print('monai' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
