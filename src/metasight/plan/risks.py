"""The steps beside the evaluation: unexamined nodes, staging, texture, gene expression."""

from __future__ import annotations

from collections.abc import Sequence

from metasight.biology.gene_sets import read_gmt, require_gseapy
from metasight.decisions.nodal_staging import StagingLimits
from metasight.engine.store import Step
from metasight.errors import EvaluationError, ProtocolError
from metasight.protocol.endpoint import Endpoint
from metasight.provenance import hash_code, hash_file
from metasight.steps.after import biology, stability, staging, verification
from metasight.study.file import Study

_CODE = (
    "validation",
    "predictions.py",
    "estimate.py",
    "cohort/covariates.py",
    "steps/after/verification.py",
    "steps/risk/out_of_fold.py",
)


def steps_on_risks(
    study: Study, data: Step, endpoint: str, judged: Sequence[Step]
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
        found.append(_verification(study, data, about, judged))
        if study.protocol.nodal_staging:
            found.append(_staging(study, data, about, judged))
    scans = study.settings.scans
    if scans is not None and scans.radiomics:
        found.append(_stability(data))
    if study.settings.biology is not None:
        found.append(_biology(study, data, judged))
    return tuple(found)


def _cohort(data: Step) -> Step:
    return next(s for s in data.needs if s.name == "cohort")


def _crossfitted(judged: Sequence[Step], model: str) -> tuple[Step, ...]:
    """A model's fits of the cross-validation."""
    return tuple(
        s
        for s in judged
        if s.stage == "cross-validation"
        and s.argument.model.name == model
        and s.argument.scheme == "kfold"
    )


def _verification(study: Study, data: Step, endpoint: Endpoint, judged: Sequence[Step]) -> Step:
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
        stage="evaluation",
        function=verification.verify,
        argument=argument,
        ingredients={
            "model": settings.headline_model,
            "settings": [argument.resamples, argument.seed, list(argument.thresholds)],
            "code of verification": hash_code(*_CODE),
        },
        needs=(data, _cohort(data), *_crossfitted(judged, settings.headline_model)),
    )


def _staging(study: Study, data: Step, endpoint: Endpoint, judged: Sequence[Step]) -> Step:
    """What the risk means for staging, as the protocol defines it."""
    settings = study.settings.analysis
    try:
        limits = StagingLimits.from_table(study.protocol.nodal_staging, endpoint.thresholds)
    except EvaluationError as error:
        raise ProtocolError(
            error.problem, where="protocol [nodal_staging]", value=error.value, remedy=error.remedy
        ) from error
    evaluation = next(s for s in judged if s.stage == "evaluation")
    resamples = [s for s in judged if s.stage == "instability"]
    argument = staging.StagingArgument(
        data=data.name,
        judged=evaluation.name,
        model=settings.headline_model,
        limits=limits,
        resamples=settings.bootstrap,
        seed=settings.seed,
        demonstration=study.settings.demonstration,
    )
    crossfitted = _crossfitted(judged, settings.headline_model)
    return Step(
        name=staging.STAGING,
        stage="evaluation",
        function=staging.stage_patients,
        argument=argument,
        ingredients={
            "model": settings.headline_model,
            "limits": {**study.protocol.nodal_staging, "thresholds": list(limits.thresholds)},
            "settings": [settings.bootstrap, settings.seed, study.settings.demonstration],
            "code of staging": hash_code(*_CODE, "decisions", "steps/after/staging.py"),
        },
        needs=(data, _cohort(data), *crossfitted, evaluation, *resamples),
    )


def _stability(data: Step) -> Step:
    """How stable texture is."""
    return Step(
        name=stability.STABILITY,
        stage="evaluation",
        function=stability.judge_stability,
        argument=stability.StabilityArgument(data=data.name),
        ingredients={
            "code of stability": hash_code("steps/after/stability.py", "validation/reliability.py")
        },
        needs=(data,),
    )


def _biology(study: Study, data: Step, judged: Sequence[Step]) -> Step:
    """Gene expression and the risk."""
    asked = study.settings.biology
    assert asked is not None  # noqa: S101 - the caller looked
    model = asked.model or study.settings.analysis.headline_model
    gene_sets = study.folder / asked.gene_sets
    require_gseapy()
    read_gmt(gene_sets)
    seed = study.settings.analysis.seed
    return Step(
        name=biology.BIOLOGY,
        stage="evaluation",
        function=biology.relate,
        argument=biology.BiologyArgument(
            model=model, settings=asked, gene_sets=gene_sets, seed=seed
        ),
        ingredients={
            "biology": asked.model_dump(mode="json"),
            "model": model,
            "gene sets": hash_file(gene_sets),
            "seed": seed,
            "code of biology": hash_code(
                "biology",
                "steps/after/biology.py",
                "steps/risk/out_of_fold.py",
                "validation/out_of_fold.py",
            ),
        },
        needs=(_cohort(data), *_crossfitted(judged, model)),
    )
