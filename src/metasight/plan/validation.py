"""Locked models on another hospital's patients: nothing is fitted."""

from __future__ import annotations

from pathlib import Path

from metasight import bundle
from metasight.engine.contents import Contents
from metasight.engine.step import Step, StepKind
from metasight.features.columns import CENTRE
from metasight.plan.analysis import Analysis, cut_step
from metasight.plan.fits import backbones, image_folders
from metasight.steps.cohort import data
from metasight.steps.risk import external
from metasight.study.file import Study


def external_data(
    study: Study, locked: bundle.Bundle, cohort: Step, contents: Contents
) -> Analysis:
    """The external patients' data: the locked models' horizons, no folds, no centre left out."""
    population = study.protocol.headline_population
    cut = cut_step(
        data.DataArgument(
            endpoint=locked.endpoint,
            population=population,
            protocol=study.protocol,
            not_recorded=dict(study.settings.not_recorded),
            horizons_days=locked.horizons_days,
            folds=0,
            repeats=study.settings.analysis.repeats,
            seed=study.settings.analysis.seed,
            centres_out=False,
            first_test_year=None,
            leads=True,
            lenient=True,
            set_aside=(study.settings.biology.expression,) if study.settings.biology else (),
            with_centre=any(f.name == CENTRE for f in locked.features),
        ),
        cohort,
        contents,
    )
    return Analysis(
        data=cut, endpoint=locked.endpoint, population="external", models=(), headline=True
    )


def external_step(
    study: Study,
    locked: bundle.Bundle,
    place: Path,
    analysis: Analysis,
    contents: Contents,
    *,
    opening: int,
) -> Step:
    """Predict with every locked model and judge the predictions.

    ``opening`` is how many models these patients have been opened for, this one included.
    """
    endpoint = next(e for e in study.protocol.endpoint if e.name == locked.endpoint)
    cohort = analysis.data.needs[0]
    return Step(
        name=analysis.evaluation,
        kind=StepKind.EVALUATE,
        label="evaluation",
        function=external.judge_external,
        argument=external.ExternalArgument(
            bundle=place,
            data=analysis.data.name,
            thresholds=endpoint.thresholds,
            bootstrap=study.settings.analysis.bootstrap,
            seed=study.settings.analysis.seed,
            opening=opening,
            weights=backbones(study.folder, study.settings.model),
        ),
        needs=(cohort, analysis.data, *image_folders(cohort)),
        contents=contents,
    )
