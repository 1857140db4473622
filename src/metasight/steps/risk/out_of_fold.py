"""The risks that steps after the evaluation rest on."""

from __future__ import annotations

import pandas as pd

from metasight.engine.step import Inputs
from metasight.predictions import Predictions
from metasight.steps.files import read_json
from metasight.validation.out_of_fold import mean_out_of_fold_risk


def out_of_fold_risks(inputs: Inputs, model: str) -> pd.Series | None:
    """A model's mean out-of-fold risk of each patient; None where no fit succeeded."""
    parts = []
    for folder in inputs.values():
        audit = folder / "audit.json"
        if not audit.is_file():
            continue
        of = read_json(audit)
        if of["scheme"] == "kfold" and of["model"] == model:
            parts.append(Predictions.from_parquet(folder / "predictions.parquet").table)
    return mean_out_of_fold_risk(pd.concat(parts)) if parts else None
