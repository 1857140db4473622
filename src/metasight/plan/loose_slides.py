"""Slides without a study: a batch of files checked, aligned, mapped or measured into a folder.

The same steps as in a study, kept in the same kind of store under the output folder: a batch that
was killed goes on where it was, and one bad slide does not stop the others. Results are numbered
in the order of the files, for a file's name may hold a patient's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metasight.cohort.slide_table import SlideRow, StainName
from metasight.engine.placement import Where
from metasight.engine.progress import Progress
from metasight.engine.step import Step
from metasight.errors import StudyError
from metasight.plan.numbered_results import NumberedResults
from metasight.plan.slides import by_marker, check_step, marker_step, measure_step, sheet_step
from metasight.protocol.load import read_protocol
from metasight.protocol.markers import study_names
from metasight.protocol.study import Protocol
from metasight.slides.opening import ReaderName, open_slide, reader_of_all
from metasight.slides.quality import quality_definitions
from metasight.slides.reader import ReadAs
from metasight.steps import artefacts
from metasight.steps.slides import patient as slides
from metasight.steps.slides.one_slide import SlideArgument
from metasight.steps.slides.sections import align_slides


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Files and how they are read.

    Attributes
    ----------
    files
        In the order in which results are numbered.
    stain, markers
        What they show.
    mpp
        Micrometres a pixel: one for all files that do not say them, or one for each file, which
        then replaces what it says; empty where the files say it.
    picture
        Number of the picture that is the slide, one for each file and 0 where it is to tell; empty
        where all are.
    channels
        Channel as files name it, or its number from 1 → marker.
    cells
        Files of cells that another program found, one for each file; empty for none.
    classes
        Class of those cells → marker.
    reader
        One for all; None chooses.
    nuclear
        Nuclear channel of fluorescence.
    seed
        Of nulls and intervals.
    """

    files: tuple[Path, ...]
    stain: StainName = "H&E"
    markers: tuple[str, ...] = ()
    mpp: tuple[float, ...] = ()
    picture: tuple[int, ...] = ()
    channels: Mapping[str, str] = field(default_factory=dict)
    cells: tuple[Path, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)
    reader: ReaderName | None = None
    nuclear: str = "DAPI"
    protocol: str = "breast-dmfs"
    seed: int = 20250101

    def __post_init__(self) -> None:
        if len(self.mpp) not in {0, 1, len(self.files)}:
            raise StudyError(
                "give `--mpp` once for all files, or once per file",
                value=f"{len(self.mpp)} given",
                remedy=f"There are {len(self.files)} files",
            )
        if self.picture and len(self.picture) != len(self.files):
            raise StudyError(
                "give --picture once for each file",
                value=f"{len(self.picture)} given",
                remedy=f"There are {len(self.files)} files; 0 leaves the choice to a file",
            )
        if any(number < 0 for number in self.picture):
            raise StudyError(
                "pictures are numbered from 1",
                value=", ".join(map(str, self.picture)),
                remedy="0 leaves the choice to a file",
            )
        if not all(math.isfinite(m) and m > 0 for m in self.mpp):
            raise StudyError(
                "micrometres per pixel must be above 0",
                value=", ".join(map(str, self.mpp)),
                remedy="Ask the scanner's operator",
            )
        if self.cells and len(self.cells) != len(self.files):
            raise StudyError(
                "give --cells once for each file",
                value=f"{len(self.cells)} given",
                remedy=f"There are {len(self.files)} files",
            )
        if self.cells and self.stain == "H&E":
            raise StudyError(
                "cells of another program are read for marker sections only",
                remedy="Give --stain IHC or fluorescence, or leave out --cells",
            )
        if len({f.resolve() for f in self.files}) < len(self.files):
            raise StudyError("a slide is given twice", remedy="Give each file once")
        if len(set(self.markers)) < len(self.markers):
            raise StudyError("a marker is named twice", value="; ".join(self.markers))
        if self.markers and self.stain == "H&E":
            raise StudyError(
                "an H&E section carries no marker",
                value=", ".join(self.markers),
                remedy="Give --stain IHC or fluorescence",
            )

    def arguments(self, protocol: Protocol) -> tuple[SlideArgument, ...]:
        """One a file, named ``slide-001`` and so on."""
        reader = self.reader or reader_of_all(self.files)
        markers = study_names(self.markers, protocol.marker, where="--markers")
        own = len(self.mpp) == len(self.files)
        given = self.mpp * len(self.files) if len(self.mpp) == 1 else self.mpp
        return tuple(
            SlideArgument(
                slide=SlideRow(
                    patient="",
                    name=f"slide-{n:03d}",
                    path=path.resolve(),
                    stain=self.stain,
                    markers=markers,
                    mpp=given[n - 1] if given else None,
                    replaces_mpp=own,
                    picture=(self.picture[n - 1] or None) if self.picture else None,
                    cells=self.cells[n - 1].resolve() if self.cells else None,
                ),
                reader="tiff" if self.stain == "fluorescence" else reader,
                nuclear=self.nuclear,
                channels=by_marker(self.channels, protocol),
            )
            for n, path in enumerate(self.files, start=1)
        )


def check(batch: Batch, out: Path, *, scheduler: Where, progress: Progress) -> list[dict[str, Any]]:
    """Judge every file; one result each, those that could not be read among them."""
    protocol, results = read_protocol(batch.protocol), NumberedResults(out=out, noun="slide")
    contents = results.contents()
    quality = quality_definitions(protocol.definition)
    steps = [check_step(a, quality, contents) for a in batch.arguments(protocol)]
    results.make_room(batch.files)
    with results.work(contents, scheduler, progress) as work:
        return results.set_out(steps, work, result=artefacts.QUALITY.name)


def map_markers(
    batch: Batch, out: Path, *, scheduler: Where, progress: Progress
) -> list[dict[str, Any]]:
    """Marker density of every file; of H&E the density of nuclei."""
    if not batch.markers and batch.stain != "H&E":
        raise StudyError("no marker was named", remedy="Give --markers, with ; between them")
    protocol, results = read_protocol(batch.protocol), NumberedResults(out=out, noun="slide")
    contents = results.contents()
    asked, quality = protocol.for_slides, quality_definitions(protocol.definition)
    steps = [
        marker_step(
            a,
            check_step(a, quality, contents),
            asked,
            contents,
            thresholds={},
            classes=by_marker(batch.classes, protocol),
        )
        for a in batch.arguments(protocol)
    ]
    results.make_room(batch.files)
    with results.work(contents, scheduler, progress) as work:
        return results.set_out(steps, work, result=artefacts.MARKERS.name)


def measure(
    batch: Batch, out: Path, *, scheduler: Where, progress: Progress
) -> list[dict[str, Any]]:
    """Biomarkers and sheet of every file."""
    protocol, results = read_protocol(batch.protocol), NumberedResults(out=out, noun="slide")
    contents = results.contents()
    asked, quality = protocol.for_slides, quality_definitions(protocol.definition)
    results.make_room(batch.files)
    steps: list[Step] = []
    for a in batch.arguments(protocol):
        own = [check_step(a, quality, contents)]
        if a.slide.stain != "H&E":
            classes = by_marker(batch.classes, protocol)
            own.append(marker_step(a, own[0], asked, contents, thresholds={}, classes=classes))
        argument = slides.PatientArgument(
            patient=a.slide.name,
            slides=(a,),
            protocol=asked,
            required=study_names(batch.markers, protocol.marker, where="--markers"),
            seed=batch.seed,
        )
        steps.append(measure_step(argument, tuple(own), contents))
    sheets = [sheet_step(s, protocol, contents) for s in steps]
    with results.work(contents, scheduler, progress) as work:
        return results.set_out(steps, work, result=artefacts.PATIENT.name, beside=sheets)


def align(
    fixed: Path,
    moving: Path,
    out: Path,
    *,
    mpp: Sequence[float],
    nuclear: str,
    protocol: str,
    picture: Sequence[int] = (),
) -> dict[str, Any]:
    """Align two files; the transform, a checkerboard and the predicted error go into ``out``.

    Raises
    ------
    SlideError
        A file cannot be read.
    AlignmentError
        A file shows next to no tissue.
    """
    if fixed.resolve() == moving.resolve():
        raise StudyError("a slide cannot be aligned to itself", remedy="Give two files")
    given = tuple(mpp) * 2 if len(mpp) == 1 else tuple(mpp) or (None, None)
    if len(given) != 2:
        raise StudyError(
            "give --mpp once or twice", value=str(len(mpp)), remedy="There are two files"
        )
    if len(picture) not in {0, 2}:
        raise StudyError(
            "give --picture twice",
            value=str(len(picture)),
            remedy="Once for each of the two files; 0 leaves the choice to a file",
        )
    first, second = (
        ReadAs(
            mpp=one,
            replaces_mpp=len(mpp) == 2,
            picture=number or None,
            spellings={nuclear: nuclear},
        )
        for one, number in zip(given, picture or (0, 0), strict=True)
    )
    out.mkdir(parents=True, exist_ok=True)
    with (
        open_slide(fixed, name="fixed slide", read_as=first) as still,
        open_slide(moving, name="moving slide", read_as=second) as other,
    ):
        asked = read_protocol(protocol).for_slides
        return align_slides(still, other, asked, out, nuclear=nuclear)
