"""Parts of a study carried out in this process, for tests that look at what a part left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metasight import pipeline
from metasight.engine.contents import Contents
from metasight.engine.progress import Silent
from metasight.engine.step import Input, Inputs, Step, StepKind
from metasight.engine.store import Store
from metasight.plan.analysis import cohort_step
from metasight.plan.scans import scan_steps
from metasight.plan.slides import slide_steps
from metasight.study.file import Study


def inputs_of(kind: StepKind, folders: Mapping[str, Path]) -> Inputs:
    """Results of steps of one kind, by the steps' names; each name is the subject too."""
    return Inputs(tuple(Input(name=n, kind=kind, subject=n, folder=f) for n, f in folders.items()))


def image_steps(study: Study) -> tuple[Step, ...]:
    """Steps on slides and scans, planned anew."""
    contents = Contents()
    return (*slide_steps(study, contents), *scan_steps(study, contents))


def measured(study: Study) -> Store:
    """The store of a study whose images are measured."""
    with pipeline.work_on(study, scheduler="inline", progress=Silent()) as work:
        pipeline.measure(study, work)
        return work.store


def screened(study: Study) -> Path:
    """Folder of the cohort of a study."""
    with pipeline.work_on(study, scheduler="inline", progress=Silent()) as work:
        images = pipeline.measure(study, work)
        return work.folder(cohort_step(study, images, work.contents))
