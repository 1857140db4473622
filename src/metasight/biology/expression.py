"""Expression tables on the scale that regressions read."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metasight.errors import EvaluationError


def genes_of_all(expression: pd.DataFrame) -> pd.DataFrame:
    """The genes that were measured in every patient of the table, patients by genes.

    Raises
    ------
    EvaluationError
        There is none.
    """
    whole = expression.columns[expression.notna().all(axis=0)]
    if not len(whole):
        raise EvaluationError(
            "no gene was measured in all patients who have expression data",
            value=f"{len(expression)} patients",
        )
    return expression[whole]


def log_of_counts(counts: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """log₂(count + 1), patients by genes.

    Parameters
    ----------
    counts
        Complete and not negative.
    where
        Names the table in errors.

    Raises
    ------
    EvaluationError
        A value is below 0.
    """
    if bool((counts < 0).any(axis=None)):
        raise EvaluationError(
            "a value below 0 is no count",
            where=where,
            remedy="Set log_scale = true if values are logarithms",
        )
    return pd.DataFrame(
        np.log2(counts.to_numpy(dtype=np.float64) + 1), counts.index, counts.columns
    )
