"""Published backbones: the file that is named, and no other weights."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from lesion_crops import crop_of  # noqa: E402
from metasight.errors import EncoderError  # noqa: E402
from metasight.models.volume_network_backbone import (  # noqa: E402
    Published,
    empty_resnet,
    trunk_weights,
)
from metasight.models.volume_network_layers import SmallTrunk  # noqa: E402
from metasight.models.volume_network_settings import VolumeNetworkSettings  # noqa: E402


def written(state, path):
    save_file({k: v.clone().contiguous() for k, v in state.items()}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def small(tmp_path):
    torch.manual_seed(0)
    state = SmallTrunk(4).state_dict()
    path = tmp_path / "small.safetensors"
    return state, path, written(state, path)


def of(sha256, backbone="small") -> VolumeNetworkSettings:
    return VolumeNetworkSettings(backbone=backbone, width=4, sha256=sha256)


def test_a_trunk_takes_the_weights_of_the_file(small):
    state, path, sha256 = small
    found = trunk_weights(of(sha256.upper()), {sha256: path})
    assert set(found) == set(state)
    for name, value in state.items():
        assert torch.equal(found[name], value), name


def test_a_file_that_is_not_given(small):
    _, path, sha256 = small
    with pytest.raises(EncoderError, match="weights are not given") as error:
        trunk_weights(of("f" * 64), {sha256: path})
    assert "study.toml" in error.value.remedy


def test_a_file_of_other_bytes(small):
    _, path, sha256 = small
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(EncoderError):
        trunk_weights(of(sha256), {sha256: path})


@pytest.mark.parametrize("change", ["missing", "more", "shape", "nan"])
def test_weights_of_another_network(small, tmp_path, change):
    state = dict(small[0])
    name = next(n for n in state if n.endswith("weight") and state[n].ndim > 1)
    if change == "missing":
        del state[name]
    elif change == "more":
        state["another.weight"] = torch.zeros(3)
    elif change == "shape":
        state[name] = state[name][:1]
    else:
        state[name] = torch.full_like(state[name], float("nan"))
    path = tmp_path / "other.safetensors"
    sha256 = written(state, path)
    problem = "no number" if change == "nan" else "not of this backbone"
    with pytest.raises(EncoderError, match=problem):
        trunk_weights(of(sha256), {sha256: path})


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    torch.manual_seed(1)
    state = empty_resnet("resnet10").state_dict()
    # as MedicalNet writes them: under "module.", with a last layer that is not used
    named = {f"module.{n}": v for n, v in state.items()}
    named["module.conv_seg.0.weight"] = torch.zeros(2, 2)
    path = tmp_path_factory.mktemp("w") / "resnet10.safetensors"
    sha256 = written(named, path)
    return Published(of(sha256, "resnet10"), {sha256: path})


def test_features_are_means_and_maxima_of_four_stages_and_uptake(published):
    rng = np.random.default_rng(0)
    crop = crop_of(rng, 0.0, pet=True, edge=32)
    found = published.pooled(crop)
    assert found.shape == (2 * (64 + 128 + 256 + 512) + 3,)
    assert torch.isfinite(found).all()
    uptake = np.log1p(crop.suv.astype(np.float32))[crop.mask]
    assert float(found[-3]) == pytest.approx(float(uptake.mean()), rel=1e-3)
    assert float(found[-2]) == pytest.approx(float(uptake.max()), rel=1e-3)
    assert float(found[-1]) == 1.0
    assert torch.equal(published.pooled(crop), found)


def test_without_a_pet_its_three_numbers_are_zero(published):
    crop = crop_of(np.random.default_rng(0), 0.0, pet=False, edge=32)
    assert published.pooled(crop)[-3:].tolist() == [0.0, 0.0, 0.0]


def test_ct_is_read_on_its_own_scale(published):
    """A scanner's offset and contrast within the window are taken out."""
    from dataclasses import replace

    crop = crop_of(np.random.default_rng(0), 0.0, pet=False, edge=32)
    hu = np.clip(crop.ct_hu, -900, -200)
    one = published.pooled(replace(crop, ct_hu=hu.astype(np.int16)))
    two = published.pooled(replace(crop, ct_hu=(hu + 100).astype(np.int16)))
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)
