"""A training that was interrupted is read back as it was, or refused by name."""

from __future__ import annotations

import pytest

from metasight.errors import StoreError
from metasight.models.volume_network_checkpoint import (
    Resumed,
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)

torch = pytest.importorskip("torch")

ONE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def resumed() -> Resumed:
    shared = torch.arange(6, dtype=torch.float32)
    return Resumed(
        tensors={"0.net.w": shared.reshape(2, 3), "0.net.v": shared[:2], "1.net.w": shared * 2},
        losses=(1.0986122886681098, 0.1 + 0.2),
        best=1,
    )


def test_what_is_written_is_read_to_the_last_bit(resumed, tmp_path):
    save_checkpoint(tmp_path / "new", ONE, resumed)
    again = load_checkpoint(tmp_path / "new", ONE)
    assert again.losses == resumed.losses
    assert again.best == 1
    assert set(again.tensors) == set(resumed.tensors)
    for name, value in resumed.tensors.items():
        assert torch.equal(again.tensors[name], value), name


def test_tensors_of_one_fold(resumed):
    own = resumed.under("0.net.")
    assert set(own.tensors) == {"w", "v"}
    assert own.losses == resumed.losses


def test_a_later_round_takes_the_place_of_the_one_before(resumed, tmp_path):
    save_checkpoint(tmp_path, ONE, resumed)
    save_checkpoint(tmp_path, ONE, Resumed(tensors=resumed.tensors, losses=(1.0,), best=0))
    assert load_checkpoint(tmp_path, ONE).losses == (1.0,)
    assert [f.name for f in tmp_path.iterdir()] == [checkpoint_path(tmp_path, ONE).name]


def test_no_checkpoint_of_this_training(resumed, tmp_path):
    assert load_checkpoint(tmp_path, ONE) is None
    save_checkpoint(tmp_path, OTHER, resumed)
    assert load_checkpoint(tmp_path, ONE) is None


def test_a_file_of_another_training_under_this_ones_name(resumed, tmp_path):
    save_checkpoint(tmp_path, OTHER, resumed)
    checkpoint_path(tmp_path, OTHER).rename(checkpoint_path(tmp_path, ONE))
    with pytest.raises(StoreError, match="of another training") as error:
        load_checkpoint(tmp_path, ONE)
    assert "Delete it" in error.value.remedy


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_damaged_file(resumed, tmp_path, keep):
    save_checkpoint(tmp_path, ONE, resumed)
    path = checkpoint_path(tmp_path, ONE)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match="cannot be read"):
        load_checkpoint(tmp_path, ONE)
