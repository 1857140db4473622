"""Serial sections solved together, so that every way round gives the same answer.

Pairs aligned one by one contradict each other: A → B → C is not A → C. Here each section gets one
placement on the reference, and every transform of the stack goes through it, so that composition
round any loop is the identity. Which pairs the placements are built from is chosen by predicted
error (least along the chain to the reference). Ways that were left over are a second opinion: where
two of them put a point 80 µm apart, one is off by 40 at the least, whatever its own blocks said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from metasight.alignment.align import Alignment, AlignmentSettings, align, verdict
from metasight.alignment.section import Section
from metasight.alignment.transform import Transform
from metasight.errors import AlignmentError

_GRID = 12

Pairs = Mapping[tuple[int, int], Alignment]
"""(fixed, moving) → how they were aligned."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Sections on one reference.

    Attributes
    ----------
    reference
        Number of the reference section.
    ways
        Per section the numbers of the sections on the way from the reference to it, both ends
        included; empty where no chain of accepted pairs leads there. The reference's own is
        itself alone.
    to_section
        Per section the transform from the reference to it; None where no way leads there. The
        reference's own is the identity.
    p90_um
        Per section the alignment's own p90 on the way from the reference, root of the mean
        square over tiles and of the sum over steps; infinite where there is none, 0 for the
        reference.
    pairs
        Every pair tried.
    loop_um
        Median distance (µm) between the stack's answer and each accepted pair's own, over a
        grid of points: how well independent measurements agree.
    """

    reference: int
    ways: tuple[tuple[int, ...], ...]
    to_section: tuple[Transform | None, ...]
    p90_um: tuple[float, ...]
    pairs: Pairs
    loop_um: dict[tuple[int, int], float]

    def between(self, fixed: int, moving: int) -> Transform:
        """From one section to another, by way of the reference.

        Raises
        ------
        AlignmentError
            One of the two could not be brought to the reference.
        """
        start, end = self.to_section[fixed], self.to_section[moving]
        if start is None or end is None:
            raise AlignmentError(
                "a section of the stack could not be aligned",
                where=f"section {fixed if start is None else moving}",
                remedy="See the reasons of its pairs",
            )
        return start.inverse().then(end)

    def alignment(self, moving: int, settings: AlignmentSettings | None = None) -> Alignment:
        """How a section lies on the reference, with what the other ways say of its error.

        The pair's own alignment where that was the best way, or where there was none; else the
        one by way of other sections, whose errors add in squares. Where another way of accepted
        pairs puts a tile elsewhere, by more than that way's own predicted error, the tile's p90
        is at least what is left and its p50 at least half of it.
        """
        settings = settings or AlignmentSettings()
        way = self.ways[moving]
        if not way:
            return self.pairs[self.reference, moving]
        chosen = self._along(way, settings)
        others = [self._along(w, settings) for w in self._other_ways(moving)]
        return _with_second_opinions(chosen, others, settings)

    def _other_ways(self, moving: int) -> list[tuple[int, ...]]:
        """Ways of accepted pairs that were not chosen: the direct one, and by one section."""
        n = len(self.to_section)
        between = [k for k in range(n) if k not in {self.reference, moving}]
        ways = [(self.reference, moving), *((self.reference, k, moving) for k in between)]
        return [
            way
            for way in ways
            if way != self.ways[moving] and all(map(self._accepted, *_steps(way)))
        ]

    def _accepted(self, here: int, there: int) -> bool:
        pair = self.pairs.get((here, there)) or self.pairs.get((there, here))
        return pair is not None and pair.accepted

    def _along(self, way: tuple[int, ...], settings: AlignmentSettings) -> Alignment:
        """The alignment of the last section of a way to its first."""
        first = self.pairs[way[0], way[1]]
        known = np.isfinite(first.error.tile_p50_um)
        own = first.error.own()
        squares = np.stack([own.tile_p50_um[known], own.tile_p90_um[known]]) ** 2
        points = first.transform.points(own.tile_centres_um())
        transform, pairs = first.transform, [first]
        for here, there in zip(*_steps(way[1:]), strict=True):
            pair, onward, off = self._onward(here, there, points)
            squares = squares + off**2
            points = onward.points(points)
            transform = transform.then(onward)
            pairs.append(pair)
        if len(pairs) == 1:
            return first
        error = replace(
            first.error.with_tiles(known, *np.sqrt(squares)),
            in_place=min(pair.error.in_place for pair in pairs),
        )
        reached = float(np.isfinite(squares[0]).mean()) if squares.size else 0.0
        overlap = first.overlap * reached
        lost = max(pair.unmatched for pair in pairs)
        reasons = verdict(error, overlap, lost, settings)
        return replace(
            first,
            transform=transform,
            accepted=not reasons,
            reasons=reasons,
            error=error,
            models=tuple(model for pair in pairs for model in pair.models),
            why=tuple(why for pair in pairs for why in pair.why),
            overlap=overlap,
            unmatched=lost,
            runner_up=max(pair.runner_up for pair in pairs),
            mirrored=sum(pair.mirrored for pair in pairs) % 2 == 1,
        )

    def _onward(
        self, here: int, there: int, points_um: NDArray[np.float64]
    ) -> tuple[Alignment, Transform, NDArray[np.float64]]:
        """The pair, from one section to the next, and its own p50 and p90 (2, n) at points."""
        if (here, there) in self.pairs:
            pair = self.pairs[here, there]
            return pair, pair.transform, np.stack(pair.error.own().at(points_um))
        pair = self.pairs[there, here]
        back = pair.transform.inverse()
        return pair, back, np.stack(pair.error.own().at(back.points(points_um)))


def _steps(way: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return way[:-1], way[1:]


def _with_second_opinions(
    chosen: Alignment, others: Sequence[Alignment], settings: AlignmentSettings
) -> Alignment:
    """An alignment whose error is no smaller than other ways, less their own error, say."""
    if not others:
        return chosen
    own = chosen.error.own()
    known = np.isfinite(own.tile_p50_um)
    centres = own.tile_centres_um()
    p50, p90 = own.tile_p50_um[known], own.tile_p90_um[known]
    here = chosen.transform.points(centres)
    for other in others:
        away = np.linalg.norm(here - other.transform.points(centres), axis=1)
        theirs = other.error.own().at(centres)[1]
        left = np.sqrt(np.maximum(away**2 - theirs**2, 0.0))
        left = np.where(np.isfinite(left), left, 0.0)
        p50, p90 = np.maximum(p50, left / 2), np.maximum(p90, left)
    error = chosen.error.with_tiles(known, p50, p90)
    reasons = verdict(error, chosen.overlap, chosen.unmatched, settings)
    return replace(chosen, accepted=not reasons, reasons=reasons, error=error)


def align_stack(
    sections: Sequence[Section], reference: int = 0, settings: AlignmentSettings | None = None
) -> Stack:
    """Align serial sections to one of them, consistently.

    Parameters
    ----------
    sections
        In the order in which they were cut; at least two. Neighbours and next neighbours are
        aligned with each other, and every one with the reference.
    reference
        Number of the section in whose coordinates everything is expressed.

    Raises
    ------
    AlignmentError
        Fewer than two sections, or no such reference.
    """
    n = len(sections)
    if n < 2 or not 0 <= reference < n:
        raise AlignmentError(
            "a stack needs at least two sections, one of them the reference",
            value=f"{n} sections, reference {reference}",
        )
    pairs = {
        (i, j): align(sections[i], sections[j], settings) for i, j in pairs_of_stack(n, reference)
    }
    return solved(sections, pairs, reference)


def pairs_of_stack(n: int, reference: int) -> list[tuple[int, int]]:
    """Pairs (fixed, moving) of ``n`` serial sections that are worth aligning.

    Neighbours and next neighbours, and every one with the reference, which is always the fixed
    one, so that its own pairs are used as they are.
    """
    wanted = [(i, j) for i, j in combinations(range(n), 2) if j - i <= 2 or reference in (i, j)]
    return [(j, i) if j == reference else (i, j) for i, j in wanted]


def solved(sections: Sequence[Section], pairs: Pairs, reference: int = 0) -> Stack:
    """One placement on the reference for each section, from pairs that were aligned already.

    Parameters
    ----------
    sections
        All of them.
    pairs
        Of `pairs_of_stack`, as far as they could be tried.
    reference
        Number of the section in whose coordinates everything is expressed.
    """
    ways, to_section, p90 = _shortest(len(sections), reference, pairs)
    loops = {
        edge: _disagreement(edge, to_section, pair.transform, sections)
        for edge, pair in pairs.items()
        if pair.accepted
    }
    return Stack(
        reference=reference,
        ways=ways,
        to_section=to_section,
        p90_um=p90,
        pairs=pairs,
        loop_um=loops,
    )


def _shortest(
    n: int, reference: int, pairs: Pairs
) -> tuple[tuple[tuple[int, ...], ...], tuple[Transform | None, ...], tuple[float, ...]]:
    """Chains of least predicted variance from the reference (Dijkstra)."""
    variance = np.full(n, np.inf)
    variance[reference] = 0.0
    reached: list[Transform | None] = [None] * n
    reached[reference] = Transform()
    ways: list[tuple[int, ...]] = [()] * n
    ways[reference] = (reference,)
    open_sections = set(range(n))
    while open_sections:
        here = min(open_sections, key=lambda i: (variance[i], i))
        open_sections.remove(here)
        onward = reached[here]
        if onward is None:
            break
        for (i, j), pair in pairs.items():
            if here not in (i, j) or not pair.accepted:
                continue
            there = j if here == i else i
            total = variance[here] + _variance_um2(pair)
            if total < variance[there]:
                variance[there] = total
                step = pair.transform if here == i else pair.transform.inverse()
                reached[there] = onward.then(step)
                ways[there] = (*ways[here], there)
    return tuple(ways), tuple(reached), tuple(float(v) for v in np.sqrt(variance))


def _variance_um2(pair: Alignment) -> float:
    """Mean square of the tiles' own p90; infinite where no tile has any."""
    p90 = pair.error.own().tile_p90_um
    return float(np.nanmean(p90**2)) if np.isfinite(p90).any() else float("inf")


def _disagreement(
    edge: tuple[int, int],
    to_section: tuple[Transform | None, ...],
    own: Transform,
    sections: Sequence[Section],
) -> float:
    start, end = to_section[edge[0]], to_section[edge[1]]
    if start is None or end is None:
        return float("inf")
    width, height = sections[edge[0]].size_um
    share = (np.arange(_GRID) + 0.5) / _GRID
    x, y = np.meshgrid(share * width, share * height)
    points: NDArray[np.float64] = np.stack([x.ravel(), y.ravel()], axis=1)
    by_stack = start.inverse().then(end).points(points)
    return float(np.median(np.linalg.norm(by_stack - own.points(points), axis=1)))
