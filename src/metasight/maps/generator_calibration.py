"""What is fitted after the weights: how wide the stated error is, and what training slides show.

The network states a spread for each region, under the likelihood that it was trained with. On the
held-out patients the ratio of what was really missed to that spread is looked at: its 90th
percentile, over that of the normal distribution, is the factor by which each marker's error is
multiplied (split conformal prediction with normalised residuals; Lei et al., J Am Stat Assoc
2018;113:1094). It holds for what another section shows there, with its own counting noise and the
alignment's error, and assumes that new patients are like the held-out ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.outlier import OutlierModel, block_features, fit_outliers
from metasight.maps.tile_bank import TileBank
from metasight.maps.trained_generator import Network, paint_density

Floats = npt.NDArray[np.float64]

NORMAL_P95 = 1.6448536
_COVERED = 0.9
_LEAST_SUPPORT = 0.75
_BORDER_PX = 4  # that the first layers see across


def calibrate(
    members: Sequence[Network],
    bank: TileBank,
    held: Sequence[Sequence[str]],
    settings: GeneratorSettings,
) -> tuple[npt.NDArray[np.float32], dict[str, dict[str, Any]]]:
    """Factor of each marker's error, and the figures of the held-out patients.

    A patient is held against the members that did not learn from him, one at a time; the map of
    all members is no worse than theirs. Every patient weighs the same, however many tiles he has.

    Parameters
    ----------
    members
        Networks.
    bank
        Tiles.
    held
        Patients that each member held out.
    settings
        Of the generator.
    """
    markers = bank.material.markers
    ratio: list[list[Floats]] = [[] for _ in markers]
    pairs: list[list[Floats]] = [[] for _ in markers]
    for member, patient in [(m, p) for m, own in zip(members, held, strict=True) for p in own]:
        own = [*_regions([member], bank, patient, settings)]
        own += _of_table([member], bank, patient, settings)
        for plane in range(len(markers)):
            three: Floats = np.concatenate([o[plane] for o in own], axis=1)
            painted, seen, error = three
            if len(painted):
                ratio[plane].append(np.abs(seen - painted) / np.maximum(error, 1e-9))
                pairs[plane].append(np.stack([painted, seen]))
    factor = np.array([_weighted_quantile(r, _COVERED) / NORMAL_P95 for r in ratio])
    figures = {
        marker: {
            "marker": marker,
            "error_factor": float(factor[plane]),
            "pearson": _pearson(np.concatenate(pairs[plane], axis=1)),
        }
        for plane, marker in enumerate(markers)
    }
    return factor.astype(np.float32), figures


def _regions(
    members: Sequence[Network], bank: TileBank, patient: str, settings: GeneratorSettings
) -> Iterator[list[Floats]]:
    """Per tile and marker (3, regions): painted, counted and the stated error."""
    side = round(settings.region_um[-1] / settings.spacing_um)
    middle = (side - 1) // 2  # the error stands at the pixel that a region is centred on
    device = next(members[0].parameters()).device
    for place in bank.places([patient]):
        seen, targets = bank.read([place], device)
        with torch.inference_mode():
            density, error, _ = paint_density(members, seen, settings)
            share = functional.avg_pool2d(targets.support, side)
            used = share[0] >= _LEAST_SUPPORT
            painted = functional.avg_pool2d(density * targets.support, side) / share.clamp(min=0.1)
            counted = functional.avg_pool2d(targets.density, side) / share.clamp(min=0.1)
        stated = error[:, :, middle::side, middle::side][:, :, : used.shape[1], : used.shape[2]]
        three = torch.stack([painted[0], counted[0], stated[0]]).double().cpu().numpy()
        chosen = used.cpu().numpy()
        yield [three[:, plane][:, chosen[plane]] for plane in range(len(chosen))]


def _of_table(
    members: Sequence[Network], bank: TileBank, patient: str, settings: GeneratorSettings
) -> Iterator[list[Floats]]:
    """As `_regions`, of a table's regions.

    The stated error is that of the largest scale's regions; that of a region of another area
    differs from it by the counting noise.
    """
    device = next(members[0].parameters()).device
    pixel_mm2 = settings.spacing_um**2 / 1e6
    scale_mm2 = settings.region_um[-1] ** 2 / 1e6
    for place in bank.places([patient]):
        seen, targets = bank.read([place], device)
        if targets.regions is None:
            continue
        with torch.inference_mode():
            density, error, _ = paint_density(members, seen, settings)
        covered = targets.regions.covered[0]
        pixels = covered.sum(dim=(1, 2)).clamp(min=1e-6)
        mean, stated = (
            torch.einsum("mij,rij->rm", image[0], covered) / pixels[:, None]
            for image in (density, error)
        )
        area = (pixels * pixel_mm2)[:, None]
        variance = stated**2 + mean / area - mean / scale_mm2
        counted = targets.regions.count[0] / area
        three = torch.stack([mean, counted, variance.clamp(min=0).sqrt()]).double().cpu().numpy()
        yield [three[:, np.isfinite(three[1, :, m]), m] for m in range(three.shape[2])]


def _weighted_quantile(parts: Sequence[Floats], share: float) -> float:
    """Quantile of the parts' values, each part weighing the same."""
    value = np.concatenate(parts)
    weight = np.concatenate([np.full(len(p), 1.0 / len(p)) for p in parts]) / len(parts)
    order = np.argsort(value, kind="stable")
    at = int(np.searchsorted(np.cumsum(weight[order]), share))
    return float(value[order][min(at, len(value) - 1)])


def _pearson(pair: Floats) -> float | None:
    if pair.shape[1] < 2 or not np.all(np.ptp(pair, axis=1) > 0):
        return None
    return float(np.corrcoef(pair[0], pair[1])[0, 1])


def describe_slides(
    members: Sequence[Network], bank: TileBank, settings: GeneratorSettings
) -> OutlierModel:
    """What every training patient's tiles look like to the first member."""
    device = next(members[0].parameters()).device
    blocks: Mapping[str, list[Floats]] = {p: [] for p in bank.material.headers}
    for patient, own in blocks.items():
        for place in bank.places([patient]):
            seen, targets = bank.read([place], device)
            with torch.inference_mode():
                _, _, features = paint_density(members[:1], seen, settings)
            tissue = targets.support[0].amax(dim=0).cpu().numpy() > 0
            if targets.regions is not None:
                tissue |= targets.regions.covered[0].amax(dim=0).cpu().numpy() > 0
            # a painted slide's blocks have real surroundings, a training tile ends at its border
            tissue[:_BORDER_PX] = tissue[-_BORDER_PX:] = False
            tissue[:, :_BORDER_PX] = tissue[:, -_BORDER_PX:] = False
            own.append(block_features(features[0].cpu().numpy(), tissue, settings.spacing_um))
    return fit_outliers({p: np.concatenate(own) for p, own in blocks.items()})
