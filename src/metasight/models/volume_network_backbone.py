"""Backbones that were trained elsewhere: a local file, its sha256, and strict names (needs torch).

``resnet10`` and ``resnet18`` are MONAI's, laid out as MedicalNet's (Chen, Ma and Zheng,
arXiv:1904.00625): one channel, 7³ voxels in the first convolution. They stay as they are; features
of their four stages are pooled over the lesion. Uptake is no input of theirs and is told beside
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metasight.engine.threads import one_torch_thread
from metasight.errors import EncoderError
from metasight.features.crops import LesionCrop
from metasight.features.encoders import read_weights
from metasight.models.volume_network_inputs import channels
from metasight.models.volume_network_layers import SmallTrunk, aligned
from metasight.models.volume_network_settings import Backbone, VolumeNetworkSettings

_WINDOW_HU = (-1000.0, 400.0)
_IGNORED = ("fc.", "conv_seg.")
"""Beginnings of names of a published network's last layer, which is not used."""
_COUNTED = "num_batches_tracked"


def trunk_weights(settings: VolumeNetworkSettings, files: Mapping[str, Path]) -> dict[str, Tensor]:
    """Weights of a small network's trunk, to begin with.

    Raises
    ------
    EncoderError
        No file of this sha256 is given, it is damaged, or its names or shapes are not the trunk's.
    """
    path = _path(settings, files)
    found = read_weights(path, settings.sha256, "small")
    _check(found, SmallTrunk(settings.width), path.name, "small")
    return found


class Published:
    """A published backbone, ready to be read.

    Parameters
    ----------
    settings
        With backbone and sha256.
    files
        sha256 → file.

    Raises
    ------
    EncoderError
        As :func:`trunk_weights`.
    """

    def __init__(self, settings: VolumeNetworkSettings, files: Mapping[str, Path]) -> None:
        path = _path(settings, files)
        found = {
            name.removeprefix("module."): value
            for name, value in read_weights(path, settings.sha256, settings.backbone).items()
        }
        own = {n: v for n, v in found.items() if not n.startswith(_IGNORED)}
        network = empty_resnet(settings.backbone)
        _check(own, network, path.name, settings.backbone)
        network.load_state_dict(own, strict=False)  # strict but for counters, see _check
        self._network = network.eval()

    def pooled(self, crop: LesionCrop) -> Tensor:
        """Features of a crop on the CPU, shape (features,), the same bytes for the same crop."""
        with one_torch_thread(), torch.no_grad():
            return self._of(crop)

    def _of(self, crop: LesionCrop) -> Tensor:
        hu = np.clip(crop.ct_hu.astype(np.float32), *_WINDOW_HU)
        hu = (hu - hu.mean()) / max(float(hu.std()), 1.0)
        mask = aligned(crop.mask.astype(np.float32))[None, None]
        parts: list[Tensor] = []
        for features in self._stages(aligned(hu)[None, None]):
            share = functional.interpolate(mask, tuple(features.shape[2:]), mode="area")
            mean = (features * share).sum(dim=(2, 3, 4)) / share.sum(dim=(2, 3, 4)).clamp(min=1e-6)
            largest = (features * (share > 0)).amax(dim=(2, 3, 4))
            parts += [mean[0], largest[0]]
        uptake = channels(crop)[3:, crop.mask]
        parts.append(torch.tensor([uptake[0].mean(), uptake[0].max(), uptake[1].max()]))
        return torch.cat(parts)

    def _stages(self, x: Tensor) -> list[Tensor]:
        n: Any = self._network  # MONAI has no types
        x = n.maxpool(n.act(n.bn1(n.conv1(x))))
        out: list[Tensor] = []
        for layer in (n.layer1, n.layer2, n.layer3, n.layer4):
            x = layer(x)
            out.append(x)
        return out


def empty_resnet(name: Backbone) -> nn.Module:
    """MONAI's network of that name as MedicalNet lays it out, without weights or last layer."""
    from monai.networks.nets import resnet

    build = {"resnet10": resnet.resnet10, "resnet18": resnet.resnet18}[name]
    network: nn.Module = build(
        pretrained=False,
        spatial_dims=3,
        n_input_channels=1,
        conv1_t_size=7,
        conv1_t_stride=2,
        feed_forward=False,
        shortcut_type="A" if name == "resnet18" else "B",
        bias_downsample=name == "resnet18",
    )
    return network


def _path(settings: VolumeNetworkSettings, files: Mapping[str, Path]) -> Path:
    path = files.get(settings.sha256.lower())
    if path is None:
        raise EncoderError(
            "the backbone's weights are not given",
            where=settings.backbone,
            value=f"sha256 {settings.sha256[:12]}…" if settings.sha256 else "",
            remedy="Give path and sha256 in [model.scan_network.weights] of study.toml",
        )
    return path


def _check(found: Mapping[str, Tensor], network: nn.Module, file: str, name: str) -> None:
    """Refuse weights whose names or shapes are not the network's, to the last one."""
    needed = {n: v for n, v in network.state_dict().items() if not n.endswith(_COUNTED)}
    given = {n: v for n, v in found.items() if not n.endswith(_COUNTED)}
    wrong = sorted(set(needed) ^ set(given)) or [
        f"{n} {tuple(given[n].shape)}" for n in needed if given[n].shape != needed[n].shape
    ]
    if wrong:
        raise EncoderError(
            "the weights are not of this backbone",
            where=file,
            value=", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""),
            remedy=f"Give the weights of {name}",
        )
    if not all(bool(torch.isfinite(v).all()) for v in given.values()):
        raise EncoderError("the weights hold values that are no number", where=file)
