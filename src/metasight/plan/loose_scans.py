"""Scans without a study: folders checked, and one lesion measured, into a folder.

The same reading, limits and measurements as in a study, carried out by the same steps: what is
found of a patient here is what a study with the same settings finds. Only who the patients are and
what became of them is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from metasight.cohort.scan_table import (
    LesionRow,
    PatientScans,
    Point,
    SeriesRow,
    names_series,
)
from metasight.cohort.settings import ScanRecipe, ScanSettings
from metasight.engine.contents import Contents
from metasight.engine.placement import Where
from metasight.engine.progress import Progress
from metasight.engine.step import Step, StepKind
from metasight.errors import StudyError
from metasight.plan.numbered_results import NumberedResults
from metasight.plan.scans import measure_step, of_protocol
from metasight.protocol.load import read_protocol, validation_lines
from metasight.protocol.study import Protocol
from metasight.steps import artefacts
from metasight.steps.scans import patient as scans
from metasight.steps.scans.checking import CheckArgument, check_scans
from metasight.study.file import read_toml

DEFAULT_PROTOCOL = "nsclc-occult-node"


@dataclass(frozen=True, kw_only=True)
class HowRead:
    """How scans are read and measured.

    Attributes
    ----------
    protocol
        Its limits of CT quality and its radiomics.
    settings
        As ``[scans]`` of a study has them.
    """

    protocol: Protocol
    settings: ScanSettings

    @property
    def recipe(self) -> ScanRecipe:
        """What counts for a measurement; a lesion here is no input of a network."""
        return self.settings.recipe().model_copy(update={"crops": None})

    @property
    def reading(self) -> ScanRecipe:
        """What counts for a scan that is judged alone: texture does not."""
        plain = {"radiomics": False, "shell_edges_mm": (), "jitter": None}
        return self.recipe.model_copy(update=plain)


def how_read(protocol: str = "", study: Path | None = None) -> HowRead:
    """What a protocol says, with the default of every setting; or what a study says.

    Parameters
    ----------
    protocol
        Built-in name, or the path of a file; empty for ``nsclc-occult-node``.
    study
        Folder of a study of which protocol and ``[scans]`` are taken. Its tables and its vault are
        not read.

    Raises
    ------
    StudyError
        Both are given, or the study has no ``[scans]`` that can be read.
    ProtocolError
        There is no such protocol.
    """
    if study is None:
        # without a study nobody has said that texture is not wanted
        default = ScanSettings(path="", id="", radiomics=True)
        return HowRead(protocol=read_protocol(protocol or DEFAULT_PROTOCOL), settings=default)
    if protocol:
        raise StudyError(
            "--protocol and --study are both given",
            remedy="Give one of them: a study names its protocol",
        )
    path = study / "study.toml"
    if not path.is_file():
        raise StudyError(
            "there is no study.toml", where="--study", remedy="Give the folder of a study"
        )
    data = read_toml(path)
    if not isinstance(data.get("scans"), dict):
        raise StudyError(
            "the study has no section [scans]",
            where="study.toml",
            remedy="Leave out --study: the default of every setting is used",
        )
    try:
        settings = ScanSettings.model_validate(data["scans"])
    except ValidationError as error:
        raise StudyError(
            "entries of [scans] are wrong or missing:\n"
            + validation_lines(error, ScanSettings, data["scans"])
            + "\n",
            where="study.toml",
            remedy="Correct the entries named",
        ) from error
    named = str(data.get("protocol", DEFAULT_PROTOCOL))
    return HowRead(protocol=read_protocol(named, folder=study), settings=settings)


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One patient's scans and where the lesion is.

    Attributes
    ----------
    ct, pet
        Folder, zip or file; ``pet`` is None where there is none.
    mask
        File of the lesion's mask; None for a point, a box or an axis.
    region
        Name or number of the region in the mask's file; empty where it holds one.
    point_mm, box_mm
        A point in the lesion, or two opposite corners of a box round it, in the CT's patient
        coordinates (x, y, z; LPS). Beside a mask the point says which of its parts is meant.
    axis_mm
        Both ends of the lesion's longest diameter.
    series
        SeriesInstanceUID or SeriesNumber of the CT; empty to choose by rule.
    """

    ct: Path
    pet: Path | None = None
    mask: Path | None = None
    region: str = ""
    point_mm: Point | None = None
    box_mm: tuple[Point, Point] | None = None
    axis_mm: tuple[Point, Point] | None = None
    series: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        two = [p for p in (self.box_mm, self.axis_mm) if p is not None]
        if self.mask is None and self.point_mm is None and not two:
            raise StudyError(
                "no lesion was given",
                remedy="Give its mask with --mask, a point in it with --point, both ends of its "
                "longest diameter with --axis, or a box with --box",
            )
        if len(two) > 1 or (two and (self.mask is not None or self.point_mm is not None)):
            what = "a box" if self.axis_mm is None else "an axis"
            raise StudyError(
                f"{what} is given beside a mask, a point or another box",
                remedy="Give --box or --axis alone; --point beside --mask names a part of the mask",
            )
        if self.region and self.mask is None:
            raise StudyError(
                "--roi names a region of a mask, and no mask is given", remedy="Give --mask too"
            )
        points = [
            p for p in (self.point_mm, *(self.box_mm or ()), *(self.axis_mm or ())) if p is not None
        ]
        if not all(math.isfinite(v) for p in points for v in p):
            raise StudyError(
                "a coordinate is not a number", remedy="Give x, y and z in mm, with a decimal point"
            )
        if self.series and not names_series(self.series):
            raise StudyError(
                "--series is not a series", remedy="Give a SeriesInstanceUID or a SeriesNumber"
            )

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read."""
        return tuple(p for p in (self.ct, self.pet, self.mask) if p is not None)

    def row(self, name: str, settings: ScanSettings) -> PatientScans:
        """The patient as a table of scans has one."""
        first, corner = (self.point_mm, None) if self.box_mm is None else self.box_mm
        first, end = (first, None) if self.axis_mm is None else self.axis_mm
        return PatientScans(
            patient=name,
            ct=self.ct.resolve(),
            pet=None if self.pet is None else self.pet.resolve(),
            lesion=LesionRow(
                path=None if self.mask is None else self.mask.resolve(),
                region=self.region,
                point_mm=first,
                corner_mm=corner,
                end_mm=end,
                parts=settings.lesion_parts,
                max_missing_contours=settings.max_missing_contours,
                grid=settings.mask_grid,
            ),
            ct_series=SeriesRow(series=self.series),
            pet_dose_unit=settings.pet_dose_unit,
        )


def check(
    paths: Sequence[Path],
    out: Path,
    how: HowRead,
    *,
    scheduler: Where,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Judge the CT and the PET of every folder; one result each, those that failed among them.

    Raises
    ------
    StudyError
        A folder is given twice, or the results would lie among the scans.
    """
    if len({p.resolve() for p in paths}) < len(paths):
        raise StudyError("a scan is given twice", remedy="Give each folder once")
    _keep_apart(paths, out)
    results = NumberedResults(out=out, noun="scan")
    results.make_room(paths)
    contents = results.contents()
    limits, _ = of_protocol(how.protocol, how.reading)
    steps = [
        _check_step(
            results.name(number),
            CheckArgument(
                path=path.resolve(),
                settings=how.reading,
                limits=limits,
                pet_dose_unit=how.settings.pet_dose_unit,
            ),
            contents,
        )
        for number, path in enumerate(paths, start=1)
    ]
    with results.work(contents, scheduler, progress) as work:
        return results.set_out(steps, work, result=artefacts.CHECK.name)


def measure(lesion: Lesion, out: Path, how: HowRead, *, progress: Progress) -> dict[str, Any]:
    """Measure one lesion: ``scan.json``, its mask and its picture under ``scan-001``.

    Raises
    ------
    StudyError
        The results would lie among the scans.
    """
    _keep_apart(lesion.files, out)
    results = NumberedResults(out=out, noun="scan")
    results.make_room(lesion.files)
    contents = results.contents()
    limits, radiomics = of_protocol(how.protocol, how.recipe)
    step = measure_step(
        scans.ScanArgument(
            scans=lesion.row(results.name(1), how.settings),
            settings=how.recipe,
            limits=limits,
            radiomics=radiomics,
        ),
        contents,
    )
    with results.work(contents, "inline", progress) as work:
        (found,) = results.set_out([step], work, result=artefacts.SCAN.name)
    return found


def _check_step(name: str, argument: CheckArgument, contents: Contents) -> Step:
    return Step(
        name=f"check of {name}",
        kind=StepKind.CHECK_SCANS,
        subject=name,
        label="scans",
        function=check_scans,
        argument=argument,
        contents=contents,
    )


def _keep_apart(paths: Sequence[Path], out: Path) -> None:
    """Refuse results within a folder of scans: the next run would read them as files of a scan."""
    place = out.resolve()
    if any(p.is_dir() and p.resolve() in (place, *place.parents) for p in paths):
        raise StudyError(
            "the output folder lies in the folder of a scan",
            where="-o",
            remedy="Give another output folder",
        )
