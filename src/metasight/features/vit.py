"""DINOv2-type vision transformers: published pathology encoders from a local file.

The network is transformers' own ``Dinov2WithRegistersModel``, built from a plain description and
filled with weights whose names are translated: checkpoints come named as timm names them or as
transformers once did. No code from a checkpoint is run and nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

Pooling = Literal["class token", "class token and mean of patches"]
Naming = Literal["timm", "transformers"]


@dataclass(frozen=True, kw_only=True)
class VitShape:
    """What is needed to build the network.

    Attributes
    ----------
    width, layers, heads
        Of the transformer.
    patch_px, tile_px
        Sides of a patch and of the input.
    registers
        Register tokens (Darcet et al., ICLR 2024); 0 for none.
    swiglu
        Whether the feed-forward part is gated (its hidden size is two thirds of 4 × width,
        rounded up to a multiple of 8).
    pooling
        What the features are.
    """

    width: int
    layers: int
    heads: int
    patch_px: int = 14
    tile_px: int = 224
    registers: int = 0
    swiglu: bool = False
    pooling: Pooling = "class token"

    @property
    def dimension(self) -> int:
        """Features of a tile."""
        return self.width * (1 if self.pooling == "class token" else 2)


class VisionTransformer(nn.Module):
    """Pixels ``(n, 3, tile_px, tile_px)``, normalised, to features ``(n, dimension)``."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

        self.shape = shape
        self.network = Dinov2WithRegistersModel(
            Dinov2WithRegistersConfig(
                hidden_size=shape.width,
                num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads,
                patch_size=shape.patch_px,
                image_size=shape.tile_px,
                num_register_tokens=shape.registers,
                use_swiglu_ffn=shape.swiglu,
                layer_norm_eps=1e-6,
            )
        )
        self.eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of normalised tiles."""
        tokens: torch.Tensor = self.network(pixel_values=pixels).last_hidden_state
        first = tokens[:, 0]
        if self.shape.pooling == "class token":
            return first
        return torch.cat([first, tokens[:, 1 + self.shape.registers :].mean(dim=1)], dim=1)

    def load_published(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take published weights under their own names; every one must fit.

        Raises
        ------
        KeyError
            A weight is missing, left over or of another shape.
        """
        own = self.network.state_dict()
        named = _translated(weights, self.shape)
        # Learnt for masked training only; it takes no part in what the network computes here.
        named.setdefault("embeddings.mask_token", torch.zeros(1, self.shape.width))
        missing, over = sorted(set(own) - set(named)), sorted(set(named) - set(own))
        if missing or over:
            parts = [f"missing: {', '.join(missing[:3])}"] if missing else []
            parts += [f"left over: {', '.join(over[:3])}"] if over else []
            raise KeyError("; ".join(parts))
        for name, value in own.items():
            if named[name].shape != value.shape:
                raise KeyError(
                    f"{name} has shape {tuple(named[name].shape)}, not {tuple(value.shape)}"
                )
        self.network.load_state_dict(named, strict=True)


def naming_of(weights: Mapping[str, torch.Tensor]) -> Naming:
    """Whose names a checkpoint uses.

    Raises
    ------
    KeyError
        Neither timm's nor transformers'.
    """
    if "blocks.0.attn.qkv.weight" in weights:
        return "timm"
    if "embeddings.cls_token" in weights:
        return "transformers"
    raise KeyError("its weights are named neither as timm nor as transformers names them")


def _translated(weights: Mapping[str, torch.Tensor], shape: VitShape) -> dict[str, torch.Tensor]:
    if naming_of(weights) == "timm":
        return _from_timm(weights, shape)
    return _from_transformers(weights, shape)


_TIMM = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.proj": "attention.o_proj",
    "ls1": "layer_scale1",
    "ls2": "layer_scale2",
}


def _from_timm(weights: Mapping[str, torch.Tensor], shape: VitShape) -> dict[str, torch.Tensor]:
    """Names as transformers has them.

    In timm's files query, key and value are one matrix, and the class token has no position
    where there are registers (``no_embed_class``).
    """
    out: dict[str, torch.Tensor] = {}
    for name, value in weights.items():
        block = re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias|gamma)", name)
        if block is not None:
            prefix = f"encoder.layer.{block[1]}"
            out.update(_timm_block(prefix, block[2], block[3], value, shape))
        elif name == "pos_embed":
            patches = (shape.tile_px // shape.patch_px) ** 2
            if value.shape[1] == patches:
                class_token = torch.zeros_like(value[:, :1])
                out["embeddings.position_embeddings"] = torch.cat([class_token, value], dim=1)
            else:
                out["embeddings.position_embeddings"] = value
        elif name == "reg_token":
            out["embeddings.register_tokens"] = value
        elif name in {"cls_token", "mask_token"}:
            out[f"embeddings.{name}"] = value
        elif name.startswith("patch_embed.proj."):
            place = "embeddings.patch_embeddings.projection."
            out[place + name.removeprefix("patch_embed.proj.")] = value
        elif name in {"norm.weight", "norm.bias"}:
            out[f"layernorm.{name.removeprefix('norm.')}"] = value
        else:
            out[name] = value  # is told as left over
    return _with_registers(out, shape)


def _timm_block(
    prefix: str, part: str, kind: str, value: torch.Tensor, shape: VitShape
) -> dict[str, torch.Tensor]:
    if part == "attn.qkv":
        three = value.chunk(3, dim=0)
        names = ("q_proj", "k_proj", "v_proj")
        return {f"{prefix}.attention.{n}.{kind}": v for n, v in zip(names, three, strict=True)}
    if part == "mlp.fc1" and shape.swiglu:
        gate, up = value.chunk(2, dim=0)
        return {f"{prefix}.mlp.gate_proj.{kind}": gate, f"{prefix}.mlp.up_proj.{kind}": up}
    if part == "mlp.fc2" and shape.swiglu:
        return {f"{prefix}.mlp.down_proj.{kind}": value}
    own = "lambda1" if kind == "gamma" else kind
    return {f"{prefix}.{_TIMM.get(part, part)}.{own}": value}


_OLD_NAMES = (
    (r"attention\.attention\.query", "attention.q_proj"),
    (r"attention\.attention\.key", "attention.k_proj"),
    (r"attention\.attention\.value", "attention.v_proj"),
    (r"attention\.output\.dense", "attention.o_proj"),
    (r"mlp\.weights_out", "mlp.down_proj"),
)


def _from_transformers(
    weights: Mapping[str, torch.Tensor], shape: VitShape
) -> dict[str, torch.Tensor]:
    out: dict[str, torch.Tensor] = {}
    for name, value in weights.items():
        new = name
        for old, own in _OLD_NAMES:
            new = re.sub(old, own, new)
        if ".mlp.weights_in." in new:
            gate, up = value.chunk(2, dim=0)
            out[new.replace("weights_in", "gate_proj")] = gate
            out[new.replace("weights_in", "up_proj")] = up
        else:
            out[new] = value
    return _with_registers(out, shape)


def _with_registers(named: dict[str, torch.Tensor], shape: VitShape) -> dict[str, torch.Tensor]:
    if shape.registers == 0:
        named.setdefault("embeddings.register_tokens", torch.zeros(1, 0, shape.width))
    return named
