"""How strongly a ridge draws in each modality, and whether it reads it: by inner cross-validation.

Every modality m has a penalty κ_m = p_m / s_m² on each of its p_m columns. s_m, its *spread*, is
the standard deviation of the log hazard (or log odds) between patients that it is thought to
explain before data are seen, if its columns were independent. A spread of 0 is an infinite penalty:
the modality is left out. On this scale one grid serves seven clinical predictors, four hundred
radiomic features and five thousand genes, and a training part is fitted with the penalties of all
rows.

The penalties by modality of IPF (Boulesteix and others, Comput Math Methods Med 2017:7691937; van
de Wiel and others, J Comput Graph Stat 2021;30:835) are usually those of least held-out deviance.
With some sixty events that is a choice between values that the folds cannot tell apart, and a rule
that decides whether a modality counts at all is often wrong: it lets noise in or drops weak
signals. So nothing is chosen. Every set of spreads gives a ridge, and their coefficients are
averaged with weight

    w ∝ prior × exp(0.6 ℓ),

ℓ being the held-out log likelihood (deviance −2ℓ; for hazards that of Verweij and van Houwelingen,
Stat Med 1993;12:2305), the mean of two divisions into folds. With exp(ℓ) these are the weights of
pseudo-Bayesian model averaging (Geisser and Eddy, J Am Stat Assoc 1979;74:153), which take the
folds at their word; a part of ℓ allows for their noise (Yao and others, Bayesian Analysis
2018;13:917, on why that is needed). The prior gives 0.7 to reading nothing but the first modality,
however many others there are (Scott and Berger, Ann Stat 2010;38:2587, on why a prior must pay for
the number of candidates), and shares the rest evenly between the sets of others.
``bench/fusion.py`` has the figures, with and without an effect.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.errors import FitError
from metasight.models.ridge import COARSE, Floats, Likelihood, Positions, maximise

Spreads = tuple[float, ...]

SPREADS: Spreads = (1.0, 0.5, 0.25)
"""Spreads tried beside 0: a hazard ratio of 2.7, 1.6 or 1.3 for a standard deviation."""
NOTHING = 0.7
"""Prior weight on the first modality alone."""
TEMPER = 0.6
"""Share of the held-out log likelihood that counts."""

_LEAST = 1e-3
"""Weight, relative to the largest, below which a ridge is not fitted to all rows."""
_EACH = 3
"""Number of modalities beside the first up to which each has a spread of its own."""
_MOST = 6


@dataclass(frozen=True, kw_only=True)
class Block:
    """The columns of one modality.

    Attributes
    ----------
    modality
        Its name.
    columns
        Positions in the matrix.
    width
        Number of its columns in the design, of which there may be more than in the matrix.
    penalised
        False: no penalty, never left out.
    """

    modality: str
    columns: Positions
    width: int
    penalised: bool = True


def penalties(blocks: Sequence[Block], spreads: Spreads) -> tuple[Positions, Floats]:
    """Columns that are read, and the penalty of each."""
    parts = [
        (b.columns, np.full(len(b.columns), b.width / s**2 if b.penalised else 0.0))
        for b, s in zip(blocks, spreads, strict=True)
        if s > 0 or not b.penalised
    ]
    return np.concatenate([c for c, _ in parts]), np.concatenate([k for _, k in parts])


def candidates(blocks: Sequence[Block], *, model: str = "ridge") -> tuple[Spreads, ...]:
    """Sets of spreads, one spread a block; those that read the same blocks follow one another.

    The first block is in each. With more than three others, those that are read share a spread.
    An unpenalised block has no spread (0).

    Raises
    ------
    FitError
        More than six modalities beside the first.
    """
    asked = [k for k in range(1, len(blocks)) if blocks[k].penalised]
    if len(asked) > _MOST:
        raise FitError(
            "the ridge reads too many modalities",
            where=model,
            value=str(len(blocks)),
            remedy=f"Read at most {_MOST + 1}, or join some of them into one table",
        )
    first = SPREADS if blocks[0].penalised else (0.0,)
    found = []
    for read in itertools.product((False, True), repeat=len(asked)):
        kept = [k for k, yes in zip(asked, read, strict=True) if yes]
        own = itertools.product(SPREADS, repeat=len(kept))
        sets = [(s,) * len(kept) for s in SPREADS] if len(asked) > _EACH and kept else list(own)
        for base, spreads in itertools.product(first, sets):
            one = [0.0] * len(blocks)
            one[0] = base
            for k, s in zip(kept, spreads, strict=True):
                one[k] = s
            found.append(tuple(one))
    return tuple(found)


def prior(sets: Sequence[Spreads]) -> Floats:
    """Prior weight of each set of spreads, adding to 1.

    :data:`NOTHING` is on the first block alone; the rest is shared evenly between the sets of other
    blocks that are read, and within each between its spreads. Without others all sets are equal.
    """
    reads = [tuple(s > 0 for s in one[1:]) for one in sets]
    alike = Counter(reads)
    others = len(alike) - 1
    share = [
        1.0 if not others else (1 - NOTHING) / others if any(read) else NOTHING for read in reads
    ]
    weight = np.array([s / alike[r] for s, r in zip(share, reads, strict=True)])
    return weight / math.fsum(weight)


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """Ridges and the weight of each.

    Attributes
    ----------
    spreads
        Of each ridge.
    deviance
        Shape (n_ridges,): held-out deviance, summed over folds, mean over divisions.
    weight
        Shape (n_ridges,), adding to 1; many are 0.
    folds
        Number of folds of a division.
    """

    spreads: tuple[Spreads, ...]
    deviance: Floats
    weight: Floats
    folds: int

    def reading(self, block: int) -> float:
        """Weight of the ridges that read a block, which is penalised."""
        return float(sum(w for s, w in zip(self.spreads, self.weight, strict=True) if s[block] > 0))

    def averaged(self, whole: Likelihood, blocks: Sequence[Block], *, model: str) -> Floats:
        """Weighted mean of the ridges' parameters, each fitted to all rows of ``whole``.

        Shape (free + p,); what a ridge leaves out counts as 0.
        """
        width = sum(len(b.columns) for b in blocks)
        total = np.zeros(whole.free + width)
        parts: dict[tuple[int, ...], tuple[Likelihood, Floats]] = {}
        for spreads, weight in zip(self.spreads, self.weight, strict=True):
            if weight == 0:
                continue
            read, penalty = penalties(blocks, spreads)
            key = tuple(read.tolist())
            part, start = parts.get(key) or (whole.part(None, read), None)
            found = maximise(part, penalty, start=start, model=model)
            parts[key] = part, found
            total[: whole.free] += weight * found[: whole.free]
            total[whole.free + read] += weight * found[whole.free :]
        return total


def weigh(
    whole: Likelihood, fold: NDArray[np.int64], blocks: Sequence[Block], *, model: str
) -> Weighed:
    """Weights of all candidates by the likelihood of rows that a ridge has not seen.

    Parameters
    ----------
    whole
        Of all rows and columns.
    fold
        Shape (n_divisions, n): of each row, in the order of the likelihood.
    blocks
        Of the columns; the first is never left out.
    model
        Named in errors.
    """
    sets = candidates(blocks, model=model)
    by_fold = held_out_deviance(whole, fold, blocks, sets, model=model)
    deviance = by_fold.sum(axis=1) / len(fold)
    log_weight = np.log(prior(sets)) - 0.5 * TEMPER * deviance
    weight = np.exp(log_weight - log_weight.max())
    weight[weight < _LEAST] = 0.0
    return Weighed(
        spreads=sets,
        deviance=deviance,
        weight=weight / math.fsum(weight),
        folds=int(fold.max()) + 1,
    )


def held_out_deviance(
    whole: Likelihood,
    fold: NDArray[np.int64],
    blocks: Sequence[Block],
    sets: Sequence[Spreads],
    *,
    model: str,
) -> Floats:
    """Held-out deviance, shape (n_sets, n_divisions × n_folds).

    Each fit starts where the one before it ended. The deviance is −2 × (likelihood of all rows less
    that of the training rows), which for hazards keeps the risk sets of small folds.
    """
    training = [np.flatnonzero(one != k) for one in fold for k in range(int(one.max()) + 1)]
    out = np.empty((len(sets), len(training)))
    known: tuple[int, ...] = ()
    for row, spreads in enumerate(sets):
        read, penalty = penalties(blocks, spreads)
        if tuple(read.tolist()) != known:
            known = tuple(read.tolist())
            everyone = whole.part(None, read)
            parts = [everyone.part(rows, None) for rows in training]
            ends = [part.start() for part in parts]
        for k, part in enumerate(parts):
            ends[k] = maximise(part, penalty, start=ends[k], tolerance=COARSE, model=model)
            out[row, k] = -2.0 * (everyone.value(ends[k]) - part.value(ends[k]))
    return out
