"""Leakage checks and evaluation, from predictions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight import leakage
from metasight.cohort.outcome import Outcome, SurvivalOutcome
from metasight.engine.step import Inputs, StepKind
from metasight.errors import EvaluationError, FitError
from metasight.features.columns import FeatureTable
from metasight.features.from_protocol import CLINICAL
from metasight.features.levels import candidate_parameters, described_levels
from metasight.features.missing_patterns import missing_patterns
from metasight.models.crossfit import Data
from metasight.models.refit_spread import refit_spread
from metasight.models.registry import reads
from metasight.models.settings import ModelSettings
from metasight.predictions import Predictions
from metasight.protocol.study import Protocol
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.risk.abstention import judge_abstention, unseen_distances
from metasight.steps.risk.imputing import judge_imputed
from metasight.steps.risk.out_of_fold import unseen_folders
from metasight.validation.anticipated_size import (
    AnticipatedSize,
    anticipated_binary_size,
    anticipated_survival_size,
)
from metasight.validation.evaluate import centre_gap, evaluate, evaluate_centres
from metasight.validation.horizons import supported_plan
from metasight.validation.instability import Optimism, instability, optimism_of_c
from metasight.validation.json_tree import to_jsonable
from metasight.validation.permutation import increment_of, permutation_test
from metasight.validation.results import EvaluationPlan

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LeakageArgument:
    """Which analysis is checked.

    Attributes
    ----------
    data
        Name of the analysis-data step.
    protocol
        For windows.
    model
        Headline model, replayed on noise.
    windows_checked
        Predictors whose date was checked.
    """

    data: str
    protocol: Protocol
    model: str
    windows_checked: tuple[str, ...]


def check_leakage(inputs: Inputs, out: Path, argument: LeakageArgument) -> None:
    """Run every check of :mod:`metasight.leakage` and write what each found."""
    data, splits, _ = load_data(inputs[argument.data])
    fits = {i.name: i.folder for i in inputs.of(StepKind.FIT)}
    audits = [artefacts.AUDIT.read(f) for f in fits.values() if artefacts.AUDIT.is_in(f)]
    for pair in inputs.with_file(StepKind.FIT_PAIRS, artefacts.PAIR_AUDITS.name):
        audits += artefacts.PAIR_AUDITS.read(pair.folder)
    parts = _parts(fits, "kfold")
    if not parts:
        raise first_failure(failures_of(inputs), argument.model)
    predictions = Predictions.concat(parts)
    noise = [
        Predictions.from_parquet(artefacts.PREDICTIONS.path(i.folder))
        for i in inputs.with_file(StepKind.FIT_NOISE, artefacts.PREDICTIONS.name)
    ]
    spoilt = [
        artefacts.HASHES.read(i.folder)
        for i in inputs.with_file(StepKind.FIT_SPOILT, artefacts.HASHES.name)
    ]
    told = inputs.with_file(StepKind.FIT_CENTRE, artefacts.CENTRE_PROBABILITIES.name)
    probabilities = (
        pd.read_parquet(artefacts.CENTRE_PROBABILITIES.path(told[0].folder)) if told else None
    )
    declared = [
        f.name
        for f in data.features.features
        if f.name in argument.protocol.variables and f.name not in argument.windows_checked
    ]
    checks = [
        leakage.folds_disjoint(splits, audits, predictions),
        leakage.corrupted_rows({s["model"]: tuple(s["hashes"]) for s in spoilt}),
        leakage.noise_replay(noise, argument.model),
        leakage.duplicates(data.features),
        leakage.single_features(data.features, data.outcome),
        leakage.centre_shortcut(probabilities, data.centre),
        leakage.windows(argument.windows_checked, declared),
    ]
    artefacts.CHECKS.write(out, [c.to_json() for c in checks])


def _parts(fits: Mapping[str, Path], scheme: str) -> list[Predictions]:
    """Predictions of one scheme, from every fit that succeeded."""
    return [
        Predictions.from_parquet(artefacts.PREDICTIONS.path(folder))
        for folder in fits.values()
        if artefacts.AUDIT.is_in(folder) and artefacts.AUDIT.read(folder)["scheme"] == scheme
    ]


# --------------------------------------------------------------------------------- evaluation


@dataclass(frozen=True, kw_only=True)
class EvaluateArgument:
    """What is judged and how; see :class:`metasight.validation.results.EvaluationPlan`.

    Attributes
    ----------
    data
        Name of the analysis-data step.
    endpoint, reference_model, headline_model, models, thresholds, bootstrap, seed
        As in the plan; ``models`` in the order of ``study.toml``.
    also_against
        What the headline is compared with besides: the study's own reference where the increment
        is over a nested one, and published scores.
    subgroups
        Canonical variables.
    headline_settings
        Of the headline model: patients are grouped by which of its predictors they lack.
    leads
        Whether this is the headline analysis, without which there is no report.
    """

    data: str
    endpoint: str
    reference_model: str
    also_against: tuple[str, ...]
    headline_model: str
    models: tuple[str, ...]
    thresholds: tuple[float, ...]
    bootstrap: int
    seed: int
    subgroups: tuple[str, ...]
    leads: bool
    headline_settings: ModelSettings


def judge(inputs: Inputs, out: Path, argument: EvaluateArgument) -> None:
    """Evaluate one analysis: cross-fitted, centre by centre, over time, and under refitting.

    A model that failed in some fold is judged by none of that scheme, so that all are judged on
    the same patients; its failures are in the ledger. An analysis that is not the headline and
    cannot be judged leaves ``skipped.json`` with the reason, and the study goes on.

    Raises
    ------
    FitError, EvaluationError
        The headline analysis cannot be judged.
    """
    failures = failures_of(inputs)
    artefacts.FAILURES.write(out, failures)
    try:
        _judge(inputs, out, argument, failures)
    except (FitError, EvaluationError) as error:
        if argument.leads:
            raise
        artefacts.SKIPPED.write(out, str(error))


def failures_of(inputs: Inputs) -> list[dict[str, str]]:
    """Ledger rows of the fits that failed."""
    return [artefacts.FAILURE.read(f) for f in inputs.values() if artefacts.FAILURE.is_in(f)]


def _judge(
    inputs: Inputs, out: Path, argument: EvaluateArgument, failures: Sequence[Mapping[str, str]]
) -> None:
    folder = inputs[argument.data]
    data, _, _ = load_data(folder)
    info = artefacts.DATA.read(folder)
    fits = {i.name: i.folder for i in inputs.of(StepKind.FIT)}
    reference, headline = _leading(argument, failures)
    plan = EvaluationPlan(
        endpoint=argument.endpoint,
        horizons_days=tuple(info["horizons_days"]),
        tau_days=info["tau_days"],
        reference_model=reference,
        headline_model=headline,
        thresholds=argument.thresholds,
        n_bootstrap=argument.bootstrap,
        seed=argument.seed,
        subgroups={v: subgroup_levels(data, v) for v in argument.subgroups},
    )
    if argument.leads:
        read = reads(argument.headline_settings, data.features.features)
        patterns = missing_patterns(data.features, read, data.outcome.observed)
        plan = replace(plan, missing=patterns.groups)
        artefacts.MISSING.write(out, patterns.to_json())
    cross = _of_scheme(fits, "kfold", failures)
    plan = replace(plan, also_against=_others(argument, plan, cross))
    told = evaluate(cross, plan, pairs=_pairs(inputs))
    artefacts.EVALUATION.write(out, told.to_json())
    cross.to_parquet(artefacts.PREDICTIONS.path(out))
    notes = [
        *(f"No patient has a level of subgroup {n}." for n, v in plan.subgroups.items() if not v),
        *_judge_centres(fits, out, cross, plan, failures),
        *_judge_later(fits, out, plan, failures),
    ]
    artefacts.NOTES.write(out, notes)
    _gather_contributions(fits, out, headline)
    if argument.leads:
        silent = judge_abstention(unseen_distances(fits, headline), out, cross, plan)
        artefacts.LEDGER_ROWS.write(out, silent)
    _judge_permuted(inputs, out, cross, plan)
    judge_imputed(inputs, out, cross, plan)
    _judge_resamples(inputs, out, data, info, headline)
    _gather_refits(inputs, out, headline)
    artefacts.SAMPLE_SIZE.write(out, _sample_size(data, info, reference))


def _pairs(inputs: Inputs) -> dict[str, pd.DataFrame]:
    """Model → what its fits without pairs of folds say, of every repeat that succeeded."""
    found: dict[str, list[pd.DataFrame]] = {}
    for fit in inputs.with_file(StepKind.FIT_PAIRS, artefacts.PAIRS.name):
        rows = pd.read_parquet(artefacts.PAIRS.path(fit.folder))
        found.setdefault(fit.subject, []).append(rows)
    return {model: pd.concat(parts) for model, parts in found.items()}


def _judge_permuted(inputs: Inputs, out: Path, cross: Predictions, plan: EvaluationPlan) -> None:
    """The increment of the first repeat among those with permuted rows, if any was planned."""
    planned = inputs.of(StepKind.FIT_PERMUTED)
    made = inputs.with_file(StepKind.FIT_PERMUTED, artefacts.PREDICTIONS.name)
    if not planned:
        return
    if len(made) < len(planned):
        failed = f"{len(planned) - len(made)} of {len(planned)} permutations could not be fitted"
        artefacts.PERMUTATION.write(out, {"skipped": failed})
        return
    one = replace(plan, horizons_days=plan.horizons_days[-1:])
    rows = cross.table[cross.table["repeat"] == 0]
    reference = rows[rows["model"] == plan.reference_model]
    headline = rows[rows["model"] == plan.headline_model]

    def increment(own: pd.DataFrame) -> float:
        return increment_of(Predictions(pd.concat([own, reference], ignore_index=True)), one)

    permuted = [
        increment(Predictions.from_parquet(artefacts.PREDICTIONS.path(i.folder)).table)
        for i in made
    ]
    found = permutation_test(increment(headline), permuted)
    artefacts.PERMUTATION.write(out, to_jsonable(found))


def _others(
    argument: EvaluateArgument, plan: EvaluationPlan, cross: Predictions
) -> tuple[str, ...]:
    """Of the further references those that were fitted in every fold."""
    found = [m for m in argument.also_against if m in cross.models]
    return tuple(m for m in found if m not in {plan.reference_model, plan.headline_model})


def _gather_contributions(fits: Mapping[str, Path], out: Path, headline: str) -> None:
    """What each modality adds for patients left out, averaged over repeats; if fused."""
    file = artefacts.CONTRIBUTIONS.name
    parts = [pd.read_parquet(f / file) for f in unseen_folders(fits.values(), headline, file)]
    if parts:
        joined = pd.concat(parts)
        joined.groupby(level=0).mean().to_parquet(artefacts.CONTRIBUTIONS.path(out))


def _leading(argument: EvaluateArgument, failures: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    """Reference and headline model; beside the headline analysis others stand in for failed ones.

    Raises
    ------
    FitError
        One of them failed, or every model did.
    """
    failed = _failed(failures, "kfold")
    left = [m for m in argument.models if m not in failed]
    for name in (argument.reference_model, argument.headline_model):
        if name in failed and (argument.leads or not left):
            raise first_failure(failures, name)
    return (
        argument.reference_model if argument.reference_model in left else left[0],
        argument.headline_model if argument.headline_model in left else left[-1],
    )


def first_failure(failures: Sequence[Mapping[str, str]], model: str) -> FitError:
    """Why a model could not be fitted, as the error that it was."""
    first = next(x for x in failures if x["criterion"] == model)
    return FitError(first["reason"], where=first["item"])


def _failed(failures: Sequence[Mapping[str, str]], scheme: str) -> set[str]:
    return {
        x["criterion"]
        for x in failures
        if x["stage"].startswith("fit ") and x["item"].startswith(f"{scheme} ")
    }


def _of_scheme(
    fits: Mapping[str, Path], scheme: str, failures: Sequence[Mapping[str, str]]
) -> Predictions:
    failed = _failed(failures, scheme)
    kept = [p for p in _parts(fits, scheme) if p.models[0] not in failed]
    if not kept:
        raise EvaluationError("no model could be fitted", remedy="See the failures in the ledger")
    return Predictions.concat(kept)


def _judge_centres(
    fits: Mapping[str, Path],
    out: Path,
    cross: Predictions,
    plan: EvaluationPlan,
    failures: Sequence[Mapping[str, str]],
) -> list[str]:
    """Leave-one-centre-out; what cannot be judged is a note, not the end of the study."""
    if not _parts(fits, "centre"):
        return []
    try:
        left_out = _of_scheme(fits, "centre", failures)
        left_out.to_parquet(artefacts.PREDICTIONS_CENTRES.path(out))
        centres = evaluate_centres(left_out, plan).to_json()
        gaps = [to_jsonable(g) for g in centre_gap(cross, left_out, plan)]
    except EvaluationError as error:
        return [f"Leave-one-centre-out could not be evaluated: {error}"]
    artefacts.CENTRES.write(out, centres)
    artefacts.GAPS.write(out, gaps)
    return []


def _judge_later(
    fits: Mapping[str, Path],
    out: Path,
    plan: EvaluationPlan,
    failures: Sequence[Mapping[str, str]],
) -> list[str]:
    """Temporal split, at the horizons that the later patients' shorter follow-up supports."""
    if not _parts(fits, "temporal"):
        return []
    try:
        later = _of_scheme(fits, "temporal", failures)
        later.to_parquet(artefacts.PREDICTIONS_TEMPORAL.path(out))
        fitting, notes = supported_plan(plan, later, "The later patients")
        artefacts.TEMPORAL.write(out, evaluate(later, fitting).to_json())
    except EvaluationError as error:
        return [f"The temporal split could not be evaluated: {error}"]
    return notes


def subgroup_levels(data: Data, variable: str) -> dict[str, str]:
    """Level of a variable for every patient who has one."""
    if variable in {"centre", "arm"}:
        values = data.centre if variable == "centre" else data.arm
        return {str(p): str(v) for p, v in values.dropna().items()}
    if variable not in data.features.values:
        return {}
    kind = next(f.kind for f in data.features.features if f.name == variable)
    return described_levels(data.features.values[variable], kind)


def _judge_resamples(
    inputs: Inputs, out: Path, data: Data, info: Mapping[str, Any], headline: str
) -> None:
    """Optimism and instability of the headline model, if it was refitted to resamples."""
    folders = [i.folder for i in inputs.with_file(StepKind.FIT_RESAMPLE, artefacts.RISK.name)]
    final = inputs.with_file(StepKind.FIT_EVERYBODY, artefacts.RISK.name)
    everybody = next((i.folder for i in final if i.subject == headline), None)
    if not folders or everybody is None:
        return
    survival = isinstance(data.outcome, SurvivalOutcome)
    column = list(info["grid_days"]).index(info["horizons_days"][0]) if survival else None
    index = np.stack([np.load(artefacts.RESAMPLE_INDEX.path(f)) for f in folders])
    risk = np.stack([_one_risk(np.load(artefacts.RISK.path(f)), column) for f in folders])
    own = _one_risk(np.load(artefacts.RISK.path(everybody)), column)
    found = _optimism(data.outcome, own, risk, index)
    spread = instability(own, risk)
    order = np.argsort(own, kind="stable")
    artefacts.OPTIMISM.write(
        out,
        {
            "model": headline,
            "resamples": len(folders),
            "apparent_c": found.apparent,
            "optimism": found.optimism,
            "corrected_c": found.corrected,
            "mape": float(spread.mape.mean()),
            "patients": [
                {
                    "risk": float(own[i]),
                    "lower": float(spread.lower[i]),
                    "upper": float(spread.upper[i]),
                }
                for i in order
            ],
            "horizon": f"{info['horizons_days'][0]} days" if survival else "any positive node",
        },
    )


def _gather_refits(inputs: Inputs, out: Path, headline: str) -> None:
    """How the headline model's coefficients differ between refits, if it has any."""
    refits = inputs.with_file(StepKind.FIT_RESAMPLE, artefacts.COEFFICIENTS.name)
    final = inputs.with_file(StepKind.FIT_EVERYBODY, artefacts.MODEL.name)
    everybody = next((i.folder for i in final if i.subject == headline), None)
    if not refits or everybody is None:
        return
    terms = list(artefacts.MODEL.read(everybody)["coefficients"])
    if terms:
        told = [artefacts.COEFFICIENTS.read(i.folder) for i in refits]
        artefacts.REFITS.write(out, refit_spread(headline, terms, told).to_json())


def _optimism(outcome: Outcome, own: Floats, risk: Floats, index: NDArray[np.intp]) -> Optimism:
    """Of C; of AUC for any positive node, where nodes were examined."""
    if isinstance(outcome, SurvivalOutcome):
        status = outcome.status.astype(np.int64)
        return optimism_of_c(outcome.time_days, status, own, risk, index)
    time, status = leakage.as_times(outcome.stage > 0)
    return optimism_of_c(time, status, own, risk, index, judged=outcome.observed)


def _one_risk(risk: Floats, column: int | None) -> Floats:
    return np.asarray(risk[:, column] if column is not None else 1.0 - risk[:, 0])


def _sample_size(data: Data, info: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Riley's criteria for a model with the clinical predictors, from this study's event rate."""
    parameters = candidate_parameters(data.features.of_modality([CLINICAL]))
    found = _anticipated(data.outcome, info, parameters)
    size = found.size
    read = candidate_parameters(_numbers_only(data.features))
    most = found if read == parameters else _anticipated(data.outcome, info, read)
    return {
        "model": model,
        "parameters": parameters,
        "available_n": info["n"],
        "available_events": info["events"],
        "required_n": None if size is None else size.n,
        "required_events": None if size is None else size.events,
        "criteria": {}
        if size is None
        else {
            "shrinkage of at most 10 %": size.shrinkage_n,
            "optimism in R² of at most 0.05": size.optimism_n,
            "overall risk within ± 0.05": size.precision_alone_n,
        },
        "assumptions": found.assumptions,
        "all_parameters": read,
        "all_required_n": None if most.size is None else most.size.n,
    }


def _anticipated(outcome: Outcome, info: Mapping[str, Any], parameters: int) -> AnticipatedSize:
    if isinstance(outcome, SurvivalOutcome):
        return anticipated_survival_size(
            outcome.time_days,
            outcome.n_events,
            horizon_days=info["horizons_days"][0],
            parameters=parameters,
        )
    observed = int(outcome.observed.sum())
    return anticipated_binary_size(outcome.n_events, observed, parameters=parameters)


def _numbers_only(table: FeatureTable) -> FeatureTable:
    """Without keys of images, whose parameters nobody counts, and errors of other features."""
    kept = tuple(f for f in table.features if not f.kind.is_key and not f.error_of)
    return FeatureTable(table.values[[f.name for f in kept]], kept)
