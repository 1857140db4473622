"""Tiles as another laboratory, another scanner or another turn of the slide would show them.

Dyes add in optical density, so what another laboratory changes is a 3 × 3 matrix there: each dye
is stronger or weaker and of a slightly different colour. Everything is drawn from a seed that
names the round and the batch, so that a training that was interrupted draws the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metasight.maps.generator_settings import StainShift
from metasight.maps.nucleus_looks import OWN
from metasight.maps.nucleus_network import NucleiSeen
from metasight.maps.region_likelihood import RegionTargets, Targets
from metasight.slides.stain import RUIFROK

_WHOLE = 0.97  # of a region that resizing did not cut off
_STAINED = [OWN.index(n) for n in ("od_red", "od_green", "od_blue", "chromatin_spread")]
_STAIN, _OUTLINE = np.float32(0.25), np.float32(0.1)
_UNALTERED = 0.15  # of the batches: the look of the training slides stays known best


def _dyes() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Haematoxylin, eosin and what is neither; rows of length 1."""
    h, e = (np.array(RUIFROK[name]) for name in ("haematoxylin", "eosin"))
    rows = np.stack([h, e, np.cross(h, e)])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def altered(
    od: Tensor, targets: Targets, shift: StainShift, rng: np.random.Generator
) -> tuple[Tensor, Targets]:
    """A batch under another stain, focus, resolution and turn.

    Parameters
    ----------
    od
        (n, 3, h, h) optical density.
    targets
        Of the batch; turned and resized with the pixels.
    shift
        How much.
    rng
        Draws everything.

    Returns
    -------
    Optical density of shape (n, 3, h, h), and the targets.
    """
    od, targets = _turned(od, targets, rng)
    if shift.resolution > 0:
        od, targets = _resized(od, targets, float(rng.uniform(-1, 1)) * shift.resolution)
    if rng.random() < _UNALTERED:
        return od, targets
    od = _restained(od, shift, rng)
    od = _blurred(od, float(rng.uniform(-0.5, 1.0)) * shift.blur_um)
    # one draw for the whole batch: noise has no content, and drawing it anew for every tile
    # took as long as the network
    noise = rng.standard_normal((1, *od.shape[1:]), dtype=np.float32)
    noise *= np.float32(rng.uniform(0, shift.noise_od))
    return od + torch.from_numpy(noise).to(od.device), targets


def altered_nuclei(nuclei: NucleiSeen, spread: Tensor, rng: np.random.Generator) -> NucleiSeen:
    """Nuclei as another laboratory would stain them and another detection outline them.

    All of a tile are darker or paler together in what staining changes, by `_STAIN` spreads of the
    training nuclei, and every number of each nucleus is off by `_OUTLINE` spreads. What is told
    against the slide's own nuclei does not follow the laboratory, and a turn changes nothing.

    Parameters
    ----------
    nuclei
        Of a batch.
    spread
        (`N_LOOKS`,) of each number over the training nuclei.
    rng
        Draws everything.
    """
    if not nuclei.looks.numel():
        return nuclei
    tile = (nuclei.place // (nuclei.rows * nuclei.columns)).cpu().numpy()
    noise = _OUTLINE * rng.standard_normal(tuple(nuclei.looks.shape), dtype=np.float32)
    stain = _STAIN * rng.standard_normal((nuclei.tiles, len(_STAINED)), dtype=np.float32)
    noise[:, _STAINED] += stain[tile]
    added = torch.from_numpy(noise).to(nuclei.device) * spread
    return replace(nuclei, looks=nuclei.looks + added)


def _turned(od: Tensor, targets: Targets, rng: np.random.Generator) -> tuple[Tensor, Targets]:
    quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def turn(x: Tensor) -> Tensor:
        x = torch.rot90(x, quarter, dims=(2, 3))
        return x.flip(3) if mirror else x

    own = targets.regions
    return turn(od), Targets(
        density=turn(targets.density),
        support=turn(targets.support),
        p90_um=targets.p90_um,
        regions=None if own is None else RegionTargets(covered=turn(own.covered), count=own.count),
    )


def _resized(od: Tensor, targets: Targets, larger: float) -> tuple[Tensor, Targets]:
    """As if the slide's µm a pixel were misstated: everything is larger, cells are sparser."""
    factor = 1.0 + larger

    def zoom(x: Tensor, mode: str, outside: str) -> Tensor:
        matrix = x.new_tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]]).expand(len(x), 2, 3)
        grid = functional.affine_grid(matrix, list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, mode, outside, align_corners=False)

    support = zoom(targets.support, "bilinear", "zeros")
    density = zoom(targets.density, "bilinear", "zeros")
    whole = (support >= 0.999).float()  # a pixel that was looked at in part is left out
    regions = targets.regions
    if regions is not None and regions.covered.numel():
        covered = zoom(regions.covered, "bilinear", "zeros")
        before, after = (c.sum(dim=(2, 3)) for c in (regions.covered, covered))
        cut = after < _WHOLE * factor**2 * before  # its count is that of the whole region
        # interpolated edges change the area, and with it the cells that are expected
        exact = factor**2 * before / after.clamp(min=1e-6)
        covered = covered * torch.where(cut, torch.zeros_like(exact), exact)[..., None, None]
        count = torch.where(cut[..., None], torch.nan, regions.count)
        regions = RegionTargets(covered=covered, count=count)
    return zoom(od, "bilinear", "reflection"), Targets(
        density=density * whole / factor**2,
        support=whole,
        p90_um=targets.p90_um,
        regions=regions,
    )


def _restained(od: Tensor, shift: StainShift, rng: np.random.Generator) -> Tensor:
    dyes, n = _dyes(), len(od)
    log = np.log(shift.strength)
    overall = rng.uniform(-log, log, (n, 1)) * 0.6
    each = rng.uniform(-log, log, (n, 3)) * 0.6
    strength = np.exp(np.clip(overall + each, -log, log))
    colours = dyes * (1.0 + shift.colour * rng.standard_normal((n, 3, 3)))
    matrix = np.linalg.inv(dyes)[None] * strength[:, None, :] @ colours
    mixed = torch.einsum(
        "nchw,ncd->ndhw", od, torch.from_numpy(matrix.astype(np.float32)).to(od.device)
    )
    glass = rng.standard_normal((n, 3, 1, 1)).astype(np.float32) * np.float32(shift.glass_od)
    return mixed + torch.from_numpy(glass).to(od.device)


def _blurred(od: Tensor, width_px: float) -> Tensor:
    if width_px < 0.3:
        return od
    reach = int(np.ceil(2.5 * width_px))
    weight = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * width_px**2))
    weight /= weight.sum()
    for side in (2, 3):  # sums of shifted images: on a CPU several times as quick as a convolution
        pad = (reach, reach, 0, 0) if side == 3 else (0, 0, reach, reach)
        wide, size = functional.pad(od, pad, "reflect"), od.shape[side]
        od = wide.narrow(side, 0, size) * float(weight[0])
        for tap in range(1, 2 * reach + 1):
            od.add_(wide.narrow(side, tap, size), alpha=float(weight[tap]))
    return od
