"""Multiple imputation as a sensitivity analysis: a step for each fold, and one on all patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metasight.engine.contents import Contents
from metasight.engine.step import Step, StepKind
from metasight.features.columns import Feature
from metasight.models.registry import reads, refits_cheaply
from metasight.models.settings import ModelSettings
from metasight.plan.analysis import DEAR, Analysis
from metasight.steps.risk import imputing
from metasight.study.file import Study
from metasight.study.nested import increment_reference

MOST_INCOMPLETE = 100
"""Features with missing values that a model may read: each costs a regression a pass."""


def imputation_steps(
    study: Study,
    analysis: Analysis,
    own: Mapping[str, ModelSettings],
    gaps: Sequence[Feature],
    contents: Contents,
) -> list[Step]:
    """Steps for the headline model and its references; none where no predictor has a gap.

    Parameters
    ----------
    study, contents
        Of the run.
    analysis
        The headline analysis.
    own
        Name → settings of its models.
    gaps
        Features that some patients lack.
    """
    settings = study.settings.analysis
    names = (increment_reference(study.settings), settings.headline_model, settings.reference_model)
    leading = [own[n] for n in dict.fromkeys(names) if n in own]
    read = {m.name: [f for f in gaps if f.name in reads(m, gaps)] for m in leading}
    if not settings.imputations or not any(read.values()):
        return []
    incomplete = [m for m in leading if read[m.name]]
    left_out = {m.name: why for m in incomplete if (why := _why_not(m, read[m.name]))}
    models = tuple(m for m in incomplete if m.name not in left_out)
    place = f"{analysis.endpoint} {analysis.population}"
    argument = imputing.ImputeArgument(
        data=analysis.data.name,
        models=models,
        imputations=settings.imputations,
        seed=settings.seed,
    )
    folds = range(settings.folds) if models else ()
    steps = [
        Step(
            name=f"imputation · {place} · 0 {fold}",
            kind=StepKind.FIT_IMPUTED,
            subject=str(fold),
            label="multiple imputation",
            function=imputing.impute_fold,
            argument=imputing.ImputeFoldArgument(**vars(argument), fold=fold),
            needs=(analysis.data,),
            contents=contents,
        )
        for fold in folds
    ]
    coefficients = imputing.CoefficientsArgument(
        **vars(argument),
        reference=own[settings.reference_model],
        complete=tuple(m.name for m in leading if not read[m.name]),
        left_out=left_out,
    )
    return [
        *steps,
        Step(
            name=f"imputation · {place} · coefficients",
            kind=StepKind.FIT_IMPUTED,
            label="multiple imputation",
            function=imputing.impute_coefficients,
            argument=coefficients,
            needs=(analysis.data,),
            contents=contents,
        ),
    ]


def _why_not(model: ModelSettings, gaps: Sequence[Feature]) -> str:
    """Why a model is not refitted to imputations; empty if it is."""
    if not refits_cheaply(model) or DEAR & set(model.modalities):
        return "forests, networks and models of images or painted maps are not"
    if len(gaps) > MOST_INCOMPLETE:
        return f"predictors with missing values: {len(gaps)}, more than {MOST_INCOMPLETE}"
    return ""
