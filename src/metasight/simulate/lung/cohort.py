"""A simulated lung study folder: tables, scans, ``study.toml`` and the truth beside them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from metasight.engine.progress import Progress
from metasight.simulate.driver import claim, drawn_from, fill, write_truth
from metasight.simulate.lung.centres import centre_of
from metasight.simulate.lung.expression import write_expression
from metasight.simulate.lung.outcome import Outcome
from metasight.simulate.lung.patients import (
    Patients,
    clinical_probabilities,
    sbrt_probability,
    stage_probabilities,
)
from metasight.simulate.lung.settings import VERSION, LungSettings
from metasight.simulate.lung.specimen import make_patient, name_of, plan_of
from metasight.simulate.lung.study_file import study_toml
from metasight.simulate.lung.table import (
    Course,
    Reading,
    clinical_table,
    oracle_of,
    read_by_radiologist,
    simulate_nodal_table,
)
from metasight.simulate.settings import STAMP
from metasight.spreadsheet import write_csv

SCAN_COLUMNS = ("patient", "kind", "path", "roi", "x_mm", "y_mm", "z_mm")
"""Of ``scans.csv``: a row a series or mask; a mask without a path is a coordinate (LPS, mm)."""

_POPULATION = 20_000
_T = TypeVar("_T", Patients, Outcome)


def simulate_lung(
    folder: Path, settings: LungSettings, seed: int, *, jobs: int, progress: Progress
) -> None:
    """Write a simulated ``nsclc-occult-node`` study.

    Every patient is drawn from the seed and the patient's number alone and appears whole or not
    at all, so that an interrupted run goes on; the same settings and seed give the same bytes.

    Parameters
    ----------
    folder
        New, or one that the same settings and seed began to fill.
    settings, seed
        What the cohort is drawn from.
    jobs
        Processes.
    progress
        Told of patients done.

    Raises
    ------
    StudyError
        The folder holds something else.
    """
    claim(folder, drawn_from(settings, settings.key(seed), seed, VERSION))
    for name in ("scans", "truth"):
        (folder / name).mkdir(exist_ok=True)
    fill(
        lambda i: (folder / "truth" / name_of(i)).is_dir(),
        partial(_make, folder, settings, seed),
        settings.patients,
        jobs=jobs,
        progress=progress,
    )
    _write_tables(folder, settings, seed)


def _make(folder: Path, settings: LungSettings, seed: int, number: int) -> int:
    """One patient, beside first, then in place; the truth's folder comes last."""
    name = name_of(number)
    parts = [folder / kind / f".{name}.partial" for kind in ("scans", "truth")]
    for part in parts:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
    make_patient(settings, seed, number, *parts)
    # a killed run may have left the scans without their truth
    shutil.rmtree(folder / "scans" / name, ignore_errors=True)
    for part, kind in zip(parts, ("scans", "truth"), strict=True):
        os.replace(part, folder / kind / name)
    return number


# ------------------------------------------------------------------ tables


def cohort_of(settings: LungSettings, seed: int) -> tuple[Patients, Course]:
    """All patients and what became of them, as each one's own seed gives them."""
    plans = [plan_of(settings, seed, i) for i in range(settings.patients)]
    people = _joined(Patients, [p.patients for p in plans])
    outcome = _joined(Outcome, [p.course.outcome for p in plans])
    flags = {
        name: np.concatenate([getattr(p.course, name) for p in plans])
        for name in ("stage", "sbrt", "pet", "staged")
    }
    return people, Course(outcome=outcome, **flags)


def _joined(kind: type[_T], parts: list[_T]) -> _T:
    names = [f.name for f in fields(kind)]
    return kind(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def _write_tables(folder: Path, settings: LungSettings, seed: int) -> None:
    people, course = cohort_of(settings, seed)
    names = [name_of(i) for i in range(settings.patients)]
    told = [json.loads((folder / "truth" / n / "patient.json").read_text("utf-8")) for n in names]
    reading = _reading(settings, seed, told, course)
    centres = [centre_of(settings, seed, c).name for c in range(settings.centres)]
    table = clinical_table(settings, seed, people, course, reading, names, centres)
    write_csv(table, folder / "patients.csv")
    rows = [
        {"patient": n, **row} for n, said in zip(names, told, strict=True) for row in said["rows"]
    ]
    for row in rows:
        if row["path"]:
            row["path"] = f"{row['patient']}/{row['path']}"
    scans = pd.DataFrame(rows).reindex(columns=list(SCAN_COLUMNS))
    write_csv(scans, folder / "scans.csv")
    write_truth(folder / "truth" / "truth.json", _truth(settings, seed, people, course, told))
    if settings.genes:
        write_expression(
            folder, people, names, genes=settings.genes, share=settings.expression_share, seed=seed
        )
    (folder / "study.toml").write_text(study_toml(settings, seed), "utf-8")


def _reading(
    settings: LungSettings, seed: int, told: list[dict[str, Any]], course: Course
) -> Reading:
    """What radiologists read on the drawn lesions: longest diameter on any of three planes."""
    planes = ("axial_mm", "coronal_mm", "sagittal_mm")
    size, solid = (
        np.array([max(said["lesion"][part][k] for k in planes) for said in told])
        for part in ("whole", "solid")
    )
    shown = Reading(
        size_mm=size,
        solid_mm=solid,
        suvmax=np.array([said["suvmax_in_pet"] or np.nan for said in told]),
        upper_lobe=np.array([said["lesion"]["place"]["lobe"] in {1, 4} for said in told]),
    )
    return read_by_radiologist(settings, shown, course.pet, np.random.default_rng([seed, 20]))


def _truth(
    settings: LungSettings, seed: int, people: Patients, course: Course, told: list[dict[str, Any]]
) -> dict[str, Any]:
    large = settings.model_copy(update={"patients": _POPULATION})
    expected = simulate_nodal_table(large, 90_002).oracle
    here = oracle_of(settings, people, course.stage)
    full = stage_probabilities(settings, people)
    clinical = clinical_probabilities(settings, people)
    surgery = 1 - sbrt_probability(settings, people, course.stage)
    patients = {
        name_of(i): {
            "n_stage": int(course.stage[i]),
            "sbrt": bool(course.sbrt[i]),
            "probability": [float(v) for v in full[i]],
            "clinical_probability": [float(v) for v in clinical[i]],
            "surgery_probability": float(surgery[i]),
            "defect": told[i]["defect"],
        }
        for i in range(settings.patients)
    }
    return {
        "simulated": STAMP,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        "endpoint": "nodal_stage",
        "oracle_auc": {
            "cohort": {"clinical": _number(here.clinical), "full": _number(here.full)},
            "expected": {"clinical": expected.clinical, "full": expected.full},
        },
        "patients": patients,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
