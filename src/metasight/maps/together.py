"""Marker sections brought onto the H&E: cells at their places there, and densities of all markers.

Consecutive sections share regions, not cells: what is brought together is density, and only where
every section shows tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from metasight.alignment.transform import Transform
from metasight.maps.cells import Cells
from metasight.maps.density import DensityMap, density_from_cells
from metasight.maps.window import TissueWindow


@dataclass(frozen=True, kw_only=True)
class BroughtSection:
    """A section in the H&E's frame.

    Attributes
    ----------
    markers
        That it shows.
    cells
        At their places on the H&E.
    window
        Where both sections have tissue, on the H&E's grid.
    """

    markers: tuple[str, ...]
    cells: Cells
    window: TissueWindow


def bring_onto(
    cells: Cells,
    window: TissueWindow,
    transform: Transform,
    shared: TissueWindow,
    markers: tuple[str, ...],
) -> BroughtSection | None:
    """A section's cells on the H&E, and the tissue that both show; None where they share none.

    Where a section does not reach, no cell was seen because nobody looked.

    Parameters
    ----------
    cells, window
        Of the section, in its own frame.
    transform
        From the H&E to the section.
    shared
        Tissue of the H&E, on the grid that densities are made on.
    markers
        That the section shows.
    """
    row, column = np.nonzero(shared.mask)
    centres = (np.stack([column, row], axis=1) + 0.5) * shared.spacing_um + shared.origin_um
    there = transform.points(centres)
    seen = shared.mask.copy()
    seen[row, column] = window.contains(there[:, 0], there[:, 1])
    if not seen.any():
        return None
    moved = transform.inverse().points(np.stack([cells.x_um, cells.y_um], axis=1))
    return BroughtSection(
        markers=markers,
        cells=replace(cells, x_um=moved[:, 0], y_um=moved[:, 1]),
        window=TissueWindow(mask=seen, spacing_um=shared.spacing_um, origin_um=shared.origin_um),
    )


def density_of_sections(
    sections: Sequence[BroughtSection],
    shared: TissueWindow,
    markers: Sequence[str],
    *,
    bandwidth_um: float,
) -> DensityMap | None:
    """Densities of markers of several sections on the H&E; None where they share no tissue.

    Parameters
    ----------
    sections
        On the H&E; a marker that two of them show is taken from the first.
    shared
        Tissue of the H&E.
    markers
        Wanted, in this order; None too where no section shows one of them.
    bandwidth_um
        By which each cell is spread.
    """
    seen = shared.mask.copy()
    cells: dict[str, Cells] = {}
    for section in sections:
        seen &= section.window.mask
        for marker in section.markers:
            cells.setdefault(marker, section.cells.take(section.cells.positive[marker]))
    if not seen.any() or not set(markers) <= set(cells):
        return None
    window = TissueWindow(mask=seen, spacing_um=shared.spacing_um, origin_um=shared.origin_um)
    maps = [
        density_from_cells(
            cells[m],
            window,
            markers={m: (m,)},
            spacing_um=shared.spacing_um,
            bandwidth_um=bandwidth_um,
        )
        for m in markers
    ]
    return DensityMap(
        density=np.concatenate([d.density for d in maps]),
        error=np.concatenate([d.error for d in maps]),
        support=seen,
        markers=tuple(markers),
        spacing_um=shared.spacing_um,
        origin_um=shared.origin_um,
    )
