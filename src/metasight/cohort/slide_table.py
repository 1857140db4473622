"""The table of slides: which file shows which section of which patient, in which stain."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metasight.cohort.canonical import pseudonym
from metasight.cohort.joined import meet_patients
from metasight.cohort.settings import CohortSettings, SlideSettings
from metasight.cohort.showing import visible
from metasight.cohort.tables import RawTable, missing_columns, read_table
from metasight.errors import Problem, TableError
from metasight.protocol.markers import Marker, study_name

StainName = Literal["H&E", "IHC", "fluorescence"]
STAINS: tuple[StainName, ...] = ("H&E", "IHC", "fluorescence")
_AS_WRITTEN = (
    *(*STAINS, "HE", "HES", "haematoxylin and eosin", "DAB", "IF", "mIF", "PAS", "Giemsa"),
    *("DAPI", "Ki-67", "HER2", "FOXP3", "PD-L1", "vimentin"),
)
"""Stains and markers, beside the protocol's, that a message may show, and what is nearly one."""


@dataclass(frozen=True, kw_only=True)
class SlideRow:
    """One slide of the study.

    Attributes
    ----------
    patient
        Pseudonym.
    name
        What results and messages call the slide (``P0123456789-HE-1``): a file's name may hold
        a patient's.
    path
        The file; it need not exist, and is then a failed slide.
    stain, markers
        What it shows, markers by their names in the protocol; none for H&E. A marker that the
        protocol does not know keeps the table's name.
    mpp
        Given in ``study.toml``; None where the file is to say it.
    replaces_mpp
        Whether ``mpp`` is given for this file and replaces what it says; else it fills a gap.
    picture
        Number, from 1, of the picture that is the slide; None where the file is to tell.
    cells
        Cells that another program found on it; None where metasight finds them.
    """

    patient: str
    name: str
    path: Path
    stain: StainName
    markers: tuple[str, ...]
    mpp: float | None
    replaces_mpp: bool = False
    picture: int | None = None
    cells: Path | None = None


def read_slide_table(
    folder: Path, settings: CohortSettings, markers: Sequence[Marker]
) -> tuple[SlideRow, ...]:
    """Read the table of slides that ``settings.slides`` names.

    Parameters
    ----------
    folder
        Study folder.
    settings
        With ``slides``; the key makes the pseudonyms.
    markers
        Of the protocol: the table may spell them in any of their spellings.

    Returns
    -------
    In the table's order, without rows whose file cell is empty or whose patient is not in the
    patient table.

    Raises
    ------
    StudyError
        The table cannot be read.
    TableError
        Every row with a problem: no patient, an unknown stain, no marker where one is needed,
        one file twice; ids that do not meet the patient table's.
    """
    slides = settings.slides
    if slides is None:
        return ()
    own = (slides.id, slides.file, slides.stain, slides.markers)
    raw = read_table(folder, slides, own)
    problems = missing_columns(raw, (slides.id, slides.file, slides.stain), "[slides]")
    if problems:
        raise TableError(problems)
    ids = {int(str(n)): str(i) for n, i in raw.cells[slides.id].items()}
    meeting = meet_patients(folder, settings, ids, table=raw.name, column=slides.id)
    problems = [*raw.flaws_of(own), *meeting.problems]
    strangers = set(meeting.strangers)
    rows: list[SlideRow] = []
    seen: dict[str, int] = {}
    spelled = tuple(s for m in markers for s in (m.name, *m.spellings))
    numbers: Counter[tuple[str, str]] = Counter()
    for number, cells in raw.cells.iterrows():
        row = int(str(number))
        text = {c: str(cells[c]).strip() for c in (slides.id, slides.file, slides.stain)}
        marked = str(cells[slides.markers]) if slides.markers in raw.cells else ""
        of_cells = str(cells[slides.cells]).strip() if slides.cells in raw.cells else ""
        text[slides.cells] = of_cells
        shown = tuple(study_name(m.strip(), markers) for m in marked.split(";") if m.strip())
        if not text[slides.file]:
            continue
        found = _problems_of(raw.name, row, slides, text, shown, seen, spelled=spelled)
        if found:
            problems += found
            continue
        if row in strangers:  # the ledger says so where the patients are read
            continue
        patient = pseudonym(text[slides.id], settings.key)
        stain = next(s for s in STAINS if s == text[slides.stain])
        numbers[patient, stain] += 1
        name = f"{patient}-{stain.replace('&', '')}-{numbers[patient, stain]}"
        rows.append(
            _row(folder, slides, text, patient=patient, name=name, stain=stain, markers=shown)
        )
    problems += _of_no_file(raw, slides)
    if problems:
        raise TableError(problems)
    return tuple(rows)


def _row(
    folder: Path,
    slides: SlideSettings,
    text: dict[str, str],
    *,
    patient: str,
    name: str,
    stain: StainName,
    markers: tuple[str, ...],
) -> SlideRow:
    """A row without a problem, with what study.toml says of its file."""
    file = Path(text[slides.file]).name
    given = slides.mpp_of.get(file, slides.mpp)
    of_cells = text[slides.cells]
    return SlideRow(
        patient=patient,
        name=name,
        path=folder / slides.folder / text[slides.file],
        stain=stain,
        markers=markers,
        mpp=given,
        replaces_mpp=file in slides.mpp_of,
        picture=slides.picture_of.get(file),
        cells=folder / slides.folder / of_cells if of_cells else None,
    )


def _of_no_file(raw: RawTable, slides: SlideSettings) -> list[Problem]:
    """Settings of single files that name a file which the table does not list."""
    listed = {Path(str(cell).strip()).name for cell in raw.cells[slides.file]}
    named = {"mpp_of": frozenset(slides.mpp_of), "picture_of": frozenset(slides.picture_of)}
    return [
        Problem(
            table=raw.name,
            row=None,
            column=slides.file,
            value=f"{len(files - listed)} of {len(files)}",
            problem=f"study.toml [slides.{key}] names files that are not in the table",
            accepted="names of files, without their folder, as this column has them",
        )
        for key, files in named.items()
        if files - listed
    ]


def _problems_of(  # noqa: PLR0917
    table: str,
    row: int,
    slides: SlideSettings,
    text: dict[str, str],
    markers: tuple[str, ...],
    seen: dict[str, int],
    *,
    spelled: tuple[str, ...],
) -> list[Problem]:
    found: list[Problem] = []

    def problem(column: str, what: str, accepted: str, value: str = "") -> None:
        found.append(
            Problem(
                table=table, row=row, column=column, value=value, problem=what, accepted=accepted
            )
        )

    def told(value: str) -> str:  # a column that has slipped holds something else
        return visible(value, {text[slides.id]}, expected=(*_AS_WRITTEN, *spelled))

    shown = "; ".join(told(m) for m in markers)
    if not text[slides.id]:
        problem(slides.id, "no patient id", "an id in every row")
    stain = text[slides.stain]
    if stain not in STAINS:
        problem(slides.stain, "unknown stain", ", ".join(STAINS), told(stain))
    elif stain == "H&E" and markers:
        problem(slides.markers, "an H&E section carries no marker", "empty", shown)
    elif stain != "H&E" and not markers:
        problem(slides.markers, f"{stain} without a marker", "markers with ; between them")
    elif len(set(markers)) < len(markers):
        problem(slides.markers, "a marker is named twice", "each once", shown)
    elif stain == "IHC" and len(markers) > 1:
        problem(
            slides.markers,
            "several markers on one DAB section",
            "one; or fluorescence",
            shown,
        )
    if stain == "H&E" and text[slides.cells]:
        problem(slides.cells, "cells are given for an H&E section", "empty; or a marker section")
    file = os.path.normpath(text[slides.file])
    if file in seen:
        problem(slides.file, f"the same file as in row {seen[file]}", "each file once")
    seen.setdefault(file, row)
    return found
