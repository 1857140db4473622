"""A study from tables to report, as a paper's Methods section tells it.

:func:`run` is the whole story: read and screen the cohort, plan what there is to fit
(:mod:`metasight.plan.study`), fit and judge it step by step, publish the results. Steps are
addressed by what they are made from, so a run that was killed goes on where it was and a run with
nothing changed does nothing.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight import bundle
from metasight.engine.progress import Progress
from metasight.engine.run import Pending, execute, remember
from metasight.engine.store import LISTING, Step, Store, is_whole
from metasight.errors import StudyError
from metasight.plan.study import Plan, image_steps, plan_study, plan_validation
from metasight.provenance import hash_file
from metasight.steps.files import read_json, write_json
from metasight.steps.risk.attention import ATTENTION
from metasight.steps.scans.patient import SCANS
from metasight.steps.slides.maps import MAP
from metasight.steps.slides.patient import PATIENT
from metasight.steps.slides.sheet import SHEET
from metasight.study.file import Study


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
    store = Store(study.store)
    store.sweep()
    measure_images(study, store, scheduler=scheduler, progress=progress)
    plan = plan_study(study)
    missing = [p.step for p in plan.pending if not store.has(p.step.key)]
    if missing:
        execute(missing, store, scheduler=scheduler, progress=progress)
    remember(plan.steps, study.memory)
    return publish(study, plan, store), plan.pending


def unmeasured(study: Study) -> tuple[Step, ...]:
    """Steps on slides and scans that have no result yet."""
    store = Store(study.store)
    return tuple(s for s in image_steps(study) if not store.has(s.key))


def measure_images(study: Study, store: Store, *, scheduler: str, progress: Progress) -> None:
    """Measure slides and scans that are not measured yet: who is eligible rests on them."""
    missing = [s for s in image_steps(study) if not store.has(s.key)]
    if missing:
        execute(missing, store, scheduler=scheduler, progress=progress)


def validate(bundle_folder: Path, study: Study, *, scheduler: str, progress: Progress) -> Path:
    """Try locked models on an external study; nothing is fitted.

    Parameters
    ----------
    bundle_folder
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
    locked = bundle.read(bundle_folder)
    if locked.protocol != study.protocol.id:
        raise StudyError(
            "the bundle was made under another protocol",
            value=locked.protocol,
            remedy=f"The external study's is {study.protocol.id}",
        )
    if study.input_hashes()[study.settings.patients.path] == locked.training.get("patient table"):
        raise StudyError(
            "these are the patients the models were fitted to",
            where=Path(study.settings.patients.path).name,
            remedy="Give the folder of other patients",
        )
    identity = hash_file(bundle_folder / "hashes.json")
    measure_images(study, Store(study.store), scheduler=scheduler, progress=progress)
    plan = plan_validation(study, locked, bundle_folder, opening=count_opening(study, identity))
    store = Store(study.store)
    missing = [s for s in plan.steps if not store.has(s.key)]
    if missing:
        execute(missing, store, scheduler=scheduler, progress=progress)
    remember(plan.steps, study.memory)
    return publish(study, plan, store)


def count_opening(study: Study, identity: str) -> int:
    """How many models these patients have been opened for, the present one included.

    The same bundle again is the same opening.
    """
    path = study.folder / ".metasight" / "openings.json"
    openings = read_json(path) if path.is_file() else []
    if identity not in openings:
        openings.append(identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, openings)
    return int(openings.index(identity)) + 1


_PLACES = (
    (PATIENT, "slides/{}/"),
    (SHEET, "slides/{}/"),
    (MAP, "slides/{}/map/"),
    (SCANS, "scans/{}/"),
)
"""Where in the results a patient's steps go, by how their names begin."""


def publish(study: Study, plan: Plan, store: Store) -> Path:
    """Put a run's results under ``results/<run>`` and point ``results/latest`` at it.

    The run is named by its content, so the same study gives the same folder.
    """
    name = str(plan.report.argument.provenance["run"])
    final = study.results / name
    made = [("", plan.collected), ("", plan.report)]
    made += [("attention/", s) for s in plan.slides if s.name == ATTENTION]
    for step in plan.slides:
        for begins, place in _PLACES:
            if step.name.startswith(begins):
                made.append((place.format(step.name.removeprefix(begins)), step))
    whole = {
        place + name: size
        for place, step in made
        for name, size in read_json(store.path(step.key) / LISTING).items()
    }
    if final.is_dir() and not is_whole(final, whole):
        shutil.rmtree(final)  # a file was deleted or shortened: put it all back
    if not final.is_dir():
        scratch = study.results / f".{name}-{os.getpid()}"
        for place, step in made:
            shutil.copytree(
                store.path(step.key),
                scratch / place,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns(LISTING),
            )
        try:
            os.rename(scratch, final)
        except OSError:
            if not final.is_dir():  # else another run of the same study was first
                raise
            shutil.rmtree(scratch)
    _point_latest(study.results / "latest", name)
    return final


def _point_latest(link: Path, name: str) -> None:
    if link.is_symlink() and os.readlink(link) == name:
        return
    if link.exists() and not link.is_symlink():
        raise StudyError(
            "results/latest is a folder, not the link that metasight keeps there",
            remedy="Move it away and run again",
        )
    beside = link.with_name(f".latest-{os.getpid()}")
    beside.symlink_to(name)
    os.replace(beside, link)


@dataclass(frozen=True, kw_only=True)
class Screening:
    """What a study comes down to before anything is fitted.

    Attributes
    ----------
    cohort
        Counts and flow steps.
    data
        One dict an analysis: endpoint, population, patients, events, horizons, missing.
    plan
        What would run.
    """

    cohort: dict[str, Any]
    data: tuple[dict[str, Any], ...]
    plan: Plan


def screen(study: Study, *, progress: Progress) -> Screening:
    """Read and screen a study without fitting; slides are measured, for criteria ask of them.

    Raises
    ------
    MetasightError
        Whatever would stop the run before its first fit.
    """
    store = Store(study.store)
    measure_images(study, store, scheduler="inline", progress=progress)
    plan = plan_study(study)
    return Screening(
        cohort=read_json(store.path(plan.cohort.key) / "cohort.json"),
        data=tuple(read_json(store.path(a.data.key) / "data.json") for a in plan.analyses),
        plan=plan,
    )
