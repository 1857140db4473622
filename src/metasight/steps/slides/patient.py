"""Slides of a study, step by step: check each, read its markers, align and measure each patient.

A slide that cannot be used becomes a ledger row with the reason and the others go on. What
criteria ask of slides comes out as evidence per patient, what models may read as feature columns.
A ledger row stands under the criterion that reads the evidence; where several do, each has a row,
and where none does the row has no criterion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from metasight.alignment.transform import Transform
from metasight.cohort.decided import decision_in, fate_by_rule, with_decision
from metasight.cohort.reader_decisions import ReaderDecision, decided
from metasight.cohort.settings import SeveralHe
from metasight.cohort.slide_table import SlideRow
from metasight.engine.guarded import guarded, limits_for
from metasight.engine.step import Inputs, StepKind
from metasight.errors import MarkerError, SlideError
from metasight.ledger import Entry, Fate
from metasight.maps.cells import Cells
from metasight.maps.density import DensityMap
from metasight.maps.ome import write_density_map
from metasight.maps.window import TissueWindow
from metasight.protocol.criteria import CriterionTest
from metasight.protocol.evidence import (
    HE_QUALITY_SUFFICIENT,
    MIHC_SECTIONS,
    SECTIONS_ALIGNABLE,
    SLIDE_ARTEFACTS,
    TUMOUR_AREA_PERCENT,
)
from metasight.protocol.markers import MarkerNames, study_name
from metasight.protocol.study import Definition, SlideProtocol, require_roles
from metasight.steps import artefacts
from metasight.steps.failures import OF_ALL_SLIDES, why_failed
from metasight.steps.slides.choice import STAGE as CHOICE
from metasight.steps.slides.choice import (
    chosen_he,
    first_of_each_marker,
    told_of_he,
    usable_he,
)
from metasight.steps.slides.given_cells import map_given_cells
from metasight.steps.slides.one_slide import SlideArgument, opened
from metasight.steps.slides.pairs import Pair, density_together, he_window
from metasight.steps.slides.sections import (
    REGION_UM,
    check,
    checking,
    map_markers,
    map_nuclei,
    marker_settings,
    marking,
    measure_section,
    read_cells,
    read_tissue,
    scanned_area_um2,
)
from metasight.steps.slides.serial import bring_together, why_by_way
from metasight.steps.slides.tumour_share import (
    TISSUE_MAPS,
    JudgedShare,
    fate_by_share,
    judged_share,
    tumour_of_he,
)

Found = dict[str, Any]

"""Of ``patient.json``."""

SLIDE_FILE, SLIDE_QUALITY = "slide file", "slide quality"
MARKERS, ALIGNMENT = "markers", "alignment"
BIOMARKERS = "biomarkers"
"""Stages of a slide's ledger rows."""


@dataclass(frozen=True, kw_only=True)
class CheckArgument(SlideArgument):
    """One slide and what it is checked against.

    Attributes
    ----------
    definitions
        Of slide quality.
    decision
        Of a pathologist on this slide's quality.
    """

    definitions: tuple[Definition, ...]
    decision: ReaderDecision | None = None


@dataclass(frozen=True, kw_only=True)
class MarkersArgument(SlideArgument):
    """One slide and how its markers are read.

    Attributes
    ----------
    markers
        Of the study.
    thresholds
        Of the laboratory, by a marker's name or spelling.
    classes
        Class of cells as another program names it → marker.
    """

    markers: tuple[MarkerNames, ...]
    thresholds: dict[str, float] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)


def check_slide(inputs: Inputs, out: Path, argument: CheckArgument) -> None:
    """Quality of one slide, or why it could not be read."""
    del inputs
    path = argument.slide.path
    try:
        # the folder beside it is where MRXS keeps its tiles
        limits = limits_for(path, path.with_suffix("") if path.suffix else path)
        found = guarded(_checked, limits, SlideError, out, argument)
        artefacts.QUALITY.write(out, with_decision(found, "sufficient", argument.decision))
    except OF_ALL_SLIDES:
        raise
    except Exception as error:  # noqa: BLE001 (a damaged file may raise anything)
        artefacts.QUALITY.write(out, _failed(argument.slide, error))


def _checked(out: Path, argument: CheckArgument) -> Found:
    """A slide opened for the first time, and all of it looked at once."""
    with opened(argument) as slide:
        return check(
            slide, argument.slide.stain, argument.definitions, out, nuclear=argument.nuclear
        )


def read_markers(inputs: Inputs, out: Path, argument: MarkersArgument) -> None:
    """Marked cells of one slide that is good enough; of an H&E its nuclei."""
    row = argument.slide
    checked = inputs[checking(row.name)]
    quality = artefacts.QUALITY.read(checked)
    if "failed" in quality or quality["sufficient"] is False:
        why = quality.get("failed") or "; ".join(quality["reasons"])
        artefacts.MARKERS.write(out, {"slide": row.name, "failed": why})
        return
    tissue, mpp = read_tissue(artefacts.TISSUE.path(checked))
    try:
        if row.cells is not None:
            map_given_cells(
                row,
                quality,
                TissueWindow(mask=tissue, spacing_um=mpp),
                out,
                markers=argument.markers,
                classes=argument.classes,
            )
            return
        with opened(argument, argument.markers) as slide:
            if row.stain == "H&E":
                map_nuclei(slide, tissue, mpp, out)
                return
            map_markers(
                slide,
                tissue,
                mpp,
                out,
                markers=row.markers,
                channels=tuple(study_name(c, argument.markers) for c in slide.channels),
                settings=marker_settings(argument.markers, argument.nuclear, argument.thresholds),
            )
    except OF_ALL_SLIDES:
        raise
    except Exception as error:  # noqa: BLE001 (a damaged file may raise anything)
        artefacts.MARKERS.write(out, _failed(row, error))


def _failed(row: SlideRow, error: Exception) -> Found:
    why = why_failed(error)
    return {"slide": row.name, "stain": row.stain, "failed": why, "sufficient": False}


# ------------------------------------------------------------------ a patient


@dataclass(frozen=True, kw_only=True)
class PatientArgument:
    """A patient's slides and what is asked of them.

    Attributes
    ----------
    patient
        Pseudonym.
    slides
        All of them.
    protocol
        What measures on slides rest on.
    required
        Markers that the sections must show.
    seed
        Of nulls and intervals.
    alignments
        Name of a marker section → a pathologist's decision on its alignment.
    several_he
        Which H&E counts where several may be used.
    """

    patient: str
    slides: tuple[SlideArgument, ...]
    protocol: SlideProtocol
    required: tuple[str, ...]
    seed: int
    alignments: Mapping[str, ReaderDecision] = field(default_factory=dict)
    several_he: SeveralHe = "first"


@dataclass
class _Patient:
    """What is known of a patient's slides so far."""

    argument: PatientArgument
    inputs: Inputs
    out: Path
    entries: list[Entry] = field(default_factory=list)
    evidence: dict[str, bool | float | None] = field(default_factory=dict)
    features: dict[str, float | None] = field(default_factory=dict)
    acquired: list[Found] = field(default_factory=list)
    tumour_from: str = ""

    def criteria_on(self, variable: str) -> tuple[CriterionTest | None, ...]:
        """Criteria whose condition reads the variable; None alone where there is none."""
        return self.argument.protocol.criteria_on(variable) or (None,)

    def note_on(  # noqa: PLR0917
        self,
        variable: str,
        item: str,
        stage: str,
        verdict: Fate,
        value: str,
        reason: str,
        decision: ReaderDecision | None = None,
    ) -> None:
        """A row for each criterion that reads ``variable``, all with one verdict."""
        for criterion in self.criteria_on(variable):
            self.note(item, stage, verdict, criterion, value, reason, decision)

    def note(  # noqa: PLR0917
        self,
        item: str,
        stage: str,
        verdict: Fate,
        criterion: CriterionTest | None,
        value: str,
        reason: str,
        decision: ReaderDecision | None = None,
    ) -> None:
        entry = Entry(
            patient=self.argument.patient,
            item=item,
            stage=stage,
            verdict=verdict,
            criterion=criterion.id if criterion is not None else "",
            value=value,
            reason=reason,
        )
        self.entries.append(decided(entry, decision))


def measure_patient(inputs: Inputs, out: Path, argument: PatientArgument) -> None:
    """Align, map and measure one patient; evidence, features and ledger rows."""
    patient = _Patient(argument=argument, inputs=inputs, out=out)
    good = _judge_slides(patient)
    he = _h_and_e(patient)
    marked = [a for a in good if a.slide.stain != "H&E" and _has_markers(patient, a)]
    marked = _one_of_each_marker(patient, marked)
    aligned = _align(patient, he, marked) if he is not None else {}
    found = {m for a in marked for m in a.slide.markers}
    patient.evidence[MIHC_SECTIONS] = set(argument.required) <= found
    usable = {m for a in marked if a.slide.name in aligned for m in a.slide.markers}
    patient.evidence[SECTIONS_ALIGNABLE] = set(argument.required) <= usable
    try:
        _measure(patient, he, marked, aligned)
    except OF_ALL_SLIDES:
        raise
    except Exception as error:  # noqa: BLE001 (a damaged file may raise anything)
        patient.note("patient", BIOMARKERS, Fate.FAILED, None, "", why_failed(error))
        patient.evidence[TUMOUR_AREA_PERCENT] = None
        patient.features, patient.tumour_from = {}, ""
    artefacts.PATIENT.write(
        out,
        {
            "patient": argument.patient,
            "evidence": patient.evidence,
            "features": patient.features,
            "acquired": patient.acquired,
            "tumour_from": patient.tumour_from,
            "ledger": [asdict(e) for e in patient.entries],
        },
    )


def _judge_slides(patient: _Patient) -> list[SlideArgument]:
    """Slides that may be used.

    An H&E stands under what is asked of the H&E, where anything is, and else, like a marker
    section, under what is asked of all slides.
    """
    protocol = patient.argument.protocol
    good: list[SlideArgument] = []
    by_stain: dict[bool, list[bool | None]] = {True: [], False: []}
    for a in patient.argument.slides:
        folder = patient.inputs[checking(a.slide.name)]
        found = artefacts.QUALITY.read(folder)
        is_he = a.slide.stain == "H&E"
        by_stain[is_he].append(found["sufficient"])
        if "failed" in found:
            fate, why = Fate.FAILED, found["failed"]
        else:
            fate, why = fate_by_rule(found, "sufficient"), "; ".join(found["reasons"])
        asked = SLIDE_ARTEFACTS
        if is_he and protocol.criteria_on(HE_QUALITY_SUFFICIENT):
            asked = HE_QUALITY_SUFFICIENT
        patient.note_on(asked, a.slide.name, SLIDE_QUALITY, fate, "", why, decision_in(found))
        if found.get("notes"):
            said = "; ".join(found["notes"])
            patient.note(a.slide.name, SLIDE_FILE, Fate.KEPT, None, "", said)
        if found["sufficient"] is not False:
            good.append(a)
            patient.acquired.append({"stain": a.slide.stain, "mpp": found["mpp"]})
    patient.evidence[HE_QUALITY_SUFFICIENT] = _any(by_stain[True])
    sufficient = _all([*by_stain[True], *by_stain[False]])
    patient.evidence[SLIDE_ARTEFACTS] = None if sufficient is None else not sufficient
    return good


def _h_and_e(patient: _Patient) -> SlideArgument | None:
    """The H&E that counts; a row says which and why where several could."""
    argument, inputs = patient.argument, patient.inputs
    he = chosen_he(inputs, argument.slides, argument.several_he)
    reason = told_of_he(usable_he(inputs, argument.slides), argument.several_he)
    if he is not None and reason:
        patient.note(he.slide.name, CHOICE, Fate.KEPT, None, "", reason)
    return he


def _one_of_each_marker(patient: _Patient, marked: list[SlideArgument]) -> list[SlideArgument]:
    """Marker sections without those whose markers an earlier one shows, which have a row."""
    kept = list(first_of_each_marker(marked))
    for a in marked:
        if a not in kept:
            reason = "an earlier section of the table shows its markers; it is not measured"
            patient.note(a.slide.name, CHOICE, Fate.EXCLUDED, None, "", reason)
    return kept


def _any(values: Sequence[bool | None]) -> bool | None:
    if True in values:
        return True
    return None if None in values else False


def _all(values: Sequence[bool | None]) -> bool | None:
    if False in values or not values:
        return False
    return None if None in values else True


def _has_markers(patient: _Patient, a: SlideArgument) -> bool:
    found = artefacts.MARKERS.read(patient.inputs[marking(a.slide.name)])
    if "failed" in found:
        patient.note_on(MIHC_SECTIONS, a.slide.name, MARKERS, Fate.FAILED, "", found["failed"])
        return False
    counts = ", ".join(f"{m['marker']} {m['per_mm2']:.0f}/mm²" for m in found["markers"])
    of_file = artefacts.QUALITY.read(patient.inputs[checking(a.slide.name)]).get("notes", ())
    said = "; ".join(n for n in found.get("notes", ()) if n not in of_file)
    patient.note_on(MIHC_SECTIONS, a.slide.name, MARKERS, Fate.KEPT, counts, said)
    return True


def _align(
    patient: _Patient, he: SlideArgument, marked: Sequence[SlideArgument]
) -> dict[str, Transform]:
    """Accepted alignments of the marker sections to the H&E, by slide name."""
    folders = {a.slide.name: patient.out / f"alignment-{a.slide.name}" for a in marked}
    for folder in folders.values():
        folder.mkdir()
    accepted: dict[str, Transform] = {}
    together = bring_together(he, marked, patient.argument.protocol, folders)
    for a in marked:
        name = a.slide.name
        brought = together[name]
        if isinstance(brought, Exception):
            why = why_failed(brought)
            patient.note_on(SECTIONS_ALIGNABLE, name, ALIGNMENT, Fate.FAILED, "", why)
            continue
        decision = patient.argument.alignments.get(name)
        found = with_decision(brought.found, "accepted", decision)
        artefacts.ALIGNMENT.write(folders[name], found)
        p90 = found["error_p90_um"]
        value = "" if p90 is None else f"predicted p90 {p90:.0f} µm"
        said = [*found["reasons"], *([way] if (way := why_by_way(found)) else [])]
        fate = fate_by_rule(found, "accepted")
        patient.note_on(SECTIONS_ALIGNABLE, name, ALIGNMENT, fate, value, "; ".join(said), decision)
        if found["accepted"]:
            accepted[name] = brought.alignment.transform
    return accepted


def _measure(
    patient: _Patient,
    he: SlideArgument | None,
    marked: Sequence[SlideArgument],
    aligned: dict[str, Transform],
) -> None:
    """Tumour area, density map and biomarkers, from the best that there is."""
    roles = patient.argument.protocol.marker_roles
    wanted = set(roles.names) if roles is not None else set()
    whole = next((a for a in marked if wanted <= set(a.slide.markers)), None)
    together = {m for a in marked if a.slide.name in aligned for m in a.slide.markers}
    if wanted and whole is not None:
        _measure_one(patient, whole)
    elif wanted and he is not None and wanted <= together:
        _measure_together(patient, he, [a for a in marked if a.slide.name in aligned], aligned)
    elif he is not None:
        _tumour_from_he(patient, he)
    else:
        patient.evidence[TUMOUR_AREA_PERCENT] = None


def _measure_one(patient: _Patient, a: SlideArgument) -> None:
    """Cells of one section that carries all markers."""
    tissue, mpp = read_tissue(artefacts.TISSUE.path(patient.inputs[checking(a.slide.name)]))
    window = TissueWindow(mask=tissue, spacing_um=mpp)
    cells = read_cells(artefacts.CELLS.path(patient.inputs[marking(a.slide.name)]), a.slide.markers)
    _conclude(patient, a, cells, window)


def _measure_together(
    patient: _Patient,
    he: SlideArgument,
    marked: Sequence[SlideArgument],
    aligned: dict[str, Transform],
) -> None:
    """Densities of markers from several sections, brought onto the H&E."""
    pairs = [
        Pair(section=a.slide.name, markers=a.slide.markers, transform=aligned[a.slide.name])
        for a in marked
    ]
    density = density_together(
        patient.inputs,
        pairs,
        he_window(patient.inputs[checking(he.slide.name)]),
        require_roles(patient.argument.protocol, where=BIOMARKERS).names,
        bandwidth_um=REGION_UM,
    )
    if density is None:
        patient.note("patient", BIOMARKERS, Fate.FAILED, None, "", "the sections share no tissue")
        return
    _conclude(patient, he, density, density.window)


def _conclude(
    patient: _Patient, a: SlideArgument, data: Cells | DensityMap, window: TissueWindow
) -> None:
    full = artefacts.QUALITY.read(patient.inputs[checking(a.slide.name)])
    try:
        measured = measure_section(
            data,
            window,
            patient.argument.protocol,
            patient.out,
            slide=a.slide.name,
            scanned_area_um2=scanned_area_um2(full),
            mpp=full["mpp"],
            seed=patient.argument.seed,
        )
    except MarkerError as error:
        patient.note(a.slide.name, BIOMARKERS, Fate.FAILED, None, "", str(error))
        return
    write_density_map(measured.density, artefacts.DENSITY.path(patient.out))
    patient.evidence[TUMOUR_AREA_PERCENT] = measured.tumour.percent
    patient.tumour_from = MARKED
    patient.features = {m["name"]: m["value"] for m in measured.found["measures"]}
    _note_tumour(patient, a, measured.tumour.percent, measured.tumour.basis)


def _note_tumour(patient: _Patient, a: SlideArgument, percent: float, basis: str) -> None:
    for criterion in patient.criteria_on(TUMOUR_AREA_PERCENT):
        fate = fate_by_share(criterion, percent)
        patient.note(
            a.slide.name, TISSUE_MAPS, fate, criterion, f"{percent:.1f} %", f"from {basis}"
        )


def _tumour_from_he(patient: _Patient, he: SlideArgument) -> None:
    """Tumour area from nuclei of the H&E; its interval decides what a criterion makes of it.

    Unknown where the ends of the interval lead to different verdicts: an H&E alone cannot say.
    """
    inputs, protocol = patient.inputs, patient.argument.protocol
    tissue, mpp = read_tissue(artefacts.TISSUE.path(inputs[checking(he.slide.name)]))
    try:
        with opened(he) as slide:
            found = tumour_of_he(slide, tissue, mpp, inputs[marking(he.slide.name)])
    except OF_ALL_SLIDES:
        raise
    except Exception as error:  # noqa: BLE001 (a damaged file may raise anything)
        patient.evidence[TUMOUR_AREA_PERCENT] = None
        weak = isinstance(error, MarkerError)  # too few nuclei: the H&E cannot say
        fate = Fate.UNKNOWN if weak else Fate.FAILED
        why = error.problem if isinstance(error, MarkerError) else why_failed(error)
        patient.note_on(TUMOUR_AREA_PERCENT, he.slide.name, TISSUE_MAPS, fate, "", why)
        return
    judged = judged_share(
        patient.argument.patient, he.slide.name, protocol, found.estimate, found.basis
    )
    patient.entries += judged.entries
    patient.evidence[TUMOUR_AREA_PERCENT] = judged.percent


# ------------------------------------------------------------------ the cohort


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What slides tell of a cohort, by pseudonym.

    Attributes
    ----------
    evidence
        What criteria ask of slides.
    entries
        Ledger rows.
    features
        What models may read.
    acquired
        Stain and resolution of every slide of sufficient quality.
    """

    evidence: dict[str, Found]
    entries: list[Entry]
    features: dict[str, dict[str, Any]]
    acquired: dict[str, list[Found]]


def gathered(inputs: Inputs, painted: Mapping[str, JudgedShare]) -> Gathered:
    """What all patients' slides tell.

    ``painted`` holds what painted maps tell of tumour areas: they count where no section of the
    patient is stained for the tumour, in place of what nuclei of the H&E alone say.
    """
    told = Gathered(evidence={}, entries=[], features={}, acquired={})
    for own in inputs.of(StepKind.MEASURE_SLIDES):
        found = artefacts.PATIENT.read(own.folder)
        patient = found["patient"]
        entries = list(map(Entry.from_row, found["ledger"]))
        if found["tumour_from"] != MARKED and patient in painted:
            found["evidence"][TUMOUR_AREA_PERCENT] = painted[patient].percent
            entries = [e for e in entries if e.stage != TISSUE_MAPS]
            entries += painted[patient].entries
        told.evidence[patient] = found["evidence"]
        told.entries.extend(entries)
        told.features[patient] = found["features"]
        told.acquired[patient] = found["acquired"]
    return told


PATIENT = "slides of "
MARKED = "marker"
"""What a patient's tumour area comes from where a section is stained for the tumour."""
