"""A published generator behind the same protocol: weights from a local file, never its code.

GigaTIME, ROSIE, MIPHEI and their like come as a checkpoint and a repository. The repository's code
is not run, and TorchScript is code too: what can be taken is the checkpoint of a network that
MONAI builds, described by a sidecar JSON that the user writes and signs with the sha256. Names of
the tensors are mapped by stated prefixes and must then fit one to one.

The sidecar::

    {"format": "metasight-published-generator-1", "name": "…", "licence": "…", "sha256": "…",
     "network": "UNet" | "BasicUNet" | "FlexibleUNet" | "SwinUNETR", "arguments": {…},
     "keys": {"model.": ""}, "markers": ["CK", null, …], "mpp": 0.5, "tile_multiple": 32,
     "mean": [0.485, …], "spread": [0.229, …], "activation": "none" | "relu" | "sigmoid",
     "cells_per_mm2": [6000, …]}

``markers`` names the output channels in order, ``null`` for one that is left out.
``cells_per_mm2`` turns a channel's value 1 into a density: a published generator paints stain and
not cells, and how much stain a cell makes has to be measured by the user. It states no error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from monai.networks import nets
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from metasight.errors import MarkerError
from metasight.maps.counting_network import optical_density_of
from metasight.maps.generator import PaintedTile, PaintsPixels
from metasight.maps.network import colour_features
from metasight.maps.outlier import OutlierModel
from metasight.provenance import hash_file

FORMAT = "metasight-published-generator-1"
NETWORKS = ("UNet", "BasicUNet", "FlexibleUNet", "SwinUNETR")


class PublishedCard(BaseModel):
    """What the sidecar says; see the module."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["metasight-published-generator-1"]
    name: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    network: Literal["UNet", "BasicUNet", "FlexibleUNet", "SwinUNETR"]
    arguments: dict[str, Any]
    keys: dict[str, str] = {}
    markers: tuple[str | None, ...] = Field(min_length=1)
    mpp: float = Field(gt=0.05, lt=8)
    tile_multiple: int = Field(ge=1)
    mean: tuple[float, float, float]
    spread: tuple[float, float, float]
    activation: Literal["none", "relu", "sigmoid"]
    cells_per_mm2: tuple[float, ...]
    trained_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PublishedGenerator(PaintsPixels):
    """A published generator; see :class:`metasight.maps.generator.Generator`.

    Attributes
    ----------
    card
        Its sidecar.
    network
        Built by MONAI, with the checkpoint's weights.
    spacing_um
        Of the maps.
    device
        That it runs on.
    """

    card: PublishedCard
    network: nn.Module
    spacing_um: float
    device: torch.device
    markers: tuple[str, ...]
    mpp: float
    step_px: int
    identity: str
    trained_on: frozenset[str]
    outliers: OutlierModel | None = None

    @property
    def licence(self) -> str:
        """To be shown wherever its maps are."""
        return f"{self.card.name}: {self.card.licence}"

    def paint_tile(self, rgb: npt.NDArray[np.uint8]) -> PaintedTile:
        """Paint (h, w, 3) pixels over white glass.

        Raises
        ------
        MarkerError
            The sides are no multiples of ``step_px``, or the network gives another number of
            channels than the sidecar names.
        """
        if rgb.shape[0] % self.step_px or rgb.shape[1] % self.step_px:
            raise MarkerError(
                f"a tile's sides are multiples of {self.step_px} pixels", value=f"{rgb.shape}"
            )
        card = self.card
        pixels = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device)
        grey = pixels.permute(2, 0, 1)[None]
        mean, spread = (
            torch.tensor(v, device=self.device)[None, :, None, None]
            for v in (card.mean, card.spread)
        )
        with torch.inference_mode():
            out = self.network((grey.float() / 255.0 - mean) / spread)
            if not isinstance(out, Tensor) or out.shape[1] != len(card.markers):
                raise MarkerError(
                    "the network's output is not what the sidecar names",
                    where=card.name,
                    value=f"{tuple(getattr(out, 'shape', ()))} for {len(card.markers)} channels",
                )
            shown = _activated(out, card.activation)
            scale = round(self.spacing_um / self.mpp)
            pooled = functional.avg_pool2d(shown, scale)[0].cpu().numpy()
            features = colour_features(optical_density_of(grey), scale)[0].cpu().numpy()
        kept = [i for i, m in enumerate(card.markers) if m is not None]
        factor = np.asarray(card.cells_per_mm2, dtype=np.float32)[kept, None, None]
        density = np.maximum(pooled[kept], 0) * factor
        return PaintedTile(density=density, error=np.full_like(density, np.nan), features=features)


def _activated(out: Tensor, name: str) -> Tensor:
    match name:
        case "relu":
            return torch.relu(out)
        case "sigmoid":
            return torch.sigmoid(out)
        case _:
            return out


def load_published_generator(
    checkpoint: Path, sidecar: Path, *, spacing_um: float = 16.0
) -> PublishedGenerator:
    """Read a published generator.

    Parameters
    ----------
    checkpoint
        ``.safetensors``, or a PyTorch file of plain tensors (read with ``weights_only``).
    sidecar
        JSON that describes it.
    spacing_um
        Of the maps; a multiple of the generator's resolution.

    Raises
    ------
    MarkerError
        The sidecar is wrong, the checkpoint is missing, damaged, of another sha256, holds more
        than tensors, or does not fit the network name by name and shape by shape.
    """
    card = _card(sidecar)
    scale = spacing_um / card.mpp
    if abs(scale - round(scale)) > 1e-9:
        raise MarkerError(
            "the map's spacing is no multiple of the generator's resolution",
            where=card.name,
            value=f"{spacing_um:g} and {card.mpp:g} µm",
        )
    found = hash_file(checkpoint) if checkpoint.is_file() else ""
    if found != card.sha256:
        raise MarkerError(
            "the checkpoint is missing or not the one that the sidecar names",
            where=card.name,
            value=f"sha256 {found[:12] or 'of no file'}",
            remedy=f"Expected {card.sha256[:12]}…",
        )
    network = _built(card)
    state = _renamed(_tensors(checkpoint, card), card)
    own = network.state_dict()
    odd = sorted(set(state) ^ set(own)) or [
        n for n in sorted(own) if own[n].shape != state[n].shape
    ]
    if odd:
        raise MarkerError(
            "the checkpoint does not fit the network that the sidecar names",
            where=card.name,
            value=f"{len(odd)} tensors, first {odd[0]}",
            remedy="Check the network's arguments and the key map",
        )
    network.load_state_dict(state, strict=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return PublishedGenerator(
        card=card,
        network=network.to(device).eval(),
        spacing_um=spacing_um,
        device=device,
        markers=tuple(m for m in card.markers if m is not None),
        mpp=card.mpp,
        step_px=int(np.lcm(card.tile_multiple, round(scale))),
        identity=found,
        trained_on=frozenset(card.trained_on),
    )


def _card(path: Path) -> PublishedCard:
    try:
        card = PublishedCard.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        detail = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
            if isinstance(error, ValidationError)
            else type(error).__name__
        )
        raise MarkerError(
            "the sidecar of a published generator is wrong",
            where=path.name,
            value=detail,
            remedy="See docs/generator.md",
        ) from error
    named = [m for m in card.markers if m is not None]
    if not named or len(set(named)) != len(named) or len(card.cells_per_mm2) != len(card.markers):
        raise MarkerError(
            "the sidecar names each marker once and gives a density for each channel",
            where=path.name,
            value=f"{len(card.markers)} channels",
        )
    return card


def _built(card: PublishedCard) -> nn.Module:
    try:
        network: nn.Module = getattr(nets, card.network)(**card.arguments)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise MarkerError(
            "the network cannot be built from the sidecar's arguments",
            where=card.name,
            value=card.network,
            remedy="Give MONAI's own arguments",
        ) from error
    return network


def _tensors(path: Path, card: PublishedCard) -> dict[str, Tensor]:
    from pickle import UnpicklingError  # the error only: nothing is unpickled but tensors

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, EOFError) as error:
        raise MarkerError(
            "the checkpoint cannot be read as plain tensors",
            where=card.name,
            value=type(error).__name__,
            remedy="Save its state_dict as safetensors",
        ) from error
    held = held.get("state_dict", held) if isinstance(held, dict) else held
    if not isinstance(held, dict) or not all(isinstance(t, Tensor) for t in held.values()):
        raise MarkerError("the checkpoint holds something else than named tensors", where=card.name)
    return held


def _renamed(state: dict[str, Tensor], card: PublishedCard) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        new = name
        for prefix, by in card.keys.items():
            if name.startswith(prefix):
                new = by + name.removeprefix(prefix)
                break
        out[new] = tensor
    return out
