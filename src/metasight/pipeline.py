"""A study from tables to report, as a paper's Methods section tells it.

Read, measure, screen, fit, judge, report: each part is planned (:mod:`metasight.plan`) from what
the part before it found, once a run. Results are addressed by what they are made from, so a run
that was killed goes on where it was and a run with nothing changed does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight import bundle
from metasight.engine.contents import Contents
from metasight.engine.progress import Progress
from metasight.engine.run import NotMadeError, Pending, Work
from metasight.engine.step import Step, StepKind
from metasight.engine.store import Store
from metasight.errors import StudyError
from metasight.plan.analysis import Analysis, cohort_step, plan_analyses
from metasight.plan.fits import attention_steps, fit_steps, judge_steps, splits_of
from metasight.plan.publishing import openings, publish
from metasight.plan.report import report_steps
from metasight.plan.scans import scan_steps
from metasight.plan.slides import slide_steps
from metasight.plan.validation import external_data, external_step
from metasight.provenance import hash_file
from metasight.steps.files import read_json
from metasight.study.file import Study


@dataclass(frozen=True, kw_only=True)
class Screened:
    """Who the patients are, and what is analysed in them.

    Attributes
    ----------
    images
        Steps on slides and scans.
    cohort
        The step that screened.
    info
        Counts, flow steps and verdicts.
    analyses
        Headline first.
    skipped
        Endpoints that cannot be analysed, each with the reason.
    """

    images: tuple[Step, ...]
    cohort: Step
    info: dict[str, Any]
    analyses: tuple[Analysis, ...]
    skipped: tuple[str, ...]


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
    with work_on(study, scheduler=scheduler, progress=progress) as work:
        collected, report, images = _carry_out(study, work)
        work.remember()
        results = publish(study, collected, report, images, work)
        return results, tuple(work.pending)


def look(study: Study, *, progress: Progress) -> tuple[Pending, ...]:
    """Steps that a run would make next, and why; those that follow are planned from these."""
    with work_on(study, scheduler="inline", progress=progress, only_look=True) as work:
        with suppress(NotMadeError):
            _carry_out(study, work)
        return tuple(work.pending)


def _carry_out(study: Study, work: Work) -> tuple[Step, Step, tuple[Step, ...]]:
    """Measure, screen, fit, judge, report."""
    screened = screen_patients(study, measure(study, work), work)
    fits, judged = fit_and_judge(study, screened, work)
    told = [s for s in screened.images if s.kind is StepKind.COMPARE_MAPS]
    needs = [screened.cohort, *(a.data for a in screened.analyses), *judged, *told]
    final = [s for s in fits if s.kind is StepKind.FIT_EVERYBODY]
    collected, report = report_steps(
        study,
        screened.analyses,
        [*needs, *final],
        work.store.versions(work.steps.values()),
        work.contents,
        skipped=screened.skipped,
    )
    drawn = attention_steps(study, screened.images, fits, work.contents)
    work.make([collected, report, *drawn])
    return collected, report, (*screened.images, *drawn)


def work_on(study: Study, *, scheduler: str, progress: Progress, only_look: bool = False) -> Work:
    """One run's work on a study's store."""
    contents = Contents(study.folder / ".metasight" / "contents.json")
    return Work(
        Store(study.store, contents),
        contents,
        study.memory,
        scheduler=scheduler,
        progress=progress,
        only_look=only_look,
    )


def measure(study: Study, work: Work) -> tuple[Step, ...]:
    """Slides and scans: who is eligible rests on them, and models read what they tell."""
    images = (*slide_steps(study, work.contents), *scan_steps(study, work.contents))
    work.make(images)
    return images


def screen_patients(study: Study, images: Sequence[Step], work: Work) -> Screened:
    """Who is eligible, and the data of every analysis that their follow-up supports."""
    cohort = cohort_step(study, images, work.contents)
    info = read_json(work.folder(cohort) / "cohort.json")
    analyses = tuple(plan_analyses(study, cohort, info, work.contents))
    work.make([a.data for a in analyses])
    why = [read_json(work.folder(a.data) / "data.json").get("skipped") for a in analyses]
    return Screened(
        images=tuple(images),
        cohort=cohort,
        info=info,
        analyses=tuple(a for a, w in zip(analyses, why, strict=True) if w is None),
        skipped=tuple(str(w) for w in why if w is not None),
    )


def fit_and_judge(
    study: Study, screened: Screened, work: Work
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Every fit, within its folds; then checks, evaluation and what follows from the risks."""
    fits: list[Step] = []
    judged: list[Step] = []
    for analysis in screened.analyses:
        splits = splits_of(work.folder(analysis.data))
        own = fit_steps(study, analysis, splits, work.contents)
        windows = screened.info["windows_checked"]
        judged += judge_steps(study, analysis, own, windows, work.contents)
        fits += own
    work.make([*fits, *judged])
    return tuple(fits), tuple(judged)


# ------------------------------------------------------------------------- screening on its own


@dataclass(frozen=True, kw_only=True)
class Screening:
    """What a study comes down to before anything is fitted.

    Attributes
    ----------
    cohort
        Counts and flow steps.
    data
        One dict an analysis: endpoint, population, patients, events, horizons, missing.
    skipped
        Endpoints that cannot be analysed, each with the reason.
    """

    cohort: dict[str, Any]
    data: tuple[dict[str, Any], ...]
    skipped: tuple[str, ...]


def screen(study: Study, *, progress: Progress) -> Screening:
    """Read and screen a study without fitting; slides are measured, for criteria ask of them.

    Raises
    ------
    MetasightError
        Whatever would stop the run before its first fit.
    """
    with work_on(study, scheduler="inline", progress=progress) as work:
        screened = screen_patients(study, measure(study, work), work)
        work.remember()
        return Screening(
            cohort=screened.info,
            data=tuple(read_json(work.folder(a.data) / "data.json") for a in screened.analyses),
            skipped=screened.skipped,
        )


# ----------------------------------------------------------------------------- other hospitals


def validate(place: Path, study: Study, *, scheduler: str, progress: Progress) -> Path:
    """Try locked models on an external study; nothing is fitted.

    Parameters
    ----------
    place
        The ``bundle`` of a run's results.
    study
        The external patients: their tables and mapping. Its protocol must be the bundle's; its
        models are not used.
    scheduler, progress
        As in :func:`run`.

    Returns
    -------
    The folder of the validation's results.

    Raises
    ------
    StoreError
        The bundle is damaged.
    StudyError
        The protocols differ, or a feature is not in the external table.
    """
    locked = bundle.read(place)
    if locked.protocol != study.protocol.id:
        raise StudyError(
            "the bundle was made under another protocol",
            value=locked.protocol,
            remedy=f"The external study's is {study.protocol.id}",
        )
    identity = hash_file(place / "hashes.json")
    with work_on(study, scheduler=scheduler, progress=progress) as work:
        table = work.contents.file(study.folder / study.settings.patients.path)
        if table == locked.training.get("patient table"):
            raise StudyError(
                "these are the patients the models were fitted to",
                where=Path(study.settings.patients.path).name,
                remedy="Give the folder of other patients",
            )
        images = measure(study, work)
        cohort = cohort_step(study, images, work.contents)
        work.make([cohort])
        analysis = external_data(study, locked, cohort, work.contents)
        judged = external_step(
            study, locked, place, analysis, work.contents, opening=openings(study, identity)
        )
        work.make([judged])
        collected, report = report_steps(
            study,
            [analysis],
            [cohort, analysis.data, judged],
            work.store.versions(work.steps.values()),
            work.contents,
            locked=identity,
        )
        work.make([collected, report])
        work.remember()
        return publish(study, collected, report, images, work)
