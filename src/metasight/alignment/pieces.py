"""Torn sections: which part of the fixed section belongs to which body of the moving one.

After the best placement is found and has been let deform, tissue that it still does not explain is
searched for by itself, over every angle. A second body is believed only if it explains that tissue
clearly better than the first, bent as it may be, does: both are asked on blocks that they were not
fitted to. The two then share the section by local resemblance, in whole patches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import cv2
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.linalg import splu

from metasight.alignment import coarse
from metasight.alignment.matching import Blocks, Matches, Pair, joined, warp
from metasight.alignment.placement import Labels, Piece
from metasight.alignment.refine import Refined, refine, squares
from metasight.alignment.rigid import Candidate, grow, laid, precision_um, support
from metasight.alignment.section import Image
from metasight.alignment.slips import slips

Floats = NDArray[np.float64]

_MOST_BODIES = 4
_FAILURES = 2  # regions in vain, after which no more are searched for
_LEAST_SHARE = 0.06  # of the section's tissue: smaller torn-off bits are not looked for
_EXPLAINED = 0.5  # of the support that the best tenth of the section has
_CLEARLY = 2.0
_CHANCE, _CHANCE_SPREAD = 0.08, 0.6  # support per block of the best of many wrong placements
_WORTH = 0.4  # of what the section's best explained tenth has: what a candidate's patch must have
_AS_WELL = 0.8  # of what two bodies explain apart: what one must, to be taken for both
_FEWEST_BLOCKS = 8
_LEAST_TISSUE = 0.5  # of a body's region must lie on moving tissue
_MOST_CLAIMED = 0.4  # of a body's region: the fringe of a tear is seen by both sides
_SHARED_PX = 128  # along the longer side, of the grid on which ground is shared out
_TRUST = 0.3  # in what speaks clearly for a piece at a pixel, against what its neighbours are
_OVER_GLASS = 0.02


@dataclass(frozen=True, kw_only=True)
class Body:
    """A body at low resolution.

    Attributes
    ----------
    found
        As it was found.
    refined
        As it lies once it was let bend.
    support
        What blocks held out say for it, round each pixel of the fixed grid.
    """

    found: Candidate
    refined: Refined
    support: Image

    @classmethod
    def of(cls, pair: Pair, found: Candidate, refined: Refined) -> Body:
        """With its blocks looked for."""
        return cls(found=found, refined=refined, support=_support_map(pair, refined))


def bodies(pair: Pair, first: Candidate) -> tuple[Body, ...]:
    """The first body and every further one that explains tissue the ones before do not.

    Parameters
    ----------
    pair
        At low resolution, as in `rigid.grow`.
    first
        The best candidate for the whole section.
    """
    found = [Body.of(pair, first, refine(pair, first, None))]
    _add_slipped(pair, found)
    _add_unexplained(pair, found)
    while len(found) > 1:
        fewer = _merged(pair, found)
        if fewer is None:
            break
        found = fewer
    return tuple(found)


def _merged(pair: Pair, found: list[Body]) -> list[Body] | None:
    """The same bodies with two made one, if one that bends explains both grounds as well."""
    labels = share(pair, tuple(body.refined for body in found))
    grounds = [np.asarray(labels == n, dtype=np.float32) for n in range(len(found))]
    apart = [_support_in(pair, b.refined, g) for b, g in zip(found, grounds, strict=True)]
    for one, other in combinations(range(len(found)), 2):
        both = grounds[one] + grounds[other]
        refined = refine(pair, found[one].found, both)
        together = [_support_in(pair, refined, grounds[n]) for n in (one, other)]
        if all(t >= _AS_WELL * apart[n] for t, n in zip(together, (one, other), strict=True)):
            joint = Body.of(pair, found[one].found, refined)
            return [joint if n == one else b for n, b in enumerate(found) if n != other]
    return None


def _add_slipped(pair: Pair, found: list[Body]) -> None:
    """Bodies near the first one's place: each window that fits better a little further on."""
    blocks, near = laid(pair), precision_um(pair)
    for slip in slips(pair, found[0].found):
        if len(found) == _MOST_BODIES:
            return
        for candidate in grow(pair, (slip.pose,), where=slip.window):
            matches = pair.match(Piece(matrix=candidate.matrix), blocks)
            own = _spread(matches.points_um, support(matches, 2 * near), pair)
            known = np.max([body.support for body in found], axis=0)
            region = _better_there(pair, own, known, slip.window)
            if region is None:
                continue
            for regrown in grow(pair, (replace(slip.pose, matrix=candidate.matrix),), where=region):
                body = _tested(pair, regrown, region, found)
                if body is not None:
                    found.append(body)


def _better_there(pair: Pair, own: Image, known: Image, window: Image) -> Image | None:
    """The patch, met by the window, where a candidate explains clearly more; None if small."""
    tissue = pair.fixed.tissue > 0
    level = float(np.percentile(known[tissue], 90))
    better = (own >= _CLEARLY * known) & (own >= _WORTH * level) & tissue
    _, label, stats, _ = cv2.connectedComponentsWithStats(better.astype(np.uint8))
    met = np.bincount(label[window > 0], minlength=len(stats)).astype(float)
    met[0] = 0.0
    largest = int(np.argmax(met))
    if met[largest] == 0 or stats[largest, cv2.CC_STAT_AREA] < _LEAST_SHARE * tissue.sum():
        return None
    return np.asarray(label == largest, dtype=np.float32)


def _add_unexplained(pair: Pair, found: list[Body]) -> None:
    """Bodies anywhere, at any angle, for the tissue that none explains."""
    refused = np.zeros(pair.fixed.shape, np.float32)
    in_vain = 0
    while in_vain < _FAILURES and len(found) < _MOST_BODIES:
        explained = _explained(pair, found)
        region = _unexplained(pair, explained, refused)
        if region is None:
            break
        body = _body_in(pair, region, found)
        if body is None:
            refused = np.maximum(refused, region)
            in_vain += 1
        else:
            found.append(body)


def held_out(pair: Pair, refined: Refined, blocks: Blocks, where: Image | None = None) -> Matches:
    """Every block looked for under the model that was fitted without its surroundings."""
    white = _white(pair)
    parts = []
    for colour, model in ((white, refined.without[0]), (~white, refined.without[1])):
        ground = colour.astype(np.float32) if where is None else where * colour
        parts.append(pair.match(model, blocks, where=np.asarray(ground, dtype=np.float32)))
    return joined(parts)


def _white(pair: Pair) -> NDArray[np.bool_]:
    """White squares of the chessboard on the fixed grid."""
    x, y = np.meshgrid(*pair.fixed.centres_um())
    return squares(np.stack([x.ravel(), y.ravel()], axis=1), pair).reshape(pair.fixed.shape)


def _support_map(pair: Pair, refined: Refined) -> Image:
    """What blocks held out say for a body, round each pixel."""
    matches = held_out(pair, refined, laid(pair))
    return _spread(matches.points_um, support(matches, 2 * precision_um(pair)), pair)


def _explained(pair: Pair, found: list[Body]) -> list[Image]:
    """Per body where it explains the fixed section, 0 or 1."""
    maps = [body.support for body in found]
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


def _claimed(pair: Pair, explained: list[Image], found: list[Body]) -> Image:
    """Where the moving section's tissue is spoken for already, 0 or 1 on its grid."""
    claimed = np.zeros(pair.moving.shape, np.float32)
    for ground, body in zip(explained, found, strict=True):
        back = Piece(matrix=_inverse(body.found.matrix))
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


def _body_in(pair: Pair, region: Image, found: list[Body]) -> Body | None:
    """The placement that explains a region; None if none does clearly better than what is known."""
    poses = coarse.search_region(pair.fixed, pair.moving, region, mirrored=found[0].found.mirrored)
    for candidate in grow(pair, poses, where=region):
        body = _tested(pair, candidate, region, found)
        if body is not None:
            return body
    return None


def _tested(pair: Pair, candidate: Candidate, region: Image, found: list[Body]) -> Body | None:
    """A candidate as a body, if it explains its region far better than chance and than the others.

    Others are asked as they were let bend, and all of them on blocks held out.
    """
    if candidate.blocks < _FEWEST_BLOCKS:
        return None
    chance = _CHANCE + _CHANCE_SPREAD / np.sqrt(candidate.blocks)
    if candidate.explained < chance * candidate.blocks:
        return None
    known = max(_support_in(pair, body.refined, region) for body in found)
    if candidate.explained < _CLEARLY * known:
        return None
    refined = refine(pair, candidate, region)
    if _support_in(pair, refined, region) < _CLEARLY * known:
        return None
    explained = [e * (1 - region) for e in _explained(pair, found)]
    if not _free(pair, candidate, region, _claimed(pair, explained, found)):
        return None
    return Body.of(pair, candidate, refined)


def _support_in(pair: Pair, refined: Refined, region: Image) -> float:
    """What a body explains of a region, on blocks that its model has not seen."""
    matches = held_out(pair, refined, laid(pair), region)
    return float(support(matches, 2 * precision_um(pair)).sum())


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


def share(pair: Pair, pieces: tuple[Refined, ...]) -> Labels:
    """Which piece each pixel of the fixed section belongs to.

    Where blocks held out are found again under one piece, or only one has tissue to offer, the
    ground is that piece's. Between, the border lies where it is shortest: labels spread from
    there over the tissue as heat would, and hardly over glass (random walks with a prior; Grady,
    CVPR 2005;1:763). A body is a patch of tissue, not a scatter of islands: one smaller than the
    smallest torn-off bit that is looked for goes to what surrounds it.
    """
    rows, columns = pair.fixed.shape
    if len(pieces) == 1:
        return np.zeros((1, 1), np.uint8)
    factor = max(rows, columns) / _SHARED_PX
    size = max(2, round(columns / factor)), max(2, round(rows / factor))
    told = [cv2.resize(_told(pair, p), size, interpolation=cv2.INTER_AREA) for p in pieces]
    tissue = cv2.resize(pair.fixed.tissue, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    chances = _spread_over(np.stack(told), tissue)
    full = [cv2.resize(c, (columns, rows), interpolation=cv2.INTER_LINEAR) for c in chances]
    labels = np.asarray(np.stack(full).argmax(axis=0), dtype=np.uint8)
    return _in_patches(labels, pair.fixed.tissue > 0)


def _told(pair: Pair, piece: Refined) -> Image:
    """What speaks for a piece at each pixel: blocks found again (1 each), and tissue offered."""
    found = _support_map(pair, piece)
    level = max(float(np.percentile(found[pair.fixed.tissue > 0], 95)), 1e-6)
    offered = warp(pair.moving.tissue, pair.moving, pair.fixed, piece.piece)
    return np.asarray(np.minimum(found / level, 1.0) + offered, dtype=np.float32)


def _spread_over(told: NDArray[np.float32], tissue: Image) -> list[Image]:
    """Chance of each piece (rows, columns), from what speaks for each and where tissue goes on."""
    rows, columns = tissue.shape
    ranked = np.sort(told, axis=0)
    trust = (_TRUST * (ranked[-1] - ranked[-2]) ** 2 * tissue + 1e-6).ravel().astype(np.float64)
    number = np.arange(rows * columns).reshape(rows, columns)
    pairs = [(number[:, 1:], number[:, :-1]), (number[1:], number[:-1])]
    start = np.concatenate([a.ravel() for a, _ in pairs])
    end = np.concatenate([b.ravel() for _, b in pairs])
    flat = tissue.ravel()
    bond = np.maximum(np.minimum(flat[start], flat[end]), _OVER_GLASS).astype(np.float64)
    shape = (rows * columns, rows * columns)
    joined_by = sp.coo_array((bond, (start, end)), shape)
    joined_by = (joined_by + joined_by.T).tocsr()
    degree = sp.diags_array(np.asarray(joined_by.sum(axis=1)).ravel() + trust)
    solve = splu(sp.csc_matrix(degree - joined_by)).solve
    best = told.argmax(axis=0).ravel()
    return [
        np.asarray(solve(trust * (best == k)).reshape(rows, columns), dtype=np.float32)
        for k in range(len(told))
    ]


def _in_patches(labels: Labels, tissue: NDArray[np.bool_]) -> Labels:
    """Labels whose patches on tissue are large; the rest takes the label of the nearest patch."""
    least = _LEAST_SHARE * float(tissue.sum())
    kept = np.zeros(labels.shape, dtype=np.bool_)
    for number in range(int(labels.max()) + 1):
        own = ((labels == number) & tissue).astype(np.uint8)
        _, patch, stats, _ = cv2.connectedComponentsWithStats(own)
        large = stats[:, cv2.CC_STAT_AREA] >= least
        large[0] = False
        if not large.any() and own.any():  # a piece keeps its largest patch at the least
            large[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))] = True
        kept |= large[patch]
    nearest = ndimage.distance_transform_edt(~kept, return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(nearest)], dtype=np.uint8)
