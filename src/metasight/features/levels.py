"""Levels of a feature: groups that patients are described in, and parameters that they cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metasight.features.columns import FeatureTable, Kind


def described_levels(values: pd.Series, kind: Kind) -> dict[str, str]:
    """Level of every patient who has a value, in words; a continuous one is cut at its median.

    The median is of all these patients and serves description only: no model reads it.
    """
    known = values.dropna()
    if kind is Kind.CONTINUOUS:
        cut = float(np.median(known.to_numpy(dtype=float)))
        return {str(p): f"> {cut:g}" if float(v) > cut else f"≤ {cut:g}" for p, v in known.items()}
    if kind is Kind.BINARY:
        return {str(p): "yes" if v else "no" for p, v in known.items()}
    return {str(p): f"{v:g}" if isinstance(v, float) else str(v) for p, v in known.items()}


def candidate_parameters(table: FeatureTable) -> int:
    """Parameters of a regression on every feature that differs between patients.

    One for a number, one less than its levels for a category.
    """
    return sum(
        max(len(f.levels) - 1, 1) for f in table.features if table.values[f.name].nunique() > 1
    )
