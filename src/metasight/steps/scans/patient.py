"""Scans of a study: each patient's CT read and judged, the lesion found and measured, the PET read.

A scan that cannot be used becomes a ledger row with the reason and the others go on. What criteria
ask of scans comes out as evidence, what models may read as feature columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from metasight.cohort.reader_decisions import ReaderDecision, decided
from metasight.cohort.reader_lesions import LESION_CHOICE, AcceptedLesion
from metasight.cohort.scan_table import LesionRow, PatientScans
from metasight.cohort.settings import ScanRecipe
from metasight.engine.guarded import guarded, limits_for
from metasight.engine.step import Inputs, StepKind
from metasight.errors import VolumeError
from metasight.features.columns import ERROR
from metasight.features.cropping import crop_of
from metasight.features.crops import write_crop
from metasight.features.radiomics.settings import RadiomicsSettings
from metasight.features.radiomics.texture import texture_of
from metasight.ledger import Entry, Fate
from metasight.lesions.against_table import disagreements
from metasight.lesions.disagreement import disagreement_of
from metasight.lesions.measured import LesionMeasured, measure
from metasight.lesions.picture import picture_of
from metasight.protocol.evidence import CT_QUALITY_POOR, MEASURED_ON_CT
from metasight.protocol.study import Protocol
from metasight.segmentation.lesion import Outlines
from metasight.segmentation.lung import Lungs, find_lungs
from metasight.steps import artefacts
from metasight.steps.failures import not_processed
from metasight.steps.files import link, number
from metasight.steps.scans.checking import quality_found
from metasight.steps.scans.reading import (
    outlined,
    read_apart,
    read_ct,
    read_suv,
    series_drawn_on,
    uptake_within,
)
from metasight.volumes.ct_limits import CtLimits
from metasight.volumes.mask_file import save_mask
from metasight.volumes.masks import read_mask
from metasight.volumes.quality import CtQuality, ct_quality
from metasight.volumes.series import SeriesChoice
from metasight.volumes.volume import Mask, Volume

Found = dict[str, Any]
T = TypeVar("T")

SCANS = "scans of "
CROPS = "crops"
"""Name of the step that holds all crops in one folder, and of the feature that names them."""
STAGE = "scans"
"""Of ``scan.json``."""
FEATURES = (
    "tumour_size_mm",
    "tumour_perpendicular_mm",
    "tumour_volume_mm3",
    "solid_size_mm",
    "solid_volume_mm3",
    "ctr",
    "ctr_volume",
    "pleura_gap_mm",
    "bronchi_gap_mm",
    "suvmax",
    "suvpeak",
    "tlg_41_suv_ml",
)
"""Measurements that models may read; all are kept in ``scan.json``."""


@dataclass(frozen=True, kw_only=True)
class ScanArgument:
    """One patient's scans and how they are read.

    Attributes
    ----------
    scans
        Of the patient.
    settings
        ``[scans]`` of the study.
    limits
        Of CT quality, from the protocol.
    radiomics
        How texture is measured; None where the study does not ask for it.
    decision
        Of a radiologist on the quality of the CT.
    accepted
        The lesion that a radiologist accepted in place of the table's; None for the table's own.
    """

    scans: PatientScans
    settings: ScanRecipe
    limits: CtLimits
    radiomics: RadiomicsSettings | None = None
    decision: ReaderDecision | None = None
    accepted: AcceptedLesion | None = None


class _Patient:
    """What is found of one patient, with a ledger row for whatever could not be."""

    def __init__(self, argument: ScanArgument) -> None:
        self.argument = argument
        self.rows: list[Entry] = []
        self.evidence: Found = {}
        self.measures: Found = {}
        self.measured: Found = {}
        self.radiomics: Found = {}

    def note(
        self,
        item: str,
        verdict: Fate,
        value: str,
        reason: str,
        decision: ReaderDecision | None = None,
    ) -> Fate:
        """Add a row; the verdict that stands in it."""
        entry = Entry(
            patient=self.argument.scans.patient,
            item=item,
            stage=STAGE,
            verdict=verdict,
            value=value,
            reason=reason,
        )
        self.rows.append(decided(entry, decision))
        return self.rows[-1].verdict

    def attempt(self, item: str, work: Callable[[], T]) -> T | None:
        """The work's result, or None and a ledger row: no file of one patient stops the others."""
        try:
            return work()
        except VolumeError as error:
            self.note(item, Fate.FAILED, error.value, str(error))
        except Exception as error:  # noqa: BLE001 (whatever a damaged file raises is its own row)
            self.note(item, Fate.FAILED, type(error).__name__, not_processed(error))
        return None

    def chosen(self, item: str) -> Callable[[SeriesChoice], None]:
        """A row for the series that is read and why, whatever becomes of it."""

        def note(choice: SeriesChoice) -> None:
            reason = "; ".join(choice.lines)
            self.note(item, Fate.KEPT, f"{len(choice.left)} not read", reason)

        return note


def measure_scans(inputs: Inputs, out: Path, argument: ScanArgument) -> None:
    """Read, judge and measure one patient.

    Writes ``scan.json`` and, of a lesion, ``lesion_mask.npz``, ``lesion.png`` and ``crop.h5``.
    """
    del inputs
    patient = _Patient(argument)
    quality = None
    scans = argument.scans
    if scans.ct is None:
        patient.note("CT", Fate.FAILED, "", "the table of scans has no CT of the patient")
    else:
        path = scans.ct
        named = patient.attempt("lesion", lambda: series_drawn_on(scans.lesion, scans.ct_series))
        drawn = named or frozenset()
        ct = patient.attempt(
            "CT",
            lambda: read_apart(
                read_ct,
                path,
                argument.settings,
                named=scans.ct_series,
                drawn=drawn,
                on_choice=patient.chosen("CT series"),
            ),
        )
        if ct is not None:
            quality = patient.attempt("CT", lambda: ct_quality(ct, argument.limits))
        if ct is not None and quality is not None:
            verdict = _judged(patient, ct, quality)
            # a file that cannot be opened has its row already
            if verdict is not Fate.EXCLUDED and named is not None:
                _lesion(patient, ct, out)
    artefacts.SCAN.write(
        out,
        {
            "patient": scans.patient,
            "quality": None if quality is None else quality_found(quality),
            "acquired": None if quality is None else _acquired(quality),
            "evidence": patient.evidence,
            "measured": patient.measured,
            "features": patient.measures,
            "radiomics": patient.radiomics,
            "ledger": [asdict(e) for e in patient.rows],
        },
    )


def _judged(patient: _Patient, ct: Volume, quality: CtQuality) -> Fate:
    """The verdict on the CT, a radiologist's where one decided."""
    fates = {"passed": Fate.KEPT, "failed": Fate.EXCLUDED, "unknown": Fate.UNKNOWN}
    spacing = " × ".join(f"{s:.2f}" for s in ct.spacing_mm)
    fate = patient.note(
        "CT",
        fates[quality.verdict],
        f"{spacing} mm, contrast {quality.contrast}",
        "; ".join(quality.reasons) or "within the protocol's limits of CT quality",
        patient.argument.decision,
    )
    patient.evidence[CT_QUALITY_POOR] = {Fate.KEPT: False, Fate.EXCLUDED: True}.get(fate)
    return fate


def _acquired(quality: CtQuality) -> Found:
    """How the CT was taken, as far as a new patient's must be alike."""
    values = {f.name: number(f.value) for f in quality.findings}
    return {"kernel": quality.kernel, "slice_mm": values.get("slice_distance_mm")}


def _lesion(patient: _Patient, ct: Volume, out: Path) -> None:
    """Find and measure the lesion; without one criteria stay unknown."""
    argument = patient.argument
    if argument.scans.lesion is None and argument.accepted is None:
        patient.note("lesion", Fate.FAILED, "", "the table of scans has no lesion of the patient")
        return
    lungs = patient.attempt("lungs", lambda: find_lungs(ct))
    drawn_lesion = _lesion_that_counts(patient, ct, lungs)
    if drawn_lesion is None:
        return
    mask, outlines = drawn_lesion
    save_mask(mask, artefacts.LESION_MASK.path(out))
    if mask.notes:
        patient.note("lesion mask", Fate.KEPT, f"{mask.volume_ml:.2f} ml", "; ".join(mask.notes))
    found = patient.attempt("lesion", lambda: measure(ct, mask, lungs=lungs))
    if found is None and lungs is not None:  # it lies in no lung: its size is known all the same
        found = patient.attempt("lesion", lambda: measure(ct, mask))
    if found is None:
        return
    if outlines is not None:
        found = found.with_disagreement(
            patient.attempt("outline", lambda: disagreement_of(outlines))
        )
    pet = _pet(patient)
    if patient.argument.scans.pet is not None:
        uptake = None
        if pet is not None:
            uptake = patient.attempt("PET", lambda: uptake_within(pet, mask, ct))
        found = found.with_uptake(uptake)
    _told(patient, found)
    fused = None if found.uptake is None else pet
    drawn = patient.attempt("picture", lambda: picture_of(ct, mask, found, pet=fused))
    if drawn is not None:
        (artefacts.LESION_PICTURE.path(out)).write_bytes(drawn)
    if patient.argument.radiomics is not None:
        _texture(patient, ct, mask, lungs)
    _crop(patient, (ct, mask, pet), found, out)


def _lesion_that_counts(
    patient: _Patient, ct: Volume, lungs: Lungs | None
) -> tuple[Mask, Outlines | None] | None:
    """The one that a reader accepted; without one, the table's."""
    told, accepted = patient.argument.scans.lesion, patient.argument.accepted
    if accepted is not None:
        return _accepted_mask(patient, accepted, ct)
    return None if told is None else _lesion_mask(patient, told, ct, lungs)


def _lesion_mask(
    patient: _Patient, told: LesionRow, ct: Volume, lungs: Lungs | None
) -> tuple[Mask, Outlines | None] | None:
    """The lesion that counts; which one and why is told where the table has several."""
    scans = patient.argument.scans
    any_series = bool(scans.ct_series.series)

    def read(row: LesionRow, item: str) -> tuple[Mask, Outlines | None] | None:
        return patient.attempt(item, lambda: outlined(row, ct, lungs, any_series=any_series))

    rows = (told, *scans.further_lesions)
    if len(rows) == 1:
        return read(told, "lesion")
    rule = f"(several_lesions = {scans.several_lesions})"
    if scans.several_lesions == "first":
        reason = f"the first of the patient's {len(rows)} lesions in the table counts {rule}"
        patient.note(LESION_CHOICE, Fate.KEPT, "lesion 1", reason)
        return read(told, "lesion")
    masks = [read(row, f"lesion {n}") for n, row in enumerate(rows, 1)]
    volumes = {n: m[0].volume_ml for n, m in enumerate(masks, 1) if m is not None}
    if len(volumes) < len(rows):  # the largest may be the one that could not be read
        patient.note(
            LESION_CHOICE,
            Fate.FAILED,
            f"{len(volumes)} of {len(rows)} lesions",
            f"which lesion is the largest is not known: not all could be read {rule}",
        )
        return None
    largest = max(volumes, key=lambda n: volumes[n])
    told_volumes = ", ".join(f"{v:.2f}" for v in volumes.values())
    patient.note(
        LESION_CHOICE,
        Fate.KEPT,
        f"lesion {largest} of {told_volumes} ml",
        f"the largest of the patient's {len(rows)} lesions in the table counts {rule}",
    )
    return masks[largest - 1]


def _accepted_mask(
    patient: _Patient, accepted: AcceptedLesion, ct: Volume
) -> tuple[Mask, None] | None:
    """The lesion that a reader accepted, and a row that says who and in place of what."""
    limits = limits_for(accepted.path)
    mask = patient.attempt(
        "lesion", lambda: guarded(read_mask, limits, VolumeError, accepted.path, ct)
    )
    if mask is None:
        return None
    patient.rows.append(
        Entry(
            patient=patient.argument.scans.patient,
            item=LESION_CHOICE,
            stage=STAGE,
            verdict=Fate.KEPT,
            value=f"accepted by a reader, {mask.volume_ml:.2f} ml",
            reason=accepted.reason,
            who=accepted.reader,
            when=accepted.day,
            replaced=accepted.replaces,
        )
    )
    return mask, None


def _texture(patient: _Patient, ct: Volume, lesion: Mask, lungs: Lungs | None) -> None:
    """Texture of lesion and shells, with its error, as the study asks."""
    asked, settings = patient.argument.radiomics, patient.argument.settings
    if asked is None:
        return
    found = patient.attempt(
        "radiomics",
        lambda: texture_of(
            ct,
            lesion,
            lungs,
            asked,
            shell_edges_mm=settings.shell_edges_mm,
            jitter=settings.jitter,
            name=patient.argument.scans.patient,
        ),
    )
    if found is None:
        return
    values, failed = found
    patient.radiomics = {k: number(v) for k, v in values.items()}
    for why in failed:
        patient.note("radiomics", Fate.FAILED, "", why)


def _crop(
    patient: _Patient, scan: tuple[Volume, Mask, Volume | None], found: LesionMeasured, out: Path
) -> None:
    """The cube that a network sees, where the study asks for it."""
    asked = patient.argument.settings.crops
    if asked is None:
        return
    ct, mask, pet = scan
    crop = patient.attempt("crop", lambda: crop_of(ct, mask, pet, found.solidity, asked))
    if crop is None and pet is not None:  # PET and CT do not belong together: CT alone
        crop = patient.attempt("crop", lambda: crop_of(ct, mask, None, found.solidity, asked))
    if crop is None:
        return
    write_crop(crop, artefacts.CROP.path(out))
    if crop.held_share < 1:
        patient.note(
            "crop",
            Fate.KEPT,
            f"{100 * crop.held_share:.0f} %",
            "the lesion is larger than its crop and was cut off",
        )


def _told(patient: _Patient, found: LesionMeasured) -> None:
    """The measurements as evidence, features and a ledger row."""
    row = {k: number(v) if isinstance(v, float) else v for k, v in found.as_row().items()}
    if found.disagreement is not None:
        row |= {k + ERROR: number(v) for k, v in found.disagreement.errors.items()}
    patient.measured = row
    told = (*FEATURES, *(k + ERROR for k in FEATURES))
    patient.measures = {k: _as_number(row[k]) for k in told if row.get(k) is not None}
    patient.evidence |= {k: row.get(k) for k in MEASURED_ON_CT}
    patient.note(
        "lesion",
        Fate.KEPT,
        f"{row['tumour_size_mm']:.1f} mm, CTR {row['ctr']:.2f} ({row['ctr_lower']:.2f} to "
        f"{row['ctr_upper']:.2f}), {row['attenuation']}",
        "; ".join((*found.solidity.doubts, *found.not_measured)),
    )
    if found.disagreement is not None:
        value = f"other outlines {found.disagreement.size_apart_mm:.1f} mm apart in size"
        if found.disagreement.flagged:
            value = f"in doubt; {value}"
        patient.note("outline", Fate.KEPT, value, found.disagreement.in_words())


def _as_number(value: Any) -> float:
    return float(value)


def _pet(patient: _Patient) -> Volume | None:
    """The patient's PET on its own grid."""
    scans = patient.argument.scans
    path = scans.pet
    if path is None:
        return None
    return patient.attempt(
        "PET",
        lambda: read_apart(
            read_suv,
            path,
            patient.argument.settings,
            named=scans.pet_series,
            dose_unit=scans.pet_dose_unit,
            on_choice=patient.chosen("PET series"),
        ),
    )


# ------------------------------------------------------------------ the cohort


def gather_crops(inputs: Inputs, out: Path, argument: None) -> None:
    """All crops as ``<pseudonym>.h5`` in one folder."""
    del argument
    for own in inputs.of(StepKind.MEASURE_SCANS):
        crop = artefacts.CROP.path(own.folder)
        if crop.is_file():
            link(crop, out / f"{own.subject}.h5")


def crop_keys(folder: Path) -> dict[str, str]:
    """Pseudonym → key of the crop."""
    return {p.stem: p.stem for p in sorted(folder.glob("*.h5"))}


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What scans tell of a cohort, by pseudonym."""

    evidence: dict[str, Found]
    features: dict[str, Found]
    radiomics: dict[str, Found]
    acquisition: dict[str, Found]
    acquired: dict[str, Found]
    entries: list[Entry]


def scanned(inputs: Inputs) -> Scanned:
    """What all patients' scans tell."""
    evidence: dict[str, Found] = {}
    features: dict[str, Found] = {}
    radiomics: dict[str, Found] = {}
    acquisition: dict[str, Found] = {}
    acquired: dict[str, Found] = {}
    entries: list[Entry] = []
    for own in inputs.of(StepKind.MEASURE_SCANS):
        found = artefacts.SCAN.read(own.folder)
        evidence[found["patient"]] = found["evidence"]
        features[found["patient"]] = {f"ct_{k}": v for k, v in found["features"].items()}
        radiomics[found["patient"]] = found["radiomics"]
        if found["acquired"] is not None:
            acquired[found["patient"]] = found["acquired"]
        if found["quality"] is not None:
            acquisition[found["patient"]] = {
                f"acquired_{f['name']}": f["value"] for f in found["quality"]["findings"]
            }
        entries += map(Entry.from_row, found["ledger"])
    texture = radiomics if any(radiomics.values()) else {}
    return Scanned(
        evidence=evidence,
        features=features,
        radiomics=texture,
        acquisition=acquisition,
        acquired=acquired,
        entries=entries,
    )


def against_table(
    table: pd.DataFrame, evidence: Mapping[str, Found], protocol: Protocol
) -> list[Entry]:
    """Ledger rows where a patient's scan gives reason to look at the table again.

    Nothing is overruled: the table's value counts, and the row says that somebody should look.
    """
    rows: list[Entry] = []
    for patient, found in evidence.items():
        if found.get("tumour_size_mm") is None or patient not in table.index:
            continue  # no lesion was measured, or nobody of the table has this scan
        row = {str(k): None if pd.isna(v) else v for k, v in table.loc[patient].items()}
        rows += [
            Entry(
                patient=patient,
                item="lesion",
                stage=STAGE,
                verdict=Fate.KEPT,
                criterion=d.criterion,
                value=d.value,
                reason=d.said,
            )
            for d in disagreements(row, found, protocol)
        ]
    return rows
