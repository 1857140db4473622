"""How well a painted density explains the cells of another section: by regions, wherever it lies.

Consecutive sections share regions, not cells, and lie where the alignment puts them give or take
its predicted error. So cells are counted in regions of 64 and 128 µm and compared by their square
roots; how far a count lies from the painted one beside that is learnt as a negative binomial, since
sections differ by more than Poisson; and where the other section really lies is not known: the
likelihood is averaged over shifts, weighted by the normal distribution whose 90th percentile is the
predicted error. The gradient then follows the shifts that explain a tile best (as in expectation
maximisation), and an alignment that is known to be good may not be shifted away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_LEAST_SUPPORT = 0.75  # of a region: below it a count says little of the region
# distance of the 90th percentile of a two-dimensional normal distribution, in its spreads
_P90_SPREADS = math.sqrt(2 * math.log(10))
_SUREST_UM = 4.0  # no section is known to lie better than that
_WIDEST_PX = 6
_PRECISION = 2.0  # of a count's square root, whose variance is a quarter: 1 / (2 · 1/4)
_FINE_PX = 3  # up to this many pixels every shift is tried, beyond it every other one
_LIKE_A_REGION_UM = 128.0  # an error as wide as a region halves what a tile says

Dispersion = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, kw_only=True)
class RegionTargets:
    """Cells in regions of a batch of tiles, from a table.

    Attributes
    ----------
    covered
        (n, regions, k, k) share of each pixel that a region covers.
    count
        (n, regions, markers) cells; NaN where not told, or where there is no region.
    """

    covered: Tensor
    count: Tensor


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Cells of the other sections in a batch of tiles.

    Attributes
    ----------
    density
        (n, markers, k, k) cells/mm², 0 off the support.
    support
        (n, markers, k, k) 1 where the section was looked at.
    p90_um
        (n, markers) predicted error of the alignment.
    regions
        Of a table, on the H&E itself; None without any.
    """

    density: Tensor
    support: Tensor
    p90_um: Tensor
    regions: RegionTargets | None = None


def shifts(p90_um: float, spacing_um: float) -> list[tuple[int, int]]:
    """(down, across) in pixels, all within the predicted error; (0, 0) first."""
    reach = min(math.ceil(p90_um / spacing_um), _WIDEST_PX)
    step = 1 if reach <= _FINE_PX else 2
    line = range(-(reach // step) * step, reach + 1, step)
    found = [(j, i) for j in line for i in line if j * j + i * i <= reach * reach]
    return sorted(found, key=lambda s: (s[0] ** 2 + s[1] ** 2, s))


def region_loss(
    painted: tuple[Tensor, Tensor],
    dispersion: Dispersion,
    targets: Targets,
    *,
    groups: Sequence[Sequence[int]],
    importance: Tensor,
    region_px: Sequence[int],
    spacing_um: float,
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of a batch, per region.

    Parameters
    ----------
    painted
        Density (n, markers, k, k) and log dispersion of the same shape.
    dispersion
        Of a pooled log dispersion at a scale.
    targets
        What was counted.
    groups
        Markers that were stained on one section, which are shifted together.
    importance
        (markers,) weight of each, mean 1.
    region_px
        Sides of the regions, in pixels of the map.
    spacing_um
        Side of a pixel.

    Returns
    -------
    loss
        (n, groups) mean over the regions and markers of a tile; 0 where there are none. One
        column more where the targets have regions of a table.
    weight
        The same shape, of a tile: 1 for a sure alignment and many regions, 0 without support.
    """
    losses, weights = [], []
    for members in groups:
        part = Targets(
            density=targets.density[:, members],
            support=targets.support[:, members],
            p90_um=targets.p90_um[:, members],
        )
        own = (painted[0][:, members], painted[1][:, members])

        def of_members(log: Tensor, scale: int, members: Sequence[int] = members) -> Tensor:
            full = log.new_zeros(log.shape[0], targets.density.shape[1], *log.shape[2:])
            full[:, members] = log
            return dispersion(full, scale)[:, members]

        loss, weight = _of_section(
            own,
            of_members,
            part,
            importance=importance[list(members)],
            region_px=region_px,
            spacing_um=spacing_um,
        )
        losses.append(loss)
        # a section with three markers tells three times what one with one tells
        weights.append(weight * len(members))
    if targets.regions is not None:
        loss, weight = table_loss(
            painted,
            dispersion,
            targets.regions,
            importance=importance,
            region_px=region_px,
            spacing_um=spacing_um,
        )
        losses.append(loss)
        weights.append(weight)
    return torch.stack(losses, dim=1), torch.stack(weights, dim=1)


def table_loss(
    painted: tuple[Tensor, Tensor],
    dispersion: Dispersion,
    regions: RegionTargets,
    *,
    importance: Tensor,
    region_px: Sequence[int],
    spacing_um: float,
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of a table's regions: painted cells over each against its count.

    The regions lie on the H&E itself, so nothing is shifted. The dispersion is that of the scale
    whose regions are nearest in area.

    Returns
    -------
    loss
        (n,) mean over the told regions and markers of a tile; 0 where there are none.
    weight
        (n,) markers for the tile of the batch that tells most, in proportion for the others.
    """
    pixel_mm2 = spacing_um**2 / 1e6
    pixels = regions.covered.sum(dim=(2, 3))
    expected = torch.einsum("nmij,nrij->nrm", painted[0], regions.covered) * pixel_mm2
    log = torch.einsum("nmij,nrij->nmr", painted[1], regions.covered)
    log = log / pixels.clamp(min=1e-6)[:, None]
    told = torch.isfinite(regions.count) & (pixels > 0)[:, :, None]
    count = torch.where(told, regions.count, torch.zeros_like(regions.count))
    sides = torch.tensor(region_px, dtype=pixels.dtype, device=pixels.device)
    away = torch.log(pixels.clamp(min=1e-6))[..., None] - 2 * torch.log(sides)
    nearest = away.abs().argmin(dim=-1)
    spread = torch.zeros_like(expected)
    for scale in range(len(region_px)):
        own = dispersion(log[..., None], scale)[..., 0].transpose(1, 2)
        spread = torch.where((nearest == scale)[..., None], own, spread)
    nll = importance * _PRECISION * (stabilised(count) - stabilised(expected)) ** 2
    nll = nll + negative_binomial_nll(count, expected.detach(), spread)
    n_told = told.sum(dim=(1, 2)).float()
    loss = (nll * told).sum(dim=(1, 2)) / n_told.clamp(min=1.0)
    most = told.any(dim=2).sum(dim=1).max().clamp(min=1).float()
    return loss, n_told / most


def _of_section(
    painted: tuple[Tensor, Tensor],
    dispersion: Dispersion,
    targets: Targets,
    *,
    importance: Tensor,
    region_px: Sequence[int],
    spacing_um: float,
) -> tuple[Tensor, Tensor]:
    p90 = targets.p90_um.amax(dim=1)
    tried = shifts(float(p90.max()), spacing_um)
    spread_um = torch.clamp(p90 / _P90_SPREADS, min=_SUREST_UM)
    away2 = torch.tensor([j * j + i * i for j, i in tried], device=p90.device) * spacing_um**2
    prior = torch.log_softmax(-away2[None] / (2 * spread_um[:, None] ** 2), dim=1)
    total = torch.zeros_like(prior)
    regions = torch.zeros_like(prior)
    for scale, side in enumerate(region_px):
        nll, count = _of_scale(
            painted,
            dispersion,
            targets,
            tried,
            importance=importance,
            scale=scale,
            side=side,
            spacing_um=spacing_um,
        )
        total = total + nll / len(region_px)
        regions = regions + count / len(region_px)
    seen = regions > 0
    # a shift that moves the tile off the support explains nothing: it is as good as the others
    mean = total / regions.clamp(min=1.0)
    typical = regions.amax(dim=1)
    log_likelihood = torch.where(seen, prior - mean * typical[:, None], prior - 1e4)
    there = typical > 0
    best = -torch.logsumexp(log_likelihood, dim=1) / typical.clamp(min=1.0)
    loss = torch.where(there, best, torch.zeros_like(best))
    sure = _LIKE_A_REGION_UM**2 / (_LIKE_A_REGION_UM**2 + p90**2)
    most = typical.max().clamp(min=1.0)
    return loss, torch.where(there, sure * typical / most, torch.zeros_like(sure))


def _of_scale(
    painted: tuple[Tensor, Tensor],
    dispersion: Dispersion,
    targets: Targets,
    tried: list[tuple[int, int]],
    *,
    importance: Tensor,
    scale: int,
    side: int,
    spacing_um: float,
) -> tuple[Tensor, Tensor]:
    """Likelihood of every shift at one scale, and how many regions each was told by."""
    reach = max(max(abs(j), abs(i)) for j, i in tried)
    rows = painted[0].shape[2]
    inner = slice(reach, rows - reach), slice(reach, rows - reach)
    stride = max(side // 2, 1)
    own_weight = (stride / side) ** 2  # overlapping regions tell a thing several times
    area_mm2 = (side * spacing_um) ** 2 / 1e6
    log = functional.avg_pool2d(painted[1][:, :, *inner], side, stride)
    spread = dispersion(log, scale)
    n, markers = painted[0].shape[:2]

    def pooled(image: Tensor) -> Tensor:
        """Means of regions, of all tried shifts at once: (n, shifts, markers, …)."""
        own = functional.avg_pool2d(image.reshape(-1, *image.shape[-3:]), side, stride)
        return own.view(n, len(tried), markers, *own.shape[-2:])

    # one call for all shifts: a call for each took as long as the arithmetic
    support, density = (
        torch.stack(
            [
                image[:, :, reach + j : rows - reach + j, reach + i : rows - reach + i]
                for j, i in tried
            ],
            dim=1,
        )
        for image in (targets.support, targets.density)
    )
    use = (pooled(support) >= _LEAST_SUPPORT).float()
    expected = pooled(painted[0][:, None, :, *inner] * support) * area_mm2
    count = pooled(density * support) * area_mm2
    # The mean by least squares of square roots, and the dispersion under the mean as it is:
    # fitted together, what is hard at first is called unknowable and never learnt (Seitzer
    # et al., ICLR 2022); a negative binomial with a stated dispersion forgives large errors
    # of large counts, and lymphocyte markers stayed near their mean.
    nll = importance[:, None, None] * _PRECISION * (stabilised(count) - stabilised(expected)) ** 2
    nll = nll + negative_binomial_nll(count, expected.detach(), spread[:, None])
    likelihood, regions = ((v * use).sum(dim=(2, 3, 4)) for v in (nll, torch.ones_like(nll)))
    return likelihood * own_weight, regions * own_weight


def stabilised(count: Tensor) -> Tensor:
    """Square root of a count, of variance a quarter whatever its mean (Anscombe 1948)."""
    return torch.sqrt(count + 0.375)


def negative_binomial_nll(count: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """Negative logarithm of the negative binomial likelihood.

    Terms of the count alone are kept: shifts look at other counts and are compared.

    Parameters
    ----------
    count
        ≥ 0; need not be whole, since tiles are resampled.
    mean
        > 0.
    dispersion
        Excess variance over the squared mean, > 0: variance = mean + dispersion · mean².
    """
    mean = mean.clamp(min=1e-4)
    size = 1.0 / dispersion
    return (
        torch.lgamma(count + 1.0)
        + torch.lgamma(size)
        - torch.lgamma(size + count)
        + (size + count) * torch.log1p(mean * dispersion)
        - count * torch.log(mean * dispersion)
    )
