"""One section made ready to be measured: cells or density, window, grid, blocks, region."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from metasight.biomarkers.blocks import BlockBootstrap, TissueBlocks, draw_blocks, tissue_blocks
from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.neighbours import Buckets, in_buckets
from metasight.errors import MarkerError
from metasight.maps.cells import Cells
from metasight.maps.density import DEFAULT_SPACING_UM, DensityMap
from metasight.maps.window import TissueWindow

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]

OTHER, TUMOUR, T_CELL, B_CELL = 0, 1, 2, 3
N_KINDS = 4
NAME_OF_KIND = ("other", "tumour", "t_cell", "b_cell")


@dataclass(frozen=True, kw_only=True)
class Points:
    """The cells of a section in bucket order.

    Attributes
    ----------
    buckets
        Positions.
    kind
        0 other, 1 tumour, 2 T, 3 B, shape ``(n,)``.
    immune
        T, B and the other immune types.
    edge_um
        Distance to the window's edge.
    block
        Block of tissue.
    """

    buckets: Buckets
    kind: Kinds
    immune: Mask
    edge_um: Floats
    block: Ints

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, kw_only=True)
class Section:
    """What every measure reads.

    Attributes
    ----------
    window
        The tissue, at its own spacing.
    points
        Cells in the window; None from a density map.
    grid
        The tissue at about 16 µm.
    count
        Cells of each kind per pixel of ``grid``, shape ``(kinds, y, x)``; fractional from a
        density map. Kind 0 is empty there: a map has no other cells.
    immune_count
        Immune cells per pixel.
    covered_um2
        Area of the tissue in each pixel of ``grid``: less than a pixel at the tissue's edge.
    region
        Tumour region on ``grid``; None where nobody drew one.
    blocks, bootstrap
        Blocks of ``grid`` and their draws. The blocks' areas are those of the tissue as it was
        given, edges that ``grid`` cuts off included.
    definitions, seed
        As given.
    """

    window: TissueWindow
    points: Points | None
    grid: TissueWindow
    count: Floats
    immune_count: Floats
    covered_um2: Floats
    region: Mask | None
    blocks: TissueBlocks
    bootstrap: BlockBootstrap
    definitions: BiomarkerDefinitions
    seed: int

    def generator(self, stream: int) -> np.random.Generator:
        """Random numbers of one measure, so that none depends on which ran before it."""
        return np.random.default_rng([self.seed, stream])


def section_of_cells(
    cells: Cells,
    window: TissueWindow,
    tumour: TissueWindow | None,
    definitions: BiomarkerDefinitions,
    seed: int,
) -> Section:
    """Make a section of cells ready.

    Raises
    ------
    MarkerError
        No cell lies in the window, or a type of the definitions' roles is not among the cells'
        type names (a type without cells is named all the same: 0 cells is a finding, a missing
        marker is not).
    """
    inside = window.cells_inside(cells)
    if not len(inside):
        raise MarkerError(
            "no cell lies in the tissue window",
            remedy="Check that cells and window are in µm from the same origin",
        )
    kind = np.zeros(len(inside), dtype=np.int8)
    for number, types in enumerate(definitions.roles, start=1):
        kind[inside.of_types(types)] = number
    immune = (kind >= T_CELL) | inside.of_types(definitions.other_immune_types)
    fine = window.spacing_um < DEFAULT_SPACING_UM
    grid = window.resampled(DEFAULT_SPACING_UM) if fine else window
    covered = window.covered_share(grid) * grid.spacing_um**2
    blocks = _of_exact_area(tissue_blocks(grid, definitions.block_um), grid, covered)
    reach = max(definitions.reach_um, definitions.contact_um, definitions.neighbourhood_um)
    buckets = in_buckets(inside.x_um, inside.y_um, reach)
    points = Points(
        buckets=buckets,
        kind=kind[buckets.order],
        immune=immune[buckets.order],
        edge_um=window.boundary_distance_um(buckets.x_um, buckets.y_um),
        block=_nearest_block(blocks, grid, buckets.x_um, buckets.y_um),
    )
    on_grid = grid.contains(inside.x_um, inside.y_um)
    groups = [on_grid & (kind == number) for number in range(N_KINDS)] + [on_grid & immune]
    images = [grid.counts(inside.x_um[g], inside.y_um[g]) for g in groups]
    return Section(
        window=window,
        points=points,
        grid=grid,
        count=np.stack(images[:N_KINDS]).astype(np.float64),
        immune_count=images[N_KINDS].astype(np.float64),
        covered_um2=np.where(grid.mask, covered, 0.0),
        region=None if tumour is None else on_other_grid(tumour, grid),
        blocks=blocks,
        bootstrap=_bootstrap(blocks, definitions, seed),
        definitions=definitions,
        seed=seed,
    )


def section_of_density(
    density: DensityMap,
    window: TissueWindow,
    tumour: TissueWindow | None,
    definitions: BiomarkerDefinitions,
    seed: int,
) -> Section:
    """Make a density map ready; the tissue is where window and support agree.

    Raises
    ------
    MarkerError
        A plane of the definitions' roles is missing, or support and window do not meet.
    """
    support = density.window
    mask = support.mask & on_other_grid(window, support)
    if not mask.any():
        raise MarkerError("the density map and the tissue window do not meet")
    grid = TissueWindow(mask=mask, spacing_um=support.spacing_um, origin_um=support.origin_um)
    covered = np.where(mask, window.covered_share(grid), 0.0) * grid.spacing_um**2

    def counted(names: tuple[str, ...]) -> Floats:
        total = np.zeros(mask.shape)
        for name in names:
            total[mask] += density.plane(name)[mask] * covered[mask] / 1e6
        return total

    kinds = [np.zeros(mask.shape), *(counted(names) for names in definitions.roles)]
    blocks = _of_exact_area(tissue_blocks(grid, definitions.block_um), grid, covered)
    return Section(
        window=grid,
        points=None,
        grid=grid,
        count=np.stack(kinds),
        immune_count=kinds[T_CELL] + kinds[B_CELL] + counted(definitions.other_immune_types),
        covered_um2=covered,
        region=None if tumour is None else on_other_grid(tumour, grid),
        blocks=blocks,
        bootstrap=_bootstrap(blocks, definitions, seed),
        definitions=definitions,
        seed=seed,
    )


def on_other_grid(window: TissueWindow, grid: TissueWindow) -> Mask:
    """Which pixels of ``grid`` have their centre in ``window``, shape of ``grid``."""
    ny, nx = grid.mask.shape
    x = grid.origin_um[0] + (np.arange(nx) + 0.5) * grid.spacing_um
    y = grid.origin_um[1] + (np.arange(ny) + 0.5) * grid.spacing_um
    xx, yy = np.meshgrid(x, y)
    return window.contains(xx.ravel(), yy.ravel()).reshape(ny, nx)


def _bootstrap(
    blocks: TissueBlocks, definitions: BiomarkerDefinitions, seed: int
) -> BlockBootstrap:
    return draw_blocks(
        len(blocks),
        resamples=definitions.resamples,
        minimum_blocks=definitions.minimum_blocks,
        rng=np.random.default_rng([seed, 0]),
    )


def _of_exact_area(blocks: TissueBlocks, grid: TissueWindow, covered_um2: Floats) -> TissueBlocks:
    """The blocks with the tissue's own area; a sliver that the grid cuts off joins its cells."""
    row, column = np.nonzero(covered_um2)
    x, y = (
        np.asarray(start + (at + 0.5) * grid.spacing_um, dtype=np.float64)
        for start, at in zip(grid.origin_um, (column, row), strict=True)
    )
    home = _nearest_block(blocks, grid, x, y)
    area = np.bincount(home, weights=covered_um2[row, column], minlength=len(blocks))
    return replace(blocks, area_um2=area.astype(np.float64))


def _nearest_block(blocks: TissueBlocks, grid: TissueWindow, x: Floats, y: Floats) -> Ints:
    """Block of each cell; one that the coarse grid's edge cuts off joins a block beside it."""
    row, column = grid.pixel(x, y)
    ny, nx = grid.mask.shape
    block = blocks.number[np.clip(row, 0, ny - 1), np.clip(column, 0, nx - 1)].copy()
    lost = np.flatnonzero(block < 0)
    if len(lost):
        known_row, known_column = np.nonzero(blocks.number >= 0)
        _, at = cKDTree(np.column_stack([known_row, known_column])).query(
            np.column_stack([row[lost], column[lost]])
        )
        block[lost] = blocks.number[known_row[at], known_column[at]]
    return block
