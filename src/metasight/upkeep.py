"""What is kept of a study, and erasing it: results that nothing rests on, patients who withdrew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from metasight import pipeline
from metasight.bundle.lock import LISTING as BUNDLE_LISTING
from metasight.engine import progress_file, run_log
from metasight.engine.step import Reference, Step
from metasight.errors import StudyError
from metasight.plan.publishing import VALIDATION
from metasight.provenance import hash_file
from metasight.study.file import Study
from metasight.study.sources import erase_sources
from metasight.study.withdrawals import (
    TableRow,
    Withdrawal,
    mark_of,
    patient_rows,
    pseudonyms_of,
    record,
    today,
)

_LATEST = ("latest", VALIDATION)
_LOGS = (run_log.FILE, run_log.OLDER_FILE, progress_file.NAME)
_MADE_ANEW = ("contents.json", "last_run.json", *_LOGS)
"""Of ``.metasight``: hashes of files and what the last run was made from; both name patients."""


# ------------------------------------------------------------------------------------- clean


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something that may be deleted.

    Attributes
    ----------
    path
        Folder.
    what
        In words.
    size
        Bytes.
    """

    path: Path
    what: str
    size: int


def leftovers(study: Study, *, runs: bool) -> tuple[Leftover, ...]:
    """What a study's last run does not rest on. Nothing is deleted.

    Results of validations in, and predictions for, the patients of this folder count as left over
    in the store: what they published stays, and they are made anew if asked for again.

    Parameters
    ----------
    study
        Up to date.
    runs
        Whether folders of earlier runs in ``results`` count.

    Raises
    ------
    StudyError
        Something is to run: what it will need is not known before.
    """
    keys = {s.key for s in pipeline.finished(study).steps}
    found = [(p, "results that the last run does not rest on") for p in _stored(study, keys)]
    found += [(p, "unfinished work of processes that have ended") for p in _abandoned(study)]
    if runs:
        latest = {_target(study.results / name) for name in _LATEST}
        found += [
            (p, "folders of earlier runs")
            for p in _folders(study.results)
            if p.name not in _LATEST and p.name not in latest and not p.name.startswith(".")
        ]
    return tuple(Leftover(path=p, what=what, size=_size(p)) for p, what in found)


def delete(found: Collection[Leftover]) -> None:
    """Delete what was left over; a result vanishes whole or not at all."""
    for leftover in found:
        _remove(leftover.path)


# ------------------------------------------------------------------------------------ withdraw


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What erasing some patients deletes, and what is left for the hospital to do.

    Attributes
    ----------
    patients
        Pseudonyms.
    rows
        Of the hospital's own tables, which metasight does not change; they name the images.
    results
        Of steps that rest on the patients.
    kept
        Number of results that do not.
    runs
        Folders of runs.
    bundles
        Content hashes of locked models in them.
    masks
        Files of lesions that readers accepted in the workbench.
    """

    patients: tuple[str, ...]
    rows: tuple[TableRow, ...]
    results: tuple[Path, ...]
    kept: int
    runs: tuple[Path, ...]
    bundles: tuple[str, ...]
    masks: tuple[Path, ...]


def erasure(study: Study, ids: Sequence[str]) -> Erasure:
    """What has to go if some patients withdraw. Nothing is deleted.

    Of the store stays what was measured of single other patients; all that was made of several is
    deleted, and so is what no plan of today's knows. Of ``results`` nothing stays: every run
    holds predictions, counts or models of the patients.

    Parameters
    ----------
    study
        Of which they were patients.
    ids
        As the hospital spells them.

    Raises
    ------
    StudyError
        No table and no result names one of them.
    """
    known = pseudonyms_of(study.settings, ids)
    patients = tuple(dict.fromkeys(known.values()))
    steps = pipeline.planned(study)
    subjects = {_patient_of(s.subject) for s in steps.values()}
    everybody = patient_rows(study)
    rows = tuple(r for r in everybody if r.patient in patients)
    named = {r.patient for r in rows} | subjects
    for number, patient in enumerate(known.values(), start=1):
        if patient not in named:
            raise StudyError(
                "no table of the study names this patient",
                where=f"id {number} of {len(known)}",
                remedy="Give the id as the patient table has it, before its row is deleted",
            )
    keep = _of_others(list(steps.values()), {r.patient for r in everybody} - set(patients))
    gone = tuple(_stored(study, keep))
    runs = tuple(_folders(study.results))
    return Erasure(
        patients=patients,
        rows=rows,
        results=gone,
        kept=sum(1 for key in keep if (study.store / key[:2] / key).is_dir()),
        runs=runs,
        bundles=tuple(sorted({hash_file(p) for run in runs for p in _bundles(run)})),
        masks=tuple(_accepted(study, patients)),
    )


def erase(study: Study, asked: Erasure) -> Withdrawal:
    """Delete what :func:`erasure` found, and record that it was done.

    The record is written before anything is deleted, so that a process killed in between leaves a
    study that refuses these patients; asked again it deletes what is left.

    Raises
    ------
    StudyError
        The vault cannot be written.
    """
    images = erase_sources(study.vault, asked.patients) if study.vault is not None else 0
    done = Withdrawal(
        marks=tuple(mark_of(p) for p in asked.patients),
        day=today(),
        results=len(asked.results),
        runs=sum(not p.is_symlink() and p.name not in _LATEST for p in asked.runs),
        images=images,
        bundles=asked.bundles,
    )
    record(study, done)
    for path in (*asked.runs, *asked.results, *asked.masks, *_working(study)):
        _remove(path)
    for name in _MADE_ANEW:
        (study.folder / ".metasight" / name).unlink(missing_ok=True)
    return done


def _of_others(steps: Sequence[Step], others: Collection[str]) -> frozenset[str]:
    """Keys of steps about one other patient that need no step about anybody else."""
    by_key = {s.key: s for s in steps}
    known: dict[str, bool] = {}

    def clean(step: Step | Reference) -> bool:
        if step.key not in known:
            planned = by_key.get(step.key)
            known[step.key] = (
                planned is not None
                and _patient_of(planned.subject) in others
                and all(clean(n) for n in planned.needs)
            )
        return known[step.key]

    return frozenset(s.key for s in steps if clean(s))


def _patient_of(subject: str) -> str:
    """Pseudonym of whom a step is about: a slide's name begins with its patient's."""
    return subject.partition("-")[0]


# ------------------------------------------------------------------------------------ on disk


def _stored(study: Study, keep: Collection[str]) -> Iterator[Path]:
    """Folders of results whose keys are not among some."""
    for group in _folders(study.store):
        if len(group.name) == 2:
            yield from (p for p in _folders(group) if p.name not in keep)


def _accepted(study: Study, patients: Collection[str]) -> Iterator[Path]:
    """Masks of lesions that were accepted in some patients: they are named by pseudonym."""
    asked = study.settings.reader_lesions
    folder = study.folder / asked.masks if asked is not None else None
    if folder is not None and folder.is_dir():
        yield from (p for p in sorted(folder.iterdir()) if _patient_of(p.name) in patients)


def _working(study: Study) -> Iterator[Path]:
    """Folders of work that was not finished, whoever's it is."""
    for name in ("going", "unfinished"):
        yield from _folders(study.store / name)


def _abandoned(study: Study) -> Iterator[Path]:
    """Folders in which steps would go on, which no finished study needs."""
    yield from _folders(study.store / "going")


def _bundles(run: Path) -> Iterator[Path]:
    """Listings of the locked models in the folder of a run."""
    if not run.is_symlink():
        yield from sorted(run.rglob(f"bundle/{BUNDLE_LISTING}"))


def _folders(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else []


def _target(link: Path) -> str:
    return os.readlink(link) if link.is_symlink() else link.name


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def _remove(path: Path) -> None:
    """Delete a file, a folder or a link; a folder is renamed first, so that none is half there."""
    if path.is_symlink():
        path.unlink(missing_ok=True)
    elif path.is_dir():
        aside = path.with_name(f".deleted-{os.getpid()}-{path.name}")
        os.rename(path, aside)
        shutil.rmtree(aside)
    else:
        path.unlink(missing_ok=True)
