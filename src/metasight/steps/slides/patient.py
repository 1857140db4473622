"""Slides of a study, step by step: check each, read its markers, align and measure each patient.

A slide that cannot be used becomes a ledger row with the reason and the others go on. What
criteria ask of slides (I5, I6, E5, E6, E7) comes out as evidence per patient, what models may
read as feature columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metasight.cohort.slide_table import SlideRow
from metasight.engine.step import Inputs
from metasight.errors import AlignmentError, MarkerError, MetasightError, SlideError
from metasight.ledger import Entry, Fate
from metasight.maps.cells import Cells
from metasight.maps.density import DensityMap
from metasight.maps.ome import write_density_map
from metasight.maps.tumour import tumour_from_nuclei
from metasight.maps.window import TissueWindow
from metasight.protocol.study import Protocol
from metasight.report.slide_sheet import (
    Part,
    Sheet,
    alignment_part,
    biomarker_part,
    quality_part,
    write_sheet,
)
from metasight.segmentation.nucleus import Nuclei, detect_in_he
from metasight.slides.opening import ReaderName, open_slide
from metasight.slides.reader import PyramidReader
from metasight.slides.tiling import TileGrid
from metasight.steps.files import read_json, write_json
from metasight.steps.slides.pairs import Pair, density_together, he_window
from metasight.steps.slides.sections import (
    REGION_UM,
    ROLES,
    align_slides,
    check,
    map_markers,
    map_nuclei,
    marker_settings,
    measure_section,
    read_cells,
    read_tissue,
)

Found = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SlideArgument:
    """One slide and how it is read."""

    slide: SlideRow
    reader: ReaderName
    protocol: Protocol
    nuclear: str = "DAPI"
    thresholds: dict[str, float] = field(default_factory=dict)


def opened(argument: SlideArgument) -> PyramidReader:
    """The slide under its study name, with the study's reader and resolution."""
    row = argument.slide
    return open_slide(row.path, name=row.name, mpp=row.mpp, reader=argument.reader)


def check_slide(inputs: Inputs, out: Path, argument: SlideArgument) -> None:
    """Quality of one slide, or why it could not be read."""
    del inputs
    try:
        with opened(argument) as slide:
            check(slide, argument.slide.stain, argument.protocol, out, nuclear=argument.nuclear)
    except SlideError as error:
        write_json(out / "quality.json", _failed(argument.slide, error))


def read_markers(inputs: Inputs, out: Path, argument: SlideArgument) -> None:
    """Marked cells of one slide that is good enough; of an H&E its nuclei."""
    row = argument.slide
    checked = inputs[checking(row)]
    quality = read_json(checked / "quality.json")
    if "failed" in quality or quality["sufficient"] is False:
        why = quality.get("failed") or "; ".join(quality["reasons"])
        write_json(out / "markers.json", {"slide": row.name, "failed": why})
        return
    tissue, mpp = read_tissue(checked / "tissue.npz")
    try:
        with opened(argument) as slide:
            if row.stain == "H&E":
                map_nuclei(slide, tissue, mpp, out)
                return
            map_markers(
                slide,
                tissue,
                mpp,
                out,
                markers=row.markers,
                settings=marker_settings(argument.nuclear, argument.thresholds),
            )
    except (MarkerError, SlideError) as error:
        write_json(out / "markers.json", _failed(row, error))


def _failed(row: SlideRow, error: MetasightError) -> Found:
    return {"slide": row.name, "stain": row.stain, "failed": str(error), "sufficient": False}


def checking(row: SlideRow) -> str:
    """Name of the step that checks a slide."""
    return f"check {row.name}"


def marking(row: SlideRow) -> str:
    """Name of the step that reads a slide's markers."""
    return f"markers of {row.name}"


# ------------------------------------------------------------------ a patient


@dataclass(frozen=True, kw_only=True)
class PatientArgument:
    """A patient's slides."""

    patient: str
    slides: tuple[SlideArgument, ...]
    protocol: Protocol
    required: tuple[str, ...]
    seed: int


@dataclass
class _Patient:
    """What is known of a patient's slides so far."""

    argument: PatientArgument
    inputs: Inputs
    out: Path
    entries: list[Entry] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    evidence: dict[str, bool | float | None] = field(default_factory=dict)
    features: dict[str, float | None] = field(default_factory=dict)
    tumour_from: str = ""

    def note(  # noqa: PLR0917
        self, item: str, stage: str, verdict: Fate, criterion: str, value: str, reason: str
    ) -> None:
        self.entries.append(
            Entry(
                patient=self.argument.patient,
                item=item,
                stage=stage,
                verdict=verdict,
                criterion=criterion,
                value=value,
                reason=reason,
            )
        )


def measure_patient(inputs: Inputs, out: Path, argument: PatientArgument) -> None:
    """Align, map and measure one patient; evidence, features, ledger rows and the sheet."""
    patient = _Patient(argument=argument, inputs=inputs, out=out)
    good = _judge_slides(patient)
    he = next((a for a in good if a.slide.stain == "H&E"), None)
    marked = [a for a in good if a.slide.stain != "H&E" and _has_markers(patient, a)]
    aligned = _align(patient, he, marked) if he is not None else {}
    found = {m for a in marked for m in a.slide.markers}
    patient.evidence["mihc_sections"] = set(argument.required) <= found
    usable = {m for a in marked if a.slide.name in aligned for m in a.slide.markers}
    patient.evidence["sections_alignable"] = set(argument.required) <= usable
    _measure(patient, he, marked, aligned)
    write_json(
        out / "patient.json",
        {
            "patient": argument.patient,
            "evidence": patient.evidence,
            "features": patient.features,
            "tumour_from": patient.tumour_from,
            "ledger": [asdict(e) for e in patient.entries],
        },
    )
    write_sheet(
        Sheet(
            title=argument.patient,
            about=f"Protocol {argument.protocol.id}, version {argument.protocol.version}.",
            sections=tuple(patient.parts),
        ),
        out / "sheet.html",
    )


def _judge_slides(patient: _Patient) -> list[SlideArgument]:
    """Slides that may be used; I5 and E5."""
    good: list[SlideArgument] = []
    by_stain: dict[bool, list[bool | None]] = {True: [], False: []}
    for a in patient.argument.slides:
        folder = patient.inputs[checking(a.slide)]
        found = read_json(folder / "quality.json")
        patient.parts.append(quality_part(found, folder))
        is_he = a.slide.stain == "H&E"
        by_stain[is_he].append(found["sufficient"])
        if "failed" in found:
            fate, why = Fate.FAILED, found["failed"]
        else:
            fate = {True: Fate.KEPT, False: Fate.EXCLUDED, None: Fate.UNKNOWN}[found["sufficient"]]
            why = "; ".join(found["reasons"])
        patient.note(a.slide.name, "slide quality", fate, "I5" if is_he else "E5", "", why)
        if found["sufficient"] is not False:
            good.append(a)
    patient.evidence["he_quality_sufficient"] = _any(by_stain[True])
    sufficient = _all([*by_stain[True], *by_stain[False]])
    patient.evidence["slide_artefacts"] = None if sufficient is None else not sufficient
    return good


def _any(values: Sequence[bool | None]) -> bool | None:
    if True in values:
        return True
    return None if None in values else False


def _all(values: Sequence[bool | None]) -> bool | None:
    if False in values or not values:
        return False
    return None if None in values else True


def _has_markers(patient: _Patient, a: SlideArgument) -> bool:
    found = read_json(patient.inputs[marking(a.slide)] / "markers.json")
    if "failed" in found:
        patient.note(a.slide.name, "markers", Fate.FAILED, "I6", "", found["failed"])
        patient.parts.append(
            Part(
                title=f"Markers of {a.slide.name}",
                verdict="Not read",
                tone="bad",
                reasons=(found["failed"],),
            )
        )
        return False
    counts = ", ".join(f"{m['marker']} {m['per_mm2']:.0f}/mm²" for m in found["markers"])
    patient.note(a.slide.name, "markers", Fate.KEPT, "I6", counts, "")
    return True


def _align(patient: _Patient, he: SlideArgument, marked: Sequence[SlideArgument]) -> dict[str, Any]:
    """Accepted alignments of the marker sections to the H&E, by slide name."""
    accepted: dict[str, Any] = {}
    with opened(he) as fixed:
        for a in marked:
            folder = patient.out / f"alignment-{a.slide.name}"
            folder.mkdir()
            try:
                with opened(a) as moving:
                    pair = align_slides(
                        fixed, moving, patient.argument.protocol, folder, nuclear=a.nuclear
                    )
            except (AlignmentError, SlideError) as error:
                patient.note(a.slide.name, "alignment", Fate.FAILED, "E7", "", str(error))
                continue
            patient.parts.append(alignment_part(pair.found, folder))
            p90 = pair.found["error_p90_um"]
            value = "" if p90 is None else f"predicted p90 {p90:.0f} µm"
            fate = Fate.KEPT if pair.found["accepted"] else Fate.EXCLUDED
            why = "; ".join(pair.found["reasons"])
            patient.note(a.slide.name, "alignment", fate, "E7", value, why)
            if pair.found["accepted"]:
                accepted[a.slide.name] = pair.alignment.transform
    return accepted


def _measure(
    patient: _Patient,
    he: SlideArgument | None,
    marked: Sequence[SlideArgument],
    aligned: dict[str, Any],
) -> None:
    """Tumour area (E6), density map and biomarkers, from the best that there is."""
    wanted = set(ROLES.values())
    whole = next((a for a in marked if wanted <= set(a.slide.markers)), None)
    if whole is not None:
        _measure_one(patient, whole)
    elif he is not None and wanted <= {
        m for a in marked if a.slide.name in aligned for m in a.slide.markers
    }:
        _measure_together(patient, he, [a for a in marked if a.slide.name in aligned], aligned)
    elif he is not None:
        _tumour_from_he(patient, he)
    else:
        patient.evidence["tumour_area_percent"] = None


def _measure_one(patient: _Patient, a: SlideArgument) -> None:
    """Cells of one section that carries all markers."""
    tissue, mpp = read_tissue(patient.inputs[checking(a.slide)] / "tissue.npz")
    window = TissueWindow(mask=tissue, spacing_um=mpp)
    cells = read_cells(patient.inputs[marking(a.slide)] / "cells.parquet", a.slide.markers)
    _conclude(patient, a, cells, window)


def _measure_together(
    patient: _Patient,
    he: SlideArgument,
    marked: Sequence[SlideArgument],
    aligned: dict[str, Any],
) -> None:
    """Densities of markers from several sections, brought onto the H&E."""
    pairs = [
        Pair(section=a.slide.name, markers=a.slide.markers, transform=aligned[a.slide.name])
        for a in marked
    ]
    density = density_together(
        patient.inputs,
        pairs,
        he_window(patient.inputs[checking(he.slide)]),
        tuple(ROLES.values()),
        bandwidth_um=REGION_UM,
    )
    if density is None:
        patient.note("patient", "biomarkers", Fate.FAILED, "", "", "the sections share no tissue")
        return
    _conclude(patient, he, density, density.window)


def _conclude(
    patient: _Patient, a: SlideArgument, data: Cells | DensityMap, window: TissueWindow
) -> None:
    full = read_json(patient.inputs[checking(a.slide)] / "quality.json")
    scanned = full["width"] * full["height"] * full["mpp"] ** 2
    try:
        measured = measure_section(
            data,
            window,
            patient.argument.protocol,
            patient.out,
            scanned_area_um2=scanned,
            mpp=full["mpp"],
            seed=patient.argument.seed,
        )
    except MarkerError as error:
        patient.note(a.slide.name, "biomarkers", Fate.FAILED, "", "", str(error))
        return
    write_density_map(measured.density, patient.out / "density.ome.tif")
    patient.parts.append(
        biomarker_part(measured.found, measured.density, measured.biomarkers.aggregates)
    )
    patient.evidence["tumour_area_percent"] = measured.tumour.percent
    patient.tumour_from = MARKED
    patient.features = {m["name"]: m["value"] for m in measured.found["measures"]}
    _note_tumour(patient, a, measured.tumour.percent, measured.tumour.basis)


def _note_tumour(patient: _Patient, a: SlideArgument, percent: float, basis: str) -> None:
    least = _least_tumour(patient.argument.protocol)
    fate = Fate.KEPT if percent >= least else Fate.EXCLUDED
    patient.note(a.slide.name, "tissue maps", fate, "E6", f"{percent:.1f} %", f"from {basis}")


def _least_tumour(protocol: Protocol) -> float:
    named = (d.value for d in protocol.definition if d.name == "minimum_tumour_area_percent")
    value = next(named, None)
    return float(value) if isinstance(value, float) else 0.0


_HE_TILE = 512
_HE_TILES = 60


def _tumour_from_he(patient: _Patient, he: SlideArgument) -> None:
    """Tumour area from nuclei of the H&E, on tiles spread over its tissue; the interval decides.

    Unknown where the interval of the estimate holds the limit: an H&E alone cannot say.
    """
    tissue, mpp = read_tissue(patient.inputs[checking(he.slide)] / "tissue.npz")
    shares: list[tuple[float, float, float]] = []
    with opened(he) as slide:
        if slide.mpp > 1.0:
            patient.evidence["tumour_area_percent"] = None
            patient.note(
                he.slide.name,
                "tissue maps",
                Fate.UNKNOWN,
                "E6",
                "",
                f"{slide.mpp:g} µm a pixel are too coarse to tell nuclei",
            )
            return
        at = max(0.5, slide.mpp)
        width, height = slide.size_at(at)
        grid = TileGrid(width=width, height=height, mpp=at, tile_size=_HE_TILE, step=_HE_TILE)
        tiles = grid.on_tissue(tissue, mpp, 0.5)
        chosen = np.unique(np.linspace(0, max(len(tiles) - 1, 0), _HE_TILES).astype(int))
        for row, column in tiles[chosen].tolist() if len(tiles) else []:
            nuclei: Nuclei = detect_in_he(slide.read(grid.region(row, column), at), at)
            window = TissueWindow.rectangle(_HE_TILE * at, _HE_TILE * at, spacing_um=at * 16)
            area = tumour_from_nuclei(nuclei, window, scanned_area_um2=window.area_um2)
            shares.append((area.percent, area.lower, area.upper))
        full = slide.size_at(slide.mpp)
    if not shares:
        patient.evidence["tumour_area_percent"] = None
        patient.note(he.slide.name, "tissue maps", Fate.UNKNOWN, "E6", "", "too little tissue")
        return
    of_field = float(tissue.sum()) * mpp**2 / (full[0] * full[1] * slide.mpp**2)
    percent, low, high = (float(v) * of_field for v in np.mean(shares, axis=0))
    least = _least_tumour(patient.argument.protocol)
    known = not low < least <= high
    patient.evidence["tumour_area_percent"] = percent if known else None
    fate = Fate.UNKNOWN if not known else Fate.KEPT if percent >= least else Fate.EXCLUDED
    patient.note(
        he.slide.name,
        "tissue maps",
        fate,
        "E6",
        f"{percent:.0f} %",
        f"from nuclei of the H&E, between {low:.0f} and {high:.0f} %",
    )


# ------------------------------------------------------------------ the cohort


def gathered(
    inputs: Inputs, painted: Mapping[str, float]
) -> tuple[dict[str, Found], list[Entry], dict[str, dict[str, Any]]]:
    """Evidence, ledger rows and features of all patients with slides, by pseudonym.

    ``painted`` holds tumour areas (percent) of painted maps: they count where no section of the
    patient is stained for the tumour, before what nuclei of the H&E alone say.
    """
    evidence: dict[str, Found] = {}
    entries: list[Entry] = []
    features: dict[str, dict[str, Any]] = {}
    for name, folder in inputs.items():
        if not name.startswith(PATIENT):
            continue
        found = read_json(folder / "patient.json")
        evidence[found["patient"]] = found["evidence"]
        if found["tumour_from"] != MARKED and found["patient"] in painted:
            found["evidence"]["tumour_area_percent"] = painted[found["patient"]]
        entries += [Entry(**{**e, "verdict": Fate(e["verdict"])}) for e in found["ledger"]]
        features[found["patient"]] = found["features"]
    return evidence, entries, features


PATIENT = "slides of "
MARKED = "marker"
"""What a patient's tumour area comes from where a section is stained for the tumour."""
