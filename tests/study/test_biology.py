"""Gene expression beside the risk of a survival study: by the last horizon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.predictions import Predictions
from metasight.steps.files import read_json
from metasight.study.file import read_study

MODALITY = """
[modalities.expression]
path = "expression.csv"
id = "id"

[biology]
expression = "expression"
gene_sets = "sets.gmt"
log_scale = true
adjust = ["grade"]
permutations = 1000

[analysis]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, made_up) -> Path:
    """The made-up breast study with genes, the first set of which goes with tumour size."""
    folder = tmp_path_factory.mktemp("biology")
    table, text = made_up
    rng = np.random.default_rng(3)
    size = ((table["size"] - table["size"].mean()) / table["size"].std()).to_numpy()
    together = 0.7 * rng.normal(size=(len(table), 6))
    together[:, 0] += 0.9 * size
    genes = 7 + np.repeat(together, 15, axis=1) + rng.normal(size=(len(table), 90))
    frame = pd.DataFrame(genes.round(3), columns=[f"GENE{k}" for k in range(90)])
    frame.insert(0, "id", table["id"])
    frame.to_csv(folder / "expression.csv", index=False)
    lines = [
        "\t".join([f"SET_{b}", "made up", *(f"GENE{15 * b + k}" for k in range(15))])
        for b in range(6)
    ]
    (folder / "sets.gmt").write_text("\n".join(lines) + "\n")
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "study.toml").write_text(text.replace("\n[analysis]\n", MODALITY, 1))
    out, _ = pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return out


def test_a_survival_study_relates_the_risk_by_its_last_horizon(results: Path) -> None:
    (path,) = results.parents[1].glob(".metasight/store/*/*/biology.json")
    told = read_json(path)
    assert "skipped" not in told
    table = Predictions.from_parquet(results / "predictions.parquet").table
    assert told["predicted"] == told["patients"] == table["patient"].nunique()
    sets = pd.read_csv(results / "gene_sets.csv").set_index("set")
    assert sets.loc["SET_0", "fdr"] < 0.05
    assert sets.loc["SET_0", "nes"] > 1
    page = (results / "report.html").read_text("utf-8")
    assert "Risk and gene expression" in page
