import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
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


def test_stacking_needs_enough_events():
    table, outcome = _study(30)
    status = np.zeros(30, dtype=np.int8)
    status[:4] = 1
    with pytest.raises(FitError, match="too few to stack"):
        build(SETTINGS).fit(table, SurvivalOutcome(outcome.time_days, status), seed=0)


def test_a_stack_of_nodal_models_gives_three_stages_whose_shares_rise_with_the_score():
    table, _ = _study(600, seed=3)
    x = table.values["size"].to_numpy()
    rng = np.random.default_rng(4)
    latent = 1.5 * x + rng.logistic(size=len(x))
    stage = (latent > 0.5).astype(np.int8) + (latent > 2.5).astype(np.int8)
    fitted = build(SETTINGS).fit(table, NodalOutcome(stage), seed=0)
    risk = fitted.predict(table, np.array([]))
    np.testing.assert_allclose(risk.mean(axis=0), np.bincount(stage) / len(x), atol=0.03)
    top, bottom = x > np.quantile(x, 0.8), x < np.quantile(x, 0.2)
    # one share of N2 for all node-positive patients would be wrong at both ends
    for group in (top, bottom):
        told = risk[group, 2].sum() / risk[group, 1:].sum()
        assert told == pytest.approx((stage[group] == 2).sum() / (stage[group] > 0).sum(), abs=0.1)
    assert risk[top, 2].sum() / risk[top, 1:].sum() > 0.4
