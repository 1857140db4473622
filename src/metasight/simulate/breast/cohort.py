"""A simulated study folder: tables, slides, ``study.toml`` and the truth beside them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metasight.engine.progress import Progress
from metasight.errors import EvaluationError
from metasight.simulate.breast.centres import centre_of
from metasight.simulate.breast.outcome import (
    Outcome,
    Risk,
    clinical_oracle_risk,
    draw_outcome,
    oracle_in_population,
    oracle_of,
    risk_of,
)
from metasight.simulate.breast.patients import Patients
from metasight.simulate.breast.settings import VERSION, BreastSettings
from metasight.simulate.breast.specimen import make_specimen, name_of, plan_of
from metasight.simulate.breast.study_file import study_toml
from metasight.simulate.breast.table import clinical_table
from metasight.simulate.driver import claim, drawn_from, fill, write_truth
from metasight.simulate.settings import STAMP
from metasight.spreadsheet import write_csv


def simulate_breast(
    folder: Path, settings: BreastSettings, seed: int, *, jobs: int, progress: Progress
) -> None:
    """Write a simulated ``breast-dmfs`` study that ``metasight run`` runs.

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
    for name in ("slides", "truth"):
        (folder / name).mkdir(exist_ok=True)
    fill(
        lambda i: (folder / "truth" / name_of(i)).is_dir(),
        partial(_make, folder, settings, seed),
        settings.patients,
        jobs=jobs,
        progress=progress,
    )
    _write_tables(folder, settings, seed)


def _make(folder: Path, settings: BreastSettings, seed: int, number: int) -> int:
    """One patient, beside first, then in place; the truth's folder comes last."""
    name = name_of(number)
    slides, truth = (folder / kind / f".{name}.partial" for kind in ("slides", "truth"))
    for part in (slides, truth):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
    make_specimen(settings, seed, number, slides, truth)
    for path in sorted(slides.iterdir()):
        os.replace(path, folder / "slides" / path.name)
    slides.rmdir()
    os.replace(truth, folder / "truth" / name)
    return number


# ------------------------------------------------------------------ tables


def cohort_of(settings: BreastSettings, seed: int) -> tuple[Patients, Risk, Outcome]:
    """Biology, hazards and outcome of all patients, as each patient's own seed gives them."""
    singles = [plan_of(settings, seed, i).patients for i in range(settings.patients)]
    patients = Patients(
        **{f.name: np.concatenate([getattr(p, f.name) for p in singles]) for f in fields(Patients)}
    )
    risk = risk_of(settings, patients)
    drawn = [
        draw_outcome(
            np.random.default_rng([seed, 5, i]),
            Risk(
                clinical=risk.clinical[i : i + 1],
                image=risk.image[i : i + 1],
                centre=risk.centre[i : i + 1],
                scale_years=risk.scale_years,
                death_per_year=risk.death_per_year[i : i + 1],
            ),
        )
        for i in range(settings.patients)
    ]
    outcome = Outcome(
        **{f.name: np.concatenate([getattr(o, f.name) for o in drawn]) for f in fields(Outcome)}
    )
    return patients, risk, outcome


def _write_tables(folder: Path, settings: BreastSettings, seed: int) -> None:
    patients, risk, outcome = cohort_of(settings, seed)
    names = [name_of(i) for i in range(settings.patients)]
    centres = [centre_of(settings, seed, c).name for c in range(settings.centres)]
    table = clinical_table(settings, seed, patients, outcome, names, centres)
    write_csv(table, folder / "patients.csv")
    lines = []
    for name in names:
        told = json.loads((folder / "truth" / name / "patient.json").read_text("utf-8"))
        lines += [{"patient": name, **line} for line in told["slides"]]
    slides = pd.DataFrame(lines)[["patient", "file", "stain", "markers"]]
    write_csv(slides, folder / "slides.csv")
    write_truth(folder / "truth" / "truth.json", _truth(settings, seed, patients, risk, outcome))
    (folder / "study.toml").write_text(study_toml(settings, seed), "utf-8")


def _truth(
    settings: BreastSettings, seed: int, patients: Patients, risk: Risk, outcome: Outcome
) -> dict[str, Any]:
    expected = oracle_in_population(settings)
    try:
        here = oracle_of(settings, patients, risk, outcome)
        cohort: dict[str, float] | None = {
            "clinical_c": here.clinical,
            "full_c": here.full,
            "increment": here.increment,
        }
    except EvaluationError:
        cohort = None  # too few events to compare anyone
    columns = {
        "log_hazard_clinical": risk.clinical,
        "log_hazard_image": risk.image,
        "log_hazard_centre": risk.centre + np.zeros(len(patients)),
        "log_hazard": risk.log_hazard + np.zeros(len(patients)),
        "risk_5_years": risk.risk(),
        "clinical_oracle_risk_5_years": clinical_oracle_risk(settings, patients, risk),
        "death_per_year": risk.death_per_year,
    }
    return {
        "simulated": STAMP,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        "endpoint": "dmfs",
        "oracle": {
            "cohort": cohort,
            "expected": {
                "clinical_c": expected.clinical,
                "full_c": expected.full,
                "increment": expected.increment,
            },
        },
        "weibull": {"shape": 1.3, "scale_years": risk.scale_years},
        "events": int(outcome.dmfs_event.sum()),
        "patients": [
            {"patient": name_of(i), **{k: round(float(v[i]), 8) for k, v in columns.items()}}
            for i in range(len(patients))
        ],
    }
