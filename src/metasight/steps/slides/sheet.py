"""The sheet of a patient's slides, drawn from what checking and measuring them has saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metasight.biomarkers.geojson import read_outlines
from metasight.engine.step import Inputs
from metasight.maps.ome import read_density_map
from metasight.report.slide_sheet import (
    Part,
    Sheet,
    alignment_part,
    biomarker_part,
    markers_part,
    quality_part,
    write_sheet,
)
from metasight.steps import artefacts
from metasight.steps.slides.one_slide import SlideArgument
from metasight.steps.slides.patient import PATIENT
from metasight.steps.slides.sections import checking, marking

SHEET = "sheet of "
"""How the names begin of steps that draw a patient's sheet."""


@dataclass(frozen=True, kw_only=True)
class SheetArgument:
    """Whose sheet it is.

    Attributes
    ----------
    patient
        Pseudonym.
    slides
        All of them.
    protocol_id, protocol_version
        Of what they were measured by.
    positive_per_mm2
        The protocol's, of each marker, by which the maps' colours are scaled.
    """

    patient: str
    slides: tuple[SlideArgument, ...]
    protocol_id: str
    protocol_version: str
    positive_per_mm2: dict[str, float]


def draw_sheet(inputs: Inputs, out: Path, argument: SheetArgument) -> None:
    """Write ``sheet.html``: each slide's quality, the alignments, maps and biomarkers."""
    measured = inputs[f"{PATIENT}{argument.patient}"]
    parts = [_quality(inputs, a) for a in argument.slides]
    parts += [p for a in argument.slides if (p := _unread(inputs, a)) is not None]
    for a in argument.slides:
        folder = measured / f"alignment-{a.slide.name}"
        if artefacts.ALIGNMENT.is_in(folder):
            parts.append(alignment_part(artefacts.ALIGNMENT.read(folder), folder))
    if artefacts.BIOMARKERS.is_in(measured):
        found = artefacts.BIOMARKERS.read(measured)
        parts.append(
            biomarker_part(
                found,
                read_density_map(artefacts.DENSITY.path(measured)),
                read_outlines(artefacts.STRUCTURES.path(measured), found["mpp"]),
                argument.positive_per_mm2,
            )
        )
    write_sheet(
        Sheet(
            title=argument.patient,
            about=f"Protocol {argument.protocol_id}, version {argument.protocol_version}.",
            sections=tuple(parts),
        ),
        artefacts.SHEET.path(out),
    )


def _quality(inputs: Inputs, a: SlideArgument) -> Part:
    folder = inputs[checking(a.slide.name)]
    return quality_part(artefacts.QUALITY.read(folder), folder)


def _unread(inputs: Inputs, a: SlideArgument) -> Part | None:
    """A marker section of sufficient quality whose markers could not be read."""
    quality = artefacts.QUALITY.read(inputs[checking(a.slide.name)])
    if a.slide.stain == "H&E" or quality["sufficient"] is False:
        return None
    found = artefacts.MARKERS.read(inputs[marking(a.slide.name)])
    return markers_part(a.slide.name, found["failed"]) if "failed" in found else None
