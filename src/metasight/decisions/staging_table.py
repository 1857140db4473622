"""Patients and positive nodes by what the guideline says and where the risk lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

VERDICTS = ("optional", "indicated", "unknown")


@dataclass(frozen=True, kw_only=True)
class StagingCell:
    """One cell of the table.

    Attributes
    ----------
    rule
        The guideline's verdict.
    low, high
        The risk lies from ``low`` up to, but not at, ``high``; None: the model gives none.
    patients, examined, positive
        Patients, those whose nodes were examined, and those of them with a positive node.
    """

    rule: str
    low: float | None
    high: float | None
    patients: int
    examined: int
    positive: int


def staging_cells(
    verdict: Sequence[str],
    risk: npt.NDArray[np.float64],
    stage: npt.NDArray[np.integer],
    thresholds: Sequence[float],
) -> tuple[StagingCell, ...]:
    """The table, verdict by verdict, risks rising, patients without a risk last.

    Parameters
    ----------
    verdict
        The guideline's for each patient, shape (n,).
    risk
        Of any nodal disease, shape (n,); NaN where the model gives none.
    stage
        Pathological N stage, shape (n,); below 0 where nodes were not examined.
    thresholds
        Rising risks that divide the table.
    """
    said = np.asarray(verdict, dtype=object)
    cells = []
    for name in VERDICTS:
        for low, high in pairwise((0.0, *thresholds, 1.0 + 1e-9)):
            here = (said == name) & (risk >= low) & (risk < high)
            cells.append(_cell(name, low, min(high, 1.0), stage[here]))
        cells.append(_cell(name, None, None, stage[(said == name) & np.isnan(risk)]))
    return tuple(cells)


def _cell(
    rule: str, low: float | None, high: float | None, stage: npt.NDArray[np.integer]
) -> StagingCell:
    return StagingCell(
        rule=rule,
        low=low,
        high=high,
        patients=len(stage),
        examined=int((stage >= 0).sum()),
        positive=int((stage > 0).sum()),
    )
