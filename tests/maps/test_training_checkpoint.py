"""A generator's training goes on from its checkpoint, or the checkpoint is refused by name."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from metasight.errors import MarkerError  # noqa: E402
from metasight.maps.generator_settings import GeneratorSettings  # noqa: E402
from metasight.maps.network import DensityNetwork  # noqa: E402
from metasight.maps.training_checkpoint import (  # noqa: E402
    NAME,
    Progressed,
    load_checkpoint,
    restore,
    save_checkpoint,
)

SMALL = GeneratorSettings(reads="pixels", width=4, depth=1, device="cpu")


def trained(steps: int, seed: int = 0):
    torch.manual_seed(seed)
    network, averaged = DensityNetwork([300.0], SMALL), DensityNetwork([300.0], SMALL)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    _step(network, optimiser, steps)
    return network, averaged, optimiser


def _step(network, optimiser, steps):
    for number in range(steps):
        torch.manual_seed(100 + number)
        optimiser.zero_grad()
        density, log, _ = network(torch.rand((2, 3, 64, 64)))
        (density.mean() / 300 + log.mean()).backward()
        optimiser.step()


def test_a_step_after_restoring_is_the_step_that_would_have_been(tmp_path):
    network, averaged, optimiser = trained(3)
    progressed = Progressed(training="t", member=1, round=4, best_round=2, best_loss=0.1 + 0.2)
    kept = {"best.w": torch.arange(3.0)}
    save_checkpoint(tmp_path, progressed, (network, averaged), optimiser, kept)
    again, tensors, found = load_checkpoint(tmp_path, "t")
    assert again == progressed
    assert torch.equal(found["best.w"], kept["best.w"])
    other, other_averaged, other_optimiser = trained(1, seed=5)
    restore(tensors, other, other_averaged, other_optimiser)
    for one, two in ((network, optimiser), (other, other_optimiser)):
        _step(one, two, 2)
    for (name, a), b in zip(network.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_the_next_member_begins_anew_and_remembers_the_others():
    done = Progressed(training="t", round=9, best_round=7, best_loss=1.5).next_member()
    assert (done.member, done.round, done.best_loss) == (1, 0, float("inf"))
    assert done.next_member().best_rounds == (7, 0)


def test_no_checkpoint(tmp_path):
    assert load_checkpoint(tmp_path, "t") is None


def test_a_checkpoint_of_another_training(tmp_path):
    network, averaged, optimiser = trained(1)
    save_checkpoint(tmp_path, Progressed(training="t"), (network, averaged), optimiser, {})
    with pytest.raises(MarkerError, match="other tiles, settings or seed"):
        load_checkpoint(tmp_path, "u")


@pytest.mark.parametrize("keep", [0, 7, 300])
def test_a_damaged_checkpoint(tmp_path, keep):
    network, averaged, optimiser = trained(1)
    save_checkpoint(tmp_path, Progressed(training="t"), (network, averaged), optimiser, {})
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MarkerError, match="cannot be read") as error:
        load_checkpoint(tmp_path, "t")
    assert "starts again" in error.value.remedy


@pytest.mark.parametrize(
    "header", [{}, {"training": "t", "epoch": 3}, {"training": "t", "round": 1}]
)
def test_a_checkpoint_of_another_version(tmp_path, header):
    save_file({"x": torch.zeros(1)}, tmp_path / NAME, metadata={"progressed": json.dumps(header)})
    with pytest.raises(MarkerError, match="cannot be read"):
        load_checkpoint(tmp_path, "t")
