"""Trains the network that outlines a lesion from a click (needs torch; inference does not).

A small U-Net (Çiçek et al., MICCAI 2016) over 32³ voxels about the click. Examples are turned,
mirrored, made larger and smaller, blurred, given noise and thick slices, and clicked at another
place each time; any of the rules' outlines may be missing. The crop's middle is the click and its
edge hardly ever the example's: nodules that were cut out lie in the middle of their cubes, and a
network that sees the cube's edge knows where. Batch normalisation is folded into the weights that
are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor, nn
from torch.nn import functional

from metasight.segmentation.lesion_network import (
    CHANNELS,
    GRID,
    VOTES,
    LesionNetwork,
    inputs_of,
    size_of_votes,
    voxel_for,
)

Floats32 = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]

_JITTER_MM = 1.0
_SMALLEST, _LARGEST = 0.7, 1.35
_MOST_TURN_DEGREES = 25.0
_MOST_NOISE_HU, _MOST_OFFSET_HU, _MOST_BLUR = 40.0, 25.0, 0.9
_SLICES_MM = (1.0, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0)
_LEAST_SLICES = 1.2


@dataclass(frozen=True, kw_only=True)
class Click:
    """A click in a nodule, and the rules' outlines from it.

    Attributes
    ----------
    at
        Voxel, (z, y, x).
    outlines
        (n, z, y, packed x): ``numpy.packbits`` along the last axis.
    n_voters
        How many of them, the first ones, vote.
    answer
        The rules' majority, packed alike.
    cut_share
        Share of the rules' outline at which something as dense goes on.
    """

    at: tuple[float, float, float]
    outlines: npt.NDArray[np.uint8]
    answer: npt.NDArray[np.uint8]
    cut_share: float
    n_voters: int


@dataclass(frozen=True, kw_only=True)
class Example:
    """One nodule to learn from.

    Attributes
    ----------
    hu
        (z, y, x) in HU.
    mask
        The nodule, within [0, 1] where voxels are partly in it.
    voxel_mm
        Side of a voxel.
    patient
        Whose it is; all of a patient's examples are in one fold.
    clicks
        At least one.
    """

    hu: Floats32
    mask: Floats32
    voxel_mm: float
    patient: str
    clicks: tuple[Click, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How long and how fast.

    Attributes
    ----------
    steps, batch
        Of the optimiser; examples in each.
    rate
        Largest learning rate; it rises over the first tenth and falls with a cosine.
    seed
        The same seed, examples and number of threads give the same weights.
    stop
        Step after which it stops before its end, as if it were killed; None: it does not.
    """

    steps: int = 500
    batch: int = 4
    rate: float = 2e-3
    seed: int = 15
    stop: int | None = None


# ------------------------------------------------------------------ examples


def _thick(hu: Floats32, voxels: float, rng: np.random.Generator) -> Floats32:
    """Slices of so many voxels, as a scanner averages over them, drawn in between again."""
    fine = hu.repeat(2, axis=0)
    mean = ndimage.uniform_filter1d(fine, max(round(2 * voxels), 1), axis=0, mode="nearest")
    at = np.arange(rng.uniform(0, voxels) - voxels, len(hu) + voxels, voxels)
    slices = _between(mean, 2 * at + 0.5)
    return _between(slices, np.interp(np.arange(len(hu)), at, np.arange(len(at))))


def _between(slices: Floats32, place: npt.NDArray[np.float64]) -> Floats32:
    place = np.clip(place, 0, len(slices) - 1)
    low = np.minimum(place.astype(int), len(slices) - 2)
    share = (place - low)[:, None, None].astype(np.float32)
    return np.asarray(slices[low] * (1 - share) + slices[low + 1] * share)


def _turned(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    angle = rng.normal(size=3) / np.sqrt(3) * np.radians(_MOST_TURN_DEGREES)
    turn = Rotation.from_rotvec(angle).as_matrix() @ np.diag(rng.choice([-1.0, 1.0], 3))
    if rng.random() < 0.5:  # x for y; slices stay across z
        turn = turn[:, [0, 2, 1]]
    return np.asarray(turn)


def drawn(example: Example, rng: np.random.Generator) -> tuple[Floats32, Floats32]:
    """Inputs (channels, 32, 32, 32) and target (32, 32, 32) of one example, changed at random."""
    click = example.clicks[rng.integers(len(example.clicks))]
    outlines = np.unpackbits(click.outlines, axis=-1, count=example.hu.shape[-1])
    size = size_of_votes(outlines.mean(axis=0), example.voxel_mm)
    some = rng.random(len(outlines)) < rng.uniform(0.4, 1.0)
    votes = outlines[some if some.any() else slice(None)].mean(axis=0, dtype=np.float32)
    voxel = voxel_for(size) * np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST)))
    at = np.array(click.at) + rng.normal(0, _JITTER_MM, 3) / example.voxel_mm
    points = np.tensordot(_turned(rng) * voxel / example.voxel_mm, GRID, 1)
    points += at[:, None, None, None]
    hu, mask, votes = (
        ndimage.map_coordinates(a, points, output=np.float32, order=1, mode="nearest")
        for a in (example.hu, example.mask, votes)
    )
    slices = rng.choice(_SLICES_MM) / voxel
    if slices > _LEAST_SLICES:
        hu = _thick(hu, slices, rng)
    if rng.random() < 0.5:
        hu = ndimage.gaussian_filter(hu, rng.uniform(0.3, _MOST_BLUR))
    hu = hu + rng.normal(0, rng.uniform(0, _MOST_NOISE_HU), hu.shape)
    hu = hu + rng.uniform(-_MOST_OFFSET_HU, _MOST_OFFSET_HU)
    return inputs_of(hu.astype(np.float32), votes, voxel), mask


# ------------------------------------------------------------------ the network


def _block(before: int, after: int, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, after, size, padding=size // 2, bias=False),
        nn.BatchNorm3d(after, momentum=0.05),
        nn.ReLU(),
    )


class TorchLesionNetwork(nn.Module):
    """The network in torch; :class:`LesionNetwork` computes the same without it."""

    def __init__(self) -> None:
        super().__init__()
        blocks = {
            "fine": _block(CHANNELS, 8),
            "half_a": _block(8, 24),
            "half_b": _block(24, 24),
            "quarter_a": _block(24, 48),
            "quarter_b": _block(48, 48),
            "eighth_a": _block(48, 64),
            "eighth_b": _block(64, 64),
            "up_quarter": _block(112, 48),
            "up_half_a": _block(72, 24),
            "up_half_b": _block(24, 24),
            "narrow": _block(24, 8, 1),
            "up_fine": _block(16, 8),
        }
        self.blocks = nn.ModuleDict(blocks)
        self.last = nn.Conv3d(8, 1, 1)
        for part in self.last.parameters():
            nn.init.zeros_(part)  # it starts from what the rules say
        self.trust = nn.Parameter(torch.full((1,), 4.0))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 1, 32, 32, 32) of inputs (n, 5, 32, 32, 32)."""
        b = self.blocks
        fine = b["fine"](x)
        half = b["half_b"](b["half_a"](functional.max_pool3d(fine, 2)))
        quarter = b["quarter_b"](b["quarter_a"](functional.max_pool3d(half, 2)))
        eighth = b["eighth_b"](b["eighth_a"](functional.max_pool3d(quarter, 2)))
        y = b["up_quarter"](torch.cat([_doubled(eighth), quarter], 1))
        y = b["up_half_b"](b["up_half_a"](torch.cat([_doubled(y), half], 1)))
        y = b["up_fine"](torch.cat([_doubled(b["narrow"](y)), fine], 1))
        votes = x[:, VOTES : VOTES + 1] - 0.5
        return torch.as_tensor(self.last(y) + self.trust * votes)

    def folded(self) -> LesionNetwork:
        """The same without torch; batch normalisation becomes part of the convolutions."""
        weights: dict[str, Floats32] = {}
        for name, block in self.blocks.items():
            parts: list[Any] = list(block.children())
            convolution, norm = parts[0], parts[1]
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weights[f"{name}_weight"] = _array(
                convolution.weight * scale[:, None, None, None, None]
            )
            weights[f"{name}_bias"] = _array(norm.bias - norm.running_mean * scale)
        for part, values in self.last.named_parameters():
            weights[f"last_{part}"] = _array(values)
        weights["trust"] = _array(self.trust)
        return LesionNetwork(weights)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _array(x: Tensor) -> Floats32:
    return np.ascontiguousarray(x.detach().numpy(), dtype=np.float32)


def _loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy and one minus Dice, each example for itself."""
    share = torch.sigmoid(logits)
    both = (share * target).sum((1, 2, 3, 4))
    overlap = (2 * both + 1) / (share.sum((1, 2, 3, 4)) + target.sum((1, 2, 3, 4)) + 1)
    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    return torch.as_tensor(2 * entropy + (1 - overlap).mean())


def _share_of_rate(step: int, steps: int) -> float:
    """Of the largest learning rate: up over the first tenth, then down with a cosine."""
    rising = max(steps / 10, 1.0)
    falling = (step - rising) / max(steps - rising, 1.0)
    return float(min((step + 1) / rising, (1 + np.cos(np.pi * np.clip(falling, 0, 1))) / 2))


def trained(
    examples: Sequence[Example],
    shares: Sequence[float],
    settings: TrainingSettings,
    *,
    checkpoint: Path | None = None,
    every: int = 100,
) -> LesionNetwork:
    """Train on examples; goes on from a checkpoint where there is one.

    Parameters
    ----------
    shares
        How often each example is drawn, relative to the others.
    checkpoint
        Written every so many steps; a training that was stopped goes on to the same weights.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.seed)
    network: TorchLesionNetwork = TorchLesionNetwork().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _share_of_rate(step, settings.steps)
    )
    first = 0
    if checkpoint is not None and checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        schedule.load_state_dict(kept["schedule"])
        first = int(kept["step"])
    share = np.array(shares) / np.sum(shares)
    network.train()
    for step in range(first, settings.stop or settings.steps):
        rng = np.random.default_rng([settings.seed, step])
        chosen = rng.choice(len(examples), settings.batch, p=share)
        pairs = [drawn(examples[int(k)], rng) for k in chosen]
        x = torch.from_numpy(np.stack([p[0] for p in pairs]))
        target = torch.from_numpy(np.stack([p[1] for p in pairs])[:, None])
        loss = _loss(network(x.to(memory_format=torch.channels_last_3d)), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if checkpoint is not None and (step + 1) % every == 0:
            torch.save(
                {
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step + 1,
                },
                checkpoint,
            )
    network.eval()
    return network.folded()
