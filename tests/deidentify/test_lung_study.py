"""A lung study on de-identified input measures and decides what it does on the original.

The whole study, to its report: ``bench/deidentified_lung.py``.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from deidentified_study import coarse, compare, deidentify, new_names, renamed
from metasight.engine.progress import Silent
from metasight.simulate.lung.cohort import simulate_lung
from metasight.simulate.lung.settings import LungSettings
from worked import screened

SETTINGS = LungSettings(
    patients=2,
    pixel_mm=2.0,
    click_fraction=0.0,
    pet_fraction=1.0,
    ground_glass_fraction=0.0,
    ineligible_fraction=0.0,
)


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder of the screened cohort of each of the three studies, and of the original study."""
    work = tmp_path_factory.mktemp("lung")
    original = work / "original"
    simulate_lung(original, SETTINGS, 4, jobs=1, progress=Silent())
    folders = {"new": deidentify(original, work), "renamed": renamed(original, work)}
    found = {name: screened(coarse(f)) for name, f in (*folders.items(), ("original", original))}
    return {**found, "study": original}


def test_nothing_but_the_time_of_accrual_differs_from_the_original_under_the_new_ids(
    cohorts: dict[str, Path],
) -> None:
    told = compare(cohorts["renamed"], cohorts["new"])
    assert {"table.parquet", "modality_scan.parquet", "ledger.parquet"} <= {c.name for c in told}
    by_name = {c.name: c.where for c in told if c.differing}
    # marks are of ids and days; the year is moved; and hashes of these
    assert set(by_name) <= {"cohort.json", "overlap.json", "table.parquet", "files.json"}
    assert set(by_name.get("cohort.json", ())) <= {"/accrual/0", "/accrual/1"}
    one, other = (pd.read_parquet(cohorts[n] / "table.parquet") for n in ("renamed", "new"))
    assert (one["year"] > other["year"]).all()
    pd.testing.assert_frame_equal(one.drop(columns="year"), other.drop(columns="year"))


def test_every_patient_is_measured_as_in_the_original(cohorts: dict[str, Path]) -> None:
    names = new_names(cohorts["study"], coarse(cohorts["study"]).settings.key)
    for file in ("modality_scan.parquet", "table.parquet"):
        was, now = (pd.read_parquet(cohorts[n] / file) for n in ("original", "new"))
        was = was.rename(index=names).loc[now.index].drop(columns="year", errors="ignore")
        pd.testing.assert_frame_equal(
            was, now.drop(columns="year", errors="ignore"), check_exact=True
        )
    scan = pd.read_parquet(cohorts["new"] / "modality_scan.parquet")
    measured = ["ct_tumour_size_mm", "ct_solid_size_mm", "ct_suvmax"]
    assert scan[measured].notna().all(axis=None)
