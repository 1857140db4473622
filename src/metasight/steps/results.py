"""A run's results: predictions, ledger, features, bundle and manifest; then its report."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from metasight.cohort.describe import FollowUp, Table1, Table1Row
from metasight.cohort.eligibility import FlowStep
from metasight.cohort.outcome import Landmark
from metasight.cohort.published import published
from metasight.cohort.reader_lesions import LESION_CHOICE, NOTHING, OF_TABLE
from metasight.engine.step import Inputs, StepKind
from metasight.leakage import Check
from metasight.ledger import Entry, Fate, Ledger
from metasight.models.by_hand import formula_of
from metasight.models.final_fit import FinalFit
from metasight.models.pooled_coefficients import PooledCoefficients
from metasight.models.refit_spread import RefitSpread
from metasight.predictions import Predictions
from metasight.protocol.study import Protocol
from metasight.provenance import hash_json
from metasight.report.contents import (
    ACCEPTED_LESION,
    AnalysisResult,
    ContributionsResult,
    FlowCounts,
    ImputationResult,
    MapExample,
    MapsResult,
    ModelDescription,
    OptimismResult,
    Origin,
    PatternsResult,
    ReaderVerdicts,
    ReportContents,
    SampleSizeResult,
    SlideStage,
)
from metasight.report.document import write_report
from metasight.report.headline_script import write_headline
from metasight.steps import artefacts
from metasight.steps.after.biology import BIOLOGY
from metasight.steps.after.stability import STABILITY
from metasight.steps.after.staging import STAGING
from metasight.steps.after.verification import VERIFICATION
from metasight.steps.cohort.data import load_data
from metasight.steps.slides.agreement import AGREEMENT
from metasight.steps.slides.maps import COMPARED
from metasight.study.analysis_plan import PlanComparison
from metasight.study.file import StudySettings
from metasight.study.nested import models_to_fit
from metasight.validation.centre_results import CentreEvaluation, CentreGap
from metasight.validation.imputed import ImputedEvaluation
from metasight.validation.json_tree import from_jsonable
from metasight.validation.permutation import PermutationTest
from metasight.validation.recalibration import Recalibrations
from metasight.validation.results import Evaluation, NotEstimable
from metasight.validation.validation_size import ValidationSize

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class AnalysisNames:
    """Where one analysis' results are.

    Attributes
    ----------
    endpoint, population, headline
        See :class:`metasight.report.contents.AnalysisResult`.
    data, judged
        Names of its data and evaluation steps.
    """

    endpoint: str
    population: str
    headline: bool
    data: str
    judged: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the results come from.

    Attributes
    ----------
    run
        Name of the run.
    tables
        Table → sha256.
    versions
        Package → version that made the results; several, with commas, where they were made by
        several.
    several
        Packages of which several versions made the results.
    code
        Hash of all code that the results rest on, wording left out.
    bundle
        Hash of the bundle that was tried; empty where models were fitted.
    """

    run: str
    tables: Mapping[str, str]
    versions: Mapping[str, str]
    several: tuple[str, ...]
    code: str
    bundle: str = ""


@dataclass(frozen=True, kw_only=True)
class ResultsArgument:
    """What the results are of.

    Attributes
    ----------
    settings, protocol
        Of the study.
    analyses
        Headline first.
    provenance
        Where the results come from.
    external
        Whether locked models were tried on these patients; nothing was fitted then.
    skipped
        Endpoints that could not be analysed, each with the reason.
    plan
        The locked analysis plan, and what differs from it.
    """

    settings: StudySettings
    protocol: Protocol
    analyses: tuple[AnalysisNames, ...]
    provenance: Provenance
    external: bool = False
    skipped: tuple[str, ...] = ()
    plan: PlanComparison = field(default_factory=PlanComparison)


_LEFT_BEHIND = {
    STAGING: (artefacts.STAGING.name,),
    BIOLOGY: tuple(f.name for f in (artefacts.GENES, artefacts.GENE_SETS, artefacts.SINGLE_SAMPLE)),
    STABILITY: (artefacts.STABILITY_TABLE.name,),
}
"""Files of steps that are results of their own."""


def collect(inputs: Inputs, out: Path, argument: ResultsArgument) -> None:
    """Gather what a study leaves behind."""
    headline = argument.analyses[0]
    told = [a for a in argument.analyses if not _skipped(inputs, a)]
    parts = [
        Predictions.from_parquet(artefacts.PREDICTIONS.path(inputs[a.judged]))
        for a in told
        if a.population == headline.population
    ]
    Predictions.concat(parts).to_parquet(artefacts.PREDICTIONS.path(out))
    for analysis in told:
        judged = inputs[analysis.judged]
        if analysis.population != headline.population:
            shutil.copyfile(
                artefacts.PREDICTIONS.path(judged),
                out / f"predictions_{analysis.population}.parquet",
            )
        for name in (
            artefacts.PREDICTIONS_CENTRES.name,
            artefacts.PREDICTIONS_TEMPORAL.name,
            artefacts.CONTRIBUTIONS.name,
        ):
            if (judged / name).is_file():
                shutil.copy(judged / name, out)
    shutil.copy(artefacts.FEATURES.path(inputs[headline.data]), out)
    _write_headline(inputs[headline.judged], out)
    for step, files in _LEFT_BEHIND.items():
        for path in [inputs[step] / f for f in files] if step in inputs else []:
            if path.is_file():
                shutil.copy(path, out)
    _ledger(inputs, argument).to_parquet(artefacts.LEDGER.path(out))
    artefacts.MANIFEST.write(out, _manifest(argument))


def _write_headline(judged: Path, out: Path) -> None:
    """What a reader needs to compute the headline measure again in R."""
    evaluation = Evaluation.from_json(artefacts.EVALUATION.read(judged))
    predictions = Predictions.from_parquet(artefacts.PREDICTIONS.path(judged))
    write_headline(predictions, evaluation.settings, out)


def _manifest(argument: ResultsArgument) -> dict[str, Any]:
    """Hashes of inputs and code, settings, and the versions that made the results."""
    protocol = argument.protocol
    return {
        **{k: v for k, v in asdict(argument.provenance).items() if v or k != "bundle"},
        "settings": published(argument.settings),
        "protocol": {
            "id": protocol.id,
            "version": protocol.version,
            "hash": hash_json(protocol.model_dump(mode="json", by_alias=True)),
        },
    }


def _skipped(inputs: Inputs, names: AnalysisNames) -> str:
    """Why an analysis could not be judged; empty if it was."""
    return str(artefacts.SKIPPED.read_if_there(inputs[names.judged]) or "")


def _ledger(inputs: Inputs, argument: ResultsArgument) -> Ledger:
    ledger = Ledger.from_parquet(artefacts.LEDGER.path(inputs["cohort"]))
    for analysis in argument.analyses:
        ledger.extend(Ledger.from_parquet(artefacts.LEDGER.path(inputs[analysis.data])).entries)
        splits = [] if argument.external else load_data(inputs[analysis.data])[1]
        ledger.extend(
            Entry(
                patient="",
                item=f"{s.scheme} repeat {s.repeat} fold {s.fold}",
                stage=f"split {analysis.endpoint} {analysis.population}",
                verdict=Fate.KEPT,
                value=f"{len(s.train)} train, {len(s.test)} test",
                reason=s.held_out,
            )
            for s in splits
        )
        for rows in (artefacts.FAILURES, artefacts.LEDGER_ROWS):
            ledger.extend(map(Entry.from_row, rows.read_if_there(inputs[analysis.judged]) or ()))
    return ledger


def _everybody(inputs: Inputs) -> dict[str, Path]:
    """Folders of the final models, by model name; a validation has one folder a model."""
    places = [i.folder for i in inputs.of(StepKind.FIT_EVERYBODY)]
    for judged in inputs.of(StepKind.EVALUATE):
        places += sorted((judged.folder / "models").glob("*"))
    return {str(artefacts.MODEL.read(p)["name"]): p for p in places if artefacts.MODEL.is_in(p)}


# ------------------------------------------------------------------------------------- report


def report(inputs: Inputs, out: Path, argument: ResultsArgument) -> None:
    """Write report.html and report.pdf."""
    write_report(contents(inputs, argument), out)


_SLIDE_STAGES = (
    "slide quality",
    "markers",
    "alignment",
    "tissue maps",
    "biomarkers",
    "generated map",
    "patch features",
)


def _slide_stages(cohort: Path) -> tuple[SlideStage, ...]:
    """Ledger rows of slides counted by stage and verdict, in the stages' order."""
    entries = Ledger.from_parquet(artefacts.LEDGER.path(cohort)).entries
    stages = []
    for stage in _SLIDE_STAGES:
        # several criteria may ask for one thing, and it then has a row for each
        items = {(e.patient, e.item, e.verdict) for e in entries if e.stage == stage}
        counts = Counter(verdict for _, _, verdict in items)
        if counts:
            stages.append(
                SlideStage(
                    stage=stage,
                    kept=counts[Fate.KEPT],
                    excluded=counts[Fate.EXCLUDED],
                    failed=counts[Fate.FAILED],
                    unknown=counts[Fate.UNKNOWN],
                )
            )
    return tuple(stages)


def _reader_verdicts(cohort: Path) -> tuple[ReaderVerdicts, ...]:
    """Ledger rows that a reader decided, counted by what they are about and by verdict."""
    entries = Ledger.from_parquet(artefacts.LEDGER.path(cohort)).entries
    decided = {}
    for e in entries:  # several criteria may rest on one decision
        if e.item == LESION_CHOICE and e.replaced:
            earlier = e.replaced not in {OF_TABLE, NOTHING}
            before = "an accepted lesion" if earlier else e.replaced
            decided[ACCEPTED_LESION, before, "accepted", e.patient, e.item] = e
        elif e.replaced:
            about = e.criterion if e.item == "patient" else e.stage
            decided[about, e.replaced, str(e.verdict), e.patient, e.item] = e
    kinds = Counter(key[:3] for key in decided)
    return tuple(
        ReaderVerdicts(
            about=kind[0],
            replaced=kind[1],
            verdict=kind[2],
            n=n,
            readers=len({e.who for key, e in decided.items() if key[:3] == kind}),
        )
        for kind, n in kinds.items()
    )


def _maps(folder: Path) -> MapsResult:
    told = artefacts.AGREEMENT.read(folder)
    examples = []
    for number, about in enumerate(told["examples"]):
        with np.load(folder / f"example{number}.npz", allow_pickle=False) as arrays:
            kinds: dict[str, dict[str, Any]] = {"generated": {}, "measured": {}}
            for name in arrays.files:
                kind, _, marker = name.partition(" ")
                kinds[kind][marker] = arrays[name]
        examples.append(
            MapExample(
                patient=about["patient"],
                pearson=about["pearson"],
                spacing_um=about["spacing_um"],
                painted=kinds["generated"],
                measured=kinds["measured"],
                outlines_um=tuple(tuple((x, y) for x, y in ring) for ring in about["outlines"]),
            )
        )
    result: MapsResult = _as(MapsResult, {**told, "examples": examples})
    return result


def _contributions(judged: Path, model: str) -> ContributionsResult | None:
    path = artefacts.CONTRIBUTIONS.path(judged)
    if not path.is_file():
        return None
    table = pd.read_parquet(path)
    spread = {
        str(name): {"sd": float(table[name].std(ddof=1)), "widest": float(table[name].abs().max())}
        for name in table
    }
    return ContributionsResult(model=model, modalities=spread, n=len(table))


def contents(inputs: Inputs, argument: ResultsArgument) -> ReportContents:
    """Gather a report's contents from the results of the steps."""
    settings, protocol = argument.settings, argument.protocol
    info = artefacts.COHORT.read(inputs["cohort"])
    headline = argument.analyses[0]
    judged = inputs[headline.judged]
    asked = artefacts.EVALUATION.read(judged)["settings"]
    leading = (str(asked["reference_model"]), str(asked["headline_model"]))
    optimism = artefacts.OPTIMISM.read_if_there(judged)
    size = artefacts.SAMPLE_SIZE.read_if_there(judged)
    checks = [] if argument.external else artefacts.CHECKS.read(inputs["leakage checks"])
    return ReportContents(
        title=settings.title or protocol.title,
        protocol=protocol,
        run=argument.provenance.run,
        flow=FlowCounts(
            screened=info["screened"],
            failed=info["failed"],
            steps=tuple(FlowStep(**s) for s in info["steps"]),
            as_written=len(info["as_written"]),
            all_eligible=len(info["all_eligible"]),
        ),
        accrual=tuple(info["accrual"]),
        waived=settings.waive,
        not_recorded=settings.not_recorded,
        constants={n: f"{c.value}: {c.reason}" for n, c in settings.constants.items()},
        analyses=_analyses(inputs, argument),
        checks=tuple(Check(**c) for c in checks),
        optimism=_as(OptimismResult, optimism) if optimism else None,
        sample_size=_as(SampleSizeResult, size) if size else None,
        models=tuple(_describe(inputs, settings, leading, asked["horizons_days"], judged)),
        reference_model=leading[0],
        headline_model=leading[1],
        study_reference=settings.analysis.reference_model,
        plan=argument.plan,
        single_centre_reason=settings.analysis.single_centre_reason,
        settings=published(settings),
        inputs=argument.provenance.tables,
        slides=_slide_stages(inputs["cohort"]),
        reader_verdicts=_reader_verdicts(inputs["cohort"]),
        maps=_maps(inputs[AGREEMENT]) if AGREEMENT in inputs else None,
        verification=_told(inputs, VERIFICATION, artefacts.VERIFICATION),
        staging=_told(inputs, STAGING, artefacts.STAGING),
        biology=_told(inputs, BIOLOGY, artefacts.BIOLOGY),
        stability=_told(inputs, STABILITY, artefacts.STABILITY),
        abstention=_told(inputs, headline.judged, artefacts.ABSTENTION),
        contributions=_contributions(judged, leading[1]),
        versions=argument.provenance.versions,
        code=argument.provenance.code,
        demonstration=settings.demonstration,
        new_generator=_told(inputs, COMPARED, artefacts.GENERATORS),
        origin=_origin(
            _told(inputs, headline.judged, artefacts.ORIGIN), argument.provenance.bundle
        ),
    )


def _origin(told: Any, bundle: str) -> Origin | None:
    """Where locked models come from; None where models were developed."""
    if told is None:
        return None
    case_mix = tuple((str(a), str(b)) for a, b in told.pop("case_mix"))
    told.pop("ledger")
    origin: Origin = _as(Origin, {**told, "case_mix": case_mix, "bundle": bundle})
    return origin


def _told(inputs: Inputs, step: str, file: artefacts.Json) -> Any:
    """What a step wrote; None where the study has no such step, or it had nothing to tell."""
    return file.read_if_there(inputs[step]) if step in inputs else None


def _as(kind: type[Any], data: Mapping[str, Any]) -> Any:
    """Dataclass from JSON whose lists were tuples."""
    known = {f.name for f in fields(kind)}
    return kind(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known}
    )


def _analyses(inputs: Inputs, argument: ResultsArgument) -> tuple[AnalysisResult, ...]:
    """What was judged; what was not is told among the headline's deviations."""
    untold = list(argument.skipped)
    judged = []
    for names in argument.analyses:
        why = _skipped(inputs, names)
        if why:
            untold.append(f"{names.endpoint}, {names.population.replace('_', ' ')}: {why}")
        else:
            judged.append(_analysis(inputs, names))
    told = [f"Not analysed: {why}" for why in untold]
    return (replace(judged[0], deviations=(*judged[0].deviations, *told)), *judged[1:])


def _analysis(inputs: Inputs, names: AnalysisNames) -> AnalysisResult:
    data = artefacts.DATA.read(inputs[names.data])
    judged = inputs[names.judged]

    centres = artefacts.CENTRES.read_if_there(judged)
    gaps = artefacts.GAPS.read_if_there(judged)
    temporal = artefacts.TEMPORAL.read_if_there(judged)
    rows = tuple(Table1Row(**r) for r in data["table1"]["rows"])
    return AnalysisResult(
        endpoint=names.endpoint,
        population=names.population,
        headline=names.headline,
        n=data["n"],
        events=data["events"],
        deviations=(*data["deviations"], *(artefacts.NOTES.read_if_there(judged) or ())),
        refused_horizons=tuple(data["refused"]),
        follow_up=FollowUp(**data["follow_up"]) if data["follow_up"] else None,
        landmark=Landmark(**data["landmark"]) if data["landmark"] else None,
        table1=Table1(groups=data["table1"]["groups"], rows=rows),
        missing=data["missing"],
        evaluation=Evaluation.from_json(artefacts.EVALUATION.read(judged)),
        centres=CentreEvaluation.from_json(centres) if centres else None,
        gaps=tuple(from_jsonable(CentreGap, g) for g in gaps or ()),
        temporal=Evaluation.from_json(temporal) if temporal else None,
        failures=tuple(artefacts.FAILURES.read(judged)),
        permutation=_permutation(judged),
        patterns=_patterns(judged),
        imputation=_imputation(judged),
        recalibration=_estimated(Recalibrations, artefacts.RECALIBRATION.read_if_there(judged)),
        validation_size=_estimated(ValidationSize, artefacts.VALIDATION_SIZE.read_if_there(judged)),
    )


def _patterns(judged: Path) -> PatternsResult | None:
    found = artefacts.MISSING.read_if_there(judged)
    if found is None:
        return None
    return PatternsResult(
        together={k: tuple(v) for k, v in found["together"].items()},
        few=found["few"],
        further=tuple(found["further"]),
    )


def _imputation(judged: Path) -> ImputationResult | None:
    found = artefacts.IMPUTED.read_if_there(judged)
    if found is None:
        return None
    performance, coefficients = found["performance"], found["coefficients"]
    told = {k: found[k] for k in ("imputations", "predictors", "left_out", "not_judged")}
    return ImputationResult(
        **told,
        reference=found["reference"],
        skipped=found["skipped"],
        performance=performance and ImputedEvaluation.from_json(performance),
        coefficients=coefficients and PooledCoefficients.from_json(coefficients),
    )


def _estimated(kind: type[T], told: Any) -> T | NotEstimable | None:
    """What was estimated, why it was not, or None where nothing was asked for."""
    if told is None:
        return None
    if set(told) == {"not_estimable"}:
        return from_jsonable(NotEstimable, told)
    return from_jsonable(kind, told)


def _permutation(judged: Path) -> PermutationTest | str | None:
    """The increment's permutation test, why there is none, or None where none was asked for."""
    found = artefacts.PERMUTATION.read_if_there(judged)
    if found is None:
        return None
    return str(found["skipped"]) if "skipped" in found else from_jsonable(PermutationTest, found)


def _describe(
    inputs: Inputs,
    settings: StudySettings,
    leading: tuple[str, str],
    horizons: Sequence[int],
    judged: Path,
) -> list[ModelDescription]:
    spread = artefacts.REFITS.read_if_there(judged)
    refits = None if spread is None else RefitSpread.from_json(spread)
    asked = {m.name: m for m in models_to_fit(settings)}
    folders = _everybody(inputs)
    described = []
    for name in [n for n in asked if n in folders] + [n for n in folders if n not in asked]:
        state = artefacts.STATE.read(folders[name])
        about = artefacts.MODEL.read(folders[name])
        model = asked.get(name)
        final = artefacts.FINAL_FIT.read_if_there(folders[name])
        described.append(
            ModelDescription(
                name=name,
                kind=state["kind"],
                modalities=model.modalities if model else (),
                role=dict(zip(leading, ("reference", "headline"), strict=True)).get(name, ""),
                settings=model.model_dump(mode="json") if model else {},
                notes=tuple(about["notes"]),
                coefficients=about["coefficients"],
                formula=formula_of(state, horizons),
                final=FinalFit() if final is None else FinalFit.from_json(final),
                refits=refits if refits is not None and refits.model == name else None,
            )
        )
    return described
