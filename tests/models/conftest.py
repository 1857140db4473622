"""Reference data beside the checkout, and tables made from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import SurvivalOutcome
from metasight.features.columns import Feature, FeatureTable, Kind


@pytest.fixture(scope="session")
def reference() -> Path:
    for folder in Path(__file__).resolve().parents:
        found = folder.parent / "shared" / "reference" / "statistics"
        if found.is_dir():
            return found
    pytest.skip("no ../shared/reference/statistics beside the checkout")


@pytest.fixture(scope="session")
def values(reference) -> dict:
    return json.loads((reference / "values.json").read_text())


@pytest.fixture(scope="session")
def continuous_table():
    """Builds a table of plain columns and an outcome from a reference CSV."""

    def build(path: Path, columns: list[str], status: str):
        frame = pd.read_csv(path)
        frame.index = [f"p{i:05d}" for i in range(len(frame))]
        features = tuple(Feature(name=c, kind=Kind.CONTINUOUS) for c in columns)
        table = FeatureTable(frame[columns].astype(float), features)
        outcome = SurvivalOutcome(frame["time"].to_numpy(float), frame[status].to_numpy(np.int8))
        return table, outcome, frame

    return build


@pytest.fixture
def simulated():
    """Continuous columns and exponential follow-up: matrix, time, event."""

    def build(n: int = 150, p: int = 12, seed: int = 0, ties: bool = True):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(n, p)) + rng.normal(size=(n, 1))
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        event = rng.exponential(np.exp(-0.7 * x[:, 0] + 0.4 * x[:, 1]))
        censor = rng.exponential(1.5, n)
        time = np.minimum(event, censor)
        time = np.ceil(time * 20) if ties else time
        return x, time, event <= censor

    return build


DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def by_r() -> dict:
    """What ``data/made_up.R`` printed."""
    return json.loads((DATA / "made_up.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def made_up() -> tuple[FeatureTable, pd.DataFrame]:
    """Made-up patients with tied times, and all that is known of them."""
    frame = pd.read_csv(DATA / "made_up.csv")
    frame.index = pd.Index([f"p{i:03d}" for i in range(len(frame))])
    features = (
        Feature(name="marker", kind=Kind.CONTINUOUS),
        Feature(name="node", kind=Kind.BINARY),
        Feature(name="size", kind=Kind.CONTINUOUS),
        Feature(name="stage", kind=Kind.CATEGORICAL, levels=("a", "b", "c")),
    )
    values = frame[[f.name for f in features]].astype({"node": float})
    return FeatureTable(values, features), frame


TERMS = ["size", "marker", "node", "stage=b", "stage=c"]
"""Columns in the order of ``data/made_up.R``."""
