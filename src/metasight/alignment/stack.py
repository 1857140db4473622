"""Serial sections solved together, so that every way round gives the same answer.

Pairs aligned one by one contradict each other: A → B → C is not A → C. Here each section gets one
placement on the reference, and every transform of the stack goes through it, so that composition
round any loop is the identity. Which pairs the placements are built from is chosen by predicted
error (least along the chain to the reference), and the pairs that were left over measure how
well it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from metasight.alignment.align import Alignment, AlignmentSettings, align
from metasight.alignment.section import Section
from metasight.alignment.transform import Transform
from metasight.errors import AlignmentError

_GRID = 12


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Sections on one reference.

    Attributes
    ----------
    reference
        Number of the reference section.
    to_section
        Per section the transform from the reference to it; None where no chain of accepted
        pairs leads there. The reference's own is the identity.
    p90_um
        Per section the predicted p90 error to the reference: root of the summed squares along
        the chain; infinite where there is none, 0 for the reference.
    pairs
        Every pair tried, (fixed, moving) → alignment.
    loop_um
        Median distance (µm) between the stack's answer and each accepted pair's own, over a
        grid of points: how well independent measurements agree.
    """

    reference: int
    to_section: tuple[Transform | None, ...]
    p90_um: tuple[float, ...]
    pairs: dict[tuple[int, int], Alignment]
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
    wanted = [(i, j) for i, j in combinations(range(n), 2) if j - i <= 2 or reference in (i, j)]
    # the reference is always the fixed one, so that its own pairs are used as they are
    ordered = [(j, i) if j == reference else (i, j) for i, j in wanted]
    pairs = {(i, j): align(sections[i], sections[j], settings) for i, j in ordered}
    to_section, p90 = _shortest(n, reference, pairs)
    loops = {
        edge: _disagreement(edge, to_section, pairs[edge].transform, sections)
        for edge in ordered
        if pairs[edge].accepted
    }
    return Stack(reference=reference, to_section=to_section, p90_um=p90, pairs=pairs, loop_um=loops)


def _shortest(
    n: int, reference: int, pairs: dict[tuple[int, int], Alignment]
) -> tuple[tuple[Transform | None, ...], tuple[float, ...]]:
    """Chains of least predicted variance from the reference (Dijkstra)."""
    variance = np.full(n, np.inf)
    variance[reference] = 0.0
    reached: list[Transform | None] = [None] * n
    reached[reference] = Transform()
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
            total = variance[here] + pair.error.p90_um**2
            if total < variance[there]:
                variance[there] = total
                step = pair.transform if here == i else pair.transform.inverse()
                reached[there] = onward.then(step)
    return tuple(reached), tuple(float(v) for v in np.sqrt(variance))


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
