"""Torn sections: which part of the fixed section belongs to which body of the moving one.

After the best placement is found, tissue that it does not explain is searched for by itself,
over every angle. A second body is believed only if it explains that tissue clearly better than
the first does, and the two then share the section by local resemblance.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from metasight.alignment import coarse
from metasight.alignment.fits import after, rigid_step
from metasight.alignment.matching import Pair, warp
from metasight.alignment.placement import Labels, Piece
from metasight.alignment.rigid import Candidate, grow, laid, precision_um, support
from metasight.alignment.section import Image

Floats = NDArray[np.float64]

_MOST_BODIES = 4
_FAILURES = 2  # regions in vain, after which no more are searched for
_LEAST_SHARE = 0.06  # of the section's tissue: smaller torn-off bits are not looked for
_EXPLAINED = 0.5  # of the support that the best tenth of the section has
_CLEARLY = 2.0
_CHANCE, _CHANCE_SPREAD = 0.1, 0.8  # support per block of the best of many wrong placements
_FEWEST_BLOCKS = 8
_LEAST_TISSUE = 0.5  # of a body's region must lie on moving tissue
_MOST_CLAIMED = 0.4  # of a body's region: the fringe of a tear is seen by both sides
_RESEMBLANCE_PX = 12.0


def bodies(pair: Pair, first: Candidate) -> tuple[Candidate, ...]:
    """The first body and every further one that explains tissue the ones before do not.

    Parameters
    ----------
    pair
        At low resolution, as in `rigid.grow`.
    first
        The best candidate for the whole section.
    """
    found = [first]
    refused = np.zeros(pair.fixed.shape, np.float32)
    in_vain = 0
    while in_vain < _FAILURES and len(found) < _MOST_BODIES:
        explained = _explained(pair, found)
        region = _unexplained(pair, explained, refused)
        if region is None:
            break
        body = _body_in(pair, region, found, _claimed(pair, explained, found))
        if body is None:
            refused = np.maximum(refused, region)
            in_vain += 1
        else:
            found.append(body)
    return tuple(found)


def _explained(pair: Pair, found: list[Candidate]) -> list[Image]:
    """Per body where it explains the fixed section, 0 or 1."""
    blocks, near = laid(pair), precision_um(pair)
    maps = []
    for body in found:
        matches = pair.match(Piece(matrix=body.matrix), blocks)
        maps.append(_spread(matches.points_um, support(matches, 2 * near), pair))
    best = np.max(maps, axis=0)
    # what a block in place is worth differs between stains: this pair's own best tell
    level = _EXPLAINED * float(np.percentile(best[pair.fixed.tissue > 0], 90))
    return [np.asarray((m >= level) & (m >= best), dtype=np.float32) for m in maps]


def _unexplained(pair: Pair, explained: list[Image], refused: Image) -> Image | None:
    """The largest connected region of tissue that no body explains; None if all are small."""
    tissue = pair.fixed.tissue > 0
    open_ground = (np.max(explained, axis=0) == 0) & tissue & (refused == 0)
    _, label, stats, _ = cv2.connectedComponentsWithStats(open_ground.astype(np.uint8))
    stats[0, cv2.CC_STAT_AREA] = 0
    largest = int(np.argmax(stats[:, cv2.CC_STAT_AREA]))
    if stats[largest, cv2.CC_STAT_AREA] < _LEAST_SHARE * float(tissue.sum()):
        return None
    return np.asarray(label == largest, dtype=np.float32)


def _claimed(pair: Pair, explained: list[Image], found: list[Candidate]) -> Image:
    """Where the moving section's tissue is spoken for already, 0 or 1 on its grid."""
    claimed = np.zeros(pair.moving.shape, np.float32)
    for ground, body in zip(explained, found, strict=True):
        back = Piece(matrix=_inverse(body.matrix))
        claimed = np.maximum(claimed, warp(ground, pair.fixed, pair.moving, back))
    return np.asarray(claimed > 0.5, dtype=np.float32)


def _inverse(matrix: Floats) -> Floats:
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def _spread(points_um: Floats, values: Floats, pair: Pair) -> Image:
    """Block values as a map: the mean of the blocks round each pixel; 0 where there is none."""
    rows, columns = pair.fixed.shape
    total, count = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    square = (points_um - pair.fixed.origin_um) / pair.fixed.spacing_um
    x, y = np.minimum(square, [columns - 1, rows - 1]).T.astype(int)
    np.add.at(total, (y, x), values.astype(np.float32))
    np.add.at(count, (y, x), 1.0)
    width = 0.7 * laid(pair).step
    near, there = (cv2.GaussianBlur(image, (0, 0), width) for image in (total, count))
    few = 0.1 / laid(pair).step ** 2
    return np.asarray(near / np.maximum(there, few), dtype=np.float32)


def _body_in(pair: Pair, region: Image, found: list[Candidate], claimed: Image) -> Candidate | None:
    """The placement that explains a region; None if none does clearly better than what is known."""
    blocks, near = laid(pair), precision_um(pair)
    known = []
    nearby = []
    for body in found:
        matches = pair.match(Piece(matrix=body.matrix), blocks, where=region)
        known.append(float(support(matches, 2 * near).sum()))
        if len(matches) >= _FEWEST_BLOCKS:  # a small slip needs no new search
            slipped = after(body.matrix, rigid_step(matches, near))
            nearby.append(
                coarse.Pose(
                    matrix=slipped, mirrored=body.mirrored, angle_degrees=0.0, correlation=1.0
                )
            )
    poses = coarse.search_region(pair.fixed, pair.moving, region, mirrored=found[0].mirrored)
    for candidate in grow(pair, (*poses, *nearby), where=region):
        enough = candidate.blocks >= _FEWEST_BLOCKS
        chance = _CHANCE + _CHANCE_SPREAD / np.sqrt(max(candidate.blocks, 1))
        strong = candidate.explained >= chance * candidate.blocks
        better = candidate.explained >= _CLEARLY * max(known)
        if enough and strong and better and _free(pair, candidate, region, claimed):
            return candidate
    return None


def _free(pair: Pair, body: Candidate, region: Image, claimed: Image) -> bool:
    """Whether a region lies on moving tissue, and on tissue that no other body has.

    Tissue is in one place only: two regions cannot both lie on the same piece of it.
    """
    piece = Piece(matrix=body.matrix)
    tissue, taken = (
        float((warp(image, pair.moving, pair.fixed, piece) * region).sum())
        for image in (pair.moving.tissue, claimed)
    )
    return tissue >= _LEAST_TISSUE * float(region.sum()) and taken < _MOST_CLAIMED * tissue


def share(pair: Pair, pieces: tuple[Piece, ...]) -> Labels:
    """Which piece each pixel of the fixed section belongs to: the one it resembles most there."""
    rows, columns = pair.fixed.shape
    if len(pieces) == 1:
        return np.zeros((1, 1), np.uint8)
    alike = np.stack([_resemblance(pair, piece) for piece in pieces])
    return np.asarray(alike.argmax(axis=0), dtype=np.uint8).reshape(rows, columns)


def _resemblance(pair: Pair, piece: Piece) -> Image:
    """Local correlation of the features, less where the piece has no tissue to offer."""
    one, other = pair.fixed_features, warp(pair.moving_features, pair.moving, pair.fixed, piece)

    def mean(image: Image) -> Image:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), _RESEMBLANCE_PX))

    spread = np.sqrt(mean(one * one) * mean(other * other)) + 1e-3
    there = mean(warp(pair.moving.tissue, pair.moving, pair.fixed, piece))
    return np.asarray(mean(one * other) / spread * there, dtype=np.float32)
