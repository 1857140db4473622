"""The plan of a study: every step it comes down to, and what each is made from.

Analyses (an endpoint in a population) first, then their fits, checks and evaluation, then results
and report. :mod:`metasight.pipeline` carries it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight import bundle
from metasight.engine.run import Pending, pending
from metasight.engine.store import Step, StepFunction, Store
from metasight.errors import StudyError
from metasight.features.bags import MODALITY
from metasight.features.columns import CENTRE as CENTRE_FEATURE
from metasight.features.crops import MODALITY as CROP_MODALITY
from metasight.models.settings import ModelSettings
from metasight.plan.risks import steps_on_risks
from metasight.plan.scans import READ_BY_COHORT as SCANS_READ
from metasight.plan.scans import scan_steps
from metasight.plan.slides import AGREEMENT, BAGS, READ_BY_COHORT, sheets_of, slide_steps
from metasight.provenance import hash_code, hash_file, hash_json, versions
from metasight.steps import results
from metasight.steps.cohort import data
from metasight.steps.files import read_json
from metasight.steps.risk import attention, external, fitting, judging
from metasight.steps.scans.patient import CROPS
from metasight.steps.slides.patient import check_slide
from metasight.study.file import Study, StudyModel
from metasight.units import years_to_days

POPULATIONS = ("as_written", "all_eligible")

# What a step's result rests on, besides its settings and inputs.
_READING = ("protocol", "cohort", "errors.py", "units.py", "ledger.py")
_FITTING = ("models", "features", "predictions.py", "steps/risk/fitting.py")
_JUDGING = (
    "validation",
    "leakage.py",
    "predictions.py",
    "estimate.py",
    "features/levels.py",
    "steps/risk/judging.py",
    "steps/risk/abstention.py",
)
_REPORTING = ("report", "bundle.py", "steps/results.py")


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
    cohort, collected, report
        Steps whose folders are read afterwards.
    analyses
        Headline first.
    pending
        Steps without a result when the plan was made, and why.
    slides
        Steps that measured a patient's slides and painted maps; their sheets and maps go into
        the results.
    skipped
        Endpoints that cannot be analysed, each with the reason.
    """

    steps: tuple[Step, ...]
    cohort: Step
    collected: Step
    report: Step
    analyses: tuple[Analysis, ...]
    pending: tuple[Pending, ...]
    slides: tuple[Step, ...] = ()
    skipped: tuple[str, ...] = ()


def plan_study(study: Study) -> Plan:
    """Plan of a study; reads the tables, for what there is to fit depends on who is eligible."""
    store = Store(study.store)
    cohort = cohort_step(study)
    waiting = list(pending([cohort], store, study.memory))
    info = read_json(store.make(cohort) / "cohort.json")
    analyses = tuple(plan_analyses(study, cohort, info))
    waiting += pending([a.data for a in analyses], store, study.memory)
    skipped: list[str] = []
    kept: list[Analysis] = []
    for analysis in analyses:
        why = read_json(store.make(analysis.data) / "data.json").get("skipped")
        if why is None:
            kept.append(analysis)
        else:
            skipped.append(str(why))
    analyses = tuple(kept)
    planned = [cohort, *(a.data for a in analyses)]
    judged: list[Step] = []
    for analysis in analyses:
        own = analysis_steps(study, analysis, store.path(analysis.data.key), info)
        judged += [s for s in own if s.stage in {"checks", "evaluation", "final models"}]
        planned += own
    told = slide_steps(study)
    compared = [s for s in told if s.name == AGREEMENT]
    needs = [cohort, *(a.data for a in analyses), *judged, *compared]
    collected, report = results_steps(study, analyses, needs, skipped=tuple(skipped))
    planned += [collected, report]
    looked = attention_steps(study, told, [s for s in planned if s.stage == "cross-validation"])
    planned += looked
    return Plan(
        steps=tuple(planned),
        cohort=cohort,
        collected=collected,
        report=report,
        analyses=analyses,
        skipped=tuple(skipped),
        slides=(*cohort.needs, *looked, *sheets_of(cohort.needs, study.protocol)),
        pending=(*waiting, *pending(planned, store, study.memory)),
    )


def plan_validation(
    study: Study, locked: bundle.Bundle, bundle_folder: Path, *, opening: int
) -> Plan:
    """Plan of trying locked models on an external study; nothing is fitted.

    ``opening`` is how many models these patients have been opened for, this one included.
    """
    store = Store(study.store)
    cohort = cohort_step(study)
    store.make(cohort)
    population = study.protocol.headline_population
    horizons = locked.horizons_days
    cut = data_step(
        study,
        cohort,
        locked.endpoint,
        population,
        external_horizons=horizons,
        with_centre=any(f.name == CENTRE_FEATURE for f in locked.features),
    )
    identity = hash_file(bundle_folder / "hashes.json")
    endpoint = next(e for e in study.protocol.endpoint if e.name == locked.endpoint)
    argument = external.ExternalArgument(
        bundle=bundle_folder.resolve(),
        data=cut.name,
        thresholds=endpoint.thresholds,
        bootstrap=study.settings.analysis.bootstrap,
        seed=study.settings.analysis.seed,
        opening=opening,
        weights=backbones(study),
    )
    judged = Step(
        name=f"evaluate {locked.endpoint} external",
        stage="evaluation",
        function=external.judge_external,
        argument=argument,
        ingredients={
            "bundle": identity,
            "opening": argument.opening,
            "evaluation": [argument.bootstrap, argument.seed, argument.thresholds],
            "code of validation": hash_code(*_JUDGING, *_FITTING, "steps/risk/external.py"),
        },
        needs=(cut, *image_folders(cohort, (MODALITY, CROP_MODALITY))),
    )
    analysis = Analysis(
        data=cut, endpoint=locked.endpoint, population="external", models=(), headline=True
    )
    collected, written = results_steps(study, [analysis], [cohort, cut, judged], locked=identity)
    return Plan(
        steps=(cohort, cut, judged, collected, written),
        cohort=cohort,
        collected=collected,
        report=written,
        analyses=(analysis,),
        slides=(*cohort.needs, *sheets_of(cohort.needs, study.protocol)),
        pending=(),
    )


# --------------------------------------------------------------------------- cohort and data


def image_steps(study: Study) -> tuple[Step, ...]:
    """All steps on slides and scans."""
    return (*slide_steps(study), *scan_steps(study))


def cohort_step(study: Study) -> Step:
    """Tables to canonical values, eligibility and ledger; with what slides told, if any."""
    begins = (*READ_BY_COHORT, *SCANS_READ)
    needs = tuple(s for s in image_steps(study) if s.name.startswith(begins))
    return Step(
        name="cohort",
        stage="cohort",
        function=data.cohort,
        argument=data.CohortArgument(
            folder=study.folder, settings=study.settings, protocol=study.protocol
        ),
        ingredients={
            "tables": study.input_hashes(),
            "settings": {
                **study.settings.cohort_json(),
                "salt": hash_json(study.settings.salt),  # .metasight keeps no salt
            },
            "protocol": hash_json(study.protocol.model_dump(mode="json", by_alias=True)),
            "code of cohort": hash_code(
                *_READING, "lesions/against_table.py", "steps/cohort/data.py"
            ),
        },
        needs=needs,
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
        raise nobody_eligible(study, info)
    wanted: list[tuple[str, str]] = [(primary, headline)]
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


def nobody_eligible(study: Study, info: dict[str, Any]) -> StudyError:
    """What stands in the way, criterion by criterion."""
    lines = []
    for name, verdicts in info["verdicts"].items():
        out, unknown = verdicts.get("excluded", 0), verdicts.get("unknown", 0)
        if not out + unknown:
            continue
        criterion = study.protocol.criteria[name]
        read = dict.fromkeys(criterion.condition.variables())
        lacking = [v for v in read if not study.settings.gives(v)]
        lines.append(
            f"  {name}: {out} excluded, {unknown} unknown: {criterion.text}"
            + (f" [not given: {', '.join(lacking)}]" if lacking else "")
        )
    return StudyError(
        f"none of {info['screened']} patients is eligible. Taken one by one:\n"
        + "\n".join(lines)
        + "\n",
        where="eligibility",
        remedy="Map what is not given in [columns] or [constants]; what this study cannot assess "
        "goes into [waive] with the reason",
    )


def data_step(
    study: Study,
    cohort: Step,
    endpoint: str,
    population: str,
    *,
    external_horizons: tuple[int, ...] | None = None,
    with_centre: bool = False,
) -> Step:
    """Outcome, features, horizons and splits of one endpoint in one population.

    For external patients the horizons are those of the locked models, and no centre
    or period is left out.
    """
    analysis = study.settings.analysis
    primary = endpoint == study.protocol.primary.name
    asked = tuple(years_to_days(y) for y in analysis.horizons_years or ()) or None
    headline = (
        primary and population == study.protocol.headline_population and external_horizons is None
    )
    argument = data.DataArgument(
        endpoint=endpoint,
        population=population,
        protocol=study.protocol,
        not_recorded=dict(study.settings.not_recorded),
        horizons_days=external_horizons or (asked if primary else None),
        folds=analysis.folds if external_horizons is None else 0,
        repeats=analysis.repeats,
        seed=analysis.seed,
        centres_out=headline and analysis.single_centre_reason is None,
        first_test_year=analysis.first_test_year if headline else None,
        leads=headline or external_horizons is not None,
        lenient=external_horizons is not None,
        set_aside=(study.settings.biology.expression,) if study.settings.biology else (),
        with_centre=with_centre or any(m.harmonise for m in study.settings.model),
    )
    return Step(
        name=f"data {endpoint} {population}",
        stage="cohort",
        function=data.analysis_data,
        argument=argument,
        ingredients={
            "analysis": {k: v for k, v in vars(argument).items() if k != "protocol"},
            "code of splits and features": hash_code(
                *_READING, "features", "validation", "steps/cohort/data.py"
            ),
        },
        needs=(cohort,),
    )


# ------------------------------------------------------------------------ fits and evaluation


def analysis_steps(
    study: Study, analysis: Analysis, folder: Path, info: dict[str, Any]
) -> list[Step]:
    """Every fit of one analysis, its evaluation, and for the headline its checks."""
    splits = read_json(folder / "splits.json")
    settings = study.settings.analysis

    def fits(
        models: Sequence[StudyModel], what: Fitting, which: Sequence[dict[str, Any]]
    ) -> list[Step]:
        return [fit_step(study, analysis, m, what, w) for m in models for w in which]

    places = [{k: s[k] for k in ("scheme", "repeat", "fold")} for s in splits]
    crossfitted = fits(analysis.models, CROSS_VALIDATION, places)
    if not analysis.headline:
        return [*crossfitted, evaluate_step(study, analysis, crossfitted)]
    headline = [m for m in analysis.models if m.name == settings.headline_model]
    numbers = [{"number": k} for k in range(settings.instability_resamples)]
    resamples = fits(headline, RESAMPLE, numbers)
    everybody = fits(analysis.models, EVERYBODY, [{}])
    checked = [
        *fits(headline, NOISE, [{"number": k} for k in range(settings.noise_replicates)]),
        *fits(analysis.models, SPOILT, [{}]),
    ]
    if any(s["scheme"] == "centre" for s in splits):
        checked += fits(headline, CENTRE, [{}])
    leakage = Step(
        name="leakage checks",
        stage="checks",
        function=judging.check_leakage,
        argument=judging.LeakageArgument(
            data=analysis.data.name,
            protocol=study.protocol,
            model=settings.headline_model,
            windows_checked=tuple(info["windows_checked"]),
        ),
        ingredients={"code of checks": hash_code(*_JUDGING)},
        needs=(analysis.data, *crossfitted, *checked),
    )
    evaluation = evaluate_step(study, analysis, [*crossfitted, *resamples, *everybody])
    after = steps_on_risks(
        study, analysis.data, analysis.endpoint, [*crossfitted, *resamples, evaluation]
    )
    return [*crossfitted, *resamples, *everybody, *checked, leakage, evaluation, *after]


@dataclass(frozen=True)
class Fitting:
    """A kind of fit: its name in step names, its progress bar, and what is called."""

    name: str
    stage: str
    function: StepFunction


CROSS_VALIDATION = Fitting("fit", "cross-validation", fitting.fit)
RESAMPLE = Fitting("resample", "instability", fitting.resample)
EVERYBODY = Fitting("everybody", "final models", fitting.everybody)
NOISE = Fitting("noise", "checks", fitting.noise)
SPOILT = Fitting("spoilt rows", "checks", fitting.corrupted)
CENTRE = Fitting("centre", "checks", fitting.centre_probabilities)


def fit_step(
    study: Study, analysis: Analysis, model: StudyModel, what: Fitting, which: dict[str, Any]
) -> Step:
    """One fit of one model."""
    # Which endpoints a model serves decides which fits there are, not what a fit is.
    own = ModelSettings.model_validate(model.model_dump(exclude={"endpoints"}))
    place = " ".join(str(v) for v in which.values())
    images = image_folders(analysis.data.needs[0], own.modalities)
    parts = [what.name, f"{analysis.endpoint} {analysis.population}", model.name, place]
    return Step(
        name=" · ".join(p for p in parts if p),
        stage=what.stage,
        function=what.function,
        argument=fitting.FitArgument(
            data=analysis.data.name,
            model=own,
            seed=study.settings.analysis.seed,
            weights=backbones(study),
            **which,
        ),
        ingredients={
            "model": own.model_dump(mode="json"),
            "seed": study.settings.analysis.seed,
            "split": which,
            "code of models": hash_code(*_FITTING),
        },
        needs=(analysis.data, *images),
        resumes=CROP_MODALITY in own.modalities,
    )


def image_folders(cohort: Step, modalities: Sequence[str]) -> tuple[Step, ...]:
    """The steps that hold all patch features and all crops, for a model of these modalities."""
    read = {m: name for m, name in ((MODALITY, BAGS), (CROP_MODALITY, CROPS)) if m in modalities}
    return tuple(s for s in cohort.needs if s.name in read.values())


def backbones(study: Study) -> dict[str, Path]:
    """sha256 → file of every pretrained backbone that the study names."""
    named = [m.scan_network.weights for m in study.settings.model]
    return {w.sha256.lower(): study.folder / w.path for w in named if w is not None}


def attention_steps(study: Study, told: Sequence[Step], fits: Sequence[Step]) -> tuple[Step, ...]:
    """Pictures of where the model looks on slides: the headline's, else the first that reads them.

    ``told`` are the steps on slides, ``fits`` those of the cross-validation.
    """
    reading = [m.name for m in study.settings.model if MODALITY in m.modalities]
    if not reading or not any(s.name == BAGS for s in told):
        return ()
    headline = study.settings.analysis.headline_model
    model = headline if headline in reading else reading[0]
    checks = [s for s in told if s.function is check_slide and s.argument.slide.stain == "H&E"]
    bags = [s for s in told if s.name == BAGS]
    used = [s for s in fits if s.argument.model.name == model and s.argument.scheme == "kfold"]
    return (
        Step(
            name=attention.ATTENTION,
            stage="report",
            function=attention.draw_attention,
            argument=attention.AttentionArgument(model=model),
            ingredients={
                "model": model,
                "code of attention": hash_code("report/attention.py", "steps/risk/attention.py"),
            },
            needs=(*used, *checks, *bags),
        ),
    )


def evaluate_step(study: Study, analysis: Analysis, fits: Sequence[Step]) -> Step:
    """Judge one analysis."""
    settings = study.settings.analysis
    endpoint = next(e for e in study.protocol.endpoint if e.name == analysis.endpoint)
    names = tuple(m.name for m in analysis.models)
    argument = judging.EvaluateArgument(
        data=analysis.data.name,
        endpoint=analysis.endpoint,
        # An endpoint that the study's reference is not fitted for is judged against its first
        # model, and its last one is the headline.
        reference_model=settings.reference_model if settings.reference_model in names else names[0],
        headline_model=settings.headline_model if settings.headline_model in names else names[-1],
        models=names,
        thresholds=endpoint.thresholds,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
        subgroups=settings.subgroups if analysis.headline else (),
        leads=analysis.headline,
    )
    return Step(
        name=f"evaluate {analysis.endpoint} {analysis.population}",
        stage="evaluation",
        function=judging.judge,
        argument=argument,
        ingredients={
            "evaluation": {k: v for k, v in vars(argument).items() if k != "data"},
            "code of validation": hash_code(*_JUDGING),
        },
        needs=(analysis.data, *fits),
    )


# ------------------------------------------------------------------------------------ results


def results_steps(
    study: Study,
    analyses: Sequence[Analysis],
    needs: Sequence[Step],
    *,
    locked: str = "",
    skipped: tuple[str, ...] = (),
) -> tuple[Step, Step]:
    """The step that gathers predictions, ledger, features and bundle, and the report step.

    ``locked`` is the hash of the bundle when locked models were tried on external patients;
    ``skipped`` says which endpoints could not be analysed, and why.
    """
    provenance: dict[str, Any] = {
        "tables": study.input_hashes(),
        "settings": study.settings.model_dump(mode="json", exclude={"salt"}),
        "protocol": {
            "id": study.protocol.id,
            "version": study.protocol.version,
            "hash": hash_json(study.protocol.model_dump(mode="json", by_alias=True)),
        },
        "versions": versions(),
        "code": hash_code("."),
    }
    if locked:
        provenance["bundle"] = locked
    provenance["run"] = hash_json([provenance, [s.key for s in needs]])[:12]
    argument = results.ResultsArgument(
        settings=study.settings,
        protocol=study.protocol,
        analyses=tuple(
            results.AnalysisNames(
                endpoint=a.endpoint,
                population=a.population,
                headline=a.headline,
                data=a.data.name,
                judged=f"evaluate {a.endpoint} {a.population}",
            )
            for a in analyses
        ),
        provenance=provenance,
        external=bool(locked),
        skipped=skipped,
    )
    collected = Step(
        name="results",
        stage="report",
        function=results.collect,
        argument=argument,
        ingredients={"provenance": provenance, "code of results": hash_code(*_REPORTING)},
        needs=tuple(needs),
    )
    report = Step(
        name="report",
        stage="report",
        function=results.report,
        argument=argument,
        ingredients={"provenance": provenance, "code of report": hash_code(*_REPORTING)},
        needs=tuple(needs),
    )
    return collected, report
