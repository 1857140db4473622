"""Parts of the network over crops: what it is given, its losses, where it is computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from lesion_crops import crop_of
from metasight.features.crops import ATTENUATIONS
from metasight.models.volume_network_inputs import Targets, altered, channels
from metasight.models.volume_network_layers import VolumeNetwork, compute_on, stage_losses
from metasight.models.volume_network_settings import VolumeNetworkSettings


def test_a_gpu_is_used_in_bfloat16_where_there_is_one():
    assert (
        compute_on(cuda=False, bfloat16=True).device,
        compute_on(cuda=False, bfloat16=True).mixed,
    ) == ("cpu", False)
    assert (
        compute_on(cuda=True, bfloat16=True).device,
        compute_on(cuda=True, bfloat16=True).mixed,
    ) == ("cuda", True)
    assert not compute_on(cuda=True, bfloat16=False).mixed


def test_losses_of_stage_are_those_of_cumulative_links():
    above = torch.tensor([[0.3, -1.2], [8.0, -8.0], [-20.0, -40.0], [2.0, 1.0]])
    p = torch.sigmoid(above.double()).numpy()
    expected = -np.log(np.stack([1 - p[:, 0], p[:, 0] - p[:, 1], p[:, 1]], axis=1))
    for stage in range(3):
        found = stage_losses(above.double(), torch.full((4,), stage)).numpy()
        np.testing.assert_allclose(found, expected[:, stage], rtol=1e-4)


def test_a_new_network_knows_how_often_each_stage_is_and_no_more():
    torch.manual_seed(0)
    network = VolumeNetwork(VolumeNetworkSettings())
    pooled = torch.randn(100, network.trunk.features)
    network.heads.begin_at(np.repeat([0, 1, 2], [70, 20, 10]), pooled)
    crops = torch.randn(3, 5, 16, 16, 16)
    crops[:, 2] = (crops[:, 2] > 0).float()  # a mask
    above = network(crops)[0]
    share = torch.sigmoid(above).detach().numpy()
    np.testing.assert_allclose(share, np.tile([30.5 + 0.5, 10.5], (3, 1)) / 101.5, atol=1e-3)


def test_turned_crops_are_the_same_lesion():
    rng = np.random.default_rng(0)
    crop = crop_of(rng, 0.0, pet=True)
    plain = channels(crop)
    seen = set()
    for _ in range(300):
        turned = altered(crop, rng, noise_hu=0.0, pet_dropout=0.0)
        np.testing.assert_allclose(np.sort(turned.reshape(5, -1)), np.sort(plain.reshape(5, -1)))
        seen.add(turned[0].tobytes())
    assert len(seen) == 48
    assert plain[4].min() == 1
    assert altered(crop, rng, noise_hu=0.0, pet_dropout=1.0)[3:].max() == 0


def test_auxiliary_targets_are_of_the_lesion():
    rng = np.random.default_rng(1)
    crops = [crop_of(rng, 0.0, pet=False), replace(crop_of(rng, 0.0, pet=False), attenuation="")]
    targets = Targets.of(crops, np.array([0, 2]))
    assert targets.attenuation.tolist() == [ATTENUATIONS.index(crops[0].attenuation), -1]
    np.testing.assert_allclose(np.exp(targets.log_diameter), [c.diameter_mm for c in crops])
