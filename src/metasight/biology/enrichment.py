"""Gene sets that go with an imaging risk: preranked GSEA, single-sample scores, and the null.

The enrichment score is that of Subramanian et al. (PNAS 2005;102:15545). gseapy's preranked test
deals genes out at random; genes of a set go together in any tissue, so its p values are too small
(Goeman and Bühlmann, Bioinformatics 2007;23:980). The p values that count here deal the *risk* out
over patients instead, with covariates kept; gseapy's stand beside them. The same shuffled risks
say what the whole procedure finds where there is nothing: its p values must be uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import false_discovery_control, kstest

from metasight.biology.association import Associated, Prepared, associate
from metasight.biology.gene_sets import GeneSets
from metasight.errors import EvaluationError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BATCH = 50
_FEWEST_PERMUTATIONS = 20


@dataclass(frozen=True, kw_only=True)
class NullCheck:
    """What the procedure finds when the risk is dealt out at random.

    Attributes
    ----------
    replicates
        Shuffled risks that were taken for the real one.
    p
        Their p values, of all sets, shape ``(replicates * sets,)``.
    below_5_percent
        Share of p values below 0.05.
    any_discovery
        Share of replicates with a set at a false discovery rate below 0.05.
    distance
        Largest distance of the p values' distribution from the uniform (Kolmogorov).
    """

    replicates: int
    p: Floats
    below_5_percent: float
    any_discovery: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class Enrichment:
    """Sets, genes and the null.

    Attributes
    ----------
    genes
        Every gene's association.
    sets
        Index set; columns ``size``, ``es``, ``nes`` (over the mean score of shuffled risks of the
        same sign), ``p``, ``fdr`` (Benjamini–Hochberg), ``leading_edge`` (genes joined by ``;``),
        and gseapy's ``gseapy_nes``, ``gseapy_p``, ``gseapy_fdr``, which deal genes out.
    null
        What shuffled risks give.
    permutations
        Of the risk.
    """

    genes: Associated
    sets: pd.DataFrame
    null: NullCheck
    permutations: int


def running_score(t: Floats, members: Ints, weight: float = 1.0) -> Floats:
    """Running sum over genes in falling order of ``t``, shape ``(genes,)``.

    Parameters
    ----------
    t
        Statistic of each gene.
    members
        Places of the set's genes in ``t``.
    """
    order = np.argsort(-t, kind="stable")
    hit = np.zeros(len(t))
    hit[members] = np.abs(t[members]) ** weight
    inside = np.zeros(len(t), dtype=np.bool_)
    inside[members] = True
    steps = hit[order] / max(hit.sum(), 1e-300) - ~inside[order] / max(len(t) - len(members), 1)
    return np.asarray(np.cumsum(steps), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class SetTrace:
    """How a set's genes lie in the ranking of all genes.

    Attributes
    ----------
    running
        `running_score` down the ranking, one value a gene.
    ranks
        Places of the set's genes in the ranking, rising; 0 is the gene with the largest statistic.
    """

    running: tuple[float, ...]
    ranks: tuple[int, ...]


def set_trace(t: pd.Series, genes: Sequence[str]) -> SetTrace:
    """Trace one set through the ranking.

    Parameters
    ----------
    t
        Statistic of every gene, by gene.
    genes
        Of the set; all are in ``t``.
    """
    place = {str(g): k for k, g in enumerate(t.index)}
    values = t.to_numpy(dtype=np.float64)
    rank = np.empty(len(values), dtype=np.int64)
    rank[np.argsort(-values, kind="stable")] = np.arange(len(values))
    members = np.array([place[g] for g in genes])
    return SetTrace(
        running=tuple(running_score(values, members).tolist()),
        ranks=tuple(sorted(rank[members].tolist())),
    )


def enrichment_scores(t: Floats, sets: list[Ints]) -> Floats:
    """Largest deviation of each set's running sum, signed, for each ranking.

    Parameters
    ----------
    t
        (rankings, genes).
    sets
        Places of each set's genes.

    Returns
    -------
    Floats
        (rankings, sets), within [−1, 1].
    """
    n = t.shape[1]
    found = np.zeros((len(t), len(sets)))
    for row, values in enumerate(t):
        rank = np.empty(n, dtype=np.int64)
        rank[np.argsort(-values, kind="stable")] = np.arange(n)
        for k, members in enumerate(sets):
            place = np.sort(rank[members])
            own = np.abs(values[members[np.argsort(rank[members])]])
            hits = np.cumsum(own) / max(own.sum(), 1e-300)
            misses = (place - np.arange(len(place))) / max(n - len(place), 1)
            top, bottom = (hits - misses).max(), (np.r_[0.0, hits[:-1]] - misses).min()
            found[row, k] = top if top >= -bottom else bottom
    return found


def enrich(
    prepared: Prepared, gene_sets: GeneSets, *, permutations: int, seed: int, null_replicates: int
) -> Enrichment:
    """Rank genes, score sets, and see what the procedure finds in nothing.

    Parameters
    ----------
    prepared
        Expression and risk.
    gene_sets
        Cut to measured genes.
    permutations
        Shuffled risks that p values rest on; the smallest p is 1 / (permutations / 2 + 1) or so.
    seed
        Of the shuffling.
    null_replicates
        Shuffled risks that are taken for the real one.

    Raises
    ------
    EvaluationError
        Fewer than 20 permutations, or more replicates than permutations.
    """
    if permutations < _FEWEST_PERMUTATIONS or null_replicates > permutations // 2:
        raise EvaluationError(
            "too few permutations for a p value, or for a null", value=str(permutations)
        )
    told = associate(prepared)
    place = {g: k for k, g in enumerate(prepared.genes)}
    names = list(gene_sets)
    members = [np.array([place[g] for g in gene_sets[n] if g in place]) for n in names]
    t = told.table["t"].to_numpy(dtype=np.float64)
    observed = enrichment_scores(t[None], members)[0]
    shuffled = prepared.shuffled(permutations, seed)
    null = np.concatenate(
        [
            enrichment_scores(prepared.t_of(shuffled[at : at + _BATCH]), members)
            for at in range(0, permutations, _BATCH)
        ]
    )
    p = tail(observed[None], null)[0]
    same = np.sign(null) == np.sign(observed)
    size = np.where(same, np.abs(null), 0).sum(axis=0) / np.maximum(same.sum(axis=0), 1)
    sets = pd.DataFrame(
        {
            "size": [len(m) for m in members],
            "es": observed,
            "nes": observed / np.maximum(size, 1e-12),
            "p": p,
            "fdr": false_discovery_control(p),
            "leading_edge": [";".join(_leading(t, m, prepared.genes)) for m in members],
        },
        index=pd.Index(names, name="set"),
    )
    return Enrichment(
        genes=told,
        sets=sets.join(_by_genes(told, gene_sets, seed)),
        null=_null_check(null, null_replicates),
        permutations=permutations,
    )


def tail(observed: Floats, null: Floats) -> Floats:
    """Tail probability of each score among null scores of the same sign, (k, sets); never 0."""
    found = np.ones_like(observed)
    for s in range(observed.shape[1]):
        for sign in (1.0, -1.0):
            own = np.sort(np.abs(null[np.sign(null[:, s]) == sign, s]))
            rows = np.sign(observed[:, s]) == sign
            beyond = len(own) - np.searchsorted(own, np.abs(observed[rows, s]) - 1e-12)
            found[rows, s] = (1 + beyond) / (1 + len(own))
    return found


def _null_check(null: Floats, replicates: int) -> NullCheck:
    """The first shuffled risks judged by the others."""
    p = tail(null[:replicates], null[replicates:])
    discovered = [bool((false_discovery_control(row) < 0.05).any()) for row in p]
    flat = p.ravel()
    return NullCheck(
        replicates=replicates,
        p=flat,
        below_5_percent=float((flat < 0.05).mean()),
        any_discovery=float(np.mean(discovered)),
        distance=float(kstest(flat, "uniform").statistic),
    )


def _leading(t: Floats, members: Ints, genes: tuple[str, ...]) -> list[str]:
    """Members up to the running sum's peak, or from its trough on."""
    running = running_score(t, members)
    order = np.argsort(-t, kind="stable")
    top, bottom = int(np.argmax(running)), int(np.argmin(running))
    inside = set(members.tolist())
    if running[top] >= -running[bottom]:
        return [genes[g] for g in order[: top + 1].tolist() if g in inside]
    return [genes[g] for g in order[bottom + 1 :][::-1].tolist() if g in inside]


def _by_genes(told: Associated, gene_sets: GeneSets, seed: int) -> pd.DataFrame:
    """The preranked test of gseapy, which deals genes out; its columns are named so."""
    import gseapy

    result = gseapy.prerank(
        rnk=told.table["t"],
        gene_sets={n: list(g) for n, g in gene_sets.items()},
        outdir=None,
        min_size=1,
        max_size=len(told.table),
        permutation_num=1000,
        seed=seed,
        threads=1,
        no_plot=True,
        verbose=False,
    ).res2d.set_index("Term")
    columns = {"NES": "gseapy_nes", "NOM p-val": "gseapy_p", "FDR q-val": "gseapy_fdr"}
    table: pd.DataFrame = result[list(columns)].rename(columns=columns).astype(float)
    return table


def single_sample(expression: pd.DataFrame, gene_sets: GeneSets, *, seed: int) -> pd.DataFrame:
    """Single-sample scores by gseapy (Barbie et al., Nature 2009;462:108), patients × sets."""
    import gseapy

    result = gseapy.ssgsea(
        data=expression.T,
        gene_sets={n: list(g) for n, g in gene_sets.items()},
        outdir=None,
        min_size=1,
        max_size=expression.shape[1],
        seed=seed,
        threads=1,
        no_plot=True,
        verbose=False,
    ).res2d
    wide = result.pivot(index="Name", columns="Term", values="NES").astype(float)  # noqa: PD010
    scores: pd.DataFrame = wide.loc[expression.index, list(gene_sets)]
    return scores
