"""Which modalities a ridge reads and how strongly each is drawn in, by inner cross-validation.

Every modality m has a penalty κ_m = p_m / s_m² on each of its p_m columns: s_m, its *spread*, is the
standard deviation of the log hazard (or log odds) between patients that it is thought to explain
before data are seen, the columns taken to be independent. A spread of 0 is a penalty of infinity: the
modality is left out. In this scale one grid serves clinical data with seven columns, four hundred
radiomic features and five thousand genes, and a penalty does not have to be scaled with the
number of patients: a part of the rows is fitted with the penalties of all.

The held-out deviance is that of Verweij and van Houwelingen (Stat Med 1993;12:2305): the likelihood
of all rows less that of the training rows. Penalties by modality that are chosen by it: Boulesteix
and others, IPF-LASSO, Comput Math Methods Med 2017:7691937; van de Wiel and others, Statistics in
Medicine 2021;40:5910 (multiridge).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metasight.models.ridge import COARSE, Floats, Likelihood, maximise

Spreads = tuple[float, ...]

SPREADS: Spreads = (2.0, 1.0, 0.5, 0.25, 0.125)
"""Spreads tried: from a hazard ratio of 7 a standard deviation to one of 1.1; each step makes the
penalty four times as large."""

_FIRST = 0.5
"""Spread of every modality where the search begins."""
_MOST_ROUNDS = 10


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
    columns: NDArray[np.intp]
    width: int
    penalised: bool = True


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the inner folds chose.

    Attributes
    ----------
    spreads
        Of each block; 0 where it is left out. An unpenalised one has 0 and is kept.
    deviance
        Shape (n_folds,): held-out deviance of each fold.
    gained
        Modality that could be left out → by how much the summed held-out deviance falls with it,
        beside the modalities that were left when it was looked at.
    tried
        Number of sets of spreads tried.
    """

    spreads: Spreads
    deviance: Floats
    gained: dict[str, float] = field(default_factory=dict)
    tried: int = 0


def penalties(blocks: Sequence[Block], spreads: Spreads) -> tuple[NDArray[np.intp], Floats]:
    """Columns that are read, and the penalty of each."""
    parts = [
        (b.columns, np.full(len(b.columns), b.width / s**2 if b.penalised else 0.0))
        for b, s in zip(blocks, spreads, strict=True)
        if s > 0 or not b.penalised
    ]
    return np.concatenate([c for c, _ in parts]), np.concatenate([k for _, k in parts])


class InnerFolds:
    """Held-out deviance of a ridge at any spreads; what was computed is kept."""

    def __init__(
        self, whole: Likelihood, fold: NDArray[np.int64], blocks: Sequence[Block], *, model: str
    ) -> None:
        """Prepare; nothing is fitted.

        Parameters
        ----------
        whole
            Of all rows and columns.
        fold
            Shape (n,) or (repeats, n), in the order of the likelihood's rows.
        blocks
            Of the columns.
        model
            Named in errors.
        """
        self._whole, self._blocks, self._model = whole, tuple(blocks), model
        labels = np.atleast_2d(fold)
        self._training = [
            np.flatnonzero(one != k) for one in labels for k in range(int(one.max()) + 1)
        ]
        self._repeats = len(labels)
        self._parts: dict[tuple[int, ...], tuple[Likelihood, list[Likelihood], list[Floats]]] = {}
        self.known: dict[Spreads, Floats] = {}

    def deviance(self, spreads: Spreads) -> Floats:
        """Held-out deviance of each fold, divided by the number of repeats."""
        if spreads not in self.known:
            columns, penalty = penalties(self._blocks, spreads)
            whole, train, last = self._of(columns)
            for k, part in enumerate(train):
                last[k] = maximise(
                    part, penalty, start=last[k], tolerance=COARSE, model=self._model
                )
            unseen = [whole.value(x) - part.value(x) for part, x in zip(train, last, strict=True)]
            self.known[spreads] = -2.0 * np.array(unseen) / self._repeats
        return self.known[spreads]

    def _of(self, columns: NDArray[np.intp]) -> tuple[Likelihood, list[Likelihood], list[Floats]]:
        """Likelihoods of these columns: all rows, each training part; where its last fit ended."""
        key = tuple(columns.tolist())
        if key not in self._parts:
            whole = self._whole.part(None, columns)
            train = [whole.part(rows, None) for rows in self._training]
            self._parts[key] = whole, train, [part.start() for part in train]
        return self._parts[key]

    def best(self, start: Spreads) -> Spreads:
        """Spreads of least deviance among those with the same blocks, found one block at a time."""
        found = start
        for _ in range(_MOST_ROUNDS):
            before = found
            for k, block in enumerate(self._blocks):
                if found[k] > 0 and block.penalised:
                    tries = [(*found[:k], s, *found[k + 1 :]) for s in SPREADS]
                    found = min(tries, key=lambda t: float(self.deviance(t).sum()))
            if found == before:
                break
        return found


def choose(
    whole: Likelihood, fold: NDArray[np.int64], blocks: Sequence[Block], *, model: str
) -> Choice:
    """Spreads of least held-out deviance, each modality but the first kept only for a reason.

    From all modalities on, the one that is missed least is left out as long as it is not missed by
    more than :data:`KEPT`.

    Parameters
    ----------
    whole
        Of all rows and columns.
    fold
        Shape (n,) or (repeats, n), rows in the order of the likelihood.
    blocks
        Of the columns; the first that is penalised is never left out.
    model
        Named in errors.
    """
    inner = InnerFolds(whole, fold, blocks, model=model)
    found = inner.best(tuple(_FIRST if b.penalised else 0.0 for b in blocks))
    gained: dict[str, float] = {}
    while True:
        asked = [k for k in range(1, len(blocks)) if found[k] > 0]
        if not asked:
            break
        fewer = [inner.best((*found[:k], 0.0, *found[k + 1 :])) for k in asked]
        gains = [float((inner.deviance(f) - inner.deviance(found)).sum()) for f in fewer]
        least = int(np.argmin(gains))
        for k, gain in zip(asked, gains, strict=True):
            gained[blocks[k].modality] = gain
        if gains[least] > KEPT:
            break
        found = fewer[least]
    return Choice(
        spreads=found, deviance=inner.deviance(found), gained=gained, tried=len(inner.known)
    )


KEPT = 2.0
