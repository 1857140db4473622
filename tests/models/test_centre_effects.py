"""Differences between centres, and unreliable features, taken out within a model's own rows."""

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome
from metasight.errors import FitError
from metasight.features.columns import CENTRE, Feature, FeatureTable, Kind
from metasight.models.registry import build, features_of, load
from metasight.models.settings import ModelSettings

NAMES = [f"t{k}" for k in range(8)]


def _study(n=240, seed=0, *, errors=False):
    """Eight textures of one signal; centre B's are shifted and wider."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=n)
    x = signal[:, None] + rng.normal(size=(n, 8))
    centre = rng.choice(["A", "B"], n)
    seen = np.where((centre == "B")[:, None], 2.5 * x + 6, x)
    frame = pd.DataFrame(seen, [f"p{i:03d}" for i in range(n)], NAMES)
    features = [Feature(name=c, kind=Kind.CONTINUOUS, modality="radiomics") for c in NAMES]
    if errors:
        for k, name in enumerate(NAMES):
            # in the units that each centre measures in
            error = 0.1 if k < 4 else 1.2
            frame[f"{name}_error"] = np.where(centre == "B", 2.5 * error, error)
            features.append(
                Feature(
                    name=f"{name}_error", kind=Kind.CONTINUOUS, modality="radiomics", error_of=name
                )
            )
    frame[CENTRE] = centre
    features.append(
        Feature(name=CENTRE, kind=Kind.CATEGORICAL, modality=CENTRE, levels=("A", "B", "C"))
    )
    stage = (1.6 * signal + rng.logistic(size=n) > 0.8).astype(np.int8)
    return FeatureTable(frame, tuple(features)), NodalOutcome(stage), signal


def _settings(**given):
    return ModelSettings(kind="ordinal", name="m", modalities=("radiomics",), **given)


def _auc(fitted, table, positive):
    risk = 1 - fitted.predict(table, np.array([]))[:, 0]
    high, low = risk[positive], risk[~positive]
    return (high[:, None] > low[None]).mean()


def test_harmonised_features_predict_better_across_centres():
    table, outcome, _ = _study()
    new, truth, _ = _study(600, seed=1)
    positive = truth.stage > 0
    plain = build(_settings()).fit(table, outcome, seed=0)
    harmonised = build(_settings(harmonise=("radiomics",))).fit(table, outcome, seed=0)
    assert _auc(harmonised, new, positive) > _auc(plain, new, positive) + 0.05
    # restored from its state it says the same; the centre is among what it reads
    state = harmonised.state
    np.testing.assert_array_equal(
        load(state).predict(new, np.array([])), harmonised.predict(new, np.array([]))
    )
    assert CENTRE in features_of(state)
    assert CENTRE not in features_of(plain.state)


def test_patients_of_an_unseen_centre_pass_unchanged_and_one_centre_is_noted():
    table, outcome, _ = _study()
    harmonised = build(_settings(harmonise=("radiomics",))).fit(table, outcome, seed=0)
    strange = table.values.assign(**{CENTRE: "C"})
    risk = harmonised.predict(FeatureTable(strange, table.features), np.array([]))
    assert np.isfinite(risk).all()
    one = table.values.assign(**{CENTRE: "A"})
    fitted = build(_settings(harmonise=("radiomics",))).fit(
        FeatureTable(one, table.features), outcome, seed=0
    )
    assert "one centre in training: nothing was harmonised" in fitted.notes


def test_the_centre_must_be_told():
    table, outcome, _ = _study()
    without = FeatureTable(table.values[NAMES], table.features[:8])
    with pytest.raises(FitError, match="do not include the centre"):
        build(_settings(harmonise=("radiomics",))).fit(without, outcome, seed=0)


def test_unreliable_features_are_left_out_in_the_fit():
    table, outcome, _ = _study(errors=True)
    reliable = build(_settings(harmonise=("radiomics",), least_reliability=0.8)).fit(
        table, outcome, seed=0
    )
    assert set(features_of(reliable.state)) == {"t0", "t1", "t2", "t3", CENTRE}
    assert any(note.startswith("4 features excluded") for note in reliable.notes)
    with pytest.raises(FitError, match="no feature is reliable"):
        build(_settings(harmonise=("radiomics",), least_reliability=0.999)).fit(
            table, outcome, seed=0
        )
