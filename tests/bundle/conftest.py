"""A made-up study, run once, and the folders of other patients."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.study.file import read_study

OUTCOMES = ("metastasis", "metastasis_date", "dead", "death_date", "last_seen")
MAPPED = ("distant_metastasis", "distant_metastasis_date", "death", "death_date", "followup_date")


@pytest.fixture(scope="session")
def developed(tmp_path_factory: pytest.TempPathFactory, made_up) -> Path:
    """The developing study's folder, run to its results."""
    folder = tmp_path_factory.mktemp("developed") / "study"
    folder.mkdir()
    table, text = made_up
    table.to_csv(folder / "patients.csv", index=False)
    text = text.replace("instability_resamples = 3", "instability_resamples = 22")
    (folder / "study.toml").write_text(text)
    pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return folder


@pytest.fixture
def bundle_copy(developed: Path, tmp_path: Path) -> Path:
    """A bundle's folder, to be spoilt."""
    return shutil.copytree(developed / "results" / "latest" / "bundle", tmp_path / "bundle")


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory, made_up) -> Callable[..., Path]:
    """Builds a folder of other patients: with outcomes for a validation, without to predict."""
    from conftest import breast_table  # type: ignore[import-not-found]

    def build(
        *, outcomes: bool, edit: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    ) -> Path:
        folder = tmp_path_factory.mktemp("others") / "patients"
        folder.mkdir()
        table = breast_table(n=60, seed=4)
        table["id"] = [f"OTHER-{k:03d}" for k in range(len(table))]
        text = made_up[1].replace("a salt for tests", "another salt")
        if not outcomes:
            table = table.drop(columns=list(OUTCOMES))
            text = text[: text.index("[analysis]")]
            for name in MAPPED:
                text = re.sub(rf"^{name} = .*\n", "", text, flags=re.M)
        if edit is not None:
            table = edit(table)
        table.to_csv(folder / "patients.csv", index=False)
        (folder / "study.toml").write_text(text)
        return folder

    return build
