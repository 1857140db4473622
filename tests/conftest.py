"""Fixtures for every folder: the shared data beside the checkout, and small made-up studies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from metasight.cohort import overlap

settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", derandomize=False, database=None, deadline=None)
settings.load_profile("same")  # property tests are the same on every run but in `make explore`


LONGEST = (
    "study/test_maps",
    "study/test_real_tables",
    "study/test_slides",
    "study/test_lung",
    "maps/test_train",
    "test_pipeline",
    "simulate/breast/test_cohort",
    "study/test_toy",
    "study/test_going_on",
    "study/test_run",
    "alignment/test_align",
    "report/test_maps",
    "models/test_crossfit",
    "study/test_patches",
    "study/test_code_watched",
    "simulate/breast/test_markers",
    "study/test_scans",
    "test_importing",
    "test_exporting",
    "test_finished",
    "alignment/test_stack",
)
"""Modules of more than ten seconds, the longest first: one that begins last is waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long modules first; otherwise the order of the files."""
    root = Path(__file__).parent
    rank = {f"{name}.py": n for n, name in enumerate(LONGEST)}
    items.sort(key=lambda i: rank.get(i.path.relative_to(root).as_posix(), len(rank)))


@pytest.fixture(scope="session", autouse=True)
def cheap_marks() -> Iterator[None]:
    """Overlap marks at a fraction of their cost: they are slow on purpose, some 10 ms a mark.

    What they cost outside tests is looked at in ``cohort/test_overlap.py``.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "COST", 2**4)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and values from R; tests that need it skip where it is not."""
    for folder in Path(__file__).resolve().parents:
        found = folder.parent / "shared"
        if (found / "data").is_dir():
            return found
    pytest.skip("no ../shared beside the checkout")


BREAST = """
protocol = "breast-dmfs"
salt = "a salt for tests"
public_data = true
on_problem = "stop"
centres = ["North", "South"]

[patients]
path = "patients.csv"
id = "id"

[columns]
centre = "hospital"
sex = "sex"
age_years = "age"
surgery_date = "operated"
pathology_date = "reported"
invasive_carcinoma = "invasive"
surgery = "operation"
tumour_size_mm = "size"
positive_nodes = "nodes"
grade = "grade"
er_positive = "er"
distant_metastasis = "metastasis"
distant_metastasis_date = "metastasis_date"
death = "dead"
death_date = "death_date"
followup_date = "last_seen"

[constants]
curative_resection = { value = true, reason = "made up for tests" }
pretreatment_specimen = { value = true, reason = "made up for tests" }
neoadjuvant = { value = false, reason = "made up for tests" }
pure_dcis = { value = false, reason = "made up for tests" }

[waive]
I5 = "no slides in a test"
I6 = "no slides in a test"
I7 = "receptors are not made up"
E2 = "types are not made up"
E4 = "histories are not made up"
E5 = "no slides in a test"
E6 = "no slides in a test"
E7 = "no slides in a test"

[analysis]
folds = 3
repeats = 1
bootstrap = 100
instability_resamples = 3
noise_replicates = 1
horizons_years = [3]
reference_model = "clinical"
headline_model = "forest"
subgroups = ["er_positive"]

[[model]]
kind = "cox"
name = "clinical"

[[model]]
kind = "forest"
name = "forest"
n_trees = 20

[[model]]
kind = "npi"
name = "NPI"

[[model]]
kind = "cause_specific_cox"
name = "cause-specific"
endpoints = ["distant_metastasis"]
"""


def breast_table(n: int = 150, seed: int = 0) -> pd.DataFrame:
    """Made-up patients of two hospitals, with dates; all eligible but for I8."""
    rng = np.random.default_rng(seed)
    size = np.round(rng.gamma(6, 4, n) + 5)
    grade = rng.integers(1, 4, n)
    nodes = rng.poisson(1.0, n)
    log_hazard = 0.03 * (size - 28) + 0.5 * (grade - 2) + 0.3 * nodes
    metastasis = 121 + rng.exponential(3200 * np.exp(-log_hazard))  # nobody leaves by day 120
    death = rng.exponential(8000, n) + 121
    censor = rng.uniform(900, 3600, n)
    end = np.minimum(death, censor).astype(int)
    had = metastasis < end
    dead = death <= censor
    start = pd.Timestamp("2015-03-01") + pd.to_timedelta(rng.integers(0, 900, n), unit="D")

    def day(offset: np.ndarray, there: np.ndarray) -> list[str]:
        dates = start + pd.to_timedelta(np.maximum(offset, 1).astype(int), unit="D")
        return [d.date().isoformat() if t else "" for d, t in zip(dates, there, strict=True)]

    always = np.ones(n, dtype=bool)
    return pd.DataFrame(
        {
            "id": [f"MRN-{i:05d}" for i in range(n)],
            "hospital": rng.choice(["North", "South"], n),
            "sex": "female",
            "age": np.round(rng.normal(58, 11, n).clip(25, 90)),
            "operated": [d.date().isoformat() for d in start],
            "reported": day(np.full(n, 10), always),
            "invasive": "yes",
            "operation": rng.choice(["mastectomy", "breast-conserving"], n),
            "size": size,
            "nodes": nodes,
            "grade": grade,
            "er": rng.choice(["yes", "no"], n, p=[0.7, 0.3]),
            "metastasis": np.where(had, "yes", "no"),
            "metastasis_date": day(metastasis, had),
            "dead": np.where(dead, "yes", "no"),
            "death_date": day(end, dead),
            "last_seen": day(end, always),
        }
    )


@pytest.fixture
def breast_study(tmp_path: Path) -> Callable[..., Path]:
    """Builds a study folder: ``build(table=…, replace=[(old, new), …])``."""

    def build(
        table: pd.DataFrame | None = None,
        replace: list[tuple[str, str]] | None = None,
        name: str = "study",
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (breast_table() if table is None else table).to_csv(folder / "patients.csv", index=False)
        text = BREAST
        for old, new in replace or []:
            assert old in text, old
            text = text.replace(old, new)
        (folder / "study.toml").write_text(text)
        return folder

    return build


@pytest.fixture(name="breast_table")
def breast_table_fixture() -> Callable[..., pd.DataFrame]:
    """The made-up table, to be spoilt."""
    return breast_table


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are opened in this process, so that what a test puts in place of a reader counts."""
    monkeypatch.setattr("metasight.engine.guarded._Child.is_here", True)


@pytest.fixture(scope="session")
def made_up() -> tuple[pd.DataFrame, str]:
    """The made-up table and its study.toml."""
    return breast_table(), BREAST


@pytest.fixture(scope="session")
def exchange_folder(
    tmp_path_factory: pytest.TempPathFactory, made_up: tuple[pd.DataFrame, str]
) -> Path:
    """A finished study with scans, a vault and intervals; run once, and only read."""
    from exchange_study import build_exchange_study

    return build_exchange_study(tmp_path_factory.mktemp("exchange") / "study", made_up)
