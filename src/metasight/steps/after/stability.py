"""How far texture survives another reader's boundary, and how much of it is the hospital's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.engine.step import Inputs
from metasight.models.crossfit import Data
from metasight.steps.cohort.data import load_data
from metasight.steps.files import number, write_json
from metasight.study.file import RADIOMICS_MODALITY

STABILITY = "stability of texture"

_FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class StabilityArgument:
    """Which analysis' patients.

    Attributes
    ----------
    data
        Name of the analysis-data step.
    """

    data: str


def judge_stability(inputs: Inputs, out: Path, argument: StabilityArgument) -> None:
    """Write ``stability.json`` and ``stability.csv``, a row a feature.

    It describes all patients and selects nothing: what a model leaves out for being unreliable is
    decided in each fold anew.
    """
    data, _, _ = load_data(inputs[argument.data])
    table = stability_of(data)
    table.to_csv(out / "stability.csv", lineterminator="\n")
    write_json(
        out / "stability.json",
        {
            "features": [
                {"feature": str(name), **{k: number(float(row[k])) for k in table.columns}}
                for name, row in table.iterrows()
            ],
            "patients": len(data.patients),
            "centres": int(data.centre.nunique()),
        },
    )


def stability_of(data: Data) -> pd.DataFrame:
    """Reliability and the centres' share of every texture feature.

    Returns
    -------
    DataFrame
        Index ``feature``; ``reliability``: share of the variance over patients that is not error
        of drawing the lesion (an intraclass correlation of single measurements; NaN where texture
        was measured on one boundary only); ``centre_share``: of the variance that lies between
        centres (ANOVA estimator of the one-way intraclass correlation, at least 0; NaN with one
        centre); ``n`` patients with a value.
    """
    errors = {f.error_of: f.name for f in data.features.features if f.error_of}
    rows = {}
    for feature in data.features.of_modality([RADIOMICS_MODALITY]).without_errors().features:
        values = data.features.values[feature.name].to_numpy(dtype=np.float64)
        known = np.isfinite(values)
        if known.sum() < _FEWEST:
            rows[feature.name] = (np.nan, np.nan, int(known.sum()))
            continue
        reliability = np.nan
        if feature.name in errors:
            error = data.features.values[errors[feature.name]].to_numpy(dtype=np.float64)
            reliability = _reliability(values, error)
        centre = data.centre.to_numpy(dtype=object)[known]
        rows[feature.name] = (reliability, _between(values[known], centre), int(known.sum()))
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["reliability", "centre_share", "n"]
    ).rename_axis("feature")


def _reliability(values: NDArray[np.float64], error: NDArray[np.float64]) -> float:
    both = np.isfinite(values) & np.isfinite(error)
    variance = float(values[both].var(ddof=1)) if both.sum() >= _FEWEST else 0.0
    if variance <= 0:
        return float("nan")
    return max(1 - float((error[both] ** 2).mean()) / variance, 0.0)


def _between(values: NDArray[np.float64], centre: NDArray[Any]) -> float:
    """One-way intraclass correlation, with the mean group size of unequal groups."""
    names, which = np.unique(centre.astype(str), return_inverse=True)
    n, k = len(values), len(names)
    if k < 2 or n <= k or float(np.ptp(values)) == 0:
        return float("nan")
    counts = np.bincount(which).astype(float)
    means = np.bincount(which, weights=values) / counts
    between = float((counts * (means - values.mean()) ** 2).sum()) / (k - 1)
    within = float(((values - means[which]) ** 2).sum()) / (n - k)
    size = (n - float((counts**2).sum()) / n) / (k - 1)
    return max((between - within) / (between + (size - 1) * within), 0.0)
