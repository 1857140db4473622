"""The headline measure in base R is the report's, for every kind of endpoint."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace

import pandas as pd
import pytest

from metasight.predictions import Predictions
from metasight.report.headline_script import headline_rows, headline_script, write_headline
from metasight.validation.evaluate import evaluate

from .conftest import HEADLINE, REFERENCE, plan, simulate

needs_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="no Rscript on the PATH")


def twice(kind: str) -> Predictions:
    """Two repeats, times that tie, and a third model that lacks some patients."""
    parts = []
    for k in (0, 1):
        table = simulate(kind, n=120, models=(REFERENCE, HEADLINE, "third")).table
        table = table.assign(time_days=(table["time_days"] / 90).round() * 90 + 1, repeat=k)
        if kind != "nodal":
            table["risk"] = table["risk"].round(2)  # risks that tie
        fold = table["patient"].str[1:].astype(int) * (3 + k) % 7 % 3
        parts.append(table.assign(fold=fold))
    table = pd.concat(parts, ignore_index=True)
    lost = (table["model"] == "third") & table["patient"].isin(["p0010", "p0011"])
    return Predictions(table[~lost])


def by_r(folder) -> dict[tuple[str, str, str], float]:
    command = [shutil.which("Rscript"), "--vanilla", "headline.R"]
    told = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    told = pd.read_csv(io.BytesIO(told.stdout))
    return {(r.model, r.measure, r.target): r.value for r in told.itertuples()}


@needs_r
@pytest.mark.parametrize("kind", ["survival", "competing", "nodal"])
def test_r_finds_the_same(kind, tmp_path):
    told = twice(kind)
    found = evaluate(told, replace(plan(kind, told), subgroups={}))
    write_headline(told, found.settings, tmp_path)
    values = by_r(tmp_path)
    for name in (HEADLINE, REFERENCE):
        model = found.models[name]
        if kind == "nodal":
            expected = {("ordinal C", "stage"): model.ordinal_c.value}
            expected["AUC", "N1"] = model.targets[0].auc.value
        else:
            expected = {("C", "until 3652 days"): model.harrell_c.value}
            expected |= {("AUC", t.target): t.auc.value for t in model.targets}
        for (measure, target), value in expected.items():
            assert values[name, measure, target] == pytest.approx(value, abs=1e-8)
    (increment,) = [c for c in found.comparisons if c.headline]
    gap = increment.ordinal_c if kind == "nodal" else increment.harrell_c
    key = ("ordinal C", "stage") if kind == "nodal" else ("C", "until 3652 days")
    assert values[("difference", *key)] == pytest.approx(gap.difference, abs=1e-8)


def test_rows_are_of_the_patients_that_every_model_predicts():
    told = twice("survival")
    rows = headline_rows(told, plan("survival", told).settings())
    assert set(rows["model"]) == {REFERENCE, HEADLINE}
    assert not {"p0010", "p0011"} & set(rows["patient"])
    assert set(rows["target"]) == {1826, 3652}  # the half years of integrals are left out
    assert len(rows) == 118 * 2 * 2 * 2


def test_who_was_not_examined_is_left_out():
    told = twice("nodal")
    rows = headline_rows(told, plan("nodal", told).settings())
    assert rows["status"].notna().all()
    assert "p0000" not in set(rows["patient"])


@needs_r
@pytest.mark.parametrize("hostile", ['a "b" \\ c; stop(1) é', "=1+1", "'-x", "@a"])
def test_a_name_is_text_in_r_too(tmp_path, hostile):
    told = twice("survival")
    table = told.table.replace({"model": {HEADLINE: hostile}})
    settings = replace(plan("survival", told), headline_model=hostile).settings()
    write_headline(Predictions(table), settings, tmp_path)
    assert any(model == hostile for model, _, _ in by_r(tmp_path))


def test_settings_stand_at_the_head(survival):
    text = headline_script(survival.analyses[0].evaluation.settings)
    assert "@SETTINGS@" not in text
    assert f'headline_model <- "{HEADLINE}"' in text
    assert "tau_days <- 3652.0\nhorizons_days <- c(1826, 3652)" in text
