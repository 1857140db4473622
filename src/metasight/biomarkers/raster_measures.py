"""Measures that need counts on a grid only, from cells or from a density map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metasight.biomarkers.quadrats import (
    Quadrats,
    cut_quadrats,
    entropy_bits,
    getis_ord,
    hot,
    information_bits,
    permuted_counts,
)
from metasight.biomarkers.results import Measure, missing, stated
from metasight.biomarkers.section import B_CELL, N_KINDS, T_CELL, TUMOUR, Section
from metasight.biomarkers.tils import (
    labels_in_part,
    part_tumour,
)
from metasight.biomarkers.tls import Aggregate, count_tls, find_tls

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_QUADRATS, _TLS = 3, 4
_NO_REGION = "no tumour region was given"
_TILS = (
    ("tils_stromal_percent", "%", "tils"),
    ("tils_intratumoural_percent", "%", "tils"),
    ("t_cells_stromal_per_mm2", "cells/mm²", "t_cell_infiltration"),
    ("t_cells_epithelial_per_mm2", "cells/mm²", "t_cell_infiltration"),
    ("tumour_epithelium_percent", "%", "tumour_epithelium"),
)
_QUADRAT_MEASURES = (
    ("t_cell_hot_spot_percent", "%", "hot_spots"),
    ("t_cell_tumour_hot_spot_overlap_percent", "%", "hot_spots"),
    ("cell_type_entropy_bits", "bits", "spatial_entropy"),
    ("spatial_information_bits", "bits", "spatial_entropy"),
)
_FEWEST_QUADRATS = 3
_TOO_SMALL = "the tissue is smaller than three squares"


def cells_by_block(section: Section) -> dict[str, Floats]:
    """Cells in each block of tissue, by the name of their density, each ``(blocks,)``."""
    sums = section.blocks.sums
    kinds = {
        "tumour_cells_per_mm2": TUMOUR,
        "t_cells_per_mm2": T_CELL,
        "b_cells_per_mm2": B_CELL,
    }
    counts = {name: sums(section.count[kind]) for name, kind in kinds.items()}
    counts["immune_cells_per_mm2"] = sums(section.immune_count)
    if (points := section.points) is not None:
        flags = {name: points.kind == kind for name, kind in kinds.items()}
        flags["immune_cells_per_mm2"] = points.immune
        counts = {
            name: np.bincount(points.block[flag], minlength=len(section.blocks)).astype(np.float64)
            for name, flag in flags.items()
        }
    return counts


def density_measures(section: Section) -> list[Measure]:
    """Cells per mm² of tissue: all cells in the window, over its own area and not the grid's."""
    area = section.blocks.area_um2
    return [
        stated(
            name,
            "cells/mm²",
            float(count.sum() * 1e6 / area.sum()),
            interval=section.bootstrap.interval(
                np.column_stack([count, area]), lambda s: s[:, 0] * 1e6 / s[:, 1]
            ),
            definition="cell_density",
        )
        for name, count in cells_by_block(section).items()
    ]


def compartment_measures(section: Section) -> list[Measure]:
    """TIL percentages and T cells per mm² of stroma and of epithelium."""
    if section.region is None or not (section.region & section.grid.mask).any():
        return [missing(*spec, _NO_REGION) for spec in _TILS]
    d = section.definitions
    parts = part_tumour(section.count[TUMOUR], section.grid, section.region, d)
    inside = parts.epithelium | parts.stroma
    t_cells = section.count[T_CELL]
    lymphocytes = t_cells + section.count[B_CELL]
    covered = 100 * d.lymphocyte_area_um2
    stroma, epithelium = parts.stroma, parts.epithelium
    covered_um2 = section.covered_um2
    share = np.column_stack([section.blocks.sums(covered_um2 * m) for m in (epithelium, inside)])
    return [
        _per_area(section, _TILS[0], lymphocytes, stroma, scale=covered, whole=inside, top=100),
        _per_area(section, _TILS[1], lymphocytes, epithelium, scale=covered, whole=inside, top=100),
        _per_area(section, _TILS[2], t_cells, stroma, scale=1e6, whole=inside),
        _per_area(section, _TILS[3], t_cells, epithelium, scale=1e6, whole=inside),
        stated(
            _TILS[4][0],
            "%",
            float(100 * covered_um2[epithelium].sum() / covered_um2[inside].sum()),
            interval=section.bootstrap.interval(share, lambda s: 100 * s[:, 0] / s[:, 1]),
            definition=_TILS[4][2],
        ),
    ]


def _per_area(
    section: Section,
    spec: tuple[str, str, str],
    image: Floats,
    part: Mask,
    *,
    scale: float,
    whole: Mask,
    top: float = math.inf,
) -> Measure:
    """Cells of ``image`` in ``part`` per µm² of it, times ``scale``, at most ``top``.

    ``part`` is a part of ``whole``; random labelling deals the labels out over the
    whole's cells other than tumour cells: those made the parts, so they stay where they are.
    """
    area = section.blocks.sums(section.covered_um2 * part)
    by_block = np.column_stack([section.blocks.sums(image * part), area])
    count, area_um2 = by_block.sum(axis=0)
    null = None
    if section.points is not None and area_um2 > 0:
        cells = section.count.sum(axis=0) - section.count[TUMOUR]
        mean, deviation = labels_in_part(
            float((image * whole).sum()), float((cells * part).sum()), float((cells * whole).sum())
        )
        null = (mean * scale / area_um2, deviation * scale / area_um2)
    return stated(
        spec[0],
        spec[1],
        min(count * scale / area_um2, top) if area_um2 > 0 else math.nan,
        interval=section.bootstrap.interval(
            by_block, lambda s: np.minimum(s[:, 0] * scale / s[:, 1], top)
        ),
        null=null,
        definition=spec[2],
        undefined="the tumour region has no such compartment",
    )


def quadrat_measures(section: Section) -> list[Measure]:
    """Hot spots of T cells, their overlap with those of tumour cells, entropy."""
    quadrats = cut_quadrats(section.grid, section.definitions.quadrat_um)
    if quadrats.used.sum() < _FEWEST_QUADRATS:
        return [missing(*spec, _TOO_SMALL) for spec in _QUADRAT_MEASURES]
    counts = np.stack([quadrats.sums(image)[quadrats.used] for image in section.count], axis=1)
    null = np.full((3, 1), np.nan)
    if section.points is not None:
        rng = section.generator(_QUADRATS)
        whole = counts.astype(np.int64)
        drawn = [
            _in_quadrats(section, quadrats, permuted_counts(whole, rng).astype(np.float64))
            for _ in range(section.definitions.permutations)
        ]
        null = np.array(drawn).T
    hot_percent, overlap, information = _in_quadrats(section, quadrats, counts)
    hot_by_block, kinds_by_block = _quadrats_by_block(section, quadrats, counts)
    interval = section.bootstrap.interval
    return [
        stated(
            "t_cell_hot_spot_percent",
            "%",
            hot_percent,
            null=null[0],
            interval=interval(hot_by_block, lambda s: 100 * s[:, 0] / s[:, 1]),
            definition="hot_spots",
        ),
        stated(
            "t_cell_tumour_hot_spot_overlap_percent",
            "%",
            overlap,
            null=null[1],
            interval=interval(hot_by_block, lambda s: 100 * s[:, 2] / s[:, 0]),
            definition="hot_spots",
            undefined="there is no T-cell hot spot",
        ),
        stated(
            "cell_type_entropy_bits",
            "bits",
            float(entropy_bits(counts.sum(axis=0))) if counts.sum() else math.nan,
            interval=interval(kinds_by_block, lambda s: entropy_bits(s[:, :N_KINDS])),
            definition="spatial_entropy",
        ),
        stated(
            "spatial_information_bits",
            "bits",
            information,
            null=null[2],
            interval=interval(kinds_by_block, _resampled_information),
            definition="spatial_entropy",
        ),
    ]


def _hot_in(section: Section, quadrats: Quadrats, column: Floats) -> Mask:
    image = np.zeros(quadrats.used.shape)
    image[quadrats.used] = column
    return hot(getis_ord(image, quadrats), section.definitions.false_discovery_rate)


def _in_quadrats(
    section: Section, quadrats: Quadrats, counts: Floats
) -> tuple[float, float, float]:
    """Hot area of T cells in %, how much of it is hot in tumour cells in %, information."""
    hot_t, hot_tumour = (_hot_in(section, quadrats, counts[:, k]) for k in (T_CELL, TUMOUR))
    area = quadrats.area_um2
    t_area = area[hot_t].sum()
    overlap = 100 * area[hot_t & hot_tumour].sum() / t_area if t_area else math.nan
    return 100 * t_area / area[quadrats.used].sum(), overlap, information_bits(counts)


def _quadrats_by_block(
    section: Section, quadrats: Quadrats, counts: Floats
) -> tuple[Floats, Floats]:
    """Hot, used and doubly hot area of each block; its cells of each kind and Σ entropy."""
    hot_t, hot_tumour = (
        quadrats.on_pixels(_hot_in(section, quadrats, counts[:, k])) for k in (T_CELL, TUMOUR)
    )
    used = quadrats.on_pixels(quadrats.used) & section.grid.mask
    areas = [section.blocks.sums(image & used) for image in (hot_t, used, hot_t & hot_tumour)]
    within = quadrats.used.astype(np.float64)
    within[quadrats.used] = entropy_bits(counts)
    cells = section.count.sum(axis=0) * used
    kinds = [section.blocks.sums(image * used) for image in section.count]
    kinds.append(section.blocks.sums(cells * within.ravel()[quadrats.number]))
    return np.column_stack(areas), np.column_stack(kinds)


def _resampled_information(sums: Floats) -> Floats:
    total = sums[:, :N_KINDS].sum(axis=1)
    left = entropy_bits(sums[:, :N_KINDS]) - sums[:, N_KINDS] / total
    return np.asarray(np.maximum(left, 0.0), dtype=np.float64)


def tls_measures(section: Section) -> tuple[list[Measure], tuple[Aggregate, ...]]:
    """Number, area, composition and place of tertiary lymphoid structures."""
    d = section.definitions
    epithelium = part_tumour(section.count[TUMOUR], section.grid, section.grid.mask, d).epithelium
    found = find_tls(section.count[T_CELL], section.count[B_CELL], section.grid, d, epithelium)
    area_mm2 = float(section.blocks.area_um2.sum()) / 1e6
    null = _null_tls(section, epithelium) if section.points is not None else None
    sizes = np.array([a.area_um2 for a in found])
    by_block = _tls_by_block(section, found, sizes)
    interval = section.bootstrap.interval
    return [
        stated(
            "tls_count",
            "count",
            float(len(found)),
            null=null,
            definition="tls",
            interval=interval(by_block, lambda s: s[:, 0] / s[:, 2] * area_mm2 * 1e6),
        ),
        stated(
            "tls_density_per_mm2",
            "1/mm²",
            len(found) / area_mm2,
            definition="tls",
            null=None if null is None else null / area_mm2,
            interval=interval(by_block, lambda s: s[:, 0] / s[:, 2] * 1e6),
        ),
        stated(
            "tls_area_percent",
            "%",
            float(100 * sizes.sum() / (area_mm2 * 1e6)),
            definition="tls",
            interval=interval(by_block, lambda s: 100 * s[:, 1] / s[:, 2]),
        ),
        *_of_each(found, sizes),
    ], found


def _tls_by_block(section: Section, found: Sequence[Aggregate], sizes: Floats) -> Floats:
    """Number and area of TLS and tissue area of every block, shape (blocks, 3)."""
    x = np.array([a.centroid_um[0] for a in found])
    y = np.array([a.centroid_um[1] for a in found])
    row, column = section.grid.pixel(x, y)
    # a crescent's centroid may lie off the tissue; it then belongs to the nearest pixel's block
    home = section.blocks.number[row, column] if len(found) else np.zeros(0, dtype=np.int64)
    kept = home >= 0
    n_blocks = len(section.blocks)
    return np.column_stack(
        [
            np.bincount(home[kept], minlength=n_blocks),
            np.bincount(home[kept], weights=sizes[kept], minlength=n_blocks),
            section.blocks.area_um2,
        ]
    )


def _of_each(found: Sequence[Aggregate], sizes: Floats) -> list[Measure]:
    """What is told of single TLS: the largest, their cells, how far they lie from tumour."""
    none = "no tertiary lymphoid structure was found"
    lymphocytes = sum(a.lymphocytes for a in found)
    b_cells = sum(a.lymphocytes * a.b_percent / 100 for a in found)
    away = [a.distance_to_tumour_um for a in found if math.isfinite(a.distance_to_tumour_um)]
    far = "there is no tumour epithelium" if found else none
    return [
        stated(
            "tls_largest_area_um2",
            "µm²",
            float(sizes.max()) if len(found) else math.nan,
            definition="tls",
            undefined=none,
        ),
        stated(
            "tls_b_cell_percent",
            "%",
            100 * b_cells / lymphocytes if found else math.nan,
            definition="tls_composition",
            undefined=none,
        ),
        stated(
            "tls_distance_to_tumour_um",
            "µm",
            float(np.median(away)) if away else math.nan,
            definition="tls",
            undefined=far,
        ),
    ]


def _null_tls(section: Section, epithelium: Mask) -> Floats:
    """Number of TLS when the labels are dealt out anew over the cells."""
    d, rng = section.definitions, section.generator(_TLS)
    total = section.count.sum(axis=0).astype(np.int64).ravel()
    pixel = np.repeat(np.arange(len(total)), total)
    labels = np.zeros(len(pixel), dtype=np.int8)
    n_t, n_b = (int(section.count[kind].sum()) for kind in (T_CELL, B_CELL))
    labels[:n_t], labels[n_t : n_t + n_b] = T_CELL, B_CELL
    found = np.empty(d.tls_permutations)
    for number in range(d.tls_permutations):
        rng.shuffle(labels)
        t_count, b_count = (
            np.bincount(pixel[labels == kind], minlength=len(total))
            .reshape(section.grid.mask.shape)
            .astype(np.float64)
            for kind in (T_CELL, B_CELL)
        )
        found[number] = count_tls(t_count, b_count, section.grid, d, epithelium)
    return found
