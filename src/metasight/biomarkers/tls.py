"""Tertiary lymphoid structures: aggregates of T and B cells that stand out from their surroundings.

An aggregate is a connected region in which the smoothed density of T and B cells exceeds some
level, at least the density at which they touch. No one level fits all tissue, so all are tried:
of nested regions the one whose density stands out most from the ring round it is its extent, the
place where the edge is. It is a tertiary lymphoid structure (TLS) if it holds enough lymphocytes,
is large enough, is denser than its surroundings by the stated factor and holds both T and B
cells. Neither maturity nor a germinal centre is judged: that takes CD21 or CD23.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage
from shapely.geometry import MultiPolygon, Polygon

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.maps.window import TissueWindow

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]

_LEVELS = 18
_LEVEL_FACTOR = 1.3
_WIDEST = 4
_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """One TLS.

    Attributes
    ----------
    outline
        In µm, slide frame.
    centroid_um
        (x, y).
    area_um2, lymphocytes, b_percent
        Of the region; lymphocytes are T and B cells and may be fractional from a density map.
    density_ratio
        Lymphocyte density inside over that of the ring round it.
    distance_to_tumour_um
        From its edge to the nearest tumour epithelium, 0 where they touch; NaN without one.
    """

    outline: Polygon | MultiPolygon
    centroid_um: tuple[float, float]
    area_um2: float
    lymphocytes: float
    b_percent: float
    density_ratio: float
    distance_to_tumour_um: float


@dataclass(frozen=True)
class _Tissue:
    """Lymphocytes and B cells per pixel, the window, and where surroundings can be."""

    lymphocytes: Floats
    b_cells: Floats
    window: TissueWindow
    compared: Mask


@dataclass(frozen=True)
class _Candidate:
    box: tuple[slice, slice]
    inside: Mask
    lymphocytes: float
    b_cells: float
    ratio: float


def find_tls(
    t_count: Floats,
    b_count: Floats,
    window: TissueWindow,
    definitions: BiomarkerDefinitions,
    epithelium: Mask | None = None,
) -> tuple[Aggregate, ...]:
    """Find tertiary lymphoid structures.

    Parameters
    ----------
    t_count, b_count
        T and B cells of each pixel of ``window``, shape ``(y, x)``; 0 off the window.
    window
        The tissue, at about 16 µm.
    definitions
        Counts, area, ratio and composition.
    epithelium
        Tumour epithelium on the same grid: lymphocytes keep out of it, so it is no surroundings
        to compare with, and the distance to it is measured.

    Returns
    -------
    tuple of Aggregate
        From the top left downwards.
    """
    accepted = _accepted(t_count, b_count, window, definitions, epithelium)
    away = None
    if epithelium is not None and epithelium.any():
        away = ndimage.distance_transform_edt(~epithelium) * window.spacing_um
    found = [_aggregate(candidate, window, away) for candidate in accepted]
    return tuple(sorted(found, key=lambda a: (a.centroid_um[1], a.centroid_um[0])))


def count_tls(
    t_count: Floats,
    b_count: Floats,
    window: TissueWindow,
    definitions: BiomarkerDefinitions,
    epithelium: Mask | None = None,
) -> int:
    """How many :func:`find_tls` would find, without their outlines."""
    return len(_accepted(t_count, b_count, window, definitions, epithelium))


def _accepted(
    t_count: Floats,
    b_count: Floats,
    window: TissueWindow,
    definitions: BiomarkerDefinitions,
    epithelium: Mask | None,
) -> list[_Candidate]:
    """Of overlapping regions, the one that stands out most."""
    accepted: list[_Candidate] = []
    compared = window.mask if epithelium is None else window.mask & ~epithelium
    tissue = _Tissue(t_count + b_count, b_count, window, compared)
    taken = np.zeros(window.mask.shape, dtype=bool)
    for candidate in sorted(
        _candidates(tissue, definitions),
        key=lambda c: (-c.ratio, c.box[0].start, c.box[1].start),
    ):
        if not (taken[candidate.box] & candidate.inside).any():
            taken[candidate.box] |= candidate.inside
            accepted.append(candidate)
    return accepted


def smoothed_density(count: Floats, window: TissueWindow, bandwidth_um: float) -> Floats:
    """Cells per mm² with a Gaussian kernel, divided by the kernel's part in the window."""
    sigma = bandwidth_um / window.spacing_um
    inside = ndimage.gaussian_filter(window.mask.astype(np.float64), sigma, mode="constant")
    value = ndimage.gaussian_filter(count.astype(np.float64), sigma, mode="constant")
    value /= np.maximum(inside, 1e-6) * window.spacing_um**2 / 1e6
    return np.where(window.mask, np.maximum(value, 0.0), 0.0)


def _candidates(tissue: _Tissue, d: BiomarkerDefinitions) -> list[_Candidate]:
    """Regions at every level that meet the definition."""
    if tissue.lymphocytes.sum() < d.tls_minimum_lymphocytes:
        return []
    density = smoothed_density(tissue.lymphocytes, tissue.window, _bandwidth_um(d))
    level = float(density.max())
    # lymphocytes of an aggregate are neighbours: further apart than touching cells they are an
    # infiltrate, and what stands out of a thin infiltrate is chance
    floor = 1e6 / d.contact_um**2
    found = []
    for _ in range(_LEVELS):
        level /= _LEVEL_FACTOR
        if level < floor:
            break
        labels, n = ndimage.label(density >= level, structure=_EIGHT)
        found += _meeting(labels, n, tissue, d)
    return found


def _bandwidth_um(d: BiomarkerDefinitions) -> float:
    """Kernel that gathers as many cells as the smallest structure holds.

    A Gaussian of width σ averages over 4πσ²; narrower, chance clumps of an even infiltrate stand
    out like structures, wider, the smallest structures drown.
    """
    return float(np.sqrt(d.tls_minimum_area_um2 / (4 * np.pi)))


def _meeting(labels: Labels, n: int, tissue: _Tissue, d: BiomarkerDefinitions) -> list[_Candidate]:
    flat = labels.ravel()
    area = np.bincount(flat, minlength=n + 1) * tissue.window.spacing_um**2
    total = np.bincount(flat, weights=tissue.lymphocytes.ravel(), minlength=n + 1)
    b_cells = np.bincount(flat, weights=tissue.b_cells.ravel(), minlength=n + 1)
    good = (area >= d.tls_minimum_area_um2) & (total >= d.tls_minimum_lymphocytes)
    good &= 100 * b_cells >= d.tls_minimum_b_percent * total
    good &= b_cells < total  # an aggregate of T and B cells holds T cells too
    good[0] = False
    if not good.any():
        return []
    boxes = ndimage.find_objects(labels)
    found = []
    for number in np.flatnonzero(good):
        box, inside, ratio = _against_ring(labels, int(number), boxes[number - 1], tissue, d)
        if ratio > d.tls_density_ratio:
            found.append(
                _Candidate(box, inside, float(total[number]), float(b_cells[number]), ratio)
            )
    return found


def _ring_needed_um2(area_um2: float, gap: float, width: float) -> float:
    """A quarter of the ring that a disc of this area would have.

    Less is no surroundings: the region fills the tissue, or the ring is a few holes in it.
    """
    radius = np.sqrt(area_um2 / np.pi)
    return float(np.pi * width * (2 * (radius + gap) + width) / 4)


def _against_ring(
    labels: Labels,
    number: int,
    box: tuple[slice, slice],
    tissue: _Tissue,
    d: BiomarkerDefinitions,
) -> tuple[tuple[slice, slice], Mask, float]:
    """Density inside over density of the ring; 0 where there is too little to compare with.

    The ring is widened up to four times where epithelium takes its place.
    """
    spacing = tissue.window.spacing_um
    gap, width = _bandwidth_um(d), d.tls_ring_um
    margin = int(np.ceil((gap + _WIDEST * width) / spacing)) + 1
    wide = tuple(
        slice(max(s.start - margin, 0), min(s.stop + margin, length))
        for s, length in zip(box, labels.shape, strict=True)
    )
    box = (wide[0], wide[1])
    inside = labels[box] == number
    away = ndimage.distance_transform_edt(~inside) * spacing
    counted = tissue.lymphocytes[box]
    area = float(inside.sum()) * spacing**2
    needed = _ring_needed_um2(area, gap, width)
    for wider in (1, 2, _WIDEST):
        # the kernel blurs the edge by its bandwidth, so the ring begins beyond it
        ring = (away > gap) & (away <= gap + wider * width) & tissue.compared[box]
        ring_area = float(ring.sum()) * spacing**2
        if ring_area >= needed:
            # half a cell in an empty ring: its density is low, not nil
            outside = max(float(counted[ring].sum()), 0.5) / ring_area
            return box, inside, float(counted[inside].sum()) / area / outside
    return box, inside, 0.0


def _aggregate(candidate: _Candidate, window: TissueWindow, away: Floats | None) -> Aggregate:
    outline = outline_of(candidate.inside, candidate.box, window)
    distance = np.nan
    if away is not None:
        distance = max(float(away[candidate.box][candidate.inside].min()) - window.spacing_um, 0.0)
    centre = outline.centroid
    return Aggregate(
        outline=outline,
        centroid_um=(float(centre.x), float(centre.y)),
        area_um2=float(candidate.inside.sum()) * window.spacing_um**2,
        lymphocytes=candidate.lymphocytes,
        b_percent=100 * candidate.b_cells / candidate.lymphocytes,
        density_ratio=candidate.ratio,
        distance_to_tumour_um=distance,
    )


def outline_of(
    inside: Mask, box: tuple[slice, slice], window: TissueWindow
) -> Polygon | MultiPolygon:
    """Outline of a region of the window's grid in µm: the union of its pixels' squares."""
    row, column = np.nonzero(inside)
    side = window.spacing_um
    x = window.origin_um[0] + (column + box[1].start) * side
    y = window.origin_um[1] + (row + box[0].start) * side
    union = shapely.union_all(shapely.box(x, y, x + side, y + side))
    if not isinstance(union, Polygon | MultiPolygon):
        raise TypeError("a region of pixels is a polygon")
    return union
