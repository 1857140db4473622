"""The table of regions: what was counted or scored in places of an H&E, one row a place.

Spots of spatial transcriptomics, TMA cores, fields that a pathologist scored. A place is a disc
(x, y, diameter) or a polygon (WKT or GeoJSON) in the H&E's own frame, from its upper left corner.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import shapely
from shapely.geometry import Polygon, shape

from metasight.cohort.canonical import pseudonym
from metasight.cohort.codes import PLAIN_NUMBER, MissingCodes
from metasight.cohort.joined import meet_patients
from metasight.cohort.settings import CohortSettings, RegionSettings
from metasight.cohort.showing import visible
from metasight.cohort.slide_table import SlideRow
from metasight.cohort.tables import RawTable, missing_columns, read_table
from metasight.errors import Problem, StudyError, TableError
from metasight.protocol.markers import Marker, study_name

Told = Literal["count", "per_mm2", "score"]


@dataclass(frozen=True, kw_only=True)
class RegionValue:
    """What a table says of one marker in one region.

    Attributes
    ----------
    marker
        By the protocol's name.
    told
        ``count``: cells in the region; ``per_mm2``: cells per mm² of it; ``score``: any number
        that rises with the marker's density, such as a percentage of TIL.
    value
        ≥ 0.
    """

    marker: str
    told: Told
    value: float


@dataclass(frozen=True, kw_only=True)
class RegionRow:
    """One region of an H&E.

    Attributes
    ----------
    slide
        Name of the slide that it lies on.
    row
        Number of its row in the table.
    unit
        Of the lengths below: ``um``, or ``px`` of the slide's largest level.
    x, y, diameter
        Centre and diameter of a disc; None where there is an outline.
    outline
        Corners (x, y) of a polygon; empty for a disc.
    values
        One a marker and kind; empty where the row states none.
    """

    slide: str
    row: int
    unit: Literal["um", "px"]
    x: float | None = None
    y: float | None = None
    diameter: float | None = None
    outline: tuple[tuple[float, float], ...] = ()
    values: tuple[RegionValue, ...] = ()

    def polygon_um(self, mpp: float) -> Polygon:
        """Its outline in µm; a disc as a polygon of 64 corners of the disc's area.

        Parameters
        ----------
        mpp
            µm a pixel of the slide's largest level, for coordinates in pixels.
        """
        scale = mpp if self.unit == "px" else 1.0
        if self.diameter is None or self.x is None or self.y is None:
            return Polygon([(x * scale, y * scale) for x, y in self.outline])
        n = 64
        # as large as the disc: the polygon of the corners on the circle is smaller by 0.2 %
        radius = self.diameter / 2 / math.sqrt(n / (2 * math.pi) * math.sin(2 * math.pi / n))
        angles = [2 * math.pi * k / n for k in range(n)]
        corners = [
            (
                (self.x + radius * math.cos(a)) * scale,
                (self.y + radius * math.sin(a)) * scale,
            )
            for a in angles
        ]
        return Polygon(corners)


def read_region_table(
    folder: Path,
    settings: CohortSettings,
    markers: Sequence[Marker],
    slides: Sequence[SlideRow],
) -> tuple[RegionRow, ...]:
    """Read the table of regions that ``settings.slides.regions`` names; empty where it names none.

    Parameters
    ----------
    folder
        Study folder.
    settings
        With ``slides``; the key makes the pseudonyms.
    markers
        Of the protocol.
    slides
        Of the table of slides: a region lies on one of their H&E.

    Returns
    -------
    In the table's order, without rows whose patient is not in the patient table.

    Raises
    ------
    StudyError
        The table cannot be read, or study.toml names a marker that the protocol does not know.
    TableError
        Every row with a problem: no patient, no such H&E of the patient, no place or two of them,
        an outline that cannot be read, a value that is no number or below 0; ids that do not meet
        the patient table's.
    """
    own = settings.slides
    asked = own.regions if own is not None else None
    if own is None or asked is None:
        return ()
    columns = _columns(asked, markers)
    raw = read_table(folder, asked, asked.read)
    problems = missing_columns(raw, _needed(raw, asked), "[slides.regions]")
    if problems:
        raise TableError(problems)
    ids = {int(str(n)): str(i) for n, i in raw.cells[asked.id].items()}
    meeting = meet_patients(folder, settings, ids, table=raw.name, column=asked.id)
    problems = [*raw.flaws_of(asked.read), *meeting.problems]
    strangers = set(meeting.strangers)
    files = {(s.patient, os.path.normpath(s.path)): s.name for s in slides if s.stain == "H&E"}
    rows: list[RegionRow] = []
    for number, cells in raw.cells.iterrows():
        line = _Line(
            raw, int(str(number)), asked, {str(c): str(v).strip() for c, v in cells.items()}
        )
        patient = pseudonym(line.text[asked.id], settings.key) if line.text[asked.id] else ""
        place = os.path.normpath(folder / own.folder / line.text[asked.file])
        slide = files.get((patient, place))
        wrong = list(line.problems(columns, there=slide is not None))
        if line.number in strangers:  # the ledger says so where the patients are read
            wrong = []
        elif not wrong and slide is not None:
            rows.append(line.region(slide, columns))
        problems += wrong
    if problems:
        raise TableError(problems)
    return tuple(rows)


_Columns = Mapping[str, tuple[str, Told]]
"""Column → marker and kind."""


def _columns(asked: RegionSettings, markers: Sequence[Marker]) -> _Columns:
    """Columns of values by the protocol's marker.

    Raises
    ------
    StudyError
        A marker is not the protocol's, or one has counts and densities.
    """
    found: dict[str, tuple[str, Told]] = {}
    known = [m.name for m in markers]
    given: list[tuple[Told, Mapping[str, str]]] = [
        ("count", asked.counts),
        ("per_mm2", asked.per_mm2),
        ("score", asked.scores),
    ]
    for told, named in given:
        for spelled, column in named.items():
            marker = study_name(spelled, markers)
            if marker not in known:
                raise StudyError(
                    "the table of regions tells of a marker that the protocol does not know",
                    where="study.toml [slides.regions]",
                    value=spelled,
                    remedy=f"The protocol knows {', '.join(known) or 'none'}",
                )
            learnt = [m for m, t in found.values() if t != "score" and told != "score"]
            if column in found or marker in learnt:
                raise StudyError(
                    "a column or a marker is named twice in the table of regions",
                    where="study.toml [slides.regions]",
                    value=f"{spelled} = {column}",
                    remedy="Give a marker's counts or its densities, each from a column of its own",
                )
            found[column] = marker, told
    return found


def _needed(raw: RawTable, asked: RegionSettings) -> tuple[str, ...]:
    """Columns that must be there: of places either kind is enough."""
    values = (*asked.counts.values(), *asked.per_mm2.values(), *asked.scores.values())
    disc = (asked.x, asked.y, asked.diameter)
    place = () if asked.polygon in raw.cells else disc
    return (asked.id, asked.file, *place, *values)


@dataclass(frozen=True)
class _Line:
    """One row as text."""

    raw: RawTable
    number: int
    asked: RegionSettings
    text: Mapping[str, str]

    def problems(self, columns: _Columns, *, there: bool) -> Iterator[Problem]:
        """All that is wrong with the row."""
        asked, text = self.asked, self.text
        if not text[asked.id]:
            yield self._problem(asked.id, "no patient id", "an id in every row", shown=False)
        if not text[asked.file]:
            yield self._problem(asked.file, "no slide", "the H&E's file", shown=False)
        elif not there:
            accepted = "the file of an H&E as the table of slides has it for this patient"
            yield self._problem(asked.file, "no H&E of this patient", accepted, shown=False)
        yield from self._problems_of_place()
        for column in columns:
            if text[column] in MissingCodes(asked.missing):
                continue
            value = self._number(column)
            if value is None or value < 0:
                yield self._problem(column, "not a number of 0 or more", "a number, or empty")

    def _problems_of_place(self) -> Iterator[Problem]:
        asked, drawn = self.asked, self._outline_text()
        disc = [c for c in (asked.x, asked.y, asked.diameter) if self.text.get(c)]
        if drawn:
            if disc:
                what = "a polygon and a disc"
                yield self._problem(asked.polygon, what, "one of them", shown=False)
            told = _outline(drawn)
            if isinstance(told, str):
                yield self._problem(asked.polygon, told, _POLYGON, shown=False)
            return
        if not disc:
            what = "no place"
            yield self._problem(asked.x, what, "x, y and diameter, or a polygon", shown=False)
            return
        for column in (asked.x, asked.y, asked.diameter):
            value = self._number(column)
            if value is None:
                yield self._problem(column, "not a number", f"a number of {asked.unit}")
        size = self._number(asked.diameter)
        if size is not None and not size > 0:
            yield self._problem(asked.diameter, "not above 0", f"a diameter in {asked.unit}")

    def region(self, slide: str, columns: _Columns) -> RegionRow:
        """The row without a problem."""
        asked, drawn = self.asked, self._outline_text()
        outline = _outline(drawn) if drawn else ()
        values = [
            RegionValue(marker=marker, told=told, value=value)
            for column, (marker, told) in columns.items()
            if self.text[column] not in MissingCodes(asked.missing)
            and (value := self._number(column)) is not None
        ]
        return RegionRow(
            slide=slide,
            row=self.number,
            unit=asked.unit,
            x=None if drawn else self._number(asked.x),
            y=None if drawn else self._number(asked.y),
            diameter=None if drawn else self._number(asked.diameter),
            outline=() if isinstance(outline, str) else outline,
            values=tuple(values),
        )

    def _outline_text(self) -> str:
        given = self.text.get(self.asked.polygon, "")
        return "" if given in MissingCodes(self.asked.missing) else given

    def _number(self, column: str) -> float | None:
        text = self.text.get(column, "")
        plain = text.replace(",", ".") if self.asked.decimal == "," else text
        return float(plain) if PLAIN_NUMBER.fullmatch(plain) else None

    def _problem(self, column: str, what: str, accepted: str, *, shown: bool = True) -> Problem:
        value = visible(self.text.get(column, ""), {self.text[self.asked.id]}) if shown else ""
        return Problem(
            table=self.raw.name,
            row=self.number,
            column=column,
            value=value,
            problem=what,
            accepted=accepted,
        )


_POLYGON = "one polygon without holes, as WKT (POLYGON ((0 0, …))) or a GeoJSON geometry"


def _outline(text: str) -> tuple[tuple[float, float], ...] | str:
    """Corners of a polygon, or what is wrong with it."""
    try:
        if text.lstrip().startswith("{"):
            told: Any = json.loads(text)
            drawn = shape(told.get("geometry", told))
        else:
            drawn = shapely.from_wkt(text)
    except (ValueError, TypeError, AttributeError, KeyError, shapely.errors.ShapelyError):
        return "an outline that cannot be read"
    if not isinstance(drawn, Polygon) or drawn.interiors:
        return "not one polygon without holes"
    if drawn.is_empty or not drawn.is_valid or not drawn.area > 0:
        return "an outline that crosses itself or encloses nothing"
    return tuple((float(x), float(y)) for x, y, *_ in list(drawn.exterior.coords)[:-1])
