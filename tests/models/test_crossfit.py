"""The guards of crossfit: a model that sees test rows is caught, an honest one passes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight import leakage
from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.cohort.splits import repeated_kfold
from metasight.errors import LeakageError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.multiple_imputation import MultipleImputer
from metasight.models import crossfit, tuning
from metasight.models.registry import build
from metasight.models.settings import ModelSettings
from metasight.predictions import Predictions

HORIZONS = np.array([500, 1000])


def made_up(n: int = 120, noise: int = 5, seed: int = 0, effect: float = 1.0) -> crossfit.Data:
    rng = np.random.default_rng(seed)
    values = pd.DataFrame(
        rng.normal(size=(n, noise)),
        columns=[f"x{i}" for i in range(noise)],
        index=pd.Index([f"P{i:04d}" for i in range(n)], name="patient"),
    )
    event = rng.exponential(1500 * np.exp(-effect * values["x0"].to_numpy()))
    censor = rng.uniform(600, 2500, n)
    outcome = SurvivalOutcome(np.minimum(event, censor) + 1, (event <= censor).astype(np.int8))
    features = tuple(Feature(name=c, kind=Kind.CONTINUOUS) for c in values)
    blank = pd.Series("North", index=values.index)
    return crossfit.Data(
        tuple(values.index), FeatureTable(values, features), outcome, blank, blank, "dmfs"
    )


def splits_of(data, folds=4, repeats=1):
    return repeated_kfold(data.patients, data.outcome.status, folds=folds, repeats=repeats, seed=1)


def crossfitted(model, data, splits):
    folds = [crossfit.fit_fold(model, data, s, HORIZONS, seed=3) for s in splits]
    return Predictions.concat([f.predictions for f in folds]), [f.audit for f in folds]


COX = build(ModelSettings(kind="cox", name="cox"))


class Peeking:
    """A model that was given everybody's data beforehand, as careless preprocessing does."""

    name = "peeking"

    def __init__(self, data):
        self.mean = data.features.values["x0"].mean()

    def fit(self, table, outcome, *, seed):
        fitted = COX.fit(table, outcome, seed=seed)
        return _Shifted(fitted, self.mean)


class _Shifted:
    def __init__(self, fitted, mean):
        self.fitted, self.state = fitted, {"kind": "peeking", "mean": mean}

    def predict(self, table, horizons_days):
        return self.fitted.predict(table, horizons_days)


def test_predictions_are_out_of_fold_and_audited():
    data = made_up()
    splits = splits_of(data, repeats=2)
    predictions, audits = crossfitted(COX, data, splits)
    assert len(predictions) == 120 * 2 * 2
    check = leakage.folds_disjoint(splits, [a.to_json() for a in audits], predictions)
    assert check.verdict == "pass"
    wrong = [a.to_json() | {"handed": "0" * 64} for a in audits]
    assert leakage.folds_disjoint(splits, wrong, predictions).verdict == "fail"


def test_spoilt_test_rows_change_nothing_that_an_honest_model_learnt():
    data = made_up()
    true, spoilt = crossfit.corrupt_test_rows_check(COX, data, splits_of(data)[0], seed=1)
    assert true == spoilt
    assert leakage.corrupted_rows({"cox": (true, spoilt)}).verdict == "pass"


def test_a_model_that_saw_test_rows_is_caught(monkeypatch):
    data = made_up()
    split = splits_of(data)[0]
    true = crossfit._fit_train(Peeking(data), data, split, 1)
    bad = crossfit.corrupt(data, split.test)
    spoilt = crossfit._fit_train(Peeking(bad), bad, split, 1)
    hashes = crossfit.state_hash(true.state), crossfit.state_hash(spoilt.state)
    check = leakage.corrupted_rows({"peeking": hashes})
    assert check.verdict == "fail"
    assert "peeking changed" in check.finding


def test_features_and_outcomes_in_different_order_are_refused():
    data = made_up()
    with pytest.raises(LeakageError, match="not of the same patients"):
        crossfit.Data(
            data.patients[::-1], data.features, data.outcome, data.centre, data.arm, "dmfs"
        )


@pytest.fixture(scope="module")
def wide():
    """5,000 noise columns, 120 patients."""
    return made_up(n=120, noise=5000, seed=42, effect=0.0)


def selecting(**settings):
    return build(ModelSettings(kind="elastic_net_cox", name="selecting", top_k=20, **settings))


def test_noise_replay_with_selection_inside_the_pipeline_finds_nothing():
    many = made_up(n=120, noise=2000, seed=42, effect=0.0)
    replays = []
    for k in range(3):
        blank = crossfit.on_noise(many, seed=k)
        replays.append(crossfitted(selecting(), blank, splits_of(blank))[0])
    check = leakage.noise_replay(replays, "selecting")
    assert check.verdict == "pass", check.finding


def null_martingale_residuals(outcome):
    """Event minus cumulative hazard: the score of a univariable Cox model is their covariance."""
    time, event = outcome.time_days, outcome.status == 1
    at_risk = (time[:, None] <= time[None, :]).sum(axis=1)
    jumps = np.where(event, 1.0 / at_risk, 0.0)
    return event - (jumps[None, :] * (time[None, :] <= time[:, None])).sum(axis=1)


def test_noise_replay_fails_a_pipeline_that_selects_on_everybody(wide):
    values = wide.features.values
    residual = null_martingale_residuals(wide.outcome)
    score = np.abs(np.corrcoef(values.to_numpy().T, residual)[-1, :-1])
    best = values.columns[np.argsort(score)[-20:]]
    kept = tuple(f for f in wide.features.features if f.name in set(best))
    selected = FeatureTable(values[[f.name for f in kept]], kept)
    leaky = crossfit.Data(
        wide.patients, selected, wide.outcome, wide.centre, wide.arm, wide.endpoint
    )
    model = build(ModelSettings(kind="elastic_net_cox", name="leaky"))
    predictions, _ = crossfitted(model, leaky, splits_of(leaky))
    c = leakage.discrimination(predictions).c
    assert c > 0.8, f"a deliberately leaky pipeline reached only {c:.3f}"
    assert leakage.noise_replay([predictions], "leaky").verdict == "fail"


def test_centre_shortcut_is_seen():
    data = made_up(n=120, noise=6)
    centre = pd.Series(np.where(np.arange(120) % 2, "A", "B"), index=data.features.values.index)
    values = data.features.values.copy()
    values["x3"] += np.where(centre == "A", 4.0, 0.0)
    shifted = crossfit.Data(
        data.patients,
        FeatureTable(values, data.features.features),
        data.outcome,
        centre,
        data.arm,
        "dmfs",
    )
    folds = splits_of(shifted)
    check = leakage.centre_shortcut(crossfit.predict_centre(shifted, folds), centre)
    assert check.verdict == "warn"
    plain = crossfit.Data(data.patients, data.features, data.outcome, centre, data.arm, "dmfs")
    assert leakage.centre_shortcut(crossfit.predict_centre(plain, folds), centre).verdict == "pass"
    assert leakage.centre_shortcut(None, centre).verdict == "not done"


def test_a_proxy_of_the_outcome_is_flagged():
    data = made_up()
    assert leakage.single_features(data.features, data.outcome).verdict == "pass"
    values = data.features.values.copy()
    values["x1"] = -data.outcome.time_days
    proxy = FeatureTable(values, data.features.features)
    check = leakage.single_features(proxy, data.outcome)
    assert check.verdict == "warn"
    assert "x1" in check.finding


def test_a_patient_entered_twice_is_flagged():
    data = made_up()
    assert leakage.duplicates(data.features).verdict == "pass"
    values = data.features.values.copy()
    values.iloc[7] = values.iloc[3]
    assert leakage.duplicates(FeatureTable(values, data.features.features)).verdict == "warn"


def test_undated_predictors_are_named():
    assert leakage.windows(["size"], []).verdict == "pass"
    check = leakage.windows(["size"], ["age"])
    assert check.verdict == "warn"
    assert "age" in check.finding


def of_every_kind(n: int = 24) -> crossfit.Data:
    """One feature of each kind, with missing values, and a follow-up with competing events."""
    rng = np.random.default_rng(5)
    index = pd.Index([f"P{i:04d}" for i in range(n)], name="patient")
    values = pd.DataFrame(
        {
            "size": rng.normal(20, 5, n),
            "er": rng.integers(0, 2, n).astype(float),
            "grade": rng.integers(1, 4, n).astype(float),
            "type": rng.choice(np.array(["ductal", "lobular"], dtype=object), n),
            "patches": np.array([f"bag {i}" for i in range(n)], dtype=object),
            "lesion": np.array([f"crop {i}" for i in range(n)], dtype=object),
        },
        index=index,
    )
    values.loc[index[3], "er"] = np.nan
    features = (
        Feature(name="size", kind=Kind.CONTINUOUS),
        Feature(name="er", kind=Kind.BINARY),
        Feature(name="grade", kind=Kind.ORDINAL),
        Feature(name="type", kind=Kind.CATEGORICAL, levels=("ductal", "lobular", "other")),
        Feature(name="patches", kind=Kind.BAG, modality="embedding"),
        Feature(name="lesion", kind=Kind.CROP, modality="crops"),
    )
    outcome = SurvivalOutcome(rng.uniform(50, 900, n), rng.integers(0, 3, n).astype(np.int8))
    blank = pd.Series("North", index=index)
    return crossfit.Data(tuple(index), FeatureTable(values, features), outcome, blank, blank, "dm")


def test_every_value_of_every_kind_is_spoilt_in_test_rows_and_none_elsewhere():
    data = of_every_kind()
    test, train = list(data.patients[2:9]), [*data.patients[:2], *data.patients[9:]]
    bad = crossfit.corrupt(data, test)
    for name in data.features.values:
        before, after = data.features.values[name], bad.features.values[name]
        assert not (before[test].to_numpy() == after[test].to_numpy()).any(), name
        pd.testing.assert_series_equal(before[train], after[train])
    # a missing test result is spoilt too, into one that a binary column may hold
    assert bad.features.values.loc["P0003", "er"] == 1
    assert set(bad.features.values.loc[test, "er"]) <= {0.0, 1.0}
    rows, others = data.positions(test), data.positions(train)
    assert (bad.outcome.time_days[rows] != data.outcome.time_days[rows]).all()
    assert (bad.outcome.status[rows] != data.outcome.status[rows]).all()
    np.testing.assert_array_equal(bad.outcome.time_days[others], data.outcome.time_days[others])
    np.testing.assert_array_equal(bad.outcome.status[others], data.outcome.status[others])


def test_a_spoilt_stage_is_the_opposite_one_and_an_unknown_stays_unknown():
    data = of_every_kind(4)
    stages = NodalOutcome(np.array([0, 1, 2, -1]))
    nodal = crossfit.Data(
        data.patients, data.features, stages, data.centre, data.arm, data.endpoint
    )
    assert crossfit.corrupt(nodal, data.patients).outcome.stage.tolist() == [2, 1, 0, -1]


@pytest.mark.parametrize("column", ["size", "er", "grade"])
def test_a_model_that_saw_one_column_of_everybody_is_caught(column):
    """The mean of any one column over all patients differs once the test rows are spoilt."""
    data = of_every_kind()
    bad = crossfit.corrupt(data, data.patients[2:9])
    assert bad.features.values[column].mean() != data.features.values[column].mean()


def test_noise_moves_whole_rows_and_keeps_outcomes_where_they_were():
    data = of_every_kind()
    noise = crossfit.on_noise(data, seed=1)
    assert noise.outcome is data.outcome
    assert noise.patients == data.patients
    rows = {tuple(r) for r in data.features.values.drop(columns="er").to_numpy()}
    assert {tuple(r) for r in noise.features.values.drop(columns="er").to_numpy()} == rows
    assert (noise.features.values["patches"] != data.features.values["patches"]).sum() > 12


def test_a_modality_is_dealt_out_within_strata_and_the_rest_stays():
    data = of_every_kind()
    moved = data.features.features[0].modality
    own = [f.name for f in data.features.features if f.modality == moved]
    rest = [f.name for f in data.features.features if f.modality != moved]
    strata = np.arange(len(data.patients)) % 3
    dealt = crossfit.deal_modality(data, [moved], strata, seed=4)
    assert dealt.outcome is data.outcome
    assert dealt.patients == data.patients
    before, after = data.features.values, dealt.features.values
    pd.testing.assert_frame_equal(after[rest], before[rest])
    pd.testing.assert_series_equal(after.dtypes, before.dtypes)
    assert (after[own].astype(str) != before[own].astype(str)).any(axis=None)
    for stratum in range(3):
        rows = [
            sorted(map(str, table.loc[strata == stratum, own].to_numpy().tolist()))
            for table in (before, after)
        ]
        assert rows[0] == rows[1]


class Listening:
    """A model that remembers what it was handed and predicts nothing of interest."""

    name = "listening"

    def fit(self, table, outcome, *, seed):
        self.table, self.outcome = table, outcome
        return self

    def predict(self, table, horizons_days):
        return np.zeros((len(table.values), len(horizons_days)))


def test_copies_of_a_patient_in_a_resample_are_known_as_one_patient():
    data, model = made_up(), Listening()
    drawn = crossfit.fit_resample(model, data, HORIZONS, seed=1, number=0)
    same = drawn.index[:, None] == drawn.index[None, :]
    assert same.sum() > 120  # some patients were drawn twice
    number = model.table.patient_number
    np.testing.assert_array_equal(number[:, None] == number[None, :], same)
    np.testing.assert_array_equal(model.outcome.time_days, data.outcome.time_days[drawn.index])
    np.testing.assert_array_equal(
        model.table.values.to_numpy(), data.features.values.to_numpy()[drawn.index]
    )


def test_inner_folds_of_a_tuned_model_keep_copies_together(monkeypatch):
    """A copy in training would tell the held-out one's outcome."""
    data, told, dealt = made_up(), [], tuning.stratified_folds

    def listening(label, n_folds, rng, patient):
        told.append((patient, dealt(label, n_folds, rng, patient)))
        return told[-1][1]

    monkeypatch.setattr(tuning, "stratified_folds", listening)
    model = build(ModelSettings(kind="elastic_net_cox", name="tuned"))
    drawn = crossfit.fit_resample(model, data, HORIZONS, seed=1, number=0)
    ((patient, fold),) = told
    times = np.unique(drawn.index, return_counts=True)[1]
    # rows are in another order by now, but each patient is there as often as he was drawn
    assert sorted(np.unique(patient, return_counts=True)[1]) == sorted(times)
    assert times.max() > 2
    for number in np.unique(patient):
        assert len(set(fold[patient == number])) == 1


def test_a_resample_predicts_the_original_patients():
    data = made_up()
    drawn = crossfit.fit_resample(Remembering(), data, HORIZONS, seed=1, number=0)
    np.testing.assert_array_equal(drawn.risk[:, 0], data.features.values["x0"])


class Remembering(Listening):
    """Predicts a patient's own first feature."""

    def predict(self, table, horizons_days):
        own = table.values["x0"].to_numpy()
        return np.repeat(own[:, None], len(horizons_days), axis=1)


class Seeded(Listening):
    """Keeps the seeds it was fitted with."""

    def __init__(self):
        self.seeds, self.state = [], {}

    def fit(self, table, outcome, *, seed):
        self.seeds.append(seed)
        return self


def test_every_fit_has_a_seed_of_its_own_and_the_same_in_every_run():
    data, model = made_up(), Seeded()
    for _ in range(2):
        for split in splits_of(data, folds=3, repeats=2):
            crossfit.fit_fold(model, data, split, HORIZONS, seed=3)
    assert model.seeds[:6] == model.seeds[6:]
    assert len(set(model.seeds[:6])) == 6
    crossfit.fit_fold(model, data, splits_of(data, folds=3)[0], HORIZONS, seed=4)
    assert model.seeds[-1] not in model.seeds[:-1]


class Staging(Listening):
    """Nodal: the chance of N1 and N2 is that of the patient's grade."""

    def predict(self, table, horizons_days):
        grade = table.values["grade"].to_numpy()
        return np.stack([1 - 0.3 * grade, 0.2 * grade, 0.1 * grade], axis=1)


def test_predictions_of_stages_have_their_labels_and_unknown_stages_stay_unknown():
    data = of_every_kind(4)
    stages = NodalOutcome(np.array([0, 2, -1, 1], np.int8))
    nodal = crossfit.Data(
        data.patients, data.features, stages, data.centre, data.arm, data.endpoint
    )
    table = crossfit.predict(
        Staging(), "m", nodal, ["P0001", "P0002"], np.array([], np.int64)
    ).table.set_index(["patient", "label"])
    grade = data.features.values["grade"]
    for patient in ("P0001", "P0002"):
        told = [table.loc[(patient, label), "risk"] for label in ("N0", "N1", "N2")]
        np.testing.assert_allclose(
            told, np.array([1, 0, 0]) + grade[patient] * np.array([-0.3, 0.2, 0.1])
        )
    assert table.loc["P0001", "status"].tolist() == [2, 2, 2]
    assert table.loc["P0002", "status"].isna().all()


def test_a_centre_is_told_by_models_that_did_not_see_the_patient():
    """With as many noise features as patients, a model that saw him would know."""
    data = made_up(n=60, noise=55, seed=9)
    centre = pd.Series(
        np.where(np.random.default_rng(0).random(60) < 0.5, "A", "B"), index=data.patients
    )
    own = crossfit.Data(data.patients, data.features, data.outcome, centre, data.arm, "dmfs")
    told = crossfit.predict_centre(own, splits_of(own))
    right = told.idxmax(axis=1) == centre.loc[told.index]
    assert right.mean() < 0.75
    assert sorted(told.index) == sorted(data.patients)
    np.testing.assert_allclose(told.sum(axis=1), 1)


# ----------------------------------------------------------------------------- multiple imputation

IMPUTED = [COX, build(ModelSettings(kind="elastic_net_cox", name="net"))]


def with_gaps(data: crossfit.Data, seed: int = 7) -> crossfit.Data:
    """Missing values at random in two predictors, of every side of a split."""
    rng = np.random.default_rng(seed)
    values = data.features.values.copy()
    for name in ("x0", "x1"):
        values.loc[rng.random(len(values)) < 0.25, name] = np.nan
    features = FeatureTable(values, data.features.features)
    return crossfit.Data(
        data.patients, features, data.outcome, data.centre, data.arm, data.endpoint
    )


def imputed(data, split, *, seed=3, imputations=3):
    return crossfit.fit_imputed_fold(
        IMPUTED,
        data,
        split,
        HORIZONS,
        imputer=MultipleImputer(),
        imputations=imputations,
        seed=seed,
    )


def with_outcomes_of_test_rows_permuted(data: crossfit.Data, split) -> crossfit.Data:
    rows = data.positions(split.test)
    order = np.random.default_rng(1).permutation(rows)
    time, status = data.outcome.time_days.copy(), data.outcome.status.copy()
    time[rows], status[rows] = time[order], status[order]
    return crossfit.Data(
        data.patients,
        data.features,
        SurvivalOutcome(time, status),
        data.centre,
        data.arm,
        data.endpoint,
    )


def test_no_outcome_of_a_test_row_reaches_an_imputation():
    data = with_gaps(made_up())
    split = splits_of(data)[0]
    other = with_outcomes_of_test_rows_permuted(data, split)
    for one, again in zip(imputed(data, split), imputed(other, split), strict=True):
        assert (one.table["risk"] == again.table["risk"]).all()
        assert not (one.table["time_days"] == again.table["time_days"]).all()


def test_no_value_of_one_test_row_reaches_what_another_is_predicted_from_complete_values():
    """Complete test rows are predicted alike whatever the others hold: nothing is fitted to them.

    Of rows with gaps the draws depend on who else has one.
    """
    data = with_gaps(made_up())
    split = splits_of(data)[0]
    complete = data.features.values.loc[list(split.test)].notna().all(axis=1)
    values = data.features.values.copy()
    gone = complete.index[~complete]
    values.loc[gone, ["x2", "x3"]] = 1e6
    wild = crossfit.Data(
        data.patients,
        FeatureTable(values, data.features.features),
        data.outcome,
        data.centre,
        data.arm,
        data.endpoint,
    )
    own = imputed(data, split)[0].table.set_index("patient")["risk"]
    beside = imputed(wild, split)[0].table.set_index("patient")["risk"]
    kept = complete.index[complete]
    assert (own.loc[kept] == beside.loc[kept]).all()


def test_imputations_have_a_seed_and_without_gaps_they_are_the_fit_itself():
    data = with_gaps(made_up())
    split = splits_of(data)[0]
    one, same, other = (imputed(data, split, seed=s)[0].table for s in (3, 3, 4))
    pd.testing.assert_frame_equal(one, same, check_exact=True)
    assert not one["risk"].equals(other["risk"])
    whole = made_up()
    for model, found in zip(IMPUTED, imputed(whole, split), strict=True):
        fold = crossfit.fit_fold(model, whole, split, HORIZONS, seed=3)
        np.testing.assert_allclose(found.table["risk"], fold.predictions.table["risk"], rtol=1e-12)
        assert set(found.table["model"]) == {model.name}


def test_patients_whose_nodes_were_not_examined_are_predicted_and_not_learnt_from():
    data = with_gaps(made_up(200))
    score = data.features.values["x2"].to_numpy()
    stage = np.digitize(score + np.random.default_rng(0).logistic(size=200), [0.3, 1.5])
    stage[::4] = -1
    nodal = crossfit.Data(
        data.patients,
        data.features,
        NodalOutcome(stage.astype(np.int8)),
        data.centre,
        data.arm,
        "nodal",
    )
    split = splits_of(data)[0]
    model = build(ModelSettings(kind="ordinal", name="ordinal"))
    (found,) = crossfit.fit_imputed_fold(
        [model],
        nodal,
        split,
        np.array([], dtype=np.int64),
        imputer=MultipleImputer(),
        imputations=2,
        seed=3,
    )
    assert sorted(found.table["patient"].unique()) == sorted(split.test)
    total = found.table.groupby("patient")["risk"].sum()
    np.testing.assert_allclose(total, 1.0)
