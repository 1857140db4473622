"""Results put where people look for them: ``results/<run>``, and ``results/latest``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from metasight.engine.run import Work
from metasight.engine.step import Step, StepKind
from metasight.errors import StudyError
from metasight.steps.files import read_json, write_json
from metasight.study.file import Study

_PLACES = {
    StepKind.MEASURE_SLIDES: "slides/{}",
    StepKind.DRAW_SHEET: "slides/{}",
    StepKind.PAINT_MAP: "slides/{}/map",
    StepKind.MEASURE_SCANS: "scans/{}",
    StepKind.DRAW_ATTENTION: "attention",
    StepKind.COLLECT_RESULTS: "",
    StepKind.WRITE_REPORT: "",
}
"""Where in the results a step's files go, by its kind and whom it is about."""


def publish(
    study: Study, collected: Step, report: Step, images: Sequence[Step], work: Work
) -> Path:
    """Put a run's results under ``results/<run>`` and point ``results/latest`` at it.

    The run is named by its content, so the same study gives the same folder. Every file is checked
    against what was made as it is copied; a published file that was altered is put back.
    """
    name = report.argument.provenance.run
    final = study.results / str(name)
    made = [
        (s, _PLACES[s.kind].format(s.subject))
        for s in (collected, report, *images)
        if s.kind in _PLACES
    ]
    if final.is_dir() and not _is_whole(final, made, work):
        shutil.rmtree(final)
    if not final.is_dir():
        scratch = study.results / f".{name}-{os.getpid()}"
        for step, place in made:
            work.copy(step, scratch / place)
        try:
            os.rename(scratch, final)
        except OSError:
            if not final.is_dir():  # else another run of the same study was first
                raise
            shutil.rmtree(scratch)
    _point_latest(study.results / "latest", str(name))
    return final


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
