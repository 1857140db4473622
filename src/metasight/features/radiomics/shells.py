"""Peritumoural shells: the tissue 0–3, 3–6, 6–9 mm from a lesion's surface.

Distances are those of a voxel's centre to the lesion's boundary, in mm, also with unequal spacing
(:func:`~metasight.features.radiomics.boundary.distance_outside`); not counts of dilations, which
grow by a slice thickness at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from metasight.errors import VolumeError
from metasight.features.radiomics.boundary import around, distance_outside
from metasight.volumes.volume import Mask

_WHERE = "peritumoural shells"


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Tissue between two distances from a lesion.

    Attributes
    ----------
    inner_mm, outer_mm
        Distances d from the surface with inner < d ≤ outer.
    mask
        Its voxels; None where there are none: the slices are too far apart, or no such tissue
        lies within the organ.
    """

    inner_mm: float
    outer_mm: float
    mask: Mask | None


def shells(
    lesion: Mask, *, edges_mm: Sequence[float] = (0.0, 3.0, 6.0, 9.0), within: Mask | None = None
) -> tuple[Shell, ...]:
    """Shells around a lesion, from the inside out; none holds a voxel of the lesion.

    Parameters
    ----------
    lesion
        Mask of the lesion.
    edges_mm
        Rising distances, at least two, from 0; each neighbouring pair is a shell.
    within
        Mask on the same grid, the lung: tissue outside it (chest wall, mediastinum) is left out.

    Raises
    ------
    VolumeError
        Edges that do not rise, or masks on different grids.
    """
    edges = [float(e) for e in edges_mm]
    if len(edges) < 2 or edges[0] < 0 or any(b <= a for a, b in pairwise(edges)):
        raise VolumeError(
            "edges must be two or more rising distances from 0",
            where=_WHERE,
            value=", ".join(f"{e:g}" for e in edges),
        )
    if within is not None and not within.grid.matches(lesion.grid):
        raise VolumeError(
            "two masks are not on one grid", where=_WHERE, value=within.grid.difference(lesion.grid)
        )
    inside = lesion.array
    cut = around(inside, edges[-1], lesion.spacing_zyx_mm)
    distance = distance_outside(inside[cut], lesion.spacing_zyx_mm)
    allowed = ~inside[cut] if within is None else ~inside[cut] & within.array[cut]
    found = []
    for inner, outer in pairwise(edges):
        there = allowed & (distance > inner) & (distance <= outer)
        mask = None
        if there.any():
            whole = np.zeros(inside.shape, dtype=np.bool_)
            whole[cut] = there
            name = f"{lesion.name} {inner:g}–{outer:g} mm".strip()
            mask = Mask.from_array(whole, on=lesion, name=name)
        found.append(Shell(inner_mm=inner, outer_mm=outer, mask=mask))
    return tuple(found)
