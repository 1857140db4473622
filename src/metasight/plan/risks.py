"""The steps beside the evaluation: unexamined nodes, staging, texture, gene expression."""

from __future__ import annotations

from collections.abc import Sequence

from metasight.biology.gene_sets import read_gmt, require_gseapy
from metasight.decisions.nodal_staging import StagingLimits
from metasight.engine.contents import Contents
from metasight.engine.step import Step, StepKind
from metasight.errors import EvaluationError, ProtocolError
from metasight.protocol.endpoint import Endpoint
from metasight.steps.after import biology, stability, staging, verification
from metasight.study.file import Study


def steps_on_risks(
    study: Study, data: Step, endpoint: str, judged: Sequence[Step], contents: Contents
) -> tuple[Step, ...]:
    """What follows from the headline analysis' risks.

    Parameters
    ----------
    data
        Its data step.
    endpoint
        Its name.
    judged
        Its fits, resamples and evaluation.

    Raises
    ------
    ProtocolError
        The protocol's ``[nodal_staging]`` is none.
    StudyError
        The file of gene sets is none, or gseapy is not installed; both are seen here, before
        hours of work.
    """
    about = next(e for e in study.protocol.endpoint if e.name == endpoint)
    found: list[Step] = []
    if about.type == "nodal_stage":
        found.append(_verification(study, data, about, judged, contents))
        if study.protocol.nodal_staging:
            found.append(_staging(study, data, about, judged, contents))
    scans = study.settings.scans
    if scans is not None and scans.radiomics:
        found.append(_stability(data, contents))
    if study.settings.biology is not None:
        found.append(_biology(study, data, judged, contents))
    return tuple(found)


def _cohort(data: Step) -> Step:
    return next(s for s in data.needs if isinstance(s, Step) and s.kind is StepKind.SCREEN)


def _crossfitted(judged: Sequence[Step], model: str) -> tuple[Step, ...]:
    """A model's fits of the cross-validation."""
    return tuple(
        s
        for s in judged
        if s.kind is StepKind.FIT
        and s.argument.model.name == model
        and s.argument.scheme == "kfold"
    )


def _verification(
    study: Study, data: Step, endpoint: Endpoint, judged: Sequence[Step], contents: Contents
) -> Step:
    """Accuracy with unexamined nodes in."""
    settings = study.settings.analysis
    argument = verification.VerificationArgument(
        data=data.name,
        model=settings.headline_model,
        protocol=study.protocol,
        not_recorded=dict(study.settings.not_recorded),
        thresholds=endpoint.thresholds,
        resamples=settings.bootstrap,
        seed=settings.seed,
    )
    return Step(
        name=verification.VERIFICATION,
        kind=StepKind.VERIFY,
        label="evaluation",
        function=verification.verify,
        argument=argument,
        contents=contents,
        needs=(data, _cohort(data), *_crossfitted(judged, settings.headline_model)),
    )


def _staging(
    study: Study, data: Step, endpoint: Endpoint, judged: Sequence[Step], contents: Contents
) -> Step:
    """What the risk means for staging, as the protocol defines it."""
    settings = study.settings.analysis
    try:
        limits = StagingLimits.from_table(study.protocol.nodal_staging, endpoint.thresholds)
    except EvaluationError as error:
        raise ProtocolError(
            error.problem, where="protocol [nodal_staging]", value=error.value, remedy=error.remedy
        ) from error
    evaluation = next(s for s in judged if s.kind is StepKind.EVALUATE)
    refitted = (StepKind.FIT_RESAMPLE, StepKind.FIT_INTERVALS)
    resamples = [s for s in judged if s.kind in refitted]
    argument = staging.StagingArgument(
        data=data.name,
        judged=evaluation.name,
        model=settings.headline_model,
        limits=limits,
        resamples=settings.bootstrap,
        seed=settings.seed,
        demonstration=study.settings.demonstration,
        central=next((d.text for d in study.protocol.definition if d.name == "central"), ""),
    )
    crossfitted = _crossfitted(judged, settings.headline_model)
    cohort = _cohort(data)
    measured = [s for s in cohort.needs if isinstance(s, Step) and s.kind is StepKind.MEASURE_SCANS]
    return Step(
        name=staging.STAGING,
        kind=StepKind.STAGE,
        label="evaluation",
        function=staging.stage_patients,
        argument=argument,
        contents=contents,
        needs=(data, cohort, *measured, *crossfitted, evaluation, *resamples),
    )


def _stability(data: Step, contents: Contents) -> Step:
    """Stability of texture features."""
    return Step(
        name=stability.STABILITY,
        kind=StepKind.JUDGE_TEXTURE,
        label="evaluation",
        function=stability.judge_stability,
        argument=stability.StabilityArgument(data=data.name),
        needs=(data,),
        contents=contents,
    )


def _biology(study: Study, data: Step, judged: Sequence[Step], contents: Contents) -> Step:
    """Gene expression and the risk."""
    asked = study.settings.biology
    assert asked is not None  # noqa: S101 - the caller looked
    model = asked.model or study.settings.analysis.headline_model
    gene_sets = study.folder / asked.gene_sets
    require_gseapy()
    read_gmt(gene_sets)
    return Step(
        name=biology.BIOLOGY,
        kind=StepKind.RELATE_GENES,
        label="evaluation",
        function=biology.relate,
        argument=biology.BiologyArgument(
            model=model,
            settings=asked,
            gene_sets=gene_sets,
            seed=study.settings.analysis.seed,
        ),
        needs=(_cohort(data), *_crossfitted(judged, model)),
        contents=contents,
    )
