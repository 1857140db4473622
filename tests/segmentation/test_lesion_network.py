"""The network without torch computes what torch computes, and its weights are those meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.segmentation.lesion_network import (
    CHANNELS,
    SHIPPED,
    SIDE,
    inputs_of,
    read_lesion_network,
    shipped_lesion_network,
    size_of_votes,
    voxel_for,
)


def test_it_computes_what_torch_computes() -> None:
    torch = pytest.importorskip("torch")
    from metasight.segmentation.lesion_network_training import TorchLesionNetwork

    torch.manual_seed(3)
    network = TorchLesionNetwork()
    for layer in network.modules():  # as if it had been trained
        if isinstance(layer, torch.nn.BatchNorm3d):
            layer.running_mean.uniform_(-0.5, 0.5)
            layer.running_var.uniform_(0.5, 2.0)
    torch.nn.init.normal_(network.last.weight)
    network.eval()
    x = np.random.default_rng(3).normal(size=(CHANNELS, SIDE, SIDE, SIDE)).astype(np.float32)
    with torch.no_grad():
        theirs = network(torch.from_numpy(x)[None]).numpy()[0, 0]
    ours = network.folded().logits(x)
    assert theirs.std() > 0.1
    assert np.abs(ours - theirs).max() < 1e-4


def test_the_shipped_weights_are_small_and_give_the_same_each_time() -> None:
    assert SHIPPED.stat().st_size < 2_000_000
    network = shipped_lesion_network()
    z, y, x = np.ogrid[:SIDE, :SIDE, :SIDE]
    ball = (z - 15.5) ** 2 + (y - 15.5) ** 2 + (x - 15.5) ** 2 <= 36
    hu = np.where(ball, 30.0, -850.0).astype(np.float32)
    inputs = inputs_of(hu, ball.astype(np.float32), 1.0)
    first, second = network.logits(inputs), network.logits(inputs)
    assert first.tobytes() == second.tobytes()
    both = (first > 0) & ball
    assert 2 * both.sum() / ((first > 0).sum() + ball.sum()) > 0.75


def test_other_weights_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "lesion_network.npz"
    with pytest.raises(VolumeError, match="missing or changed") as refused:
        read_lesion_network(file, "00")
    assert refused.value.remedy
    content = bytearray(SHIPPED.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(VolumeError, match="missing or changed"):
        read_lesion_network(file, "00")


def test_the_licence_lies_beside_the_weights() -> None:
    text = SHIPPED.with_name("lesion_network.LICENSE.md").read_text("utf-8")
    for said in ("CC BY 3.0", "LIDC-IDRI", "Armato", "TCIA"):
        assert said in text


@pytest.mark.parametrize(("size", "voxel"), [(5.0, 0.6), (11.0, 1.0), (20.0, 1.35), (36.0, 2.0)])
def test_lesions_are_alike_in_voxels_and_none_is_cut(size: float, voxel: float) -> None:
    assert voxel_for(size) == pytest.approx(voxel)
    assert size / voxel_for(size) < 0.7 * SIDE


def test_the_size_of_votes_is_that_of_a_ball() -> None:
    z, y, x = np.ogrid[:41, :41, :41]
    ball = (z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= 100
    assert size_of_votes(ball, 0.5) == pytest.approx(10, abs=0.1)
