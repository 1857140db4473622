"""A study whose headline is a ridge by modality: fitted, nested, explained and printed."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.study.file import read_study

GENES = '[modalities.genes]\npath = "genes.csv"\nid = "id"\n\n[columns]'
MODEL = '\n[[model]]\nkind = "modality_ridge"\nname = "fused"\nmodalities = ["clinical", "genes"]\n'


def test_a_ridge_by_modality_leads_a_study(breast_study, breast_table):
    folder = breast_study(
        replace=[('headline_model = "forest"', 'headline_model = "fused"'), ("[columns]", GENES)]
    )
    file = folder / "study.toml"
    file.write_text(file.read_text("utf-8") + MODEL, "utf-8")
    ids = breast_table()["id"]
    rng = np.random.default_rng(0)
    genes = {"g1": np.exp(rng.normal(size=len(ids))), "g2": rng.normal(size=len(ids))}
    pd.DataFrame({"id": ids, **genes}).round(4).to_csv(folder / "genes.csv", index=False)
    pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    report = (folder / "results" / "latest" / "report.html").read_text("utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", report))
    assert "fused, without genes" in text
    assert "log(Pathological tumour size)" in text
    assert "log is the natural logarithm" in text
    assert "What each modality adds to the log hazard by fused" in text
    bundle = folder / "results" / "latest" / "bundle"
    state = next(
        found
        for path in sorted(bundle.rglob("*.json"))
        if isinstance(found := json.loads(path.read_text("utf-8")), dict)
        and found.get("kind") == "modality_ridge"
        and found.get("name") == "fused"
    )
    assert "g1" in state["reader"]["logarithms"]
