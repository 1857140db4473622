"""A study archived elsewhere taken in again: checked, copied, and run to the same results."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metasight import pipeline
from metasight.engine.placement import Where
from metasight.engine.private import private_folder
from metasight.engine.progress import Progress
from metasight.engine.reading import NotedContents
from metasight.errors import StudyError
from metasight.exchange.crate import RESULTS, STUDY, read_crate
from metasight.plan.scans import scan_steps
from metasight.plan.slides import slide_steps
from metasight.provenance import hash_file
from metasight.steps import artefacts
from metasight.study.file import read_study


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """What came of running an archived study again.

    Attributes
    ----------
    run, archived_run
        Names of the new run and of the archived one; equal where code and inputs are the same.
    same
        Results of the same bytes.
    other
        Results that differ, or that one of the two lacks.
    """

    run: str
    archived_run: str
    same: tuple[str, ...]
    other: tuple[str, ...]

    @property
    def predictions_agree(self) -> bool:
        """Whether the predictions have the same bytes."""
        return artefacts.PREDICTIONS.name in self.same


def take_in(crate: Path, folder: Path) -> tuple[str, Mapping[str, str]]:
    """Copy the study of a crate into a new folder, once every file of the crate is checked.

    Parameters
    ----------
    crate
        Folder that ``metasight export --as crate --with-inputs`` wrote.
    folder
        New, or empty.

    Returns
    -------
    run
        Name of the archived run.
    results
        File of the archived results → sha256.

    Raises
    ------
    StudyError
        The crate is damaged or has no inputs, or the folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError("the folder is not empty", where=folder.name, remedy="Give a new folder")
    found = read_crate(crate)
    own = found.within(STUDY)
    if "study.toml" not in own:
        raise StudyError(
            "the crate holds results, and not the study's own files",
            where=crate.name,
            remedy="Ask for a crate that was exported with --with-inputs",
        )
    private_folder(folder)
    for name in own:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(crate / STUDY / name, target)
    return found.run, found.within(RESULTS)


def require_inside(folder: Path) -> None:
    """Refuse a study that reads files outside its folder: one from elsewhere has none there.

    Nothing is opened but ``study.toml`` and the tables of slides and scans.

    Raises
    ------
    StudyError
        A table, an image or the protocol lies outside.
    """
    study = read_study(folder)
    noted = NotedContents()
    slide_steps(study, noted)
    scan_steps(study, noted)
    read = noted.paths | {study.folder / n for n in (*study.tables, study.settings.protocol)}
    outside = [p for p in read if not p.resolve().is_relative_to(study.folder)]
    if outside:
        raise StudyError(
            "the study reads files outside its folder",
            where="study.toml, or the table of slides or scans",
            value=f"{len(outside)} files",
            remedy="A study from elsewhere must bring its own files; do not run this one",
        )


def run_again(
    folder: Path,
    archived_run: str,
    archived: Mapping[str, str],
    *,
    scheduler: Where,
    progress: Progress,
) -> Rerun:
    """Run a study that was taken in, and compare its results with the archived ones.

    Parameters
    ----------
    folder
        Of the study.
    archived_run, archived
        As :func:`take_in` gives them.
    scheduler, progress
        As in :func:`metasight.pipeline.run`.

    Raises
    ------
    StudyError
        The study reads files outside its folder, or cannot be run.
    """
    require_inside(folder)
    place, _ = pipeline.run(read_study(folder), scheduler=scheduler, progress=progress)
    files = [p for p in place.rglob("*") if p.is_file()]
    made = {p.relative_to(place).as_posix(): hash_file(p) for p in files}
    same = sorted(n for n in made.keys() & archived.keys() if made[n] == archived[n])
    return Rerun(
        run=place.name,
        archived_run=archived_run,
        same=tuple(same),
        other=tuple(sorted((made.keys() | archived.keys()) - set(same))),
    )
