"""A published generator: only the stated file, only tensors, only where every name fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from safetensors.torch import save_file

from metasight.errors import MarkerError
from metasight.maps.generator import Generator
from metasight.maps.published_generator import load_published_generator
from metasight.provenance import hash_file

ARGUMENTS: dict[str, Any] = {
    "spatial_dims": 2,
    "in_channels": 3,
    "out_channels": 3,
    "channels": [4, 8],
    "strides": [2],
}


def network() -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return UNet(**ARGUMENTS)


def written(folder: Path, **changed: Any) -> tuple[Path, Path]:
    checkpoint = folder / "published.safetensors"
    state = {f"net.{n}": t.contiguous() for n, t in network().state_dict().items()}
    save_file(state, checkpoint)
    card = {
        "format": "metasight-published-generator-1",
        "name": "Painter",
        "licence": "CC BY-NC 4.0",
        "sha256": hash_file(checkpoint),
        "network": "UNet",
        "arguments": ARGUMENTS,
        "keys": {"net.": ""},
        "markers": ["CD3", None, "Pan-CK"],
        "mpp": 0.5,
        "tile_multiple": 2,
        "mean": [0.5, 0.5, 0.5],
        "spread": [0.25, 0.25, 0.25],
        "activation": "sigmoid",
        "cells_per_mm2": [4000, 1, 6000],
    } | changed
    sidecar = folder / "published.json"
    sidecar.write_text(json.dumps(card))
    return checkpoint, sidecar


def test_it_paints_what_its_own_network_says(tmp_path: Path) -> None:
    generator = load_published_generator(*written(tmp_path))
    assert isinstance(generator, Generator)
    assert generator.markers == ("CD3", "Pan-CK")
    assert "CC BY-NC" in generator.licence
    rgb = np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    found = generator.paint_tile(rgb)
    x = torch.from_numpy(rgb.transpose(2, 0, 1)[None]).float() / 255
    with torch.inference_mode():
        wanted = torch.sigmoid(network().eval()((x - 0.5) / 0.25))[0].numpy()
    pooled = wanted.reshape(3, 2, 32, 3, 32).mean(axis=(2, 4))
    assert np.allclose(found.density[0], 4000 * pooled[0], rtol=1e-4)
    assert np.allclose(found.density[1], 6000 * pooled[2], rtol=1e-4)
    assert np.isnan(found.error).all()
    with pytest.raises(MarkerError, match="multiples"):
        generator.paint_tile(rgb[:50])


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"sha256": "0" * 64}, "not the one that the sidecar names"),
        ({"keys": {}}, "does not fit"),
        ({"arguments": ARGUMENTS | {"out_channels": 4}}, "does not fit"),
        ({"arguments": {"spatial_dims": 2}}, "cannot be built"),
        ({"network": "os.system"}, "sidecar of a published generator is wrong"),
        ({"markers": ["CD3", "CD3", "Pan-CK"]}, "each marker once"),
        ({"cells_per_mm2": [1.0]}, "each marker once"),
        ({"mpp": 0.3}, "no multiple"),
        ({"licence": ""}, "licence"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, changed: dict[str, Any], problem: str
) -> None:
    with pytest.raises(MarkerError, match=problem):
        load_published_generator(*written(tmp_path, **changed))


def test_a_pytorch_file_of_tensors_is_read_and_one_with_code_is_not(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.pt", tmp_path / "bad.pt"
    torch.save({"state_dict": network().state_dict()}, good)
    _, sidecar = written(tmp_path, sha256=hash_file(good), keys={})
    assert load_published_generator(good, sidecar).identity == hash_file(good)
    torch.save({"state_dict": Path("a class that runs when it is read")}, bad)
    _, sidecar = written(tmp_path, sha256=hash_file(bad), keys={})
    with pytest.raises(MarkerError, match="plain tensors"):
        load_published_generator(bad, sidecar)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no tensors")
    _, sidecar = written(tmp_path, sha256=hash_file(broken))
    with pytest.raises(MarkerError, match="plain tensors"):
        load_published_generator(broken, sidecar)
    with pytest.raises(MarkerError, match="missing"):
        load_published_generator(tmp_path / "none.safetensors", sidecar)
