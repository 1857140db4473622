"""Every fit of an analysis, its checks and its evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight.engine.contents import Contents
from metasight.engine.step import Step, StepFunction, StepKind
from metasight.features.bags import MODALITY
from metasight.features.columns import Feature
from metasight.features.crops import MODALITY as CROP_MODALITY
from metasight.features.multiple_imputation import incomplete
from metasight.models.published import SCORES
from metasight.models.registry import interval_model
from metasight.models.settings import ModelSettings
from metasight.plan.analysis import DEAR, Analysis
from metasight.plan.imputing import imputation_steps
from metasight.plan.risks import steps_on_risks
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.risk import attention, fitting, intervals, judging, permuting
from metasight.study.file import Study, StudyModel
from metasight.study.nested import increment_reference
from metasight.validation.nested_cv import FEWEST_FOLDS, FEWEST_SPLITS


@dataclass(frozen=True)
class Fitting:
    """A kind of fit: its kind, its name in step names, its progress bar, and what is called."""

    kind: StepKind
    name: str
    label: str
    function: StepFunction


CROSS_VALIDATION = Fitting(StepKind.FIT, "fit", "cross-validation", fitting.fit)
RESAMPLE = Fitting(StepKind.FIT_RESAMPLE, "resample", "instability", fitting.resample)
EVERYBODY = Fitting(StepKind.FIT_EVERYBODY, "everybody", "final models", fitting.everybody)
PAIRS = Fitting(StepKind.FIT_PAIRS, "pairs", "nested cross-validation", fitting.pairs)
NOISE = Fitting(StepKind.FIT_NOISE, "noise", "checks", fitting.noise)
SPOILT = Fitting(StepKind.FIT_SPOILT, "spoilt rows", "checks", fitting.corrupted)
CENTRE = Fitting(StepKind.FIT_CENTRE, "centre", "checks", fitting.centre_probabilities)


def fit_steps(
    study: Study,
    analysis: Analysis,
    splits: Sequence[Mapping[str, Any]],
    contents: Contents,
    gaps: Sequence[Feature] = (),
) -> list[Step]:
    """Every fit of one analysis; of the headline also resamples, final models and checks.

    Parameters
    ----------
    study, contents
        Of the run.
    analysis
        What is fitted.
    splits
        Scheme, repeat and fold of each split of its data.
    gaps
        Features that some of its patients lack.
    """
    settings = study.settings.analysis
    own = {m.name: own_settings(m) for m in analysis.models}

    def fits(
        models: Sequence[StudyModel], what: Fitting, which: Sequence[dict[str, Any]]
    ) -> list[Step]:
        return [
            _fit_step(study, analysis, contents, model=own[m.name], what=what, which=w)
            for m in models
            for w in which
        ]

    places = [{k: s[k] for k in ("scheme", "repeat", "fold")} for s in splits]
    crossfitted = fits(analysis.models, CROSS_VALIDATION, places)
    if not analysis.headline:
        return crossfitted
    headline = [m for m in analysis.models if m.name == settings.headline_model]
    resamples = [{"number": k} for k in range(settings.instability_resamples)]
    replays = [{"number": k} for k in range(settings.noise_replicates)]
    checked = [*fits(headline, NOISE, replays), *fits(analysis.models, SPOILT, [{}])]
    if any(s["scheme"] == "centre" for s in splits):
        checked += fits(headline, CENTRE, [{}])
    return [
        *crossfitted,
        *fits(headline, RESAMPLE, resamples),
        *fits(analysis.models, EVERYBODY, [{}]),
        *fits(_compared(study, analysis), PAIRS, _divisions(study)),
        *_permuted_steps(study, analysis, crossfitted, own, contents),
        *_interval_steps(study, analysis, [own[m.name] for m in headline], contents),
        *imputation_steps(study, analysis, own, gaps, contents),
        *checked,
    ]


def own_settings(model: StudyModel) -> ModelSettings:
    """Settings of a fit: which endpoints a model serves decides which fits there are, not what."""
    return ModelSettings.model_validate(model.model_dump(exclude={"endpoints"}))


def judge_steps(
    study: Study,
    analysis: Analysis,
    fits: Sequence[Step],
    windows_checked: Sequence[str],
    contents: Contents,
) -> list[Step]:
    """An analysis' evaluation; of the headline also its leakage checks and what follows from it.

    Parameters
    ----------
    study, contents
        Of the run.
    analysis, fits
        What is judged.
    windows_checked
        Predictors whose date of measurement was checked.
    """

    def of(*kinds: StepKind) -> list[Step]:
        return [s for s in fits if s.kind in kinds]

    crossfitted = of(StepKind.FIT)
    resamples, everybody = of(StepKind.FIT_RESAMPLE), of(StepKind.FIT_EVERYBODY)
    beside = of(
        StepKind.FIT_PAIRS,
        StepKind.FIT_PERMUTED,
        StepKind.FIT_INTERVALS,
        StepKind.FIT_IMPUTED,
    )
    judged = [*crossfitted, *beside, *resamples, *everybody]
    evaluation = _evaluate_step(study, analysis, judged, contents)
    if not analysis.headline:
        return [evaluation]
    checks = of(StepKind.FIT_PAIRS, StepKind.FIT_NOISE, StepKind.FIT_SPOILT, StepKind.FIT_CENTRE)
    leakage = Step(
        name="leakage checks",
        kind=StepKind.CHECK_LEAKAGE,
        label="checks",
        function=judging.check_leakage,
        argument=judging.LeakageArgument(
            data=analysis.data.name,
            protocol=study.protocol,
            model=study.settings.analysis.headline_model,
            windows_checked=tuple(windows_checked),
        ),
        needs=(analysis.data, *crossfitted, *checks),
        contents=contents,
    )
    after = steps_on_risks(
        study,
        analysis.data,
        analysis.endpoint,
        [*crossfitted, *resamples, *of(StepKind.FIT_INTERVALS), evaluation],
        contents,
    )
    return [leakage, evaluation, *after]


def _fit_step(
    study: Study,
    analysis: Analysis,
    contents: Contents,
    *,
    model: ModelSettings,
    what: Fitting,
    which: dict[str, Any],
) -> Step:
    """One fit of one model."""
    place = " ".join(str(v) for v in which.values())
    cohort = analysis.data.needs[0]
    parts = [what.name, f"{analysis.endpoint} {analysis.population}", model.name, place]
    return Step(
        name=" · ".join(p for p in parts if p),
        kind=what.kind,
        subject=model.name,
        label=what.label,
        function=what.function,
        argument=fitting.FitArgument(
            data=analysis.data.name,
            model=model,
            seed=study.settings.analysis.seed,
            weights=backbones(study.folder, [model]),
            **which,
        ),
        needs=(analysis.data, *image_folders(cohort, model.modalities)),
        resumes=CROP_MODALITY in model.modalities,
        contents=contents,
    )


def _compared(study: Study, analysis: Analysis) -> list[StudyModel]:
    """Headline and reference of the increment, where a fit of both is cheap; else none.

    Networks and models of painted maps keep the interval over folds.
    """
    names = {study.settings.analysis.headline_model, increment_reference(study.settings)}
    found = [m for m in analysis.models if m.name in names]
    dear = any(DEAR & set(m.modalities) for m in found)
    return [] if dear or len(found) < 2 else found


def _permuted_steps(
    study: Study,
    analysis: Analysis,
    crossfitted: Sequence[Step],
    own: Mapping[str, ModelSettings],
    contents: Contents,
) -> list[Step]:
    """The headline with the added modality's rows permuted, as often as asked for."""
    settings = study.settings.analysis
    compared = [m.name for m in _compared(study, analysis)]
    reference, headline = increment_reference(study.settings), settings.headline_model
    if not settings.permutations or not compared:
        return []
    added = set(own[headline].modalities) - set(own[reference].modalities)
    if not added:
        return []
    return [
        Step(
            name=f"permutation · {analysis.endpoint} {analysis.population} · {headline} · {k}",
            kind=StepKind.FIT_PERMUTED,
            subject=headline,
            label="permutation test",
            function=permuting.permute,
            argument=permuting.PermuteArgument(
                data=analysis.data.name,
                model=own[headline],
                seed=settings.seed,
                number=k,
                reference=reference,
                added=tuple(sorted(added)),
            ),
            needs=(
                analysis.data,
                *(s for s in crossfitted if s.subject == reference and _first_repeat(s)),
            ),
            contents=contents,
        )
        for k in range(settings.permutations)
    ]


def _first_repeat(step: Step) -> bool:
    return bool(step.argument.scheme == "kfold" and step.argument.repeat == 0)


def _divisions(study: Study) -> list[dict[str, Any]]:
    """Repeats that are fitted without every pair of folds; none where there are too few."""
    settings = study.settings.analysis
    splits = min(settings.nested_splits, settings.repeats)
    if splits < FEWEST_SPLITS or settings.folds < FEWEST_FOLDS:
        return []
    return [{"repeat": k} for k in range(splits)]


def _interval_steps(
    study: Study, analysis: Analysis, models: Sequence[ModelSettings], contents: Contents
) -> list[Step]:
    """Intervals of individual risks; none where they are not asked for or a model reads images."""
    settings = study.settings.analysis
    if not settings.interval_refits:
        return []
    return [
        Step(
            name=f"patient intervals · {analysis.endpoint} {analysis.population} · {model.name}",
            kind=StepKind.FIT_INTERVALS,
            subject=model.name,
            label="patient intervals",
            function=intervals.fit_intervals,
            argument=intervals.IntervalArgument(
                data=analysis.data.name,
                model=model,
                refits=settings.interval_refits,
                seed=settings.seed,
            ),
            needs=(analysis.data,),
            contents=contents,
        )
        for model in models
        if interval_model(model, refits=settings.interval_refits) is not None
    ]


def image_folders(
    cohort: Any, modalities: Sequence[str] = (MODALITY, CROP_MODALITY)
) -> tuple[Step, ...]:
    """The steps that hold all patch features and all crops, for models of these modalities."""
    kinds = {
        kind
        for modality, kind in (
            (MODALITY, StepKind.GATHER_BAGS),
            (CROP_MODALITY, StepKind.GATHER_CROPS),
        )
        if modality in modalities
    }
    return tuple(s for s in cohort.needs if s.kind in kinds)


def backbones(folder: Path, models: Sequence[ModelSettings]) -> dict[str, Path]:
    """sha256 → file of every pretrained backbone that models name."""
    named = [m.scan_network.weights for m in models]
    return {w.sha256.lower(): folder / w.path for w in named if w is not None}


def attention_steps(
    study: Study, images: Sequence[Step], fits: Sequence[Step], contents: Contents
) -> tuple[Step, ...]:
    """Pictures of where the model looks on slides: the headline's, else the first that reads them.

    ``images`` are the steps on slides, ``fits`` those of the cross-validation.
    """
    reading = [m.name for m in study.settings.model if MODALITY in m.modalities]
    bags = [s for s in images if s.kind is StepKind.GATHER_BAGS]
    if not reading or not bags:
        return ()
    headline = study.settings.analysis.headline_model
    model = headline if headline in reading else reading[0]
    checks = [
        s for s in images if s.kind is StepKind.CHECK_SLIDE and s.argument.slide.stain == "H&E"
    ]
    used = [
        s
        for s in fits
        if s.kind is StepKind.FIT and s.subject == model and s.argument.scheme == "kfold"
    ]
    return (
        Step(
            name=attention.ATTENTION,
            kind=StepKind.DRAW_ATTENTION,
            label="report",
            function=attention.draw_attention,
            argument=attention.AttentionArgument(model=model),
            needs=(*used, *checks, *bags),
            contents=contents,
        ),
    )


def _evaluate_step(
    study: Study, analysis: Analysis, fits: Sequence[Step], contents: Contents
) -> Step:
    """Judge one analysis."""
    settings = study.settings.analysis
    endpoint = next(e for e in study.protocol.endpoint if e.name == analysis.endpoint)
    names = tuple(m.name for m in analysis.models)
    reference = increment_reference(study.settings)
    headline = settings.headline_model if settings.headline_model in names else names[-1]
    return Step(
        name=analysis.evaluation,
        kind=StepKind.EVALUATE,
        label="evaluation",
        function=judging.judge,
        argument=judging.EvaluateArgument(
            data=analysis.data.name,
            endpoint=analysis.endpoint,
            # An endpoint that the study's reference is not fitted for is judged against its
            # first model, and its last one is the headline.
            reference_model=reference if reference in names else names[0],
            also_against=(
                settings.reference_model,
                *(m.name for m in analysis.models if m.kind in SCORES),
            ),
            headline_model=headline,
            headline_settings=own_settings(next(m for m in analysis.models if m.name == headline)),
            models=names,
            thresholds=endpoint.thresholds,
            bootstrap=settings.bootstrap,
            seed=settings.seed,
            subgroups=settings.subgroups if analysis.headline else (),
            leads=analysis.headline,
        ),
        needs=(analysis.data, *fits),
        contents=contents,
    )


def gaps_of(folder: Path) -> tuple[Feature, ...]:
    """Features that some patients of an analysis' data lack, and others have."""
    return incomplete(load_data(folder)[0].features)


def splits_of(folder: Path) -> list[dict[str, Any]]:
    """Splits that an analysis' data were cut into."""
    found: list[dict[str, Any]] = artefacts.SPLITS.read(folder)
    return found
