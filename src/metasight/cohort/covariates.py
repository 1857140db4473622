"""Columns of the patient table as plain numbers, for estimators that take no missing value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd


def complete_covariates(
    table: pd.DataFrame, names: Sequence[str]
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Those of ``names`` that the table holds as numbers and that differ between patients.

    Parameters
    ----------
    table
        Canonical values, a row a patient.
    names
        Asked for; each counts once.

    Returns
    -------
    Names kept, in their order, and their values, shape (n, kept): a missing value stands at the
    column's median.
    """
    kept, columns = [], []
    for name in dict.fromkeys(names):
        if name not in table:
            continue
        column = pd.to_numeric(table[name], errors="coerce").astype(float)
        if column.notna().sum() == 0 or column.nunique() < 2:
            continue
        kept.append(name)
        columns.append(column.fillna(column.median()).to_numpy())
    return kept, np.column_stack(columns) if columns else np.zeros((len(table), 0))
