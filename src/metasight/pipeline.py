"""A study from tables to report, in the order of a paper's Methods section.

:func:`run` is the whole story: cohort, analysis data, plan, fits, evaluation, report. The plan is
a list of steps (:mod:`metasight.steps`) addressed by what they are made from, so a run that was
killed goes on where it was and a run with nothing changed does nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight import steps
from metasight.engine.progress import Progress
from metasight.engine.run import INLINE, Pending, execute, pending, remember
from metasight.engine.store import Step, Store
from metasight.errors import StudyError
from metasight.evaluation_step import (
    CollectArgument,
    EvaluateArgument,
    LeakageArgument,
    collect,
    evaluate_step,
    leakage_step,
)
from metasight.protocol.endpoint import SurvivalEndpoint
from metasight.provenance import hash_code, hash_json, versions
from metasight.report_step import ReportArgument, report_step
from metasight.study import Study, StudyModel

POPULATIONS = ("as_written", "all_eligible")

# What a step's result rests on, besides its settings and inputs.
_READING = ("protocol", "cohort", "errors.py", "units.py", "ledger.py")
_FITTING = ("models", "features", "predictions.py", "steps.py")
_JUDGING = ("validation", "leakage.py", "evaluation_step.py")
_REPORTING = ("report", "report_step.py")


@dataclass(frozen=True)
class Analysis:
    """One endpoint in one population.

    Attributes
    ----------
    data
        The step that cut its data.
    endpoint, population
        Names.
    models
        Models fitted.
    headline
        Whether this is what the report leads with.
    """

    data: Step
    endpoint: str
    population: str
    models: tuple[StudyModel, ...]
    headline: bool


@dataclass(frozen=True)
class Plan:
    """Everything a study comes down to.

    Attributes
    ----------
    steps
        Each after those it needs.
    results
        The step whose folder becomes the run's results.
    pending
        Steps without a result, and why.
    """

    steps: tuple[Step, ...]
    results: Step
    pending: tuple[Pending, ...]


def run(study: Study, *, scheduler: str, progress: Progress) -> tuple[Path, tuple[Pending, ...]]:
    """Run a study to its report.

    Parameters
    ----------
    study
        Read and valid.
    scheduler
        ``inline``, ``local`` or a Dask scheduler's address.
    progress
        Told of every step.

    Returns
    -------
    The run's folder, and the steps that had to run (empty when nothing was to do).
    """
    plan = plan_study(study)
    store = Store(study.store)
    execute([p.step for p in plan.pending], store, scheduler=scheduler, progress=progress)
    remember(plan.steps, study.memory)
    return publish(study, plan, store), plan.pending


def plan_study(study: Study) -> Plan:
    """Plan of a study; reads the tables, for what there is to fit depends on who is eligible."""
    store = Store(study.store)
    cohort = cohort_step(study)
    fresh = list(pending([cohort], store, study.memory))
    folder = store.make(cohort)
    analyses = list(plan_analyses(study, cohort, steps.read_json(folder / "cohort.json")))
    fresh += pending([a.data for a in analyses], store, study.memory)
    for analysis in analyses:
        store.make(analysis.data)
    planned = [cohort, *(a.data for a in analyses)]
    for analysis in analyses:
        planned += analysis_steps(study, analysis, store.path(analysis.data.key))
    results = report(study, cohort, analyses, planned)
    planned.append(results)
    later = [p for p in pending(planned, store, study.memory) if p.step not in fresh]
    return Plan(tuple(planned), results, tuple(later))


# --------------------------------------------------------------------------- cohort and data


def cohort_step(study: Study) -> Step:
    """Tables to canonical values, eligibility and ledger."""
    return Step(
        name="cohort",
        stage="cohort",
        function=steps.cohort,
        argument=steps.CohortArgument(
            folder=study.folder, settings=study.settings, protocol=study.protocol
        ),
        ingredients={
            "tables": study.input_hashes(),
            "settings": study.settings.cohort_json(),
            "protocol": hash_json(study.protocol.model_dump(mode="json", by_alias=True)),
            "code of cohort": hash_code(*_READING),
        },
    )


def plan_analyses(study: Study, cohort: Step, info: dict[str, Any]) -> Iterator[Analysis]:
    """Headline first; then the other population, then the other endpoints.

    The primary endpoint is analysed in both populations where they differ (a criterion that
    selects on the future, as written and left out); other endpoints in the headline one.
    """
    protocol, settings = study.protocol, study.settings
    primary, headline = protocol.primary.name, protocol.headline_population
    other = next(p for p in POPULATIONS if p != headline)
    if not info[headline]:
        raise StudyError(
            "no patient is eligible",
            where="eligibility",
            value=", ".join(
                f"{s['criterion']}: {s['excluded']} excluded, {s['unknown']} unknown"
                for s in info["steps"]
                if s["excluded"] or s["unknown"]
            ),
            remedy="See the ledger; waive what this study cannot assess, with the reason",
        )
    wanted = [(primary, headline)]
    if info[other] != info[headline] and info[other]:
        wanted.append((primary, other))
    wanted += [(e.name, headline) for e in protocol.endpoint if not e.primary]
    for endpoint, population in wanted:
        models = tuple(m for m in settings.model if endpoint in (m.endpoints or (primary,)))
        if population != headline:
            leading = (settings.analysis.reference_model, settings.analysis.headline_model)
            models = tuple(m for m in models if m.name in leading)
        if models:
            yield Analysis(
                data=data_step(study, cohort, endpoint, population),
                endpoint=endpoint,
                population=population,
                models=models,
                headline=(endpoint, population) == (primary, headline),
            )


def data_step(study: Study, cohort: Step, endpoint: str, population: str) -> Step:
    """Outcome, features, horizons and splits of one endpoint in one population."""
    analysis = study.settings.analysis
    primary = endpoint == study.protocol.primary.name
    headline = primary and population == study.protocol.headline_population
    argument = steps.DataArgument(
        endpoint=endpoint,
        population=population,
        protocol=study.protocol,
        not_recorded=dict(study.settings.not_recorded),
        horizons_years=analysis.horizons_years if primary else None,
        folds=analysis.folds,
        repeats=analysis.repeats,
        seed=analysis.seed,
        centres_out=headline and analysis.single_centre_reason is None,
        first_test_year=analysis.first_test_year if headline else None,
    )
    return Step(
        name=f"data {endpoint} {population}",
        stage="cohort",
        function=steps.analysis_data,
        argument=argument,
        ingredients={
            "analysis": {
                k: v for k, v in vars(argument).items() if k not in {"protocol"}
            },
            "code of splits and features": hash_code(*_READING, "features", "steps.py"),
        },
        needs=(cohort,),
    )


# ------------------------------------------------------------------------ fits and evaluation


def analysis_steps(study: Study, analysis: Analysis, folder: Path) -> list[Step]:
    """Every fit of one analysis, its checks and its evaluation."""
    splits = steps.read_json(folder / "splits.json")
    settings = study.settings.analysis
    fits = [
        _fit_step(study, analysis, model, steps.fit, "fit",
                  scheme=s["scheme"], repeat=s["repeat"], fold=s["fold"])
        for model in analysis.models
        for s in splits
    ]  # fmt: skip
    if not analysis.headline:
        return [*fits, _evaluate(study, analysis, fits, [])]
    headline = next(m for m in analysis.models if m.name == settings.headline_model)
    noise = [
        _fit_step(study, analysis, headline, steps.noise, "noise", number=k)
        for k in range(settings.noise_replicates)
    ]
    spoilt = [
        _fit_step(study, analysis, model, steps.corrupted, "spoilt rows")
        for model in analysis.models
    ]
    resamples = [
        _fit_step(study, analysis, headline, steps.resample, "resample", number=k)
        for k in range(settings.instability_resamples)
    ]
    everybody = [
        _fit_step(study, analysis, model, steps.everybody, "everybody")
        for model in analysis.models
    ]
    centres = []
    if any(s["scheme"] == "centre" for s in splits):
        centres = [_fit_step(study, analysis, headline, steps.centre_probabilities, "centre")]
    leakage = Step(
        name="leakage checks",
        stage="checks",
        function=leakage_step,
        argument=LeakageArgument(data=analysis.data.name, model=headline.name),
        ingredients={"code of checks": hash_code(*_JUDGING)},
        needs=(analysis.data, *fits, *noise, *spoilt, *centres),
    )
    evaluation = _evaluate(study, analysis, fits, [*resamples, *everybody])
    return [*fits, *noise, *spoilt, *resamples, *everybody, *centres, leakage, evaluation]


def _fit_step(
    study: Study, analysis: Analysis, model: StudyModel, function: Any, what: str, **which: Any
) -> Step:
    # Endpoints decide which fits there are, not what a fit is.
    own = type(model).__mro__[1].model_validate(model.model_dump(exclude={"endpoints"}))
    place = " ".join(str(v) for v in which.values())
    argument = steps.FitArgument(
        data=analysis.data.name, model=own, seed=study.settings.analysis.seed, **which
    )
    return Step(
        name=f"{what} · {analysis.endpoint} {analysis.population} · {model.name} · {place}".rstrip(" ·"),
        stage={"fit": "cross-validation", "noise": "noise replay", "spoilt rows": "checks",
               "resample": "instability", "everybody": "final models", "centre": "checks"}[what],
        function=function,
        argument=argument,
        ingredients={
            "model": own.model_dump(mode="json"),
            "seed": argument.seed,
            "split": which,
            "code of models": hash_code(*_FITTING),
        },
        needs=(analysis.data,),
    )  # fmt: skip


def _evaluate(
    study: Study, analysis: Analysis, fits: Sequence[Step], extra: Sequence[Step]
) -> Step:
    settings = study.settings.analysis
    endpoint = next(e for e in study.protocol.endpoint if e.name == analysis.endpoint)
    names = [m.name for m in analysis.models]
    argument = EvaluateArgument(
        data=analysis.data.name,
        endpoint=analysis.endpoint,
        # Where the study's reference is not fitted for this endpoint, its first model is.
        reference_model=settings.reference_model if settings.reference_model in names else names[0],
        headline_model=settings.headline_model if settings.headline_model in names else names[-1],
        models=tuple(names),
        thresholds=endpoint.thresholds,
        bootstrap=settings.bootstrap if analysis.headline else min(settings.bootstrap, 200),
        seed=settings.seed,
        subgroups=settings.subgroups if analysis.headline else (),
        survival=isinstance(endpoint, SurvivalEndpoint),
    )
    return Step(
        name=f"evaluate {analysis.endpoint} {analysis.population}",
        stage="evaluation",
        function=evaluate_step,
        argument=argument,
        ingredients={
            "evaluation": {k: v for k, v in vars(argument).items() if k != "data"},
            "code of validation": hash_code(*_JUDGING),
        },
        needs=(analysis.data, *fits, *extra),
    )


# ------------------------------------------------------------------------------------ results


def report(study: Study, cohort: Step, analyses: Sequence[Analysis], planned: list[Step]) -> Step:
    """Predictions, ledger, features and bundle in one folder, then the report over them.

    Appends the collecting step to ``planned`` and returns the report step.
    """
    headline = next(a for a in analyses if a.headline)
    provenance = {
        "tables": study.input_hashes(),
        "settings": study.settings.model_dump(mode="json", exclude={"salt"}),
        "protocol": {"id": study.protocol.id, "version": study.protocol.version,
                     "hash": hash_json(study.protocol.model_dump(mode="json", by_alias=True))},
        "versions": versions(),
        "code": hash_code("."),
    }  # fmt: skip
    collected = Step(
        name="results",
        stage="evaluation",
        function=collect,
        argument=CollectArgument(
            data=headline.data.name,
            endpoint=headline.endpoint,
            protocol=study.protocol,
            models=tuple(m.name for m in headline.models),
            headline_model=study.settings.analysis.headline_model,
            provenance=provenance,
        ),
        ingredients={"provenance": provenance, "code": hash_code(*_JUDGING, "bundle.py")},
        needs=(cohort, *(s for s in planned if s.name != "cohort")),
    )
    planned.append(collected)
    return Step(
        name="report",
        stage="report",
        function=report_step,
        argument=ReportArgument(
            settings=study.settings,
            protocol=study.protocol,
            analyses=tuple((a.endpoint, a.population, a.data.name) for a in analyses),
            provenance=provenance,
        ),
        ingredients={
            "title": study.settings.title,
            "code of report": hash_code(*_REPORTING),
        },
        needs=(collected, cohort, *(s for s in planned if s.stage in {"cohort", "checks", "evaluation"}
                                    and s.name not in {"cohort", "results"})),
    )  # fmt: skip


def publish(study: Study, plan: Plan, store: Store) -> Path:
    """Put a run's results under ``results/<run>`` and point ``results/latest`` at it.

    The run is named by its content, so the same study gives the same folder.
    """
    collected = next(s for s in plan.steps if s.name == "results")
    name = plan.results.key[:12]
    final = study.results / name
    if not final.is_dir():
        scratch = study.results / f".{name}"
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(store.path(collected.key), scratch)
        shutil.copytree(store.path(plan.results.key), scratch, dirs_exist_ok=True)
        os.rename(scratch, final)
    link = study.results / "latest"
    if not link.is_symlink() or os.readlink(link) != name:
        beside = study.results / ".latest"
        beside.unlink(missing_ok=True)
        beside.symlink_to(name)
        os.replace(beside, link)
    return final


def checked(study: Study) -> dict[str, Any]:
    """Read and screen a study without fitting: counts, analyses and what would run.

    Raises
    ------
    MetasightError
        Whatever would stop the run before its first fit.
    """
    plan = plan_study(study)
    store = Store(study.store)
    folder = store.path(next(s for s in plan.steps if s.name == "cohort").key)
    data = [steps.read_json(store.path(s.key) / "data.json")
            for s in plan.steps if s.name.startswith("data ")]  # fmt: skip
    return {"cohort": json.loads((folder / "cohort.json").read_text("utf-8")), "data": data,
            "pending": plan.pending}  # fmt: skip


__all__ = ["INLINE", "Plan", "checked", "plan_study", "publish", "run"]
