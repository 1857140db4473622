"""A bundle's recipe on patients to predict: measured, screened, predicted; nothing is fitted."""

from __future__ import annotations

from pathlib import Path

from metasight.bundle.content import Bundle
from metasight.engine.contents import Contents
from metasight.engine.step import Step, StepKind
from metasight.plan.fits import backbones, image_folders
from metasight.steps.after import pages
from metasight.steps.risk import predicting
from metasight.study.file import Study


def predict_step(
    study: Study, locked: Bundle, place: Path, cohort: Step, contents: Contents
) -> Step:
    """Every patient's risk, or why none is given."""
    return Step(
        name="predict",
        kind=StepKind.PREDICT,
        label="predictions",
        function=predicting.predict_patients,
        argument=predicting.PredictArgument(
            bundle=place, weights=backbones(study.folder, locked.settings.model)
        ),
        needs=(cohort, *image_folders(cohort)),
        contents=contents,
    )


def pages_step(locked: Bundle, predicted: Step, contents: Contents) -> Step:
    """One printed page for every patient."""
    return Step(
        name="pages",
        kind=StepKind.DRAW_PAGES,
        label="pages",
        function=pages.draw_pages,
        argument=pages.PagesArgument(protocol=locked.protocol, features=locked.features),
        needs=(predicted,),
        contents=contents,
    )
