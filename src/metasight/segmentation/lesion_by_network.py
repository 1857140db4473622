"""The network's outline of a lesion on its field, from a click and clicks beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.segmentation.agreement import dice
from metasight.segmentation.lesion_field import Field
from metasight.segmentation.lesion_network import (
    GRID,
    SIDE,
    LesionNetwork,
    inputs_of,
    size_of_votes,
    voxel_for,
)
from metasight.volumes.volume import Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

LEVEL = 0.5
LOWER_LEVEL, UPPER_LEVEL = 0.25, 0.75
_SMALLEST_MM3 = 8.0
# of 0.6 to 0.8 the best on folds 0 and 1; on the other two it leaves 26.4 % of the outlines wrong,
# the rules alone 30.0, network and rules always joined 27.1
_AGREED = 0.8
_BESIDE_MM = 2.0
_CLICKS = np.vstack([np.zeros(3), np.eye(3), -np.eye(3)]) * _BESIDE_MM
_MIRRORED = np.array(
    [[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
)
"""With each click another one: the network was trained on mirrored nodules."""


@dataclass(frozen=True, kw_only=True)
class RuleOutlines:
    """Outlines of one lesion by rules, on its field.

    Attributes
    ----------
    answer
        The outline that they settle on.
    voters, others
        By the rules that vote, and by further ones and from clicks beside.
    """

    answer: Booleans
    voters: list[Booleans]
    others: list[Booleans]

    @property
    def seen(self) -> list[Booleans]:
        """All that hold anything."""
        return [o for o in (*self.voters, *self.others) if o.any()]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How sure the network is of one lesion.

    Attributes
    ----------
    beside
        Mean of one minus Dice between the outline and the network's from each click, in [0, 1].
    level_volume
        Logarithm of the ratio of the volumes above 25 and 75 % of the network's share.
    unsure
        Mean of 1 − share over what the network gives the lesion, within [0, 1].
    """

    beside: float
    level_volume: float
    unsure: float


@dataclass(frozen=True, kw_only=True)
class NetworkOutlines:
    """Outlines of one lesion by network and rules together, on the field.

    Attributes
    ----------
    answer
        The outline that the rules settle on, where the network agrees with it (Dice of 0.8 and
        more): its border is the sharper one. Otherwise what network and rules give more than half,
        counting alike (of the rules half is their vote, half that outline), but for an answer of
        less than 8 mm³.
    network, lower, upper
        What the network gives more than 50, 25 and 75 % on average over the clicks.
    beside
        What it gives more than 50 % from each click.
    spread
        How sure it is.
    """

    answer: Booleans
    network: Booleans
    lower: Booleans
    upper: Booleans
    beside: tuple[Booleans, ...]
    spread: Spread


def outlined_by(
    network: LesionNetwork, field: Field, scan: Volume, at_mm: Floats, rules: RuleOutlines
) -> NetworkOutlines:
    """What network and rules make of a click.

    Parameters
    ----------
    scan
        What the field was cut from.
    at_mm
        The click, x, y, z.
    rules
        From that click.
    """
    shares = shares_by(network, field, scan, at_mm, rules.seen)
    share = np.mean(shares, axis=0)
    seed = field.index(at_mm)
    # the outline that the rules settled on may hold strands that their vote lost
    ruled = (np.mean(rules.voters, axis=0, dtype=np.float32) + rules.answer) / 2
    both = (share + ruled) / 2
    answer, middle, lower, upper = (
        field.component(s > level, seed)
        for s, level in (
            (both, LEVEL),
            (share, LEVEL),
            (share, LOWER_LEVEL),
            (share, UPPER_LEVEL),
        )
    )
    agreed = dice(middle, rules.answer) >= _AGREED
    if agreed or answer.sum() * field.spacing_mm**3 < _SMALLEST_MM3:
        answer = rules.answer
    volumes = [max(int(o.sum()), 1) for o in (lower, upper)]
    return NetworkOutlines(
        answer=answer,
        network=middle,
        lower=lower,
        upper=upper,
        beside=tuple(s > LEVEL for s in shares),
        spread=Spread(
            beside=float(np.mean([1 - dice(s > LEVEL, answer) for s in shares])),
            level_volume=float(np.log(volumes[0] / volumes[1])),
            unsure=float((share * (1 - share)).sum() / max(float(share.sum()), 1e-6)),
        ),
    )


def shares_by(
    network: LesionNetwork, field: Field, scan: Volume, at_mm: Floats, outlines: list[Booleans]
) -> list[Floats32]:
    """Share of lesion in each voxel of the field, from the click and six 2 mm beside it.

    Parameters
    ----------
    scan
        What the field was cut from; beyond its edge the nearest voxel goes on.
    at_mm
        The click, x, y, z.
    outlines
        By the rules, on the field; the network sees them.
    """
    votes = np.asarray(np.mean(outlines, axis=0, dtype=np.float32))
    voxel = voxel_for(size_of_votes(votes, field.spacing_mm)) / field.spacing_mm
    at = np.array(field.image.TransformPhysicalPointToContinuousIndex(at_mm.tolist()))[::-1]
    even = field.sharp
    if voxel > 2:  # the field is much finer than the crop
        even = ndimage.uniform_filter(even, round(voxel))
    ends = [field.image.TransformPhysicalPointToContinuousIndex(p) for p in _ends(scan)]
    edge = [np.reshape(e[::-1], (3, 1, 1, 1)) for e in ends]
    shares = []
    for step, mirrored in zip(_CLICKS, _MIRRORED, strict=True):
        middle = at + step / field.spacing_mm
        points = GRID * (mirrored * voxel)[:, None, None, None] + middle[:, None, None, None]
        points = np.clip(points, edge[0], edge[1])
        hu, voted = (
            ndimage.map_coordinates(a, points, output=np.float32, order=1, mode="nearest")
            for a in (even, votes)
        )
        logits = network.logits(inputs_of(hu, voted, voxel * field.spacing_mm))
        shares.append(_on_field(logits, field.hu.shape, middle, mirrored * voxel))
    return shares


def _ends(scan: Volume) -> list[tuple[float, ...]]:
    """Middles of the scan's first and last voxel."""
    last = [n - 1 for n in scan.image.GetSize()]
    return [scan.image.TransformIndexToPhysicalPoint(i) for i in ([0, 0, 0], last)]


def _on_field(logits: Floats32, shape: tuple[int, ...], middle: Floats, step: Floats) -> Floats32:
    """The crop's shares on the field; nothing is lesion beyond the crop."""
    half = (SIDE - 1) / 2 * np.abs(step)
    low = np.clip(np.ceil(middle - half), 0, shape).astype(int)
    high = np.clip(np.floor(middle + half) + 1, 0, shape).astype(int)
    lines = [
        (np.arange(a, b) - m) / s + (SIDE - 1) / 2
        for a, b, m, s in zip(low, high, middle, step, strict=True)
    ]
    points = np.stack(np.meshgrid(*lines, indexing="ij"))
    inner = ndimage.map_coordinates(logits, points, output=np.float32, order=1, mode="nearest")
    out = np.zeros(shape, dtype=np.float32)
    out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = 1 / (1 + np.exp(-inner))
    return out
