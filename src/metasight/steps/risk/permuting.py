"""The headline's procedure with the added modality's rows permuted: one permutation a step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.engine.step import Inputs, StepKind
from metasight.errors import FitError
from metasight.models import crossfit
from metasight.models.registry import build
from metasight.predictions import Predictions
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.risk.fitting import FitArgument, failure_row, ranking_of

STRATA = 5
"""Groups of the reference's out-of-fold risk that rows stay within."""


@dataclass(frozen=True, kw_only=True)
class PermuteArgument(FitArgument):
    """One permutation; ``number`` says which.

    Attributes
    ----------
    reference
        Nested reference, by whose out-of-fold risk patients are stratified.
    added
        Modalities that the headline reads and the reference does not.
    """

    reference: str
    added: tuple[str, ...]


def permute(inputs: Inputs, out: Path, argument: PermuteArgument) -> None:
    """Write ``predictions.parquet`` of every fold of the first repeat.

    Rows of the added modalities go jointly to other patients of the same fifth of the reference's
    out-of-fold risk, which no patient's own outcome has entered.
    """
    data, splits, _ = load_data(inputs[argument.data])
    reported = artefacts.DATA.read(inputs[argument.data])["horizons_days"]
    horizons = np.array(reported[-1:], dtype=np.int64)
    strata = risk_strata(inputs, argument.reference, data.patients, reported)
    if strata is None:
        return
    seed = crossfit.fold_seed(argument.seed, "permutation", argument.number)
    permuted = crossfit.deal_modality(data, argument.added, strata, seed=seed)
    model = build(argument.model)
    parts = []
    for split in splits:
        if split.scheme != "kfold" or split.repeat != 0:
            continue
        try:
            fold = crossfit.fit_fold(model, permuted, split, horizons, seed=argument.seed)
        except FitError as error:
            artefacts.FAILURE.write(out, failure_row("permutation", argument, error))
            return
        parts.append(fold.predictions)
    Predictions.concat(parts).to_parquet(artefacts.PREDICTIONS.path(out))


def risk_strata(
    inputs: Inputs, reference: str, patients: tuple[str, ...], reported: list[int]
) -> NDArray[np.intp] | None:
    """Fifth of each patient's risk by the reference in the first repeat; None where it failed."""
    parts = []
    for fit in inputs.with_file(StepKind.FIT, artefacts.PREDICTIONS.name):
        if fit.subject != reference:
            continue
        table = Predictions.from_parquet(artefacts.PREDICTIONS.path(fit.folder)).table
        own = table[table["repeat"] == 0]
        if reported:
            own = own[own["horizon_days"] == reported[-1]]
        if len(own):
            parts.append(ranking_of(Predictions(own)))
    found = pd.concat(parts) if parts else pd.Series(dtype=float)
    if set(found.index) != set(patients):
        return None
    rank = found.loc[list(patients)].rank(method="first").to_numpy() - 1
    return np.asarray(rank * STRATA // len(patients), dtype=np.intp)
