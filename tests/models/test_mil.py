"""Networks over patches: they find what was planted, nothing where nothing is, and say so."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from metasight.cohort.outcome import SurvivalOutcome
from metasight.errors import EncoderError, FitError
from metasight.features.bags import BagFolder, PatchFeatures, write_patch_features
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.images import ImageFolders
from metasight.models.fusion import contributions
from metasight.models.registry import ModelSettings, build, features_of, load
from metasight.models.risk_network import (
    Inputs,
    NetworkSettings,
    Target,
    _first_weights,
    _forward,
    _repeatable,
    log_risks,
)
from metasight.validation.discrimination import harrell_c

YEAR = 365.25
HORIZONS = np.array([2 * 365, 5 * 365])


def cohort(folder, *, n=160, effect=1.0, seed=0, competing=False, d=8):
    """Bags of 30–60 patches; a share of them, which tells the risk, has its first feature up."""
    rng = np.random.default_rng(seed)
    latent, clinical = rng.normal(size=(2, n))
    for i in range(n):
        patches = rng.normal(size=(int(rng.integers(30, 60)), d)).astype(np.float32)
        marked = rng.random(len(patches)) < 1 / (1 + np.exp(-latent[i] * 1.5)) * 0.4
        patches[marked, 0] += 4
        write_patch_features(
            PatchFeatures(
                features=patches,
                coords=rng.integers(0, 99, (len(patches), 2)),
                patch_px=224,
                encoder="e 1",
            ),
            folder / f"P{i:03d}.h5",
        )
    event = rng.exponential(6 * YEAR * np.exp(-effect * latent - 0.5 * clinical))
    other = rng.exponential(20 * YEAR, n) if competing else np.full(n, np.inf)
    censored = rng.uniform(3 * YEAR, 9 * YEAR, n)
    time = np.minimum.reduce([event, other, censored])
    status = np.select([time == event, time == other], [1, 2], 0).astype(np.int8)
    names = [f"P{i:03d}" for i in range(n)]
    values = pd.DataFrame({"slides": names, "age": clinical}, index=pd.Index(names, name="patient"))
    values["slides"] = values["slides"].astype(object)
    features = (
        Feature(name="slides", kind=Kind.BAG, modality="embedding"),
        Feature(name="age", kind=Kind.CONTINUOUS, modality="clinical"),
    )
    return FeatureTable(values, features), SurvivalOutcome(time, status)


def halves(table, outcome):
    n = len(outcome)
    train, test = np.arange(n) % 2 == 0, np.arange(n) % 2 == 1
    return [
        (FeatureTable(table.values[rows], table.features), outcome.take(np.flatnonzero(rows)))
        for rows in (train, test)
    ]


def c_index(model, table, outcome):
    risk = model.predict(table, HORIZONS)[:, -1]
    return harrell_c(outcome.time_days, outcome.status, risk).c


@pytest.mark.parametrize("loss", ["cox", "discrete"])
def test_a_planted_share_of_patches_is_found_and_the_state_predicts_the_same(tmp_path, loss):
    table, outcome = cohort(tmp_path)
    (train, known), (test, later) = halves(table, outcome)
    settings = ModelSettings(
        kind="attention_mil", name="slides", modalities=("embedding",), network={"loss": loss}
    )
    fitted = build(settings, ImageFolders(bags=BagFolder(tmp_path))).fit(train, known, seed=1)
    assert c_index(fitted, test, later) > 0.6  # the latent itself reaches 0.70
    again = load(json.loads(json.dumps(fitted.state)), ImageFolders(bags=BagFolder(tmp_path)))
    np.testing.assert_array_equal(again.predict(test, HORIZONS), fitted.predict(test, HORIZONS))
    assert features_of(fitted.state) == {"slides"}


def test_attention_goes_to_the_patches_that_tell(tmp_path):
    table, outcome = cohort(tmp_path, effect=1.5)
    settings = ModelSettings(kind="attention_mil", name="s", modalities=("embedding",))
    fitted = build(settings, ImageFolders(bags=BagFolder(tmp_path))).fit(table, outcome, seed=1)
    ratio = []
    for key in table.values["slides"]:
        bag, share = fitted.reader.attention(key)
        assert len(bag) == len(share)
        assert share.sum() == pytest.approx(1, abs=1e-5)
        marked = BagFolder(tmp_path).read(key).features[:, 0] > 2.5
        if marked.sum() > 3:
            ratio.append(share[marked].mean() / share[~marked].mean())
    assert np.mean(ratio) > 1.1


def test_the_same_seed_gives_the_same_bytes_and_another_number_of_threads_too(tmp_path):
    table, outcome = cohort(tmp_path, n=60)
    settings = ModelSettings(
        kind="attention_mil", name="s", modalities=("embedding",), network={"epochs": 10}
    )
    threads = torch.get_num_threads()
    states = []
    for count in (1, 2):
        torch.set_num_threads(count)
        fitted = build(settings, ImageFolders(bags=BagFolder(tmp_path))).fit(table, outcome, seed=3)
        states.append(json.dumps(fitted.state))
    torch.set_num_threads(threads)
    assert states[0] == states[1]


def test_without_a_planted_effect_the_network_has_next_to_no_weight(tmp_path):
    table, outcome = cohort(tmp_path, effect=0.0, n=200, seed=4)
    settings = ModelSettings(kind="attention_mil", name="s", modalities=("embedding",))
    (train, known), (test, _) = halves(table, outcome)
    fitted = build(settings, ImageFolders(bags=BagFolder(tmp_path))).fit(train, known, seed=1)
    risk = fitted.predict(test, HORIZONS)[:, -1]
    assert risk.std() < 0.1


def test_competing_events_have_a_score_of_their_own(tmp_path):
    table, outcome = cohort(tmp_path, competing=True)
    for loss in ("cox", "discrete"):
        settings = ModelSettings(
            kind="attention_mil",
            name="s",
            modalities=("embedding",),
            network={"loss": loss, "epochs": 15},
        )
        fitted = build(settings, ImageFolders(bags=BagFolder(tmp_path))).fit(table, outcome, seed=1)
        assert fitted.reader.causes == 2
        risk = fitted.predict(table, HORIZONS)
        assert ((risk >= 0) & (risk <= 1)).all()
        assert (np.diff(risk, axis=1) >= 0).all()


def test_a_stack_uses_patients_who_lack_a_modality(tmp_path):
    table, outcome = cohort(tmp_path)
    table.values.loc[table.values.index[::3], "slides"] = None
    settings = ModelSettings(
        kind="stacked", name="all", modalities=("clinical", "embedding"), network={"epochs": 30}
    )
    fitted = build(settings, ImageFolders(bags=BagFolder(tmp_path))).fit(table, outcome, seed=1)
    assert np.isfinite(fitted.predict(table, HORIZONS)).all()
    parts = contributions(fitted, table)
    assert set(parts) == {"clinical", "embedding"}
    lacking = table.values["slides"].isna().to_numpy()
    assert (parts["embedding"][lacking] == 0).all()
    assert parts["embedding"][~lacking].std() > 0.05
    total = parts["clinical"] + parts["embedding"]
    np.testing.assert_allclose(total, fitted.score(table)[:, 0])


def test_a_fused_network_reads_what_is_there(tmp_path):
    table, outcome = cohort(tmp_path, n=200)
    table.values.loc[table.values.index[::4], "slides"] = None
    settings = ModelSettings(kind="fused_network", name="f", modalities=("clinical", "embedding"))
    (train, known), (test, later) = halves(table, outcome)
    fitted = build(settings, ImageFolders(bags=BagFolder(tmp_path))).fit(train, known, seed=1)
    assert c_index(fitted, test, later) > 0.6
    again = load(json.loads(json.dumps(fitted.state)), ImageFolders(bags=BagFolder(tmp_path)))
    np.testing.assert_array_equal(again.predict(test, HORIZONS), fitted.predict(test, HORIZONS))


def test_numpy_computes_what_torch_computes():
    rng = np.random.default_rng(0)
    bags = (*(rng.normal(size=(k, 5)).astype(np.float32) for k in (3, 7)), None)
    block = rng.normal(size=(3, 4)).astype(np.float32)
    block[1] = np.nan
    inputs = Inputs(bags=bags, blocks=(block,))
    follow_up = SurvivalOutcome(np.array([1.0, 2.0, 3.0]), np.array([1, 1, 0], dtype=np.int8))
    settings = NetworkSettings(width=6, dropout=0.0, modality_dropout=0.0, patches=10)
    target = Target.of(follow_up, settings)
    with _repeatable(0) as draw:
        weights = _first_weights(inputs, target, settings, draw)
        weights["score.w"] = rng.normal(size=(1, 6)).astype(np.float32)
        tensors = {k: torch.tensor(v) for k, v in weights.items()}
        expected = _forward(tensors, inputs, settings, draw, "cpu").numpy()
    np.testing.assert_allclose(log_risks(weights, inputs, 1), expected, atol=1e-5)


def test_bad_bags_are_refused(tmp_path):
    table, outcome = cohort(tmp_path, n=60)
    settings = ModelSettings(
        kind="attention_mil", name="s", modalities=("embedding",), network={"epochs": 2}
    )
    model = build(settings, ImageFolders(bags=BagFolder(tmp_path)))
    fitted = model.fit(table, outcome, seed=1)
    rng = np.random.default_rng(0)

    def other(encoder, d):
        write_patch_features(
            PatchFeatures(
                features=rng.normal(size=(4, d)).astype(np.float32),
                coords=np.zeros((4, 2), np.int64),
                encoder=encoder,
            ),
            tmp_path / "P003.h5",
        )

    other("f 2", 8)
    with pytest.raises(EncoderError, match="of another encoder"):
        load(fitted.state, ImageFolders(bags=BagFolder(tmp_path))).predict(table, HORIZONS)
    other("e 1", 5)
    with pytest.raises(EncoderError, match="of another encoder"):
        build(
            ModelSettings(kind="attention_mil", name="s", modalities=("embedding",)),
            ImageFolders(bags=BagFolder(tmp_path)),
        ).fit(table, outcome, seed=1)
    with pytest.raises(EncoderError, match="no folder of patch features"):
        build(ModelSettings(kind="attention_mil", name="s", modalities=("embedding",))).fit(
            table, outcome, seed=1
        )


def test_columns_models_refuse_bags_and_networks_refuse_too_few_events(tmp_path):
    table, outcome = cohort(tmp_path, n=60)
    model = build(ModelSettings(kind="elastic_net_cox", name="e", modalities=("embedding",)))
    with pytest.raises(FitError, match="cannot read patch features"):
        model.fit(table, outcome, seed=1)
    few = SurvivalOutcome(outcome.time_days, np.where(np.arange(60) < 5, 1, 0).astype(np.int8))
    with pytest.raises(FitError, match="too few for a network"):
        build(
            ModelSettings(kind="attention_mil", name="s", modalities=("embedding",)),
            ImageFolders(bags=BagFolder(tmp_path)),
        ).fit(table, few, seed=1)
