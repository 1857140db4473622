"""The folder that an analysis-data step leaves, made up, for the steps that read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.crossfit import Data
from metasight.predictions import Predictions
from metasight.steps.files import write_json


def data_of(
    table: FeatureTable,
    outcome: NodalOutcome | SurvivalOutcome,
    centre: Sequence[str],
    endpoint: str = "nodal",
) -> Data:
    """Patients of the table's rows, of these centres."""
    rows = table.values.index
    return Data(
        patients=tuple(map(str, rows)),
        features=table,
        outcome=outcome,
        centre=pd.Series(list(centre), index=rows, dtype=object),
        arm=pd.Series([None] * len(rows), index=rows, dtype=object),
        endpoint=endpoint,
    )


def followed(n: int = 150, seed: int = 1) -> Data:
    """Made-up follow-up of two modalities, ``a`` and ``b`` clinical and ``c`` and ``d`` of images.

    ``a`` and ``c`` raise the hazard; about half have an event within 3,000 days.
    """
    rng = np.random.default_rng(seed)
    index = pd.Index([f"P{i:04d}" for i in range(n)], name="patient")
    values = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"), index=index)
    onset = rng.exponential(2500 * np.exp(-(values["a"] + values["c"]).to_numpy()))
    outcome = SurvivalOutcome(np.minimum(onset, 3000.0) + 1, (onset <= 3000).astype(np.int8))
    features = tuple(
        Feature(name=c, kind=Kind.CONTINUOUS, modality="clinical" if c < "c" else "image")
        for c in values
    )
    return data_of(FeatureTable(values, features), outcome, ["North"] * n, "dmfs")


def write_data(folder: Path, data: Data) -> Path:
    """As ``metasight.steps.cohort.data`` writes it, without splits."""
    folder.mkdir(parents=True)
    index = data.features.values.index
    if isinstance(data.outcome, NodalOutcome):
        told = {"stage": data.outcome.stage}
    else:
        told = {"time_days": data.outcome.time_days, "status": data.outcome.status}
    pd.DataFrame({**told, "centre": data.centre, "arm": data.arm}, index=index).to_parquet(
        folder / "outcome.parquet"
    )
    data.features.values.to_parquet(folder / "features.parquet")
    write_json(folder / "features.json", [asdict(f) for f in data.features.features])
    write_json(folder / "splits.json", [])
    write_json(folder / "data.json", {"endpoint": data.endpoint, "grid_days": []})
    return folder


def write_nodal_fit(
    folder: Path, model: str, risk: dict[str, float], scheme: str = "kfold"
) -> Path:
    """A fit of a fold that predicted P(any node) of these patients, half of it N1."""
    folder.mkdir(parents=True)
    rows = [
        {
            "patient": patient,
            "centre": "A",
            "arm": None,
            "model": model,
            "repeat": 0,
            "fold": 0,
            "endpoint": "nodal",
            "horizon_days": None,
            "label": label,
            "risk": p,
            "time_days": None,
            "status": None,
        }
        for patient, r in risk.items()
        for label, p in (("N0", 1 - r), ("N1", r / 2), ("N2", r / 2))
    ]
    Predictions(pd.DataFrame(rows)).to_parquet(folder / "predictions.parquet")
    write_json(folder / "audit.json", {"model": model, "scheme": scheme})
    return folder
