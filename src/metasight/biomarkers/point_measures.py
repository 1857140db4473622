"""Measures that need the position of every cell."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from metasight.biomarkers.correlation import PairSums, sum_pairs
from metasight.biomarkers.mixing import Mixing, Preference, mixing_score, tumour_preference
from metasight.biomarkers.nearest import (
    NearestCounts,
    count_nearest,
    grouped_g,
    restricted_mean_um,
)
from metasight.biomarkers.neighbours import neighbours_of_each_kind, touching_pairs
from metasight.biomarkers.results import Curve, Measure, missing, stated
from metasight.biomarkers.section import (
    B_CELL,
    N_KINDS,
    NAME_OF_KIND,
    T_CELL,
    TUMOUR,
    Points,
    Section,
)

Floats = npt.NDArray[np.float64]

CORRELATED = ((TUMOUR, T_CELL), (T_CELL, B_CELL), (T_CELL, T_CELL))
NEAREST = ((TUMOUR, T_CELL), (T_CELL, TUMOUR), (T_CELL, B_CELL))
NEEDS_CELLS = "needs cell positions; a density map has none"
_NO_CELLS = "one of the cell types has no cell in the window"
_MIXING, _NEAREST = 1, 2


def without_points() -> list[Measure]:
    """The measures of this module from a density map: all missing."""
    specs = [
        ("mixing_score_ratio", "ratio", "immune_phenotype"),
        ("t_cell_tumour_preference_ratio", "ratio", "t_cell_preference"),
    ]
    for kinds in CORRELATED:
        name = _pair_name(kinds)
        specs.append((f"{name}_clustering_near_ratio", "ratio", "spatial_distances"))
        specs.append((f"{name}_l_excess_far_um", "µm", "spatial_distances"))
    for kinds in NEAREST:
        name = f"{NAME_OF_KIND[kinds[0]]}_to_{NAME_OF_KIND[kinds[1]]}"
        specs.append((f"{name}_near_percent", "%", "spatial_distances"))
        specs.append((f"{name}_distance_um", "µm", "spatial_distances"))
    return [missing(name, unit, definition, NEEDS_CELLS) for name, unit, definition in specs]


def mixing_measures(section: Section, points: Points) -> tuple[list[Measure], Mixing, Preference]:
    """Keren's mixing score and the T cells' preference, as measures and as found."""
    d = section.definitions
    mixing = mixing_score(
        touching_pairs(points.buckets, d.contact_um),
        points.kind == TUMOUR,
        points.immune,
        points.block,
        section.bootstrap,
        permutations=d.permutations,
        rng=section.generator(_MIXING),
    )
    local = neighbours_of_each_kind(points.buckets, points.kind, d.neighbourhood_um, N_KINDS)
    preference = tumour_preference(
        local,
        points.kind == T_CELL,
        points.block,
        section.bootstrap,
        tumour_kind=TUMOUR,
        t_cell_kind=T_CELL,
    )
    score = stated(
        "mixing_score_ratio",
        "ratio",
        mixing.score,
        interval=(mixing.lower, mixing.upper),
        null=mixing.null_scores,
        definition="immune_phenotype",
        undefined="no two immune cells touch",
    )
    z = preference.z
    # the null's mean is 1 by construction; its spread follows from z
    spread = abs((preference.ratio - 1) / z) if z and math.isfinite(z) else math.nan
    side = stated(
        "t_cell_tumour_preference_ratio",
        "ratio",
        preference.ratio,
        interval=(preference.lower, preference.upper),
        null=(1.0, spread),
        definition="t_cell_preference",
        undefined=_NO_CELLS,
    )
    return [score, side], mixing, preference


def correlation_measures(section: Section, points: Points) -> tuple[list[Measure], list[Curve]]:
    """Cross-type K at the near distance, L at the far one, and the curves."""
    d = section.definitions
    sums = sum_pairs(
        points.buckets,
        section.window,
        points.kind,
        points.block,
        kinds=CORRELATED,
        n_kinds=N_KINDS,
        n_blocks=len(section.blocks),
        reach_um=d.reach_um,
        bin_um=d.bin_um,
    )
    measures: list[Measure] = []
    curves: list[Curve] = []
    for row, kinds in enumerate(CORRELATED):
        measures += _pair_measures(section, points, sums, row)
        mean, deviation = sums.random_labelling(row)
        band = [np.sqrt(np.maximum(mean + s * 1.96 * deviation, 0) / np.pi) for s in (-1, 1)]
        nothing = np.full(len(mean), np.nan)
        name = _pair_name(kinds)
        curves.append(
            Curve(
                name=f"{name}_l_um",
                unit="µm",
                radius_um=sums.radius_um,
                value=sums.l_um(row),
                null_lower=band[0],
                null_upper=band[1],
            )
        )
        curves.append(
            Curve(
                name=f"{name}_pair_correlation",
                unit="ratio",
                radius_um=sums.radius_um,
                value=sums.pair_correlation(row),
                null_lower=nothing,
                null_upper=nothing,
            )
        )
    return measures, curves


def _pair_name(kinds: tuple[int, int]) -> str:
    return f"{NAME_OF_KIND[kinds[0]]}_{NAME_OF_KIND[kinds[1]]}"


def _pair_measures(section: Section, points: Points, sums: PairSums, row: int) -> list[Measure]:
    d = section.definitions
    a, b = sums.kinds[row]
    near, far = (round(r / d.bin_um) - 1 for r in (d.near_um, d.far_um))
    k, (mean, deviation) = sums.k_um2(row), sums.random_labelling(row)
    cumulative = sums.by_block[:, row].cumsum(axis=1)[:, [near, far]]
    n_blocks = len(section.blocks)
    in_block = [np.bincount(points.block[points.kind == e], minlength=n_blocks) for e in (a, b)]
    by_block = np.column_stack([cumulative, *in_block, section.blocks.area_um2])

    def resampled_k(s: Floats, which: int) -> Floats:
        return s[:, which] * s[:, 4] / (s[:, 2] * (s[:, 3] - (a == b)))

    disc = np.pi * sums.radius_um[near] ** 2
    name = _pair_name((a, b))
    close = stated(
        f"{name}_clustering_near_ratio",
        "ratio",
        float(k[near] / disc),
        interval=section.bootstrap.interval(by_block, lambda s: resampled_k(s, 0) / disc),
        null=(float(mean[near] / disc), float(deviation[near] / disc)),
        definition="spatial_distances",
        undefined=_NO_CELLS,
    )
    radius = float(sums.radius_um[far])
    # delta method: dL = dK / (2 π L)
    expected = float(np.sqrt(mean[far] / np.pi))
    spread = float(deviation[far] / (2 * np.pi * expected)) if expected > 0 else math.nan
    excess = stated(
        f"{name}_l_excess_far_um",
        "µm",
        float(np.sqrt(k[far] / np.pi)) - radius,
        interval=section.bootstrap.interval(
            by_block, lambda s: np.sqrt(resampled_k(s, 1) / np.pi) - radius
        ),
        null=(expected - radius, spread),
        definition="spatial_distances",
        undefined=_NO_CELLS,
    )
    return [close, excess]


def nearest_measures(section: Section, points: Points) -> tuple[list[Measure], list[Curve]]:
    """Share of cells with a neighbour near by, mean distance up to the reach, and G."""
    d = section.definitions
    counts = count_nearest(
        points.buckets,
        points.edge_um,
        points.kind,
        points.block,
        kinds=NEAREST,
        n_kinds=N_KINDS,
        n_blocks=len(section.blocks),
        reach_um=d.reach_um,
        bin_um=d.bin_um,
        permutations=d.permutations,
        rng=section.generator(_NEAREST),
    )
    measures: list[Measure] = []
    curves: list[Curve] = []
    for row, (a, b) in enumerate(NEAREST):
        name = f"{NAME_OF_KIND[a]}_to_{NAME_OF_KIND[b]}"
        there = (points.kind == a).any() and (points.kind == b).any()
        g = grouped_g(counts.events[row], counts.censored[row], counts.size[row])
        if not there:
            g = np.full_like(g, np.nan)
        measures += _row_measures(section, counts, row, g, name)
        lower, upper = np.quantile(g[1:], [0.025, 0.975], axis=0)
        curves.append(
            Curve(
                name=f"{name}_g",
                unit="probability",
                radius_um=counts.radius_um,
                value=g[0],
                null_lower=lower,
                null_upper=upper,
            )
        )
    return measures, curves


def _row_measures(
    section: Section, counts: NearestCounts, row: int, g: Floats, name: str
) -> list[Measure]:
    d = section.definitions
    near = round(d.near_um / d.bin_um) - 1
    n_bins = counts.events.shape[2]
    by_block = np.concatenate(
        [
            counts.events_by_block[row],
            counts.censored_by_block[row],
            counts.size_by_block[row][:, None],
        ],
        axis=1,
    ).astype(np.float64)

    def resampled_g(s: Floats) -> Floats:
        return grouped_g(s[:, :n_bins], s[:, n_bins : 2 * n_bins], s[:, -1])

    edge = "too few cells lie far enough from the tissue's edge, or a type has no cell"
    within = stated(
        f"{name}_near_percent",
        "%",
        float(100 * g[0, near]),
        interval=section.bootstrap.interval(by_block, lambda s: 100 * resampled_g(s)[:, near]),
        null=100 * g[1:, near],
        definition="spatial_distances",
        undefined=edge,
    )
    distance = restricted_mean_um(g, d.bin_um)
    mean = stated(
        f"{name}_distance_um",
        "µm",
        float(distance[0]),
        interval=section.bootstrap.interval(
            by_block, lambda s: restricted_mean_um(resampled_g(s), d.bin_um)
        ),
        null=distance[1:],
        definition="spatial_distances",
        undefined=edge,
    )
    return [within, mean]
