"""Bring two consecutive sections together and say how far off that is.

The order of work: what is compared (`section`), rough poses (`coarse`), the pose that explains
most (`rigid`), bodies of a torn section (`pieces`), rigid, affine or deformable (`refine`), and
the error on blocks held out (`error`). Nothing here is random.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from metasight.alignment import coarse, rigid
from metasight.alignment.error import Check, ErrorMap, check, predict, shared_tissue
from metasight.alignment.matching import Pair
from metasight.alignment.pieces import bodies, share
from metasight.alignment.placement import Piece, Placement
from metasight.alignment.refine import Model, Refined, ground, refine
from metasight.alignment.rigid import Candidate
from metasight.alignment.section import Section, evidence
from metasight.alignment.transform import Transform
from metasight.errors import AlignmentError

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
    longest_px
        Working resolution: pixels along the tissue's longer side, 256 to 4096.
    least_overlap
        Least share of the fixed section's tissue that must lie on moving tissue.
    least_in_place
        Least share of held-out blocks that must be found again in place (lower end of its 90 %
        interval; unrelated sections reach 0.05 to 0.16).
    """

    gate_um: float = 100.0
    longest_px: int = 1024
    least_overlap: float = 0.15
    least_in_place: float = 0.22

    def __post_init__(self) -> None:
        if not self.gate_um > 0:
            raise AlignmentError("the gate must be above 0 µm", value=str(self.gate_um))
        if not 256 <= self.longest_px <= 4096:
            raise AlignmentError(
                "the working resolution must be 256 to 4096 pixels", value=str(self.longest_px)
            )
        if not (0 <= self.least_overlap <= 1 and 0 <= self.least_in_place <= 1):
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
    fine, half = prepared(fixed, moving, settings.longest_px)
    candidates = rigid.grow(half, coarse.search(half.fixed, half.moving))
    if not candidates:
        return _nowhere(fixed, fine)
    extent = max(half.fixed.size_um)
    found = bodies(half, candidates[0])
    placement, refined = _refined(fine, half, found)
    checked = check(half, placement, refined)
    error = predict(fine, placement, checked)
    tissue = float(fine.fixed.tissue.sum())
    overlap = float(shared_tissue(fine, placement).sum()) / tissue
    reasons = verdict(error, overlap, settings)
    return Alignment(
        transform=Transform.of(placement),
        accepted=not reasons,
        reasons=reasons,
        error=error,
        models=tuple(r.model for r in refined),
        why=tuple(r.why for r in refined),
        overlap=overlap,
        runner_up=_runner_up(candidates, half, _SAME_PLACE * extent),
        mirrored=candidates[0].mirrored,
        checked=checked,
    )


def prepared(fixed: Section, moving: Section, longest_px: int) -> tuple[Pair, Pair]:
    """Evidence of both sections at the working resolution, and at half of it."""
    thumbnails = [evidence(s, max(s.size_um) / 400) for s in (fixed, moving)]
    extent = max(max(e.size_um) for e in thumbnails)
    one, other = (evidence(s, extent / longest_px) for s in (fixed, moving))
    spacing = max(one.spacing_um, other.spacing_um)
    one, other = one.at(spacing), other.at(spacing)
    halves = one.at(2 * spacing), other.at(2 * spacing)
    return Pair.of(one, other), Pair.of(*halves)


def _refined(
    fine: Pair, half: Pair, found: tuple[Candidate, ...]
) -> tuple[Placement, tuple[Refined, ...]]:
    rough = tuple(Piece(matrix=body.matrix) for body in found)
    labels = share(half, rough)
    refined = tuple(
        refine(fine, body, ground(labels, number, fine)) for number, body in enumerate(found)
    )
    pieces = tuple(r.piece for r in refined)
    one = len(pieces) == 1
    placement = Placement(
        pieces=pieces,
        labels=share(half, pieces),
        label_spacing_um=max(half.fixed.size_um) if one else half.fixed.spacing_um,
        label_origin_um=half.fixed.origin_um,
    )
    return placement, refined


def _runner_up(candidates: tuple[Candidate, ...], pair: Pair, within_um: float) -> float:
    best = candidates[0]
    others = [
        c.explained
        for c in candidates[1:]
        if not rigid.agree(best.matrix, c.matrix, pair.fixed, within_um)
    ]
    return max(others, default=0.0) / max(best.explained, 1e-9)


def verdict(error: ErrorMap, overlap: float, settings: AlignmentSettings) -> tuple[str, ...]:
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
        runner_up=1.0,
        mirrored=False,
        checked=Check(
            points_um=np.zeros((0, 2)),
            distance_um=np.zeros(0),
            score=np.zeros(0),
            radius_um=max(pair.fixed.size_um) / 16,
        ),
    )
