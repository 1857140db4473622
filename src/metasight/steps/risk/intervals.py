"""Intervals of individual risks: of the study's patients out of fold, and refits for new ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from metasight.engine.step import Inputs
from metasight.errors import FitError
from metasight.models import crossfit
from metasight.models.registry import interval_model
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.risk.fitting import FitArgument, failure_row


@dataclass(frozen=True, kw_only=True)
class IntervalArgument(FitArgument):
    """Whose intervals: those of ``model``, the headline.

    Attributes
    ----------
    refits
        Of each fit.
    """

    refits: int


def fit_intervals(inputs: Inputs, out: Path, argument: IntervalArgument) -> None:
    """Write ``intervals.parquet`` and ``intervals.json``, or nothing where there can be none.

    A patient of the study gets an interval from refits to the other folds of the first repeat.
    """
    data, splits, _ = load_data(inputs[argument.data])
    horizons = np.asarray(
        artefacts.DATA.read(inputs[argument.data])["horizons_days"], dtype=np.int64
    )
    model = interval_model(argument.model, refits=argument.refits)
    if model is None:
        return
    folds = [s for s in splits if s.scheme == "kfold" and s.repeat == 0]
    try:
        own = [
            crossfit.fold_intervals(model, data, split, horizons, seed=argument.seed)
            for split in folds
        ]
        fitted = crossfit.everybody_intervals(model, data, horizons, seed=argument.seed)
    except FitError as error:
        artefacts.FAILURE.write(out, failure_row("patient intervals", argument, error))
        return
    pd.concat(own, ignore_index=True).to_parquet(artefacts.OWN_INTERVALS.path(out))
    artefacts.INTERVALS.write(out, fitted.state)
