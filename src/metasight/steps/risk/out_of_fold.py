"""The risks that steps after the evaluation rest on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from metasight.engine.step import Inputs
from metasight.predictions import Predictions
from metasight.steps import artefacts
from metasight.validation.out_of_fold import mean_out_of_fold_risk, mean_out_of_fold_stages


def unseen_folders(folders: Iterable[Path], model: str, file: str) -> Iterator[Path]:
    """Of some folders those of a model's fits in the random folds that left a file."""
    for folder in folders:
        told = artefacts.AUDIT.read_if_there(folder) if (folder / file).is_file() else None
        if told is not None and (told["model"], told["scheme"]) == (model, "kfold"):
            yield folder


def out_of_fold_risks(inputs: Inputs, model: str) -> pd.Series | None:
    """A model's mean out-of-fold risk of each patient; None where no fit succeeded."""
    rows = _rows(inputs, model)
    return None if rows is None else mean_out_of_fold_risk(rows)


def out_of_fold_stages(inputs: Inputs, model: str) -> pd.DataFrame | None:
    """A model's mean out-of-fold probability of each nodal stage; None where no fit succeeded."""
    rows = _rows(inputs, model)
    return None if rows is None else mean_out_of_fold_stages(rows)


def _rows(inputs: Inputs, model: str) -> pd.DataFrame | None:
    parts = [
        Predictions.from_parquet(artefacts.PREDICTIONS.path(folder)).table
        for folder in unseen_folders(inputs.values(), model, artefacts.PREDICTIONS.name)
    ]
    return pd.concat(parts) if parts else None
