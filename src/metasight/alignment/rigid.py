"""Which of the rough poses is the right one, and the affine map that it grows into.

A pose is judged by what it explains: blocks of the fixed section that are found again where the
pose says, weighted by how well they fit. A correlation over the whole section, by contrast, is
high wherever two dark shapes lie on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.alignment.coarse import Pose
from metasight.alignment.fits import affine_step, after, rigid_step
from metasight.alignment.matching import Blocks, Matches, Pair
from metasight.alignment.placement import Piece
from metasight.alignment.section import Evidence, Image

Floats = NDArray[np.float64]

_FEWEST_BLOCKS = 4
_GROWN = 4  # candidates that are grown to an affine map
_MOST_STRETCH = 1.35  # sections shrink and stretch by a few per cent; scanners disagree by less


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A pose grown to an affine map.

    Attributes
    ----------
    matrix
        (2, 3), fixed µm → moving µm.
    rigid
        The same before it was allowed to stretch and shear.
    explained
        Support: the number of blocks found again in place, each worth its correlation.
    blocks
        Number of blocks that could have been found.
    mirrored
        Whether the moving section lies face down.
    """

    matrix: Floats
    rigid: Floats
    explained: float
    blocks: int
    mirrored: bool


def laid(pair: Pair) -> Blocks:
    """Blocks by which candidates are judged: an eighth of the section each, half overlapping."""
    longest = max(pair.fixed.shape)
    return Blocks(
        size=max(24, longest // 8), step=max(8, longest // 16), radius=max(12, longest // 20)
    )


def precision_um(pair: Pair) -> float:
    """How near a match must be to count: the smoothing of the features."""
    return 4.0 * pair.fixed.spacing_um


def support(matches: Matches, near_um: float) -> Floats:
    """What each block adds to the evidence for the placement under which it was matched, (n,)."""
    away = np.linalg.norm(matches.offsets_um, axis=1)
    trust = 1.0 / (1.0 + (away / near_um) ** 2) ** 2
    return np.where(matches.at_edge, 0.0, np.maximum(matches.score, 0.0) * trust)


def grow(
    pair: Pair, poses: tuple[Pose, ...], *, where: Image | None = None
) -> tuple[Candidate, ...]:
    """Refine every pose, most supported first.

    Parameters
    ----------
    pair
        At low resolution: about 512 pixels.
    where
        0 or 1 on the fixed grid: only blocks centred on a 1 count.
    """
    blocks, near = laid(pair), precision_um(pair)
    first = []
    for pose in poses:
        matches = pair.match(Piece(matrix=pose.matrix), blocks, where=where)
        if len(matches) < _FEWEST_BLOCKS:
            continue
        rigid = after(pose.matrix, rigid_step(matches, 2 * near))
        matches = pair.match(Piece(matrix=rigid), blocks, where=where)
        if len(matches) < _FEWEST_BLOCKS:
            continue
        rigid = after(rigid, rigid_step(matches, near))
        first.append((float(support(matches, 2 * near).sum()), rigid, matches, pose))
    first.sort(key=lambda c: -c[0])
    grown = []
    for _, rigid, _, pose in first[:_GROWN]:
        candidate = _to_affine(pair, rigid, pose.mirrored, blocks, where)
        if candidate is not None:
            grown.append(candidate)
    return tuple(sorted(grown, key=lambda c: -c.explained))


def _to_affine(
    pair: Pair, rigid: Floats, mirrored: bool, blocks: Blocks, where: Image | None
) -> Candidate | None:
    near = precision_um(pair)
    matrix = rigid
    matches = pair.match(Piece(matrix=rigid), blocks, where=where)
    for _ in range(2):
        if len(matches) < _FEWEST_BLOCKS:
            return None
        step = affine_step(matches, near)
        if not plausible(after(matrix, step)):
            break
        matrix = after(matrix, step)
        matches = pair.match(Piece(matrix=matrix), blocks, where=where)
    return Candidate(
        matrix=matrix,
        rigid=rigid,
        explained=float(support(matches, 2 * near).sum()),
        blocks=len(matches),
        mirrored=mirrored,
    )


def plausible(matrix: Floats) -> bool:
    """Whether an affine map stretches and shears no more than a cut section can."""
    stretch = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(stretch[0] < _MOST_STRETCH and stretch[1] > 1 / _MOST_STRETCH)


def agree(a: Floats, b: Floats, fixed: Evidence, within_um: float) -> bool:
    """Whether two affine maps put the fixed section's corners and centre in the same places."""
    share = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]])
    at = np.array(fixed.origin_um) + share * fixed.size_um
    away = at @ (a - b)[:, :2].T + (a - b)[:, 2]
    return bool(np.linalg.norm(away, axis=1).mean() < within_um)
