"""The proximal bronchial tree and the hila, from the airway lumen that a scan shows.

RTOG 0813 (Bezjak et al., J Clin Oncol 2019;37:1316) names its parts: the last 2 cm of the trachea,
carina, both main bronchi, and the lobar bronchi with the intermediate and the lingular one. Here:
the lumen below 2 cm above the carina that is at least 6.5 mm wide (segmental bronchi are narrower:
Montaudon et al., J Anat 2007;211:579) and within 8 cm of the carina along the airway. The hilum of
a side is the middle of the lumen 4 to 5.5 cm from the carina: on the left the main bronchus divides
there; on the right it is the intermediate bronchus with the upper lobe's, as far off as the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from metasight.segmentation.lung import Lungs
from metasight.volumes.box import box_of
from metasight.volumes.distance import depth_in, distance_to
from metasight.volumes.volume import Mask

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

TRACHEA_MM = 20.0
LUMEN_MM = 6.5
ALONG_MM = 80.0
HILUM_MM = (40.0, 55.0)
"""Along the airway from the carina."""

_STEP_MM = 1.0
_LEAST_MM2 = 20.0  # of the lumen of a main bronchus
_FOLLOWED_MM = 8.0  # so far below the carina are both bronchi seen
_NEAREST_ML = 0.2


@dataclass(frozen=True, kw_only=True)
class Bronchi:
    """Proximal airway in patient coordinates.

    Attributes
    ----------
    carina_mm
        x, y, z.
    proximal_mm
        (n, 3) points of the proximal bronchial tree's lumen, about 1 mm apart.
    hila_mm
        Right and left; None where the airway was not followed so far.
    """

    carina_mm: Floats
    proximal_mm: Floats
    hila_mm: tuple[Floats | None, Floats | None]


def find_bronchi(lungs: Lungs) -> Bronchi | None:
    """Proximal bronchial tree of a scan; None without a carina in its airways."""
    if lungs.airways is None:
        return None
    lumen, spacing, low = _coarser(lungs.airways)
    carina = _carina(lumen, spacing)
    if carina is None:
        return None
    away = _along(lumen, carina, spacing)

    def place(index_zyx: npt.NDArray[np.generic], mask: Mask = lungs.airways) -> Floats:
        voxel = np.asarray(index_zyx, dtype=np.float64) * spacing / mask.spacing_zyx_mm + low
        return mask.grid.to_mm(voxel[..., ::-1])

    wide = _opened(lumen, LUMEN_MM / 2, spacing)
    depth = (np.arange(len(lumen)) - carina[0]) * spacing[0]
    kept = wide & (away <= ALONG_MM) & (depth <= TRACHEA_MM)[:, None, None]
    columns = np.arange(lumen.shape[2])[None, None, :]
    hila = []
    for side in (columns < carina[2], columns > carina[2]):
        below = (depth < 0)[:, None, None]
        own = lumen & side & below & (away > HILUM_MM[0]) & (away <= HILUM_MM[1])
        enough = own.sum() * np.prod(spacing) / 1000 >= _NEAREST_ML
        hila.append(place(np.argwhere(own)).mean(axis=0) if enough else None)
    return Bronchi(
        carina_mm=place(np.array(carina)),
        proximal_mm=place(np.argwhere(kept)),
        hila_mm=(hila[0], hila[1]),
    )


def _coarser(airways: Mask) -> tuple[Booleans, Floats, Floats]:
    """The lumen about 1 mm apart in its box, spacing, and the first voxel (z, y, x)."""
    inside = airways.array
    box = box_of(inside)
    step = [max(1, round(_STEP_MM / s)) for s in airways.spacing_zyx_mm]
    low = np.array([b.start for b in box], dtype=np.float64)
    cut = inside[box][:: step[0], :: step[1], :: step[2]]
    spacing = np.array(airways.spacing_zyx_mm) * step
    return cut, spacing, low


def _carina(lumen: Booleans, spacing: Floats) -> tuple[int, int, int] | None:
    """The trachea followed down to the last plane on which it is one before it stays two.

    Only what lies below the trachea is followed: upper lobe bronchi rise beside it.
    """
    pixel = spacing[1] * spacing[2]
    need = max(1, round(_FOLLOWED_MM / spacing[0]))
    own: Booleans | None = None
    last: tuple[int, int, int] | None = None
    two = 0
    for z in range(len(lumen) - 1, -1, -1):
        labels, n = ndimage.label(lumen[z], np.ones((3, 3)))
        areas = np.bincount(labels.ravel(), minlength=n + 1) * pixel
        areas[0] = 0.0
        if own is None:
            kept = [int(np.argmax(areas))] if areas.max() >= _LEAST_MM2 else []
        else:
            below = np.unique(labels[own])
            kept = [int(k) for k in below if areas[k] >= _LEAST_MM2]
        if own is not None and not kept:
            return None  # it ends before it divides
        if kept:
            own = np.asarray(np.isin(labels, kept))
        if len(kept) == 1 and own is not None:
            y, x = (round(float(np.mean(v))) for v in np.nonzero(own))
            last, two = (z, y, x), 0
        elif len(kept) >= 2:
            two += 1
            if two >= need and last is not None:
                x = round(float(np.mean([np.nonzero(labels == k)[1].mean() for k in kept[:2]])))
                return last[0], last[1], x
    return None


def _along(lumen: Booleans, start: tuple[int, int, int], spacing: Floats) -> Floats:
    """Distance from a point within the lumen, mm; infinite where it does not lead."""
    voxels = np.argwhere(lumen)
    number = np.full(np.array(lumen.shape) + 2, -1)
    number[tuple((voxels + 1).T)] = np.arange(len(voxels))
    rows, columns, lengths = [], [], []
    for shift in list(product((-1, 0, 1), repeat=3))[14:]:  # each pair of neighbours once
        other = number[tuple((voxels + 1 + shift).T)]
        there = other >= 0
        rows.append(np.flatnonzero(there))
        columns.append(other[there])
        lengths.append(np.full(int(there.sum()), float(np.linalg.norm(shift * spacing))))
    pairs = (np.concatenate(rows), np.concatenate(columns))
    graph = csr_array((np.concatenate(lengths), pairs), shape=(len(voxels), len(voxels)))
    nearest = int(np.argmin((((voxels - start) * spacing) ** 2).sum(axis=1)))
    away = np.full(lumen.shape, np.inf)
    away[tuple(voxels.T)] = dijkstra(graph, directed=False, indices=nearest)
    return away


def _opened(region: Booleans, radius_mm: float, spacing: Floats) -> Booleans:
    padded = np.pad(region, 1)
    z, y, x = (float(s) for s in spacing)
    depth = depth_in(padded, (z, y, x))
    inner = depth >= radius_mm
    if not inner.any():
        return np.zeros_like(region)
    back = distance_to(inner, (z, y, x), most_mm=radius_mm) <= radius_mm
    return np.asarray((back & padded)[1:-1, 1:-1, 1:-1])
