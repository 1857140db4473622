"""A patient's scans as the study reads them, kept open in bounded memory, and their lesion."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metasight.cohort.scan_table import PatientScans, read_scan_table
from metasight.cohort.settings import ScanRecipe
from metasight.engine.step import StepKind
from metasight.errors import VolumeError
from metasight.lesions.size import PLANES, Size, size_of
from metasight.report.wording import number
from metasight.serve.last_run import LastRun
from metasight.serve.scan_slices import Frame, calipers_of, outlines_of
from metasight.steps import artefacts
from metasight.steps.scans.reading import read_ct, read_suv, series_drawn_on
from metasight.study.file import Study
from metasight.volumes.mask_file import load_mask
from metasight.volumes.series import SeriesChoice
from metasight.volumes.volume import Mask, Volume

MOST_BYTES = 1536 * 1024 * 1024
"""Voxels of scans that are kept; the last one is kept whatever its size."""
_SAME_MM = 0.1
"""Diameters within it are the same: reported ones are rounded."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenScan:
    """A patient's scans, read.

    Attributes
    ----------
    ct
        In HU.
    pet
        In SUV; None without one.
    why_no_pet
        Why the PET cannot be shown; empty where it is, or there is none.
    """

    ct: Volume
    pet: Volume | None = None
    why_no_pet: str = ""

    @property
    def n_bytes(self) -> int:
        """Of all voxels."""
        return sum(v.array.nbytes for v in (self.ct, self.pet) if v is not None)


class OpenScans:
    """Scans that were asked for last."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._open: OrderedDict[str, OpenScan] = OrderedDict()
        self._reading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def of(self, scans: PatientScans, recipe: ScanRecipe) -> OpenScan:
        """Scans of a patient; who asks for the same meanwhile waits for them.

        Raises
        ------
        VolumeError
            There is no CT, or it cannot be read.
        """
        with self._lock:
            reading = self._reading.setdefault(scans.patient, threading.Lock())
        with reading:
            with self._lock:
                found = self._open.get(scans.patient)
                if found is not None:
                    self._open.move_to_end(scans.patient)
                    return found
            found = read_scans(scans, recipe)
            with self._lock:
                self._open[scans.patient] = found
                while len(self._open) > 1 and self._held() > self._most:
                    self._open.popitem(last=False)
            return found

    def forget(self) -> None:
        """Read every scan anew when it is next asked for."""
        with self._lock:
            self._open.clear()

    def _held(self) -> int:
        return sum(s.n_bytes for s in self._open.values())


def read_scans(scans: PatientScans, recipe: ScanRecipe) -> OpenScan:
    """CT and PET of a patient by the rules of the study, as its steps read them.

    Raises
    ------
    VolumeError
        There is no CT, or it cannot be read.
    """
    ct = read_own_ct(scans, recipe)
    if scans.pet is None:
        return OpenScan(ct=ct)
    try:
        pet = read_suv(
            scans.pet,
            recipe,
            named=scans.pet_series,
            dose_unit=scans.pet_dose_unit,
            on_choice=_quietly,
        )
    except VolumeError as error:
        return OpenScan(ct=ct, why_no_pet=str(error))
    ours, theirs = pet.facts.frame_of_reference, ct.facts.frame_of_reference
    if ours and theirs and ours != theirs:
        return OpenScan(ct=ct, why_no_pet="PET and CT are not in one frame of reference")
    return OpenScan(ct=ct, pet=pet)


def read_own_ct(scans: PatientScans, recipe: ScanRecipe) -> Volume:
    """The CT of a patient that the study measures.

    Raises
    ------
    VolumeError
        There is none, or it cannot be read.
    """
    if scans.ct is None:
        raise VolumeError(
            "the table of scans has no CT of the patient", remedy="Add it to the table of scans"
        )
    drawn = series_drawn_on(scans.lesion, scans.ct_series)
    return read_ct(scans.ct, recipe, named=scans.ct_series, drawn=drawn)


def _quietly(choice: SeriesChoice) -> None:
    """The step's ledger has said which series was chosen."""


def scan_rows(study: Study) -> Mapping[str, PatientScans]:
    """Pseudonym → scans, as the study's table has them."""
    if study.settings.scans is None:
        return {}
    return {row.patient: row for row in read_scan_table(study.folder, study.settings)}


def measured_of(run: LastRun, patient: str) -> Mapping[str, Any]:
    """What the run measured of a patient's lesion, by name; empty where it measured none."""
    folder = run.of_patient(StepKind.MEASURE_SCANS, patient)
    found: Mapping[str, Any] = {} if folder is None else artefacts.SCAN.read(folder)["measured"]
    return found


def lesion_of(run: LastRun, patient: str) -> Mask | None:
    """The lesion that the run measured; None where it measured none."""
    folder = run.of_patient(StepKind.MEASURE_SCANS, patient)
    if folder is None or not artefacts.LESION_MASK.is_in(folder):
        return None
    return load_mask(artefacts.LESION_MASK.path(folder))


def drawn_lesion(mask: Mask, ct: Volume) -> dict[str, Any]:
    """Outlines and diameters of a lesion over the slices of its scan.

    Raises
    ------
    VolumeError
        The mask is not on the scan's grid.
    """
    size = size_of(mask.on(ct))
    return {
        "outlines": {plane: outlines_of(mask, plane) for plane in PLANES},
        "calipers": calipers_of(size, ct.grid),
        "start": _start(size, ct),
    }


def lesion_shown(run: LastRun, patient: str, ct: Volume) -> tuple[dict[str, Any] | None, str]:
    """The run's lesion as it is drawn; None, and why, where it cannot be.

    Its diameters are computed anew from the mask; where they are not those that the run reported,
    nothing is drawn.
    """
    mask = lesion_of(run, patient)
    if mask is None:
        return None, "the last run measured no lesion of this patient"
    try:
        drawn = drawn_lesion(mask, ct)
    except VolumeError as error:
        return None, f"the lesion was measured on another scan than the one that is there: {error}"
    reported = measured_of(run, patient)
    for own in drawn["calipers"]:
        told = reported.get(f"{own['plane']}_longest_mm")
        if told is not None and abs(float(told) - own["longest_mm"]) > _SAME_MM:
            return None, "its diameters are not those that the run reported; run the study again"
    return drawn, ""


def frames_of(ct: Volume) -> dict[str, dict[str, float]]:
    """Slices of each plane, for the page's script."""
    return {
        f.plane: {
            "slices": f.slices,
            "width": round(f.width_mm, 4),
            "height": round(f.height_mm, 4),
            "column": f.column_mm,
            "row": f.row_mm,
            "apart": f.apart_mm,
        }
        for f in (Frame.of(ct.grid, plane) for plane in PLANES)
    }


def _start(size: Size, ct: Volume) -> dict[str, int]:
    """The slice of each plane on which the lesion is longest."""
    found: dict[str, int] = {p: Frame.of(ct.grid, p).slices // 2 for p in PLANES}
    return found | {plane: own.slice_index for plane, own in size.by_plane.items()}


def series_facts(scan: OpenScan) -> list[tuple[str, str]]:
    """How the scans were taken and read, in words; nothing that names anybody."""
    ct = scan.ct
    facts, (x, y, z) = ct.facts, ct.spacing_mm
    contrast = {True: "yes", False: "no", None: "not said"}[facts.contrast_agent]
    said = [
        ("CT", f"{ct.grid.size[2]} slices, {number(z, 2)} mm apart"),
        ("Pixels", f"{ct.grid.size[0]} × {ct.grid.size[1]}, {number(x, 2)} × {number(y, 2)} mm"),
        ("Slice thickness", _mm(facts.slice_thickness_mm)),
        ("Scanner", " ".join(p for p in (facts.manufacturer, facts.model) if p)),
        ("Kernel", facts.kernel),
        ("Tube voltage", f"{facts.tube_voltage_kv:.0f} kV" if facts.tube_voltage_kv else ""),
        ("Contrast agent", contrast),
    ]
    if facts.missing_slices_mm:
        said.append(("Missing slices, interpolated", str(len(facts.missing_slices_mm))))
    if scan.pet is not None:
        px, py, pz = scan.pet.spacing_mm
        unit = scan.pet.unit
        said.append(("PET", f"{unit}, voxels {px:.1f} × {py:.1f} × {pz:.1f} mm"))
    if scan.why_no_pet:
        said.append(("PET is not shown", scan.why_no_pet))
    said += [("Series", line) for line in facts.choice]
    return [(name, value) for name, value in said if value]


def _mm(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} mm"
