"""One simulated patient: thorax, scans, mask and truth, written as files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metasight.errors import VolumeError
from metasight.simulate.lung.centres import Centre, centre_of
from metasight.simulate.lung.defects import DEFECTS, scan_with, spoilt, write_with
from metasight.simulate.lung.dicom import CtSeries, Study, write_pet
from metasight.simulate.lung.masks import ROI, write_nifti, write_rtstruct, write_seg
from metasight.simulate.lung.nodule import Margin
from metasight.simulate.lung.patients import Patients, draw_patients
from metasight.simulate.lung.pet import draw_pet
from metasight.simulate.lung.phantom import SimulatedScan, scan_of
from metasight.simulate.lung.settings import LungSettings, NoduleSettings, ThoraxSettings
from metasight.simulate.lung.table import Course, draw_course
from metasight.simulate.lung.thorax import Thorax, draw_thorax
from metasight.simulate.settings import STAMP

_DOSE_MBQ = 290.0


def name_of(number: int) -> str:
    """Patient id of the number."""
    return f"SIM-{number + 1:04d}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One patient before pixels.

    Attributes
    ----------
    patients, course
        The patient alone.
    centre
        Where the scan is taken.
    defect
        Its name, or empty.
    click
        The lesion is given as one coordinate.
    contrast
        Whether.
    """

    patients: Patients
    course: Course
    centre: Centre
    defect: str
    click: bool
    contrast: bool


def plan_of(settings: LungSettings, seed: int, number: int) -> Plan:
    """What patient ``number`` is; depends on the seed and that number alone."""
    rng = np.random.default_rng([seed, 11, number])
    centre = centre_of(settings, seed, number % settings.centres)
    people = draw_patients(rng, settings, np.array([number % settings.centres]))
    course = draw_course(settings, people, rng)
    chance = np.random.default_rng([seed, 12, number]).random(3)
    spoiled = chance[0] < settings.defect_fraction
    return Plan(
        patients=people,
        course=course,
        centre=centre,
        defect=DEFECTS[number % len(DEFECTS)] if spoiled else "",
        click=bool(chance[1] < settings.click_fraction),
        contrast=bool(chance[2] < centre.contrast_share),
    )


def nodule_of(people: Patients) -> NoduleSettings:
    """The lesion of one patient, from its latents."""
    spiculation = float(people.spiculation[0])
    margin: Margin = "smooth"
    if spiculation > 0.35:
        margin = "spiculated"
    elif spiculation > -0.5:
        margin = "lobulated"
    size = float(people.size_mm[0])
    solid = size if people.ctr[0] == 1 else float(people.solid_mm[0])
    return NoduleSettings(
        diameter_mm=size,
        solid_diameter_mm=solid,
        margin=margin,
        lobe=int(people.lobe[0]),
        central=bool(people.central[0]),
        vessel=spiculation > 1.0,
        pleura="tag" if spiculation > 0.9 and not people.central[0] else "free",
        texture_hu=float(np.clip(12 * np.exp(0.45 * people.heterogeneity[0]), 2, 60)),
        ground_glass_hu=-600.0,
        solid_hu=32.0,
        suv=float(people.suv[0]),
    )


def drawn(settings: ThoraxSettings, seed: tuple[int, ...]) -> Thorax:
    """A thorax with the lesion in the lobe asked for, or where it fits.

    A large or central lesion does not fit into every lobe of every thorax: then a fissure may
    run through it, then the neighbouring lobes are tried, then any.

    Raises
    ------
    VolumeError
        It fits nowhere.
    """
    wanted = settings.nodule
    tries: list[dict[str, Any]] = [{}]
    if wanted is not None:
        same = (1, 4) if wanted.lobe in {1, 4} else (3, 5, 2)
        tries += [{"across_fissure": True}]
        tries += [{"lobe": lobe, "across_fissure": True} for lobe in same]
        anywhere: dict[str, Any] = {"lobe": None, "across_fissure": True, "pleura": "free"}
        tries += [anywhere, {**anywhere, "central": None}]
    for k, change in enumerate(tries):
        nodule = None if wanted is None else wanted.model_copy(update=change)
        try:
            return draw_thorax(
                settings.model_copy(update={"nodule": nodule}), np.random.default_rng([*seed, k])
            )
        except VolumeError:
            if k == len(tries) - 1:
                raise
    raise AssertionError  # pragma: no cover


def make_patient(settings: LungSettings, seed: int, number: int, scans: Path, truth: Path) -> None:
    """Write CT, PET and mask of one patient into ``scans`` and what is true into ``truth``."""
    plan = plan_of(settings, seed, number)
    people = plan.patients
    thorax_settings = ThoraxSettings(
        female=bool(people.female[0]),
        nodule=nodule_of(people),
        scan=scan_with(plan.defect, plan.centre.scan(settings, contrast=plan.contrast)),
    )
    thorax = drawn(thorax_settings, (seed, 13, number))
    scan = scan_of(thorax, thorax_settings, np.random.default_rng([seed, 14, number]))
    scan = spoilt(plan.defect, scan, np.random.default_rng([seed, 15, number]))
    study = _study_of(plan, seed, number)
    thickness = thorax_settings.scan.thickness_mm
    series = CtSeries(
        name="ct",
        number=2,
        machine=plan.centre.machine,
        thickness_mm=thickness,
        contrast=plan.contrast,
    )
    written = write_with(
        plan.defect, scans / "CT", study, series, scan, np.random.default_rng([seed, 16, number])
    )
    rows: list[dict[str, Any]] = [{"kind": "CT", "path": "CT"}]
    suvmax = 0.0
    if plan.course.pet[0]:
        pet = draw_pet(thorax, scan.grid, np.random.default_rng([seed, 17, number]))
        write_pet(scans / "PT", study, pet, dose_mbq=_DOSE_MBQ)
        suvmax = pet.suvmax
        rows.append({"kind": "PET", "path": "PT"})
    rows.append(_lesion_row(settings, plan, scans, study, scan, written.slices))
    write_nifti(truth / "lesion.nii.gz", scan.lesion_mask, scan.grid)
    if scan.solid_mask.any():
        write_nifti(truth / "solid.nii.gz", scan.solid_mask, scan.grid)
    _write_labels(truth / "labels.nii.gz", scan)
    _write_patient(truth / "patient.json", plan, scan, suvmax, rows)


def _study_of(plan: Plan, seed: int, number: int) -> Study:
    rng = np.random.default_rng([seed, 18, number])
    p = plan.patients
    female = bool(p.female[0])
    height = float(rng.normal(1.63 if female else 1.75, 0.06))
    day = np.datetime64("2018-01-01") + int(plan.course.outcome.treatment_day[0]) - 14
    return Study(
        patient=name_of(number),
        date=str(day).replace("-", ""),
        female=female,
        age_years=int(p.age_years[0]),
        weight_kg=float(height**2 * rng.uniform(19, 31)),
        height_m=height,
        centre=plan.centre.name,
        seed=seed,
    )


def _lesion_row(  # noqa: PLR0917
    settings: LungSettings,
    plan: Plan,
    scans: Path,
    study: Study,
    scan: SimulatedScan,
    slices: list[Any],
) -> dict[str, Any]:
    """Write the lesion's mask, or give a click within 2 mm of its centre."""
    lesion = scan.thorax.lesion
    if plan.click:
        rng = np.random.default_rng([study.seed, 19, int(study.patient[4:])])
        inner = lesion.whole if lesion.solid is None else lesion.solid
        x, y, z = np.array(inner.centre_mm) + rng.uniform(-1, 1, 3)
        return {
            "kind": "mask",
            "path": "",
            "roi": "",
            "x_mm": round(float(x), 1),
            "y_mm": round(float(y), 1),
            "z_mm": round(float(z), 1),
        }
    if settings.mask_kind == "nifti":
        write_nifti(scans / "lesion.nii.gz", scan.lesion_mask, scan.grid)
        return {"kind": "mask", "path": "lesion.nii.gz", "roi": ""}
    if plan.defect == "slice missing":
        # contours are drawn on the slices that are there
        kept = {str(s.SOPInstanceUID) for s in slices}
        whole = [k for k in range(scan.grid.shape[0]) if study.uid("ct", k) in kept]
    else:
        whole = list(range(scan.grid.shape[0]))
    if settings.mask_kind == "seg":
        write_seg(scans / "lesion.dcm", study, slices, scan.lesion_mask[whole])
    else:
        by_slice = dict(zip(whole, slices, strict=True))
        write_rtstruct(
            scans / "lesion.dcm", study, study.uid("ct"), by_slice, lesion.whole, scan.grid
        )
    return {"kind": "mask", "path": "lesion.dcm", "roi": ROI}


def _write_labels(path: Path, scan: SimulatedScan) -> None:
    import SimpleITK as sitk  # noqa: N813

    image = sitk.GetImageFromArray(scan.labels)
    image.SetSpacing([float(v) for v in scan.grid.spacing_mm[::-1]])
    image.SetOrigin([float(v) for v in scan.grid.origin_mm])
    image.SetMetaData("ITK_FileNotes", "simulated by metasight")
    sitk.WriteImage(image, str(path), useCompression=True)


def _write_patient(
    path: Path, plan: Plan, scan: SimulatedScan, suvmax: float, rows: list[dict[str, Any]]
) -> None:
    p, course = plan.patients, plan.course
    lesion = scan.lesion
    said = {
        "simulated": STAMP,
        "centre": plan.centre.name,
        "defect": plan.defect,
        "contrast": plan.contrast,
        "rows": rows,
        "suvmax_in_pet": suvmax or None,
        "lesion": None if lesion is None else lesion.to_json(),
        "latents": {
            "ctr": float(p.ctr[0]),
            "spiculation": float(p.spiculation[0]),
            "heterogeneity": float(p.heterogeneity[0]),
            "uptake": float(p.uptake[0]),
            "central": bool(p.central[0]),
        },
        "n_stage": int(course.stage[0]),
        "sbrt": bool(course.sbrt[0]),
        "kernel": plan.centre.kernel,
        "spacing_mm": list(scan.spacing_mm),
    }
    path.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", "utf-8")
