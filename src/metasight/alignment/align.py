"""Bring two consecutive sections together and say how far off that is.

The order of work: what is compared (`section`), rough poses (`coarse`), the pose that explains
most (`rigid`), bodies of a torn section (`slips`, `pieces`), rigid, affine or deformable at ever
finer resolutions (`refine`), and the error on blocks held out (`error`). Nothing here is random.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from metasight.alignment import coarse, rigid
from metasight.alignment.error import (
    Check,
    ErrorMap,
    check,
    predict,
    shared_tissue,
    unmatched,
)
from metasight.alignment.matching import Pair
from metasight.alignment.pieces import Body, bodies, share
from metasight.alignment.placement import Placement
from metasight.alignment.refine import Model, Refined, ground, refine
from metasight.alignment.rigid import Candidate
from metasight.alignment.section import Section, evidence
from metasight.alignment.transform import Transform
from metasight.errors import AlignmentError

_SMALL_PX = 1024  # a section that has no more at the working resolution is looked at more closely
_COARSEST_PX = 700
_SAME_PLACE = 0.05  # of the section's extent: candidates nearer than that are one answer
_REMEDY = "Check that both images show consecutive sections of one block"


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """How pairs are aligned and which are refused.

    Attributes
    ----------
    gate_um
        Largest predicted p90 error that is accepted, µm (the protocol's
        ``alignment_error_gate_um``).
    finest_um
        Working resolution, µm a pixel, 2 to 20: sections that are smaller than 1,024 such pixels
        are looked at more closely.
    longest_px
        Most pixels along the tissue's longer side, 256 to 8192, whatever ``finest_um`` asks.
    least_overlap
        Least share of the fixed section's tissue that must lie on moving tissue.
    least_in_place
        Least share of held-out blocks that must be found again in place (lower end of its 90 %
        interval; unrelated sections reach 0.05 to 0.16).
    most_unmatched
        Largest share of tissue without a counterpart although both sections have such tissue.
    """

    gate_um: float = 100.0
    finest_um: float = 6.0
    longest_px: int = 4096
    least_overlap: float = 0.15
    least_in_place: float = 0.22
    most_unmatched: float = 0.18

    def __post_init__(self) -> None:
        if not self.gate_um > 0:
            raise AlignmentError("the gate must be above 0 µm", value=str(self.gate_um))
        if not 2 <= self.finest_um <= 20:
            raise AlignmentError(
                "the working resolution must be 2 to 20 µm a pixel", value=str(self.finest_um)
            )
        if not 256 <= self.longest_px <= 8192:
            raise AlignmentError(
                "the longer side must have 256 to 8192 pixels", value=str(self.longest_px)
            )
        shares = (self.least_overlap, self.least_in_place, self.most_unmatched)
        if not all(0 <= share <= 1 for share in shares):
            raise AlignmentError("shares lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Two sections brought together, or the reasons why they may not be.

    Attributes
    ----------
    transform
        Fixed section → moving section. Present even if refused, to be looked at.
    accepted
        Whether it may be used.
    reasons
        Why it is refused; empty if accepted.
    error
        Predicted error of the pair and of each tile, µm.
    models
        The model kept for each body of the moving section.
    why
        What decided that, in words, per body.
    overlap
        Share of the fixed section's tissue that lies on tissue of the moving one.
    unmatched
        Share of tissue that both sections have and that has no counterpart (`error.unmatched`).
    runner_up
        Support of the best different placement over that of the chosen one, 0 to 1.
    mirrored
        Whether the moving section lies face down.
    checked
        The held-out blocks from which the error was read.
    """

    transform: Transform
    accepted: bool
    reasons: tuple[str, ...]
    error: ErrorMap
    models: tuple[Model, ...]
    why: tuple[str, ...]
    overlap: float
    unmatched: float
    runner_up: float
    mirrored: bool
    checked: Check


def align(fixed: Section, moving: Section, settings: AlignmentSettings | None = None) -> Alignment:
    """Align a section to another: any stains, any turn or mirror image, missing or torn tissue.

    Assumes sections of one block within about 20 µm of each other, the same magnification
    within a third, and structures of 50 µm and more in common. Uses one thread of OpenCV for
    its time: the same images give the same result.

    Parameters
    ----------
    fixed
        The section onto whose coordinates the other is brought.
    moving
        The other.
    settings
        The gate and the working resolution; the built-in ones where None.

    Raises
    ------
    AlignmentError
        One of the images shows next to no tissue. A pair that cannot be aligned is no error: it
        comes back refused.
    """
    settings = settings or AlignmentSettings()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # sums in a fixed order
    try:
        return _align(fixed, moving, settings)
    finally:
        cv2.setNumThreads(threads)


def _align(fixed: Section, moving: Section, settings: AlignmentSettings) -> Alignment:
    levels = prepared(fixed, moving, settings)
    coarsest, finest = levels[0], levels[-1]
    candidates = rigid.grow(coarsest, coarse.search(coarsest.fixed, coarsest.moving))
    if not candidates:
        return _nowhere(fixed, finest)
    extent = max(coarsest.fixed.size_um)
    placement, refined = _refined(levels, bodies(coarsest, candidates[0]))
    checked = check(finest, placement, refined)
    error = predict(finest, placement, checked)
    tissue = float(finest.fixed.tissue.sum())
    overlap = float(shared_tissue(finest, placement).sum()) / tissue
    lost = unmatched(finest, placement)
    reasons = verdict(error, overlap, lost, settings)
    return Alignment(
        transform=Transform.of(placement),
        accepted=not reasons,
        reasons=reasons,
        error=error,
        models=tuple(r.model for r in refined),
        why=tuple(r.why for r in refined),
        overlap=overlap,
        unmatched=lost,
        runner_up=_runner_up(candidates, coarsest, _SAME_PLACE * extent),
        mirrored=candidates[0].mirrored,
        checked=checked,
    )


def prepared(fixed: Section, moving: Section, settings: AlignmentSettings) -> tuple[Pair, ...]:
    """Evidence of both sections at each resolution, coarsest first; at least two."""
    thumbnails = [evidence(s, max(s.size_um) / 400) for s in (fixed, moving)]
    extent = max(max(e.size_um) for e in thumbnails)
    finest = max(min(extent / _SMALL_PX, settings.finest_um), extent / settings.longest_px)
    one, other = (evidence(s, finest) for s in (fixed, moving))
    spacing = max(one.spacing_um, other.spacing_um)
    pairs = [Pair.of(one.at(spacing), other.at(spacing))]
    while len(pairs) < 2 or max(pairs[0].fixed.shape) > _COARSEST_PX:
        spacing *= 2
        pairs.insert(0, Pair.of(one.at(spacing), other.at(spacing)))
    return tuple(pairs)


def _refined(
    levels: tuple[Pair, ...], found: tuple[Body, ...]
) -> tuple[Placement, tuple[Refined, ...]]:
    """Every body followed from the coarsest resolution to the finest, each on its own ground."""
    coarsest = levels[0]
    labels = share(coarsest, tuple(b.refined for b in found))
    refined = []
    for number, body in enumerate(found):
        own = [ground(labels, number, pair) for pair in levels]
        last = body.refined if own[0] is None else refine(coarsest, body.found, own[0])
        for pair, where in zip(levels[1:], own[1:], strict=True):
            last = refine(pair, body.found, where, start=last)
        refined.append(last)
    pieces = tuple(r.piece for r in refined)
    one = len(pieces) == 1
    placement = Placement(
        pieces=pieces,
        labels=share(coarsest, tuple(refined)),
        label_spacing_um=max(coarsest.fixed.size_um) if one else coarsest.fixed.spacing_um,
        label_origin_um=coarsest.fixed.origin_um,
    )
    return placement, tuple(refined)


def _runner_up(candidates: tuple[Candidate, ...], pair: Pair, within_um: float) -> float:
    best = candidates[0]
    others = [
        c.explained
        for c in candidates[1:]
        if not rigid.agree(best.matrix, c.matrix, pair.fixed, within_um)
    ]
    return max(others, default=0.0) / max(best.explained, 1e-9)


def verdict(
    error: ErrorMap, overlap: float, lost: float, settings: AlignmentSettings
) -> tuple[str, ...]:
    """Reasons for which an alignment is refused; none if it is accepted."""
    reasons = []
    if error.in_place < settings.least_in_place:
        reasons.append(
            f"as few as {100 * error.in_place:.0f} % of the blocks held out may be in place "
            f"(least {100 * settings.least_in_place:.0f} %)"
        )
    if not error.p90_um <= settings.gate_um:
        reasons.append(
            f"predicted p90 error {error.p90_um:.0f} µm is above the gate of "
            f"{settings.gate_um:.0f} µm"
        )
    if overlap < settings.least_overlap:
        reasons.append(
            f"only {100 * overlap:.0f} % of the tissue overlaps "
            f"(least {100 * settings.least_overlap:.0f} %)"
        )
    if lost > settings.most_unmatched:
        reasons.append(
            f"{100 * lost:.0f} % of the tissue has no counterpart although both sections have "
            f"such tissue (most {100 * settings.most_unmatched:.0f} %): a torn piece may not have "
            "been found"
        )
    return tuple(reasons)


def _nowhere(fixed: Section, pair: Pair) -> Alignment:
    """No pose had enough in common with the fixed section to be refined."""
    nothing: NDArray[np.float64] = np.full((1, 1), np.nan)
    return Alignment(
        transform=Transform.affine(np.eye(2, 3), fixed.size_um),
        accepted=False,
        reasons=("no placement has enough tissue in common. " + _REMEDY,),
        error=ErrorMap(
            p50_um=float("inf"),
            p90_um=float("inf"),
            tile_p50_um=nothing,
            tile_p90_um=nothing,
            tile_um=max(fixed.size_um),
            origin_um=(0.0, 0.0),
            in_place=0.0,
        ),
        models=(),
        why=(),
        overlap=0.0,
        unmatched=1.0,
        runner_up=1.0,
        mirrored=False,
        checked=Check(
            points_um=np.zeros((0, 2)),
            distance_um=np.zeros(0),
            score=np.zeros(0),
            radius_um=pair.unit_um / 16,
        ),
    )
