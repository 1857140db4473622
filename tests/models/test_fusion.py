import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from metasight.cohort.outcome import SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.registry import ModelSettings, build

SETTINGS = ModelSettings(
    kind="stacked", name="stack", modalities=("clinical", "genes"), l1_ratios=(0.05,)
)


def _study(n=220, seed=0):
    rng = np.random.default_rng(seed)
    clinical = rng.normal(size=(n, 2))
    genes = rng.normal(size=(n, 40))
    names = ["age", "size", *(f"g{i:02d}" for i in range(40))]
    frame = pd.DataFrame(
        np.column_stack([clinical, genes]), index=[f"p{i:03d}" for i in range(n)], columns=names
    )
    features = tuple(
        Feature(name=c, kind=Kind.CONTINUOUS, modality="genes" if c[0] == "g" else "clinical")
        for c in names
    )
    event = rng.exponential(np.exp(-1.2 * clinical[:, 1]))
    censor = rng.exponential(2.0, n)
    return FeatureTable(frame, features), SurvivalOutcome(
        np.minimum(event, censor) + 1e-3, (event <= censor).astype(np.int8)
    )


def test_noise_modality_gets_less_weight_and_none_is_negative():
    table, outcome = _study()
    fitted = build(SETTINGS).fit(table, outcome, seed=0)
    weights = fitted.head.fit["weights"]
    assert all(w >= 0 for w in weights.values())
    assert weights["clinical, cause 1"] > 3 * weights["genes, cause 1"]


def test_stacking_needs_two_modalities_and_enough_events():
    with pytest.raises(ValidationError, match="two modalities"):
        ModelSettings(kind="stacked", name="stack")
    table, outcome = _study(30)
    status = np.zeros(30, dtype=np.int8)
    status[:4] = 1
    with pytest.raises(FitError, match="too few to stack"):
        build(SETTINGS).fit(table, SurvivalOutcome(outcome.time_days, status), seed=0)
