"""A scan on its own: which series is read, how it was taken, and whether it can be measured.

The same reading and the same limits as in a study, without a patient, a lesion or an outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight.cohort.scan_table import DoseUnit, SeriesRow
from metasight.cohort.settings import ScanRecipe
from metasight.engine.guarded import guarded, limits_for
from metasight.engine.step import Inputs
from metasight.errors import VolumeError
from metasight.steps import artefacts
from metasight.steps.failures import why_failed
from metasight.steps.files import number
from metasight.steps.scans.reading import ct_rule, is_nifti, load_ct, pet_rule
from metasight.volumes import vocabulary
from metasight.volumes.ct_limits import CtLimits
from metasight.volumes.nifti import read_nifti
from metasight.volumes.pet import load_pet
from metasight.volumes.quality import CtQuality, ct_quality
from metasight.volumes.series import Found, SeriesChoice, candidates, choose_series, find_series
from metasight.volumes.volume import Volume

"""Of ``check.json``."""
_QUALITY = {"passed": "sufficient", "failed": "refused", "unknown": "unknown"}
Told = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CheckArgument:
    """One folder, zip or file, and how it is read.

    Attributes
    ----------
    path
        Of the scan.
    settings
        How scans are read.
    limits
        Of CT quality, from the protocol.
    pet_dose_unit
        In which the scanner wrote the injected activity.
    """

    path: Path
    settings: ScanRecipe
    limits: CtLimits
    pet_dose_unit: DoseUnit = "Bq"


def check_scans(inputs: Inputs, out: Path, argument: CheckArgument) -> None:
    """Read and judge the CT and the PET of a folder, and write ``check.json``.

    A folder without either gives the reason why there is no CT.
    """
    del inputs
    try:
        scans = guarded(_checked, limits_for(argument.path), VolumeError, argument)
    except Exception as error:  # noqa: BLE001 (whatever a damaged file raises is its own)
        scans = [_failed(None, error)]
    artefacts.CHECK.write(out, {"scans": scans})


def quality_found(quality: CtQuality) -> Told:
    """CT quality as plain values, each with its limit and verdict."""
    return {
        "verdict": quality.verdict,
        "contrast": quality.contrast,
        "kernel": quality.kernel,
        "findings": [
            {
                "name": f.name,
                "value": number(f.value),
                "limit": str(f.limit),
                "verdict": f.verdict,
                "said": f.said,
            }
            for f in quality.findings
        ],
    }


def _checked(argument: CheckArgument) -> list[Told]:
    if is_nifti(argument.path):
        return [_judged(read_nifti(argument.path, unit="HU"), None, argument)]
    found = find_series(argument.path)
    pet = bool(candidates(found, pet_rule(SeriesRow())))
    scans = []
    if candidates(found, ct_rule(argument.settings, SeriesRow())) or not pet:
        scans.append(_attempt("CT", lambda chosen: _ct(found, argument, chosen)))
    if pet:
        scans.append(_attempt("PET", lambda chosen: _pet(found, argument, chosen)))
    return scans


def _attempt(modality: str, work: Callable[[list[SeriesChoice]], Told]) -> Told:
    """What the work finds, or why it failed and which series it had chosen by then."""
    chosen: list[SeriesChoice] = []
    try:
        return work(chosen)
    except Exception as error:  # noqa: BLE001 (whatever a damaged file raises is its own)
        return _failed(modality, error, *chosen)


def _ct(found: Found, argument: CheckArgument, chosen: list[SeriesChoice]) -> Told:
    choice = choose_series(found, ct_rule(argument.settings, SeriesRow()))
    chosen.append(choice)
    return _judged(load_ct(choice, argument.settings), choice, argument)


def _judged(ct: Volume, choice: SeriesChoice | None, argument: CheckArgument) -> Told:
    quality = ct_quality(ct, argument.limits)
    told = quality_found(quality)
    return {
        "modality": "CT",
        "quality": _QUALITY[quality.verdict],
        "reasons": list(quality.reasons),
        "series": _series(choice),
        "read": _read(ct) | {"kernel": quality.kernel, "contrast": quality.contrast},
        "findings": told["findings"],
    }


def _pet(found: Found, argument: CheckArgument, chosen: list[SeriesChoice]) -> Told:
    """A PET; there are no limits of its quality, but SUV needs a header that says enough."""
    choice = choose_series(found, pet_rule(SeriesRow()))
    chosen.append(choice)
    pet = load_pet(choice, kind=argument.settings.suv, dose_unit=argument.pet_dose_unit)
    return {
        "modality": "PET",
        "quality": "sufficient",
        "reasons": [],
        "series": _series(choice),
        "read": _read(pet) | {"unit": pet.unit, "highest_suv": round(float(pet.array.max()), 3)},
        "findings": [],
    }


def _failed(modality: str | None, error: Exception, choice: SeriesChoice | None = None) -> Told:
    return {
        "modality": modality,
        "quality": "failed",
        "reasons": [why_failed(error)],
        "series": _series(choice),
        "read": None,
        "findings": [],
    }


def _series(choice: SeriesChoice | None) -> Told | None:
    """The series that was chosen and why no other; None for a file without series."""
    if choice is None:
        return None
    return {"chosen": str(choice.chosen), "why": choice.reason, "left": list(choice.left)}


def _read(volume: Volume) -> Told:
    """How a scan lies on its grid and was taken, in the field's own words."""
    facts = volume.facts
    columns, rows, slices = volume.image.GetSize()
    return {
        "slices": slices,
        "rows": rows,
        "columns": columns,
        "spacing_mm": [round(s, 4) for s in volume.spacing_mm],
        "slice_thickness_mm": facts.slice_thickness_mm,
        "tube_voltage_kv": facts.tube_voltage_kv,
        "kernel_name": vocabulary.kernel(facts.kernel) if facts.kernel else "",
        "contrast_agent_in_header": facts.contrast_agent,
    }
