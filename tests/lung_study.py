"""A small lung study whose first patients have scans, for tests of the workbench.

The table is made up; scans are simulated at 2 mm, which the study's own protocol lets pass, and
drawn once for all tests of a session.
"""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.simulate.lung.cohort import simulate_lung
from metasight.simulate.lung.settings import LungSettings
from metasight.study.file import read_study

PATIENTS = 40
LESIONS = "patient,mask,replaces,reader,day,reason\n"
DECISIONS = "patient,file,about,verdict,replaces,reader,day,reason\n"
MORE = """
[reader_lesions]
path = "reader_lesions.csv"
id = "patient"

[reader_decisions]
path = "reader_decisions.csv"
id = "patient"
"""
_MODELS = """
[[model]]
kind = "ordinal"
name = "clinical"

[[model]]
kind = "nodal_size"
name = "size alone"
"""


def write_lung_study(folder: Path, *, scanned: int = 1, seed: int = 4) -> None:
    """A study of 40 patients, the first of whom have a CT, a PET and a mask; not run yet."""
    settings = LungSettings(
        patients=scanned,
        pixel_mm=2.0,
        click_fraction=0.0,
        pet_fraction=1.0,
        ground_glass_fraction=0.0,
        ineligible_fraction=0.0,
        centres=2,
    )
    simulate_lung(folder, settings, seed, jobs=1, progress=Silent())
    shutil.rmtree(folder / "truth")
    drawn = pd.read_csv(folder / "patients.csv", dtype=str, keep_default_na=False)
    rng = np.random.default_rng(seed)
    rows = [dict(drawn.iloc[0]) for _ in range(PATIENTS)]
    for n, row in enumerate(rows):
        if n < scanned:
            row.update(dict(drawn.iloc[n]))
        else:
            row["patient"] = f"SIM-{n + 1:04d}"
            row["age_years"] = str(rng.integers(45, 85))
            size = rng.uniform(8, 29)
            row["tumour_size_mm"] = f"{size:.1f}"
            row["clinical_t"] = "T1a" if size <= 10 else "T1b" if size <= 20 else "T1c"
            row["solid_size_mm"], row["ctr"] = row["tumour_size_mm"], "1.0"
            row["central"] = str(rng.choice(["yes", "no"]))
        row["centre"] = ("North", "South")[n % 2]
        row["arm"] = "surgery"
        row["pathological_n"] = str(rng.choice(["N0", "N1", "N2"], p=[0.6, 0.25, 0.15]))
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    text = (folder / "study.toml").read_text("utf-8")
    before, _, rest = text.partition("[analysis]")
    analysis = "[analysis]" + rest[: rest.index("[[model]]")]
    analysis = analysis.replace('"clinical + scan"', '"clinical"')
    analysis = analysis.replace('reference_model = "clinical"', 'reference_model = "size alone"')
    analysis = analysis.replace("instability_resamples = 25", "instability_resamples = 0")
    analysis = analysis.replace("folds = 3", "folds = 2")
    analysis += "interval_refits = 0\nimputations = 0\n"
    before = before.replace(
        'pathological_n = "pathological_n"',
        'pathological_n = "pathological_n"\npure_ground_glass = "pure_ground_glass"',
    )
    built_in = files("metasight.protocol").joinpath("nsclc_occult_node.toml").read_text("utf-8")
    coarse = built_in.replace(
        "pixel_spacing_mm = { high = 1.0 }", "pixel_spacing_mm = { high = 3.0 }"
    )
    (folder / "coarse.toml").write_text(coarse, "utf-8")
    before = before.replace('protocol = "nsclc-occult-node"', 'protocol = "coarse.toml"')
    waived = '[waive]\nE1 = "scans of a few patients only, in a test"\n'
    (folder / "study.toml").write_text(before + MORE + waived + analysis + _MODELS, "utf-8")
    (folder / "reader_lesions.csv").write_text(LESIONS)
    (folder / "reader_decisions.csv").write_text(DECISIONS)


def run_study(folder: Path) -> None:
    """Run it to its end, in this process."""
    pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
