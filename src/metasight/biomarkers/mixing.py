"""How tumour and immune cells mix: Keren's score, and which side T cells prefer."""


# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.biomarkers.blocks import BlockBootstrap
from metasight.engine.kernels import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_TUMOUR, _IMMUNE = 1, 2


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """Contacts between tumour and immune cells.

    Attributes
    ----------
    tumour_immune, immune_immune
        Contacts, each pair once.
    score
        Their ratio (Keren et al., Cell 2018;174:1373); NaN where no immune cells touch.
    lower, upper
        95 % interval by tissue resampling.
    null_scores
        The score when tumour and immune labels are dealt out anew among tumour and immune
        cells, as the authors did.
    contacts_by_block
        Tumour–immune and immune–immune contacts of each block of tissue, shape ``(blocks, 2)``.
    """

    tumour_immune: int
    immune_immune: int
    score: float
    lower: float
    upper: float
    null_scores: Floats
    contacts_by_block: Floats


def mixing_score(
    contacts: npt.NDArray[np.int32],
    tumour: Flags,
    immune: Flags,
    block: Ints,
    bootstrap: BlockBootstrap,
    *,
    permutations: int,
    rng: np.random.Generator,
) -> Mixing:
    """Tumour–immune contacts over immune–immune contacts.

    Parameters
    ----------
    contacts
        Pairs of touching cells, shape ``(pairs, 2)``.
    tumour, immune
        Which cells are which, disjoint, shape ``(n,)``.
    block
        Block of tissue of each cell.
    bootstrap
        Draws of blocks.
    permutations, rng
        Of the null.
    """
    group = np.zeros(len(tumour), dtype=np.int8)
    group[tumour] = _TUMOUR
    group[immune] = _IMMUNE
    both = group > 0
    kept = contacts[both[contacts[:, 0]] & both[contacts[:, 1]]]
    crossing = group[kept[:, 0]] != group[kept[:, 1]]
    within = (group[kept[:, 0]] == _IMMUNE) & ~crossing
    n_blocks = bootstrap.weights.shape[1]
    home = block[kept[:, 0]]
    by_block = np.stack(
        [np.bincount(home[flag], minlength=n_blocks) for flag in (crossing, within)], axis=1
    ).astype(np.float64)
    lower, upper = bootstrap.interval(by_block, lambda sums: sums[:, 0] / sums[:, 1])
    labels = group[both]
    place = np.cumsum(both, dtype=np.int32) - 1
    inner = place[kept]
    null = np.empty(permutations)
    for number in range(permutations):
        rng.shuffle(labels)
        null[number] = _ratio(*_count(inner, labels))
    ti, ii = int(crossing.sum()), int(within.sum())
    return Mixing(
        tumour_immune=ti,
        immune_immune=ii,
        score=_ratio(ti, ii),
        lower=lower,
        upper=upper,
        null_scores=null,
        contacts_by_block=by_block,
    )


def _ratio(tumour_immune: int, immune_immune: int) -> float:
    return tumour_immune / immune_immune if immune_immune else np.nan


@njit(cache=True)
def _count(pairs: npt.NDArray[np.int32], group: npt.NDArray[np.int8]) -> tuple[int, int]:
    crossing = within = 0
    for e in range(len(pairs)):
        a, b = group[pairs[e, 0]], group[pairs[e, 1]]
        if a != b:
            crossing += 1
        elif a == 2:
            within += 1
    return crossing, within


@dataclass(frozen=True, kw_only=True)
class Preference:
    """Whether T cells lie among tumour cells more than any cell would.

    Attributes
    ----------
    ratio
        Mean tumour share round T cells over that round all cells; 1 is indifferent, below 1
        they keep out of the tumour.
    lower, upper
        95 % interval by tissue resampling.
    z
        Against T labels dealt out anew with tumour and other cells where they are: exact mean
        and variance of a mean over a simple random sample (Cochran, *Sampling Techniques*,
        §2.6). T cells that keep together make it too large.
    """

    ratio: float
    lower: float
    upper: float
    z: float


def tumour_preference(
    local_counts: npt.NDArray[np.int32],
    t_cell: Flags,
    block: Ints,
    bootstrap: BlockBootstrap,
    *,
    tumour_kind: int,
    t_cell_kind: int,
) -> Preference:
    """Tumour share of the cells other than T cells round each T cell, against any cell.

    Parameters
    ----------
    local_counts
        Neighbours of each kind round each cell, shape ``(n, kinds)``.
    t_cell
        Which cells are T cells.
    block, bootstrap
        Of each cell, and the draws.
    tumour_kind, t_cell_kind
        Columns of ``local_counts``.
    """
    others = local_counts.sum(axis=1) - local_counts[:, t_cell_kind]
    there = others > 0
    share = local_counts[there, tumour_kind] / others[there]
    t = t_cell[there]
    n, n_t = len(share), int(t.sum())
    nothing = Preference(ratio=np.nan, lower=np.nan, upper=np.nan, z=np.nan)
    if n_t in {0, n} or share.mean() == 0:
        return nothing
    spread = share.var(ddof=1) * (1 / n_t - 1 / n)
    z = (share[t].mean() - share.mean()) / np.sqrt(spread) if spread > 0 else np.nan
    n_blocks = bootstrap.weights.shape[1]
    columns = [share * t, t.astype(float), share, np.ones(n)]
    by_block = np.stack(
        [np.bincount(block[there], weights=c, minlength=n_blocks) for c in columns], axis=1
    ).astype(np.float64)
    lower, upper = bootstrap.interval(by_block, lambda s: (s[:, 0] / s[:, 1]) / (s[:, 2] / s[:, 3]))
    return Preference(
        ratio=float(share[t].mean() / share.mean()), lower=lower, upper=upper, z=float(z)
    )
