"""A study from tables to report, as a paper's Methods section tells it.

Read, measure, screen, fit, judge, report: each part is planned (:mod:`metasight.plan`) from what
the part before it found, once a run. Results are addressed by what they are made from, so a run
that was killed goes on where it was and a run with nothing changed does nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metasight import bundle
from metasight.bundle.lock import LISTING
from metasight.bundle.recipe import study_of
from metasight.engine.contents import Contents
from metasight.engine.placement import Where
from metasight.engine.private import private_folder
from metasight.engine.progress import Progress, Silent
from metasight.engine.run import NotMadeError, Pending, Work
from metasight.engine.step import Input, Inputs, Step, StepKind
from metasight.engine.store import Store
from metasight.errors import StudyError
from metasight.plan.analysis import Analysis, cohort_step, plan_analyses
from metasight.plan.fits import attention_steps, fit_steps, gaps_of, judge_steps, splits_of
from metasight.plan.needs import require_needed
from metasight.plan.predicting import pages_step, predict_step
from metasight.plan.publishing import VALIDATION, openings, publish, require_latest, set_out
from metasight.plan.report import report_steps
from metasight.plan.scans import scan_steps
from metasight.plan.slides import slide_steps
from metasight.plan.validation import external_data, external_step
from metasight.provenance import hash_file
from metasight.steps import artefacts, recalibrating
from metasight.steps.scans.sources import record_sources, unrecorded
from metasight.steps.slides import maps
from metasight.study.file import Study, read_toml
from metasight.study.new_patients import protocol_of, read_patient_settings
from metasight.study.vault import vault_of
from metasight.study.withdrawals import require_withdrawn_gone


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


def run(study: Study, *, scheduler: Where, progress: Progress) -> tuple[Path, tuple[Pending, ...]]:
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

    Raises
    ------
    StudyError
        Something is to run, and the study's folder cannot be written.
    """
    require_latest(study)
    if not _writable(study):
        return _up_to_date(study), ()
    with work_on(study, scheduler=scheduler, progress=progress) as work:
        name, steps = _carry_out(study, work)
        work.remember()
        return publish(study, name, steps, work), tuple(work.pending)


def _up_to_date(study: Study) -> Path:
    """The folder of the last run of a study that this user may only read."""
    waiting = _looked(study, Silent())
    place = study.results / "latest"
    if waiting.pending or not place.is_dir():
        raise StudyError(
            "the study's folder cannot be written",
            where=study.folder.name,
            value=f"{len(waiting.pending)} steps to run",
            remedy="Ask its owner to run it, or run a copy of it; `metasight check` and `metasight "
            "run --dry-run` only read",
        )
    return place.resolve()


def _writable(study: Study) -> bool:
    """Whether this user may write what a run writes."""
    own = (study.folder / ".metasight", study.results)
    return all(os.access(p if p.is_dir() else study.folder, os.W_OK) for p in own)


def look(study: Study, *, progress: Progress) -> tuple[Pending, ...]:
    """Steps that a run would make next, and why; those that follow are planned from these."""
    return tuple(_looked(study, progress).pending)


def planned(study: Study) -> dict[str, Step]:
    """Every step of a study that was run, by name; those of a study that was not, as far as known.

    Nothing is made.
    """
    return {s.name: s for s in _looked(study, Silent()).steps.values()}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A study whose results are up to date.

    Attributes
    ----------
    run
        Name of the run; empty for a prediction.
    steps
        Every step, in the order of the plan.
    store
        That holds their results.
    """

    run: str
    steps: tuple[Step, ...]
    store: Store

    def of(self, kind: StepKind) -> tuple[Step, ...]:
        """Steps of one kind."""
        return tuple(s for s in self.steps if s.kind is kind)

    def inputs_of(self, step: Step) -> Inputs:
        """What a step read, every byte found as it was made.

        Raises
        ------
        DamagedResultError
            A result was altered.
        """
        return Inputs(
            tuple(
                Input(name=n.name, kind=n.kind, subject=n.subject, folder=self.store.verify(n))
                for n in step.needs
            )
        )


def finished(study: Study) -> Finished:
    """What a study's last run left; nothing is made.

    Raises
    ------
    StudyError
        Results are missing or not up to date.
    """
    work = _looked(study, Silent())
    steps = _made(work, "Run the study first: `metasight run FOLDER`")
    (collected,) = (s for s in steps if s.kind is StepKind.COLLECT_RESULTS)
    return Finished(run=run_of((collected,)), steps=steps, store=work.store)


def _made(work: Work, remedy: str) -> tuple[Step, ...]:
    """Steps of what was only looked at, all with their results.

    Raises
    ------
    StudyError
        One has none.
    """
    if work.pending:
        raise StudyError(
            "the results are not up to date",
            value=f"{len(work.pending)} steps to run",
            remedy=remedy,
        )
    return tuple(work.steps.values())


def _looked(study: Study, progress: Progress) -> Work:
    """A run that came as far as it comes without making anything."""
    with work_on(study, scheduler="inline", progress=progress, only_look=True) as work:
        with suppress(NotMadeError):
            _carry_out(study, work)
        return work


def _carry_out(study: Study, work: Work) -> tuple[str, tuple[Step, ...]]:
    """Measure, screen, fit, judge, report; name of the run, and the steps that are published."""
    screened = screen_patients(study, measure(study, work), work)
    fits, judged = fit_and_judge(study, screened, work)
    compared = (StepKind.COMPARE_MAPS, StepKind.COMPARE_GENERATORS)
    told = [s for s in screened.images if s.kind in compared]
    needs = [screened.cohort, *(a.data for a in screened.analyses), *judged, *told]
    locked = (StepKind.FIT_EVERYBODY, StepKind.FIT_RESAMPLE, StepKind.FIT_INTERVALS)
    final = [s for s in fits if s.kind in locked]
    generator = [s for s in screened.images if s.kind is StepKind.TRAIN_GENERATOR]
    written = report_steps(
        study,
        screened.analyses,
        [*needs, *final, *(s for s in generator if s.subject == maps.EVERYBODY)],
        work.store.versions(work.steps.values()),
        work.contents,
        skipped=screened.skipped,
    )
    drawn = attention_steps(study, screened.images, fits, work.contents)
    work.make([*written, *drawn])
    return run_of(written), (*written, *screened.images, *drawn)


def run_of(written: Sequence[Step]) -> str:
    """Name of the run that its last steps set out."""
    return str(written[0].argument.provenance.run)


def work_on(study: Study, *, scheduler: Where, progress: Progress, only_look: bool = False) -> Work:
    """One run's work on a study's store."""
    if not only_look:
        private_folder(study.folder / ".metasight")
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
    """Slides and scans: who is eligible rests on them, and models read what they tell.

    Which series was read is recorded in the study's vault, if it has one.

    Raises
    ------
    StudyError
        A table still names a patient who withdrew, or the machine lacks what the study asks for.
    """
    if not work.only_look:
        require_needed(study)
        require_withdrawn_gone(study)
    images = (*slide_steps(study, work.contents), *scan_steps(study, work.contents))
    vault = None if work.only_look else study.vault
    scans = unrecorded(vault, images)
    work.make(images)
    record_sources(vault, work.watched("records of scans", scans))
    return images


def screen_patients(study: Study, images: Sequence[Step], work: Work) -> Screened:
    """Who is eligible, and the data of every analysis that their follow-up supports."""
    cohort = cohort_step(study, images, work.contents)
    info = artefacts.COHORT.read(work.folder(cohort))
    analyses = tuple(plan_analyses(study, cohort, info, work.contents))
    work.make([a.data for a in analyses])
    why = [artefacts.DATA.read(work.folder(a.data)).get("skipped") for a in analyses]
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
        gaps = gaps_of(work.folder(analysis.data)) if analysis.headline else ()
        own = fit_steps(study, analysis, splits, work.contents, gaps)
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
    with _screening_of(study, progress) as work:
        screened = screen_patients(study, measure(study, work), work)
        work.remember()
        return Screening(
            cohort=screened.info,
            data=tuple(artefacts.DATA.read(work.folder(a.data)) for a in screened.analyses),
            skipped=screened.skipped,
        )


@contextmanager
def _screening_of(study: Study, progress: Progress) -> Iterator[Work]:
    """Work that keeps what it makes; in a folder of its own where the study may only be read."""
    if _writable(study):
        with work_on(study, scheduler="inline", progress=progress) as work:
            yield work
        return
    contents = Contents(study.folder / ".metasight" / "contents.json", read_only=True)
    with tempfile.TemporaryDirectory(prefix="metasight-check-") as place:
        own = Path(place)
        store = Store(own / "store", contents, beneath=study.store)
        memory = own / study.memory.name
        with Work(store, contents, memory, scheduler="inline", progress=progress) as work:
            yield work


# ------------------------------------------------------------------- other hospitals, new patients


@dataclass(frozen=True, kw_only=True)
class NewBundle:
    """A recalibrated bundle that is asked for.

    Attributes
    ----------
    method
        ``in-the-large`` or ``slope``.
    folder
        Where it is written; must not exist.
    """

    method: str
    folder: Path


def validate(
    place: Path,
    external: Path,
    *,
    scheduler: Where,
    progress: Progress,
    recalibrated: NewBundle | None = None,
) -> Path:
    """Evaluate locked models in another hospital's patients; nothing is fitted.

    Their images are measured by the bundle's recipe, and their ``results/latest`` is left alone.

    Parameters
    ----------
    place
        A bundle's folder or zip.
    external
        Folder of the external patients: their tables and mapping in a ``study.toml``, whose models
        and analysis are not read.
    scheduler, progress
        As in :func:`run`.
    recalibrated
        A bundle to write with the headline model recalibrated in these patients; None for none.

    Returns
    -------
    The folder of the validation's results.

    Raises
    ------
    StoreError
        The bundle is damaged.
    StudyError
        The protocols differ, measurement differs, a feature is not in the external table, or the
        recalibration that is asked for is not offered.
    """
    if recalibrated is not None and recalibrated.folder.exists():
        raise StudyError(
            "the folder for the recalibrated bundle exists already",
            where=str(recalibrated.folder),
            remedy="Give a folder that does not exist",
        )
    with bundle.unpacked(place) as folder:
        locked = bundle.read(folder)
        if recalibrated is not None and locked.parent is not None:
            raise StudyError(
                "the bundle is recalibrated already",
                where=place.name,
                value=f"from {locked.parent.content[:12]}",
                remedy="Recalibrate the bundle that it was made from",
            )
        study = _study_of(locked, external)
        require_latest(study, VALIDATION)
        with work_on(study, scheduler=scheduler, progress=progress) as work:
            images = measure(study, work)
            cohort = cohort_step(
                study, images, work.contents, overlap_key=str(locked.overlap["key"])
            )
            work.make([cohort])
            analysis = external_data(study, locked, cohort, work.contents)
            identity = hash_file(folder / LISTING)
            judged = external_step(
                study, locked, folder, analysis, work.contents, opening=openings(study, identity)
            )
            work.make([judged])
            written = report_steps(
                study,
                [analysis],
                [cohort, analysis.data, judged],
                work.store.versions(work.steps.values()),
                work.contents,
                locked=identity,
            )
            work.make(written)
            work.remember()
            run = run_of(written)
            if recalibrated is not None:
                found = work.folder(judged)
                marks = artefacts.OVERLAP.read(work.folder(cohort))
                new = recalibrating.recalibrate(
                    locked,
                    content=identity,
                    run=run,
                    method=recalibrated.method,
                    judged=found,
                    marks=marks,
                )
                bundle.save(new, recalibrated.folder)
            name = f"validation-{run}"
            return publish(study, name, (*written, *images), work, latest=VALIDATION)


def predict(
    place: Path, patients: Path, out: Path, *, scheduler: Where, progress: Progress
) -> Path:
    """Predict patients of whom no outcome is known, from their raw files.

    Parameters
    ----------
    place
        A bundle's folder or zip.
    patients
        Folder with a ``study.toml`` that says where tables, slides and scans are.
    out
        Folder for predictions.json, a page for each patient, and pictures.
    scheduler, progress
        As in :func:`run`.

    Raises
    ------
    StoreError
        The bundle is damaged.
    StudyError
        An outcome is given, the protocols or the ways of measuring differ.
    """
    with bundle.unpacked(place) as folder:
        locked = bundle.read(folder)
        study = _study_of(locked, patients)
        with work_on(study, scheduler=scheduler, progress=progress) as work:
            steps = _predict(study, locked, folder, work)
            work.remember()
            set_out(study, steps, out, work)
    return out


def _predict(study: Study, locked: bundle.Bundle, folder: Path, work: Work) -> tuple[Step, ...]:
    """Measure and predict patients; the prediction's step first."""
    images = measure(study, work)
    cohort = cohort_step(
        study,
        images,
        work.contents,
        overlap_key=str(locked.overlap["key"]),
        new_patients=True,
    )
    predicted = predict_step(study, locked, folder, cohort, work.contents)
    pages = pages_step(locked, predicted, work.contents)
    work.make([predicted, pages])
    return (predicted, pages, *images)


def predicted(place: Path, patients: Path) -> tuple[Study, Finished, bundle.Bundle, str]:
    """What the last prediction of a folder's patients by a bundle left; nothing is made.

    Parameters
    ----------
    place, patients
        As in :func:`predict`.

    Returns
    -------
    study
        The patients under the bundle's recipe.
    finished
        Steps and their results.
    locked
        The bundle.
    identity
        sha256 of the bundle's list of hashes.

    Raises
    ------
    StudyError
        They were not predicted, or files have changed since.
    """
    with bundle.unpacked(place) as folder:
        locked = bundle.read(folder)
        study = _study_of(locked, patients)
        with work_on(study, scheduler="inline", progress=Silent(), only_look=True) as work:
            with suppress(NotMadeError):
                _predict(study, locked, folder, work)
            steps = _made(work, "Predict first: `metasight predict BUNDLE FOLDER -o OUT`")
        found = Finished(run="", steps=steps, store=work.store)
        return study, found, locked, hash_file(folder / LISTING)


def _study_of(locked: bundle.Bundle, folder: Path) -> Study:
    """The patients of a folder under the bundle's recipe.

    Raises
    ------
    StudyError
        The folder's protocol is another, or another version.
    """
    theirs = read_patient_settings(folder)
    named = protocol_of(folder)
    if named is not None and (named.id, named.version) != (
        locked.protocol.id,
        locked.protocol.version,
    ):
        raise StudyError(
            "the bundle was made under another protocol",
            where="study.toml",
            value=f"{named.id}, version {named.version}",
            remedy=f"The bundle's is {locked.protocol.id}, version {locked.protocol.version}",
        )
    study = study_of(locked, folder.resolve(), theirs)
    return replace(study, vault=vault_of(read_toml(folder / "study.toml"), folder))
