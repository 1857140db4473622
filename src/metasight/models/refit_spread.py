"""How coefficients differ between refits of one model to bootstrap resamples.

What a penalised model has instead of intervals: how often a term is kept, and between which values
its coefficient lies. Penalty and, of a spline, the knots are chosen anew in every refit. The range
is no confidence interval: coefficients that are drawn towards zero stay so in every resample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

FEWEST_FOR_RANGE = 20
"""Refits below which no range is given."""


@dataclass(frozen=True, kw_only=True)
class TermSpread:
    """One term over the refits.

    Attributes
    ----------
    kept
        Share of refits with a coefficient other than 0, in [0, 1].
    lower, upper
        2.5 and 97.5 % quantiles of the coefficient (log ratio per unit) over all refits, 0 where a
        refit left the term out; None with fewer than :data:`FEWEST_FOR_RANGE`.
    """

    kept: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, kw_only=True)
class RefitSpread:
    """All terms of one model.

    Attributes
    ----------
    model
        Its name.
    refits
        How many succeeded.
    terms
        Term of the final fit → its spread.
    """

    model: str
    refits: int
    terms: Mapping[str, TermSpread]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RefitSpread:
        """What :meth:`to_json` gave."""
        terms = {name: TermSpread(**t) for name, t in data["terms"].items()}
        return cls(model=data["model"], refits=data["refits"], terms=terms)


def refit_spread(
    model: str, terms: Sequence[str], refits: Sequence[Mapping[str, float]]
) -> RefitSpread:
    """Share kept and range of each term.

    Parameters
    ----------
    model
        Name.
    terms
        Of the final fit.
    refits
        Term → coefficient of each refit, at least one; a term that a refit lacks counts as 0.
    """
    values = np.array([[r.get(t, 0.0) for t in terms] for r in refits]).reshape(-1, len(terms))
    enough = len(refits) >= FEWEST_FOR_RANGE
    ends = np.quantile(values, [0.025, 0.975], axis=0)
    return RefitSpread(
        model=model,
        refits=len(refits),
        terms={
            t: TermSpread(
                kept=float((values[:, j] != 0).mean()),
                lower=float(ends[0, j]) if enough else None,
                upper=float(ends[1, j]) if enough else None,
            )
            for j, t in enumerate(terms)
        },
    )
