"""Results put where people look for them: ``results/<run>``, and ``results/latest``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from metasight.cohort.identifying import identifying_texts
from metasight.engine.private import private_folder
from metasight.engine.run import Work
from metasight.engine.step import Step, StepKind
from metasight.errors import StudyError
from metasight.exchange.identity import require_no_identifier
from metasight.steps import artefacts
from metasight.steps.files import read_json, write_json
from metasight.study.file import Study

_PLACES = {
    StepKind.MEASURE_SLIDES: "slides/{}",
    StepKind.DRAW_SHEET: "slides/{}",
    StepKind.PAINT_MAP: "slides/{}/map",
    StepKind.MEASURE_SCANS: "scans/{}",
    StepKind.DRAW_ATTENTION: "attention",
    StepKind.LOCK_BUNDLE: "",
    StepKind.COLLECT_RESULTS: "",
    StepKind.WRITE_REPORT: "",
    StepKind.PREDICT: "",
    StepKind.DRAW_PAGES: "pages",
}
"""Where in the results a step's files go, by its kind and whom it is about."""


def publish(
    study: Study, name: str, steps: Sequence[Step], work: Work, *, latest: str = "latest"
) -> Path:
    """Put a run's results under ``results/<name>``, and at ``results/<latest>`` as well.

    The run is named by its content, so the same study gives the same folder. Every file is checked
    against what was made as it is copied; a published file that was altered is put back.

    Parameters
    ----------
    study, work
        Of the run.
    name
        Of the folder.
    steps
        Whose results are published; those of no place in the results are passed over.
    latest
        Name of the link, or of the copy where there are no links.

    Raises
    ------
    StudyError
        A file would hold what names a patient in the study's tables; nothing is published.
    """
    final = private_folder(study.results) / name
    made = [(s, _PLACES[s.kind].format(s.subject)) for s in steps if s.kind in _PLACES]
    if final.is_dir() and not _is_whole(final, made, work):
        shutil.rmtree(final)
    if not final.is_dir():
        scratch = study.results / f".{name}-{os.getpid()}"
        for step, place in made:
            work.copy(step, scratch / place)
        _require_nobody_named(study, scratch)
        try:
            os.rename(scratch, final)
        except OSError:
            if not final.is_dir():  # else another run of the same study was first
                raise
            shutil.rmtree(scratch)
    _point_latest(study, latest, name)
    return final


def _require_nobody_named(study: Study, scratch: Path) -> None:
    """Look through what is to be published; it is deleted where it names a patient.

    Raises
    ------
    StudyError
        It does.
    """
    named = identifying_texts(study.folder, study.settings)
    try:
        require_no_identifier(scratch, named, key=study.secret_key, what="the results")
    except StudyError:
        shutil.rmtree(scratch)
        raise


def set_out(study: Study, steps: Sequence[Step], out: Path, work: Work) -> None:
    """Put results into a folder that the user named, beside what is there.

    Raises
    ------
    StudyError
        The folder holds something that metasight did not put there, or a result names a patient.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise StudyError(
            "the output folder is not empty",
            where=out.name,
            remedy="Give a new folder with -o",
        )
    scratch = private_folder(out.with_name(f".{out.name}-{os.getpid()}"))
    for step in (s for s in steps if s.kind in _PLACES):
        work.copy(step, scratch / _PLACES[step.kind].format(step.subject))
    _require_nobody_named(study, scratch)
    mark(scratch)
    shutil.rmtree(out, ignore_errors=True)
    os.rename(scratch, out)


MARK = ".metasight-result"
"""File in a folder of results that lies where the user said: metasight may replace the folder."""

VALIDATION = "latest-validation"
"""Where the latest validation in other patients is, so that `latest` is left alone."""


def mark(folder: Path) -> None:
    """Say of a folder that metasight made it."""
    (folder / MARK).write_text("made by metasight; replaced by its next run\n", "utf-8")


def _is_whole(final: Path, made: Sequence[tuple[Step, str]], work: Work) -> bool:
    """Whether every published file is there, with the bytes that were made."""
    return all(
        (final / place / name).is_file() and work.contents.file(final / place / name) == digest
        for step, place in made
        for name, digest in _files(step, work)
    )


def _files(step: Step, work: Work) -> Iterator[tuple[str, str]]:
    listing = work.store.listing(step.key)
    if listing is not None:
        yield from ((name, digest) for name, (_, digest) in listing.files.items())


def require_latest(study: Study, latest: str = "latest") -> None:
    """Refuse a folder of the user's where the latest results go: before hours of work, not after.

    A link, and a copy that metasight made or that came with a copied study, are its own.

    Raises
    ------
    StudyError
        There is such a folder.
    """
    place = study.results / latest
    if not place.is_symlink() and place.exists() and not _is_copy(place):
        raise StudyError(
            "there is a folder where metasight keeps its latest results",
            where=f"results/{latest}",
            remedy="Move it away and run again",
        )


def _is_copy(place: Path) -> bool:
    """Whether a folder holds the results of a run that stands beside it, or is marked as ours."""
    if (place / MARK).is_file():
        return True
    own = artefacts.MANIFEST.path(place)  # two runs never have the same
    return own.is_file() and any(
        other.read_bytes() == own.read_bytes()
        for other in map(artefacts.MANIFEST.path, place.parent.iterdir())
        if other.parent != place and other.is_file()
    )


def _point_latest(study: Study, latest: str, name: str) -> None:
    """A link to the run, or a copy where the file system has no links (FAT, some shares)."""
    require_latest(study, latest)
    place = study.results / latest
    if place.is_symlink() and os.readlink(place) == name:
        return
    beside = place.with_name(f".{latest}-{os.getpid()}")
    try:
        beside.symlink_to(name)
    except OSError:
        shutil.copytree(study.results / name, beside)
        mark(beside)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    if beside.is_dir() and not beside.is_symlink():
        place.unlink(missing_ok=True)
    os.replace(beside, place)


def openings(study: Study, identity: str) -> int:
    """How many models these patients have been opened for, the present one included.

    The same bundle again is the same opening.
    """
    path = study.folder / ".metasight" / "openings.json"
    known = read_json(path) if path.is_file() else []
    if identity not in known:
        known.append(identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, known)
    return int(known.index(identity)) + 1
