"""From the rough placement of a body to the final one, no more flexible than it can prove to be.

A deformable fit always looks better on the blocks it was fitted to. Whether it is better is asked
of blocks that it has not seen: the section is divided like a chessboard, the model is fitted on
the black squares and judged on the white, and the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from metasight.alignment.fits import affine_step, after, deform, folds, rigid_step
from metasight.alignment.matching import Blocks, Matches, Pair
from metasight.alignment.placement import Labels, Piece
from metasight.alignment.rigid import Candidate, plausible
from metasight.alignment.section import Image

Floats = NDArray[np.float64]
Model = Literal["rigid", "affine", "deformable"]
Fit = Callable[[Matches], Piece]

_FEWEST_BLOCKS = 8
_KNOT = 1 / 21  # of the pair's unit
_STIFFNESS = 3.0
_PRECISION_PX = 3.0
_SQUARES = 6  # along the unit
_BETTER = 0.995  # of the simpler model's held-out residual: what a more flexible one must reach
_CAP = 3.0  # precisions: beyond it a block is a mismatch, and how far it lies says nothing
_LEAST_AREA, _MOST_AREA = 0.5, 2.0  # what a fold or a tear does to area, tissue does not


@dataclass(frozen=True, kw_only=True)
class Refined:
    """A body's final placement.

    Attributes
    ----------
    piece
        The model kept, fitted to every block.
    without
        The same model fitted without the blocks of the white, and of the black squares.
    model
        Which one was kept.
    held_out_um
        Mean distance (mismatches capped) between where blocks that a model had not
        seen lie and where it puts them, per model tried.
    why
        In words.
    """

    piece: Piece
    without: tuple[Piece, Piece]
    model: Model
    held_out_um: dict[Model, float]
    why: str


def refine(
    pair: Pair, body: Candidate, where: Image | None, *, start: Refined | None = None
) -> Refined:
    """Fit rigid, affine and deformable models at one resolution; keep what is proven.

    Parameters
    ----------
    where
        0 or 1 on the fixed grid: the body's own ground; None for all of it.
    start
        What a coarser resolution ended with; None begins with the body as it was found.
    """
    unit = pair.unit_px
    precision = _PRECISION_PX * pair.fixed.spacing_um
    begin = start.piece if start is not None else Piece(matrix=body.matrix)
    matches = pair.match(begin, _blocks(unit, share=8, step=20, radius=40), where=where)
    if len(matches) < _FEWEST_BLOCKS:
        return start or _unproven(body, "too few blocks to fit more than the search found")
    seen = _seen_from(matches, begin, Piece(matrix=begin.matrix))
    matrix = after(begin.matrix, affine_step(seen, precision))
    if not plausible(matrix):
        why = "an affine map would stretch the section beyond what tissue bears"
        return start or _unproven(body, why)
    affine = Piece(matrix=matrix)
    # a displacement that a coarser resolution has found is where the finer one begins
    from_here = affine if begin.field is None else begin
    first = pair.match(from_here, _blocks(unit, share=8, step=32, radius=40), where=where)
    followed = _deformed(pair, from_here, first, precision)
    # seen from the deformed placement, so that the search window holds the answer of each model
    matches = pair.match(followed, _blocks(unit, share=11, step=42, radius=64), where=where)
    if len(matches) < _FEWEST_BLOCKS:
        return start or _unproven(body, "too few blocks to fit more than the search found")
    from_affine = _seen_from(matches, followed, affine)
    fits: dict[Model, Fit] = {
        "rigid": lambda m: _rigid(body, affine, m, precision),
        "affine": lambda m: Piece(matrix=after(affine.matrix, affine_step(m, precision))),
        "deformable": lambda m: _deformed(pair, affine, m, precision),
    }
    return _keep(pair, fits, from_affine, affine)


def _blocks(unit_px: int, *, share: int, step: int, radius: int) -> Blocks:
    return Blocks(
        size=max(24, unit_px // share),
        step=max(6, unit_px // step),
        radius=max(8, unit_px // radius),
    )


def _unproven(body: Candidate, why: str) -> Refined:
    piece = Piece(matrix=body.matrix)
    return Refined(piece=piece, without=(piece, piece), model="affine", held_out_um={}, why=why)


def _deformed(pair: Pair, piece: Piece, matches: Matches, precision_um: float) -> Piece:
    return deform(
        matches,
        piece,
        pair.fixed,
        knot_um=pair.unit_um * _KNOT,
        stiffness=_STIFFNESS,
        precision_um=precision_um,
    )


def _rigid(body: Candidate, affine: Piece, matches: Matches, precision_um: float) -> Piece:
    """A rigid map near the candidate's: matches are seen from the affine, so they are moved."""
    start = Piece(matrix=body.rigid)
    seen = _seen_from(matches, affine, start)
    return Piece(matrix=after(body.rigid, rigid_step(seen, precision_um)))


def _seen_from(matches: Matches, under: Piece, other: Piece) -> Matches:
    """Matches taken under one placement, as offsets from another."""
    linear = under.matrix[:, :2]
    place = under.points(matches.points_um) + matches.offsets_um @ linear.T
    offsets = (place - other.points(matches.points_um)) @ np.linalg.inv(other.matrix[:, :2]).T
    return Matches(
        points_um=matches.points_um,
        offsets_um=offsets,
        score=matches.score,
        at_edge=matches.at_edge,
        radius_um=matches.radius_um,
    )


def squares(points_um: Floats, pair: Pair) -> NDArray[np.bool_]:
    """Which points lie on the white squares of the chessboard, (n,)."""
    side = pair.unit_um / _SQUARES
    x, y = np.floor((points_um - pair.fixed.origin_um) / side).T.astype(int)
    return np.asarray((x + y) % 2 == 0, dtype=np.bool_)


def _keep(pair: Pair, fits: dict[Model, Fit], matches: Matches, affine: Piece) -> Refined:
    """The simplest model that no more flexible one clearly beats on blocks it has not seen."""
    white = squares(matches.points_um, pair)
    halves = matches.take(~white), matches.take(white)
    if min(len(half) for half in halves) < _FEWEST_BLOCKS:
        piece = fits["affine"](matches)
        why = "too few blocks to hold some out"
        return Refined(piece=piece, without=(piece, piece), model="affine", held_out_um={}, why=why)
    tried: dict[Model, tuple[Piece, Piece]] = {}
    held_out: dict[Model, float] = {}
    for model, fit in fits.items():
        tried[model] = fit(halves[0]), fit(halves[1])
        held_out[model] = _held_out(matches, white, tried[model], affine, pair.fixed.spacing_um)
    kept: Model = "rigid"
    for model in ("affine", "deformable"):
        if held_out[model] >= _BETTER * held_out[kept]:
            continue
        piece = fits[model](matches)
        if not plausible(piece.matrix):
            continue
        if folds(piece, pair.fixed, least=_LEAST_AREA, most=_MOST_AREA):
            continue
        kept = model
    numbers = ", ".join(f"{model} {value:.0f} µm" for model, value in held_out.items())
    return Refined(
        piece=fits[kept](matches),
        without=tried[kept],
        model=kept,
        held_out_um=held_out,
        why=f"mean distance on blocks not fitted to: {numbers}",
    )


def _held_out(
    matches: Matches,
    white: NDArray[np.bool_],
    models: tuple[Piece, Piece],
    affine: Piece,
    spacing_um: float,
) -> float:
    place = affine.points(matches.points_um) + matches.offsets_um @ affine.matrix[:, :2].T
    put = np.where(
        white[:, None], models[0].points(matches.points_um), models[1].points(matches.points_um)
    )
    away = np.minimum(np.linalg.norm(place - put, axis=1), _CAP * _PRECISION_PX * spacing_um)
    weight = matches.weight + 1e-9
    return float((away * weight).sum() / weight.sum())


def ground(labels: Labels, number: int, pair: Pair) -> Image | None:
    """A piece's own ground on the pair's grid; None where there is one piece."""
    if labels.size == 1:
        return None
    own = (labels == number).astype(np.float32)
    return np.asarray(cv2.resize(own, pair.fixed.shape[::-1], interpolation=cv2.INTER_NEAREST))
