"""Who leads an analysis when fits failed, and which patients a scheme is judged on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.cohort.splits import repeated_kfold
from metasight.engine.step import Input, Inputs, StepKind
from metasight.errors import EvaluationError, FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.settings import ModelSettings
from metasight.predictions import Predictions
from metasight.protocol.load import read_protocol
from metasight.steps import artefacts
from metasight.steps.files import write_json
from metasight.steps.risk import fitting, judging
from metasight.steps.risk.fitting import FitArgument
from metasight.steps.risk.judging import (
    EvaluateArgument,
    LeakageArgument,
    _gather_contributions,
    _gather_refits,
    _judge_permuted,
    _judge_resamples,
    _leading,
    _of_scheme,
    _others,
    _pairs,
    _sample_size,
    check_leakage,
    failures_of,
    first_failure,
    judge,
    subgroup_levels,
)
from metasight.validation.discrimination import harrell_c
from metasight.validation.results import EvaluationPlan
from metasight.validation.sample_size import development_binary, largest_r2_binary
from steps.analysed import data_of, followed, write_data
from validation.conftest import predictions
from worked import inputs_of


def argument(*, leads: bool) -> EvaluateArgument:
    return EvaluateArgument(
        data="data",
        endpoint="dm",
        also_against=(),
        reference_model="clinical",
        headline_model="fusion",
        models=("clinical", "forest", "fusion"),
        thresholds=(0.1,),
        bootstrap=10,
        seed=1,
        subgroups=(),
        leads=leads,
        headline_settings=ModelSettings(kind="stacked", name="fusion"),
    )


def failure(model: str, scheme: str = "kfold") -> dict[str, str]:
    return {
        "criterion": model,
        "stage": "fit dm",
        "item": f"{scheme} repeat 0 fold 1",
        "reason": f"{model} diverged",
    }


def test_without_failures_the_study_s_own_models_lead():
    assert _leading(argument(leads=True), []) == ("clinical", "fusion")


def test_the_headline_analysis_stops_where_its_model_failed():
    with pytest.raises(FitError, match="fusion diverged"):
        _leading(argument(leads=True), [failure("fusion")])


def test_in_another_analysis_the_ones_that_are_left_stand_in():
    assert _leading(argument(leads=False), [failure("fusion")]) == ("clinical", "forest")
    assert _leading(argument(leads=False), [failure("clinical")]) == ("forest", "fusion")
    every = [failure(m) for m in ("clinical", "forest", "fusion")]
    with pytest.raises(FitError):
        _leading(argument(leads=False), every)


def test_a_failure_with_a_centre_left_out_does_not_touch_the_random_folds():
    assert _leading(argument(leads=True), [failure("fusion", "centre")]) == ("clinical", "fusion")


def test_the_first_failure_is_told_as_the_error_that_it_was():
    error = first_failure([failure("a"), failure("b")], "b")
    assert error.problem == "b diverged"
    assert error.where == "kfold repeat 0 fold 1"


# ------------------------------------------------------------------ which fits count


def fit(folder, table: pd.DataFrame, model: str, scheme: str, fold: int):
    """A fit's folder with the predictions of one model in one fold."""
    folder.mkdir()
    own = table[(table["model"] == model) & (table["fold"] == fold)]
    Predictions(own).to_parquet(folder / "predictions.parquet")
    write_json(folder / "audit.json", {"model": model, "scheme": scheme})
    return folder


@pytest.fixture
def fits(tmp_path):
    table = predictions(60, repeats=1, folds=2).table
    return {
        f"{m} {k}": fit(tmp_path / f"{m}{k}", table, m, "kfold", k)
        for m in ("model0", "model1")
        for k in (0, 1)
    }


def test_a_model_that_failed_in_one_fold_is_judged_by_none(fits):
    assert set(_of_scheme(fits, "kfold", []).models) == {"model0", "model1"}
    left = _of_scheme(fits, "kfold", [failure("model1")])
    assert list(left.models) == ["model0"]
    assert len(left.table["patient"].unique()) == 60


def test_without_a_model_that_was_fitted_everywhere_there_is_nothing_to_judge(fits):
    with pytest.raises(EvaluationError, match="no model could be fitted"):
        _of_scheme(fits, "kfold", [failure("model0"), failure("model1")])
    with pytest.raises(EvaluationError, match="no model could be fitted"):
        _of_scheme(fits, "centre", [])


def test_failures_are_those_that_steps_left(tmp_path, fits):
    failed = tmp_path / "failed"
    failed.mkdir()
    write_json(failed / "failure.json", failure("fusion"))
    inputs = inputs_of(StepKind.FIT, {**fits, "failed": failed})
    assert failures_of(inputs) == [failure("fusion")]


@pytest.mark.parametrize("leads", [True, False])
def test_only_the_headline_analysis_ends_the_study(tmp_path, leads):
    """Beside it a reason is left, and the failures."""
    every = [failure(m) for m in ("clinical", "forest", "fusion")]
    data = write_data(tmp_path / "data", cohort())
    made = [Input(name="data", kind=StepKind.CUT_DATA, subject="", folder=data)]
    for k, one in enumerate(every):
        folder = tmp_path / f"fit{k}"
        folder.mkdir()
        write_json(folder / "failure.json", one)
        made.append(Input(name=f"fit {k}", kind=StepKind.FIT, subject="", folder=folder))
    out = tmp_path / "out"
    out.mkdir()
    if leads:
        with pytest.raises(FitError, match="clinical diverged"):
            judge(Inputs(tuple(made)), out, argument(leads=True))
    else:
        judge(Inputs(tuple(made)), out, argument(leads=False))
        assert "clinical diverged" in json.loads((out / "skipped.json").read_text())
    assert json.loads((out / "failures.json").read_text()) == every


def test_further_references_are_those_that_every_fold_has():
    plan = EvaluationPlan(endpoint="dm", reference_model="clinical", headline_model="fusion")
    cross = type("Cross", (), {"models": ("clinical", "fusion", "NPI")})
    asked = replace(argument(leads=True), also_against=("clinical", "NPI", "CTS5", "fusion"))
    assert _others(asked, plan, cross) == ("NPI",)


# ------------------------------------------------------------------ what is described


def cohort(stage=None, n=40):
    rng = np.random.default_rng(3)
    values = pd.DataFrame(
        {
            "age_years": rng.normal(60, 8, n).round(),
            "er_positive": rng.integers(0, 2, n).astype(float),
            "histology": ["ductal", "lobular", None, "other"] * (n // 4),
            "same": 1.0,
            "til": rng.normal(size=n),
        },
        index=[f"P{i:02d}" for i in range(n)],
    )
    values.loc["P03", "er_positive"] = np.nan
    features = (
        Feature(name="age_years", kind=Kind.CONTINUOUS),
        Feature(name="er_positive", kind=Kind.BINARY),
        Feature(name="histology", kind=Kind.CATEGORICAL, levels=("ductal", "lobular", "other")),
        Feature(name="same", kind=Kind.CONTINUOUS),
        Feature(name="til", kind=Kind.CONTINUOUS, modality="spatial"),
    )
    outcome = (
        SurvivalOutcome(np.arange(1.0, n + 1) * 100, (np.arange(n) % 2).astype(np.int8))
        if stage is None
        else NodalOutcome(stage)
    )
    return data_of(FeatureTable(values, features), outcome, ["A", "B"] * (n // 2))


def test_levels_of_a_subgroup_are_those_of_patients_who_have_one():
    data = cohort()
    er = subgroup_levels(data, "er_positive")
    assert set(er.values()) == {"yes", "no"}
    assert "P03" not in er
    assert subgroup_levels(data, "centre")["P01"] == "B"
    assert subgroup_levels(data, "arm") == {}
    assert subgroup_levels(data, "another") == {}
    ages = subgroup_levels(data, "age_years")
    middle = data.features.values["age_years"].median()
    assert {ages[p][0] for p in ages if data.features.values.loc[p, "age_years"] > middle} == {">"}
    assert set(ages.values()) == {f"> {middle:g}", f"≤ {middle:g}"}


def test_the_size_is_that_of_a_model_of_the_clinical_columns_that_differ():
    stage = np.array([-1] * 10 + [0] * 20 + [1] * 6 + [2] * 4, dtype=np.int8)
    found = _sample_size(cohort(stage), {"n": 40, "events": 10}, "clinical")
    assert found["parameters"] == 1 + 1 + 2  # age, receptor, two levels; the constant has none
    want = development_binary(
        r2_cox_snell=0.15 * largest_r2_binary(10 / 30), parameters=4, prevalence=10 / 30
    )
    assert found["required_n"] == want.n
    assert found["criteria"]["overall risk within ± 0.05"] == want.precision_alone_n
    assert (found["available_n"], found["available_events"]) == (40, 10)
    assert found["all_parameters"] == 5  # and the one spatial feature
    assert found["all_required_n"] > want.n


def test_the_size_for_all_that_models_may_read_stands_beside_it():
    stage = np.array([-1] * 10 + [0] * 20 + [1] * 6 + [2] * 4, dtype=np.int8)
    data = cohort(stage)
    values, features = data.features.values.copy(), list(data.features.features)
    for k in range(5):
        values[f"gene{k}"] = np.arange(len(values)) * (k + 1.0)
        features.append(Feature(name=f"gene{k}", kind=Kind.CONTINUOUS, modality="genes"))
    values["gene0_error"] = np.linspace(0, 1, len(values))
    features.append(
        Feature(name="gene0_error", kind=Kind.CONTINUOUS, modality="genes", error_of="gene0")
    )
    wide = replace(data, features=FeatureTable(values, tuple(features)))
    found = _sample_size(wide, {"n": 40, "events": 10}, "clinical")
    assert (found["parameters"], found["all_parameters"]) == (4, 10)
    want = development_binary(
        r2_cox_snell=0.15 * largest_r2_binary(10 / 30), parameters=10, prevalence=10 / 30
    )
    assert found["all_required_n"] == want.n > found["required_n"]


def test_contributions_are_averaged_over_repeats_of_fits_without_the_patient(tmp_path):
    fits = {}
    for k, (model, scheme, value) in enumerate(
        (
            ("fusion", "kfold", 1.0),
            ("fusion", "kfold", 3.0),
            ("fusion", "centre", 90.0),
            ("other", "kfold", 70.0),
        )
    ):
        folder = tmp_path / str(k)
        folder.mkdir()
        write_json(folder / "audit.json", {"model": model, "scheme": scheme})
        frame = pd.DataFrame({"clinical": [value], "til": [-value]}, index=["P1"])
        frame.to_parquet(folder / "contributions.parquet")
        fits[str(k)] = folder
    _gather_contributions(fits, tmp_path, "fusion")
    found = pd.read_parquet(tmp_path / "contributions.parquet")
    assert found.loc["P1"].to_dict() == {"clinical": 2.0, "til": -2.0}


# ------------------------------------------------------------------ under refitting


def refitted(tmp_path, data, risks, index, own):
    """Folders of the resamples and of the final model."""
    made = []
    for k, (risk, rows) in enumerate(zip(risks, index, strict=True)):
        folder = tmp_path / f"resample{k}"
        folder.mkdir()
        np.save(folder / "risk.npy", risk)
        np.save(folder / "index.npy", rows)
        made.append(
            Input(name=f"r{k}", kind=StepKind.FIT_RESAMPLE, subject="fusion", folder=folder)
        )
    for model, risk in (("clinical", own * 0), ("fusion", own)):
        folder = tmp_path / model
        folder.mkdir()
        np.save(folder / "risk.npy", risk)
        made.append(Input(name=model, kind=StepKind.FIT_EVERYBODY, subject=model, folder=folder))
    return Inputs(tuple(made))


def test_optimism_is_of_the_headline_model_at_the_first_horizon(tmp_path):
    data, rng = cohort(), np.random.default_rng(1)
    own = rng.random((40, 3))
    risks, index = rng.random((3, 40, 3)), rng.integers(0, 40, (3, 40))
    info = {"grid_days": [365, 730, 1096], "horizons_days": [730, 1096]}
    _judge_resamples(refitted(tmp_path, data, risks, index, own), tmp_path, data, info, "fusion")
    told = json.loads((tmp_path / "optimism.json").read_text())
    time, status = data.outcome.time_days, data.outcome.status.astype(np.int64)
    assert told["apparent_c"] == pytest.approx(harrell_c(time, status, own[:, 1]).c)
    gaps = [
        harrell_c(time[i], status[i], r[i, 1]).c - harrell_c(time, status, r[:, 1]).c
        for r, i in zip(risks, index, strict=True)
    ]
    assert told["optimism"] == pytest.approx(np.mean(gaps))
    assert told["corrected_c"] == pytest.approx(told["apparent_c"] - told["optimism"])
    assert told["mape"] == pytest.approx(np.abs(risks[:, :, 1] - own[:, 1]).mean())
    assert told["horizon"] == "730 days"
    shown = [p["risk"] for p in told["patients"]]
    assert shown == sorted(own[:, 1].tolist())


def test_of_nodal_stage_it_is_of_any_node_in_those_examined(tmp_path):
    stage = np.array([-1] * 10 + [0] * 20 + [1] * 6 + [2] * 4, dtype=np.int8)
    data, rng = cohort(stage), np.random.default_rng(2)
    free = rng.random((40, 3))
    risks, index = rng.random((2, 40, 3)), rng.integers(0, 40, (2, 40))
    _judge_resamples(
        refitted(tmp_path, data, risks, index, free),
        tmp_path,
        data,
        {"grid_days": [], "horizons_days": []},
        "fusion",
    )
    told = json.loads((tmp_path / "optimism.json").read_text())
    seen = stage >= 0
    any_node = 1 - free[seen, 0]
    pairs = any_node[stage[seen] > 0][:, None] - any_node[stage[seen] == 0][None]
    assert told["apparent_c"] == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
    assert told["horizon"] == "any positive node"


def test_without_resamples_nothing_is_written(tmp_path):
    data = cohort()
    nothing = refitted(tmp_path, data, [], [], np.zeros((40, 1)))
    _judge_resamples(nothing, tmp_path, data, {}, "fusion")
    assert not (tmp_path / "optimism.json").exists()


def test_coefficients_of_refits_are_gathered_for_the_headline_model(tmp_path):
    final = tmp_path / "final"
    final.mkdir()
    write_json(final / "model.json", {"name": "net", "coefficients": {"a": 0.4, "b": 0.0}})
    inputs = [Input(name="f", kind=StepKind.FIT_EVERYBODY, subject="net", folder=final)]
    for k in range(4):
        folder = tmp_path / f"refit{k}"
        folder.mkdir()
        if k < 3:  # the last one failed
            write_json(folder / "coefficients.json", {"a": 0.1 * k})
        inputs.append(Input(name=f"r{k}", kind=StepKind.FIT_RESAMPLE, subject="net", folder=folder))
    _gather_refits(Inputs(tuple(inputs)), tmp_path, "net")
    found = json.loads((tmp_path / "refits.json").read_text("utf-8"))
    assert (found["model"], found["refits"]) == ("net", 3)
    assert found["terms"]["a"]["kept"] == pytest.approx(2 / 3)
    assert found["terms"]["b"] == {"kept": 0.0, "lower": None, "upper": None}


def test_without_refits_or_coefficients_nothing_is_gathered(tmp_path):
    final = tmp_path / "final"
    final.mkdir()
    write_json(final / "model.json", {"name": "forest", "coefficients": {}})
    one = Input(name="f", kind=StepKind.FIT_EVERYBODY, subject="forest", folder=final)
    _gather_refits(Inputs((one,)), tmp_path, "forest")
    write_json(final / "coefficients.json", {})
    refit = Input(name="r", kind=StepKind.FIT_RESAMPLE, subject="forest", folder=final)
    _gather_refits(Inputs((one, refit)), tmp_path, "forest")
    assert not (tmp_path / "refits.json").exists()


# ------------------------------------------------------------------ beside the evaluation


def test_pairs_of_folds_are_gathered_by_model_and_repeat(tmp_path):
    inputs = []
    for model in ("fusion", "clinical"):
        for repeat in (1, 0):
            folder = tmp_path / f"{model} {repeat}"
            folder.mkdir()
            rows = {"repeat": repeat, "patient": ["P1"], "fold": 0, "other": 1, "ranking": 0.5}
            pd.DataFrame(rows).to_parquet(folder / "pairs.parquet")
            inputs.append(
                Input(name=folder.name, kind=StepKind.FIT_PAIRS, subject=model, folder=folder)
            )
    found = _pairs(Inputs(tuple(inputs)))
    assert sorted(found) == ["clinical", "fusion"]
    assert sorted(found["fusion"]["repeat"]) == [0, 1]
    assert _pairs(Inputs(())) == {}


def permuted(tmp_path, parts):
    made = []
    for k, part in enumerate(parts):
        folder = tmp_path / f"permutation {k}"
        folder.mkdir()
        if part is not None:
            Predictions(part).to_parquet(folder / "predictions.parquet")
        made.append(Input(name=str(k), kind=StepKind.FIT_PERMUTED, subject="model0", folder=folder))
    return Inputs(tuple(made))


PERMUTED_PLAN = EvaluationPlan(
    endpoint="dm",
    horizons_days=(1200, 1800),
    tau_days=1800.0,
    reference_model="model1",
    headline_model="model0",
)


def test_the_increment_of_the_first_repeat_stands_among_permuted_ones(tmp_path):
    cross = predictions(120, kind="survival", models=2)
    own = cross.table[
        (cross.table["model"] == "model0")
        & (cross.table["repeat"] == 0)
        & (cross.table["horizon_days"] == 1800)
    ]
    turned = own.assign(risk=1 - own["risk"])  # of a model that ranks patients the wrong way
    _judge_permuted(permuted(tmp_path, [turned] * 19), tmp_path, cross, PERMUTED_PLAN)
    told = json.loads((tmp_path / "permutation.json").read_text())
    assert (told["p"], told["dealt"]) == (0.05, 19)
    assert told["median"] < 0
    again = tmp_path / "again"
    again.mkdir()
    _judge_permuted(permuted(again, [own] * 19), again, cross, PERMUTED_PLAN)
    same = json.loads((again / "permutation.json").read_text())
    assert (same["p"], same["median"]) == (1.0, same["difference"])


def test_a_permutation_that_failed_leaves_no_test(tmp_path):
    cross = predictions(120, kind="survival", models=2)
    _judge_permuted(permuted(tmp_path, [None] * 19), tmp_path, cross, PERMUTED_PLAN)
    told = json.loads((tmp_path / "permutation.json").read_text())
    assert told == {"skipped": "19 of 19 permutations could not be fitted"}
    (tmp_path / "permutation.json").unlink()
    _judge_permuted(Inputs(()), tmp_path, cross, PERMUTED_PLAN)
    assert not (tmp_path / "permutation.json").exists()


def test_the_leakage_check_reads_who_was_handed_to_fits_without_a_pair_of_folds(
    tmp_path, monkeypatch
):
    """One training patient more in one pair's fit, and the check of the whole study fails."""
    data = followed(90)
    splits = repeated_kfold(data.patients, data.outcome.status, folds=3, repeats=1, seed=1)
    horizons = np.array([2000], dtype=np.int64)
    for module in (judging, fitting):
        monkeypatch.setattr(module, "load_data", lambda _: (data, splits, horizons))
    folders = {"data": tmp_path / "data", "pairs": tmp_path / "pairs"}
    for folder in folders.values():
        folder.mkdir()
    artefacts.DATA.write(folders["data"], {"horizons_days": [2000]})
    cox = ModelSettings(kind="cox", name="cox", modalities=("clinical",))
    cut = inputs_of(StepKind.CUT_DATA, {"data": folders["data"]})
    given = [Input(name="data", kind=StepKind.CUT_DATA, subject="data", folder=folders["data"])]
    for s in splits:
        folder = tmp_path / f"fit {s.fold}"
        folder.mkdir()
        fitting.fit(cut, folder, FitArgument(data="data", model=cox, seed=3, fold=s.fold))
        given.append(Input(name=folder.name, kind=StepKind.FIT, subject="cox", folder=folder))
    fitting.pairs(cut, folders["pairs"], FitArgument(data="data", model=cox, seed=3))
    given.append(
        Input(name="pairs", kind=StepKind.FIT_PAIRS, subject="cox", folder=folders["pairs"])
    )
    checked = LeakageArgument(
        data="data", protocol=read_protocol("breast-dmfs"), model="cox", windows_checked=()
    )
    check_leakage(Inputs(tuple(given)), tmp_path, checked)
    first = artefacts.CHECKS.read(tmp_path)[0]
    assert first["verdict"] == "pass"
    assert first["finding"].startswith("6 fits were handed exactly their training patients, 3 of")
    audits = artefacts.PAIR_AUDITS.read(folders["pairs"])
    audits[0]["handed"] = audits[1]["handed"]
    artefacts.PAIR_AUDITS.write(folders["pairs"], audits)
    check_leakage(Inputs(tuple(given)), tmp_path, checked)
    assert artefacts.CHECKS.read(tmp_path)[0]["verdict"] == "fail"
