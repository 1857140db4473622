"""How far texture survives another reader's boundary, and how much of it is the hospital's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from metasight.engine.step import Inputs
from metasight.models.crossfit import Data
from metasight.spreadsheet import write_csv
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.files import number
from metasight.study.file import RADIOMICS_MODALITY
from metasight.validation.reliability import FEWEST, reliability, share_between

STABILITY = "stability of texture"


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
    write_csv(table, artefacts.STABILITY_TABLE.path(out), index=True)
    artefacts.STABILITY.write(
        out,
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
        Index ``feature``; ``reliability`` of drawing the lesion (NaN where texture was measured on
        one boundary only) and ``centre_share``, as in `metasight.validation.reliability`; ``n``
        patients with a value.
    """
    errors = {f.error_of: f.name for f in data.features.features if f.error_of}
    rows = {}
    for feature in data.features.of_modality([RADIOMICS_MODALITY]).without_errors().features:
        values = data.features.values[feature.name].to_numpy(dtype=np.float64)
        known = np.isfinite(values)
        if known.sum() < FEWEST:
            rows[feature.name] = (np.nan, np.nan, int(known.sum()))
            continue
        share = np.nan
        if feature.name in errors:
            error = data.features.values[errors[feature.name]].to_numpy(dtype=np.float64)
            share = reliability(values, error)
        centre = data.centre.to_numpy(dtype=object)[known]
        rows[feature.name] = (share, share_between(values[known], centre), int(known.sum()))
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["reliability", "centre_share", "n"]
    ).rename_axis("feature")
