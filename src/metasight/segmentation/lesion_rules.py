"""Several outlines of one lesion by rules that err differently, and what they vote for.

Each rule takes what is denser than a level between lung and lesion, and cuts off what hangs on by a
bridge thinner than a share of the lesion's own depth: vessels of a small nodule are nearly as wide
as the nodule, those of a large one are not, so the share is large and the bridge's width has a
limit (opening: Kostis et al., IEEE Trans Med Imaging 2003;22:1259; Kuhnigk et al., ibid. 2006;
25:417). The levels and shares were chosen on 38 of the 71 nodules of `lidc-cubes`
(bench/lesions_cubes.py), no nodule by itself; the other 33 were left for the figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.segmentation.lesion_field import CORE_MM, SNAP_MM, Field, Index
from metasight.segmentation.lesion_ground_glass import GROUND_GLASS_HU, SOFT_HU
from metasight.volumes.box import box_of

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]

_THINNEST_MM = 1.5
_LEAST_ABOVE_LUNG_HU = 100.0
_ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How one outline is drawn.

    Attributes
    ----------
    level
        Share of the way from lung to the lesion's core, but never below half-way to ground glass;
        None for that.
    share
        Of the lesion's depth: what hangs on by a thinner bridge is cut off.
    widest_mm
        Half width of the widest bridge that is cut, mm.
    rim_level, rim_mm
        What is above a lower level within so far of the outline belongs to it as well; 0 mm: not.
    """

    level: float | None
    share: float = 0.8
    widest_mm: float = 4.0
    rim_level: float = 0.0
    rim_mm: float = 0.0


VOTERS = (
    Rule(level=0.25),
    Rule(level=0.5, widest_mm=4.0, rim_level=0.35, rim_mm=1.5),
    Rule(level=None, widest_mm=5.0),
    Rule(level=None, share=0.65),
)
"""Their majority, and that of the outline by its own density, is the outline."""
OTHERS = (
    Rule(level=0.5, share=0.65),
    Rule(level=0.25, share=0.65, widest_mm=3.0),
    Rule(level=0.25, share=0.65, widest_mm=5.0),
)
"""Drawn beside the voters to see how far another choice would have led."""
_HALF_WAY = Rule(level=0.5, share=0.65)


def level_hu(rule: Rule, core_hu: float, lung_hu: float) -> float:
    """The density that a rule's outline runs at, HU."""
    lowest = max((GROUND_GLASS_HU + lung_hu) / 2, lung_hu + _LEAST_ABOVE_LUNG_HU)
    if rule.level is None:
        return lowest
    return max(lung_hu + rule.level * (min(core_hu, SOFT_HU) - lung_hu), lowest)


def outline_by(field: Field, rule: Rule, seed: Index, core_hu: float, lung_hu: float) -> Booleans:
    """The lesion by one rule; empty where nothing is dense enough within 5 mm of the seed."""
    level = level_hu(rule, core_hu, lung_hu)
    found = _body(field, field.hu > level, seed, rule.share, rule.widest_mm)
    if rule.rim_mm and found.any():
        lower = level_hu(Rule(level=rule.rim_level), core_hu, lung_hu)
        box = box_of(found, (int(rule.rim_mm / field.spacing_mm) + 1,) * 3)
        within = (field.allowed | field.near(seed, CORE_MM))[box]
        reached = field.within(found[box], rule.rim_mm)
        found[box] |= (field.hu[box] > lower) & within & reached
    return found


def core_of(field: Field, seed: Index, core_hu: float, lung_hu: float) -> float:
    """Density of the lesion's deepest part, never less than at the seed: a click may miss it."""
    for _ in range(_ROUNDS):
        found = outline_by(field, _HALF_WAY, seed, core_hu, lung_hu)
        if not found.any():
            break
        deepest = field.deepest(_depth(field, found), seed)
        core_hu = max(core_hu, float(np.median(field.hu[field.near(deepest, CORE_MM)])))
    return core_hu


def majority(outlines: list[Booleans]) -> Booleans:
    """What more than half of the outlines hold."""
    return np.asarray(np.mean(outlines, axis=0) > 0.5)


def cut_share(field: Field, found: Booleans, core_hu: float, lung_hu: float) -> float:
    """Share of the half-way outline's surface at which something as dense goes on, within [0, 1].

    There the outline is a guess: the density says nothing of where lesion ends and vessel, chest
    wall or mediastinum begins.
    """
    if not found.any():
        return 1.0
    box = box_of(found, (2, 2, 2))
    shell = field.within(found[box], 1.01 * field.spacing_mm) & ~found[box]
    return float((field.hu[box][shell] > level_hu(_HALF_WAY, core_hu, lung_hu)).mean())


def half_way(field: Field, seed: Index, core_hu: float, lung_hu: float) -> Booleans:
    """The outline half-way between lung and core, that :func:`cut_share` is told of."""
    return outline_by(field, _HALF_WAY, seed, core_hu, lung_hu)


def _depth(field: Field, dense: Booleans) -> Floats32:
    """Depth in a region, looked at where the region is."""
    box = box_of(dense, (1, 1, 1))
    out = np.zeros(dense.shape, dtype=np.float32)
    out[box] = field.depth(dense[box])
    return out


def _body(field: Field, dense: Booleans, seed: Index, share: float, widest_mm: float) -> Booleans:
    dense = field.component(dense & (field.allowed | field.near(seed, CORE_MM)), seed)
    if not dense.any():
        return dense
    depth = _depth(field, dense)
    centre = field.deepest(depth, seed)
    bridge = float(np.clip(share * depth[centre], _THINNEST_MM, widest_mm))
    # something must be left of the lesion that the seed lies in
    bridge = min(bridge, 0.9 * float(depth[field.near(seed, SNAP_MM)].max()))
    box = box_of(dense, (1, 1, 1))  # the cube is far larger than most lesions
    within, deep = dense[box], depth[box]
    labels, _ = ndimage.label(deep > bridge)
    number = labels[tuple(c - b.start for c, b in zip(centre, box, strict=True))]
    if not number:
        return dense
    back = field.within(labels == number, bridge + 0.5 * field.spacing_mm)
    out = np.zeros_like(dense)
    out[box] = within & back
    return out
