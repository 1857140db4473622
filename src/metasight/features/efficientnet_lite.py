"""EfficientNet-Lite0 up to its pooled features: the encoder that is there without a download.

The network of Tan and Le (ICML 2019) without squeeze-and-excitation and with ReLU6, as Google
released it for small processors. It was trained on ImageNet, not on tissue: a floor that costs
nothing, below the pathology encoders that :mod:`metasight.features.vit` reads.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

# Kernel, stride, expansion, channels in and out of each block.
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
_NORM_EPS = 1e-3
DIMENSION = 1280


class _SameConv(nn.Module):
    """A convolution and its batch normalisation in one, padded as TensorFlow does.

    With a stride of 2 the odd pixel of padding stands on the right and below.
    """

    def __init__(self, inside: int, out: int, kernel: int, stride: int, *, groups: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        odd = stride == 1 or kernel % 2 == 0
        self.conv = nn.Conv2d(
            inside, out, kernel, stride, padding=kernel // 2 if odd else 0, groups=groups
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride > 1:
            pads: list[int] = []
            for size in (x.shape[-1], x.shape[-2]):
                total = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
                pads += [total // 2, total - total // 2]
            x = functional.pad(x, pads)
        folded: torch.Tensor = self.conv(x)
        return folded

    def load(self, weights: dict[str, torch.Tensor], conv: str, norm: str) -> None:
        """Take a convolution and the batch normalisation after it, folded into one."""
        kernel = weights.pop(f"{conv}.weight")
        gamma, beta, mean, variance = (
            weights.pop(f"{norm}.{part}")
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        weights.pop(f"{norm}.num_batches_tracked", None)
        factor = gamma / torch.sqrt(variance + _NORM_EPS)
        with torch.no_grad():
            if kernel.shape != self.conv.weight.shape:
                raise KeyError(f"{conv}.weight has shape {tuple(kernel.shape)}")
            self.conv.weight.copy_(kernel * factor[:, None, None, None])
            bias = self.conv.bias
            assert bias is not None  # noqa: S101 - made with one
            bias.copy_(beta - mean * factor)


class _Block(nn.Module):
    def __init__(self, inside: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.expand = _SameConv(inside, wide, 1, 1, groups=1) if expansion > 1 else None
        self.depthwise = _SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = _SameConv(wide, out, 1, 1, groups=1)
        self.residual = stride == 1 and inside == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.expand is None else functional.relu6(self.expand(x))
        projected: torch.Tensor = self.project(functional.relu6(self.depthwise(y)))
        return projected + x if self.residual else projected

    def load(self, weights: dict[str, torch.Tensor], prefix: str) -> None:
        if self.expand is not None:
            self.expand.load(weights, f"{prefix}._expand_conv", f"{prefix}._bn0")
        self.depthwise.load(weights, f"{prefix}._depthwise_conv", f"{prefix}._bn1")
        self.project.load(weights, f"{prefix}._project_conv", f"{prefix}._bn2")


class EfficientNetLite0(nn.Module):
    """Pixels of a tile to 1,280 features.

    Input ``(n, 3, h, w)``, (value − 127) / 128 of 8-bit RGB; output ``(n, 1280)``, ≥ 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _SameConv(3, 32, 3, 2, groups=1)
        self.blocks = nn.ModuleList()
        for repeats, kernel, stride, expansion, inside, out in _STAGES:
            for number in range(repeats):
                first = number == 0
                self.blocks.append(
                    _Block(inside if first else out, out, kernel, stride if first else 1, expansion)
                )
        self.head = _SameConv(320, DIMENSION, 1, 1, groups=1)
        self.eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of normalised tiles."""
        x = functional.relu6(self.stem(pixels))
        for block in self.blocks:
            x = block(x)
        return functional.relu6(self.head(x)).mean(dim=(2, 3))

    def load_published(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the published weights; every one must be used (but the classifier's).

        Raises
        ------
        KeyError
            A weight is missing, left over or of another shape.
        """
        left = dict(weights)
        self.stem.load(left, "_conv_stem", "_bn0")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _Block)  # noqa: S101 - for the type checker
            block.load(left, f"_blocks.{number}")
        self.head.load(left, "_conv_head", "_bn1")
        over = sorted(set(left) - {"_fc.weight", "_fc.bias"})
        if over:
            raise KeyError(f"left over: {', '.join(over[:3])}")
