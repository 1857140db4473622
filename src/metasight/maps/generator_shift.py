"""Whether the generator for new patients says what the folds' generators say.

A model learns from biomarkers on maps that a fold's generator painted of patients whom it had not
seen. A new patient's map comes from the generator that learnt from everybody. The two can be
compared where neither has seen the patient: in those of the study who have no marker sections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

FEWEST = 3
"""Patients below whom a biomarker is not compared."""


@dataclass(frozen=True, kw_only=True)
class GeneratorShift:
    """One biomarker by both generators.

    Attributes
    ----------
    name
        Of the biomarker.
    patients
        Whom neither generator saw, and in whom both gave a value.
    shift_sd
        Mean difference, new patients' generator less the fold's, in standard deviations of the
        fold's values over patients; NaN where these do not vary.
    pearson
        Correlation over patients; NaN where either does not vary.
    """

    name: str
    patients: int
    shift_sd: float
    pearson: float


def generator_shifts(
    by_fold: Mapping[str, Mapping[str, float | None]],
    by_new: Mapping[str, Mapping[str, float | None]],
) -> tuple[GeneratorShift, ...]:
    """Compare biomarkers of the same patients by two generators.

    Parameters
    ----------
    by_fold, by_new
        Patient → biomarker → value by the fold's generator, and by the one for new patients.

    Returns
    -------
    One a biomarker with at least :data:`FEWEST` patients, in the order of the biomarkers.
    """
    one = pd.DataFrame.from_dict(dict(by_fold), orient="index", dtype=float)
    two = pd.DataFrame.from_dict(dict(by_new), orient="index", dtype=float)
    found = []
    for name in (c for c in one.columns if c in two.columns):
        pair = pd.DataFrame({"fold": one[name], "new": two[name]}).dropna()
        if len(pair) < FEWEST:
            continue
        spread = float(pair["fold"].std(ddof=1))
        varied = spread > 0 and pair["new"].nunique() > 1
        found.append(
            GeneratorShift(
                name=str(name),
                patients=len(pair),
                shift_sd=float((pair["new"] - pair["fold"]).mean() / spread)
                if spread > 0
                else np.nan,
                pearson=float(np.corrcoef(pair["fold"], pair["new"])[0, 1]) if varied else np.nan,
            )
        )
    return tuple(found)
