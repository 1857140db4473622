"""nsclc-occult-node with an SBRT arm: nodal status there is unobserved, never N0."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from metasight import exporting, pipeline
from metasight.engine.progress import Silent
from metasight.errors import StudyError
from metasight.exchange.fhir import values_in
from metasight.exchange.forms import Form
from metasight.ledger import Ledger
from metasight.predictions import Predictions
from metasight.steps.after.staging import staging_of
from metasight.steps.files import read_json
from metasight.study.file import read_study

STUDY = """
protocol = "nsclc-occult-node"
salt = "a salt for tests"
public_data = true

[patients]
path = "patients.csv"
id = "id"

[columns]
centre = "centre"
arm = "arm"
age_years = "age"
female = "female"
tumour_size_mm = "size"
solid_size_mm = "solid"
ctr = "ctr"
suvmax = "suvmax"
central = "central"
adenocarcinoma = "adenocarcinoma"
pathological_n = "pn"
regional_recurrence = "recurrence"
regional_recurrence_days = "recurrence_days"
death = "dead"
death_days = "death_days"
followup_days = "days"

[modalities.expression]
path = "expression.csv"
id = "id"

[biology]
expression = "expression"
gene_sets = "sets.gmt"
log_scale = true
adjust = ["clinical_t", "centre"]
purity = "purity"
permutations = 1000

[constants]
pathological_nsclc = { value = true, reason = "made up for tests" }
clinical_n = { value = "N0", reason = "made up for tests" }
clinical_m = { value = "M0", reason = "made up for tests" }
clinical_t = { value = "T2a", reason = "made up for tests" }
kps = { value = 90, reason = "made up for tests" }
radical_treatment = { value = true, reason = "made up for tests" }
complete_imaging = { value = true, reason = "made up for tests" }
pet_ct = { value = true, reason = "made up for tests" }
followup_agreed = { value = true, reason = "made up for tests" }
informed_consent = { value = true, reason = "made up for tests" }
neuropsychiatric = { value = false, reason = "made up for tests" }
lost_to_followup = { value = false, reason = "made up for tests" }
pure_ground_glass = { value = false, reason = "made up for tests" }

[waive]
E1 = "no scans in a test"

[analysis]
folds = 3
repeats = 1
bootstrap = 100
instability_resamples = 20
noise_replicates = 1
reference_model = "size alone"
headline_model = "ordinal"

[[model]]
kind = "ordinal"
name = "ordinal"
modalities = ["clinical", "additional"]
abstain_by = ["clinical", "additional"]

[[model]]
kind = "nodal_size"
name = "size alone"

[[model]]
kind = "nodal_ctr"
name = "CTR rule"

[[model]]
kind = "nodal_suvmax"
name = "SUVmax alone"

[[model]]
kind = "fudan_2012"
name = "Fudan 2012"

[[model]]
kind = "elastic_net_cox"
name = "regional"
endpoints = ["regional_recurrence"]
"""


def write_expression(folder, rng, lp):
    """Ten sets of fifteen genes that hang together; the first goes with the log-odds of a node."""
    n = len(lp)
    purity = rng.beta(6, 4, n)
    together = 0.7 * rng.normal(size=(n, 10))
    together[:, 0] += 0.8 * (lp - lp.mean()) / lp.std()
    together[:, 1] += 4 * (purity - 0.6)
    y = 7 + np.repeat(together, 15, axis=1) + rng.normal(size=(n, 150))
    frame = pd.DataFrame(y.round(3), columns=[f"GENE{k}" for k in range(150)])
    frame.insert(0, "id", [f"L{i}" for i in range(n)])
    frame["purity"] = purity.round(3)
    frame[rng.random(n) < 0.8].to_csv(folder / "expression.csv", index=False)
    lines = [
        "\t".join([f"SET_{b}", "made up", *(f"GENE{15 * b + k}" for k in range(15))])
        for b in range(10)
    ]
    (folder / "sets.gmt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lung")
    rng = np.random.default_rng(5)
    n = 360
    arm = np.where(np.arange(n) < 220, "surgery", "sbrt")
    size = rng.uniform(8, 38, n).round(1)
    ctr = rng.uniform(0, 1, n).round(2)
    lp = -3.2 + 0.06 * size + 1.5 * ctr
    node = rng.random(n) < 1 / (1 + np.exp(-lp))
    stage = np.where(node, np.where(rng.random(n) < 0.5, "N1", "N2"), "N0")
    recurrence = rng.exponential(4000 * np.exp(-0.05 * (size - 20)))
    death, end = rng.exponential(2500, n), rng.uniform(500, 2500, n)
    last = np.minimum(death, end).round() + 1
    had, dead = recurrence < last, death <= end
    suvmax = rng.gamma(3, 2, n).round(1)
    suvmax[[3, 300]] = 79.0  # like nobody else: one was operated on, one was not
    pd.DataFrame(
        {
            "id": [f"L{i}" for i in range(n)],
            "centre": rng.choice(["East", "West"], n),
            "arm": arm,
            "age": rng.normal(66, 8, n).round(),
            "female": rng.choice(["yes", "no"], n),
            "size": size,
            "solid": (size * ctr).round(1),
            "ctr": ctr,
            "suvmax": suvmax,
            "central": rng.choice(["yes", "no"], n),
            "adenocarcinoma": rng.choice(["yes", "no"], n, p=[0.7, 0.3]),
            "pn": np.where(arm == "surgery", stage, ""),
            "recurrence": np.where(had, "yes", "no"),
            "recurrence_days": np.where(had, recurrence.round() + 1, np.nan),
            "dead": np.where(dead, "yes", "no"),
            "death_days": np.where(dead, last, np.nan),
            "days": last,
        }
    ).to_csv(folder / "patients.csv", index=False)
    write_expression(folder, rng, lp)
    (folder / "study.toml").write_text(STUDY)
    results, _ = pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return folder, results


def test_sbrt_patients_are_predicted_but_their_stage_is_unobserved(finished):
    _, results = finished
    table = Predictions.from_parquet(results / "predictions.parquet").table
    nodal = table[table["endpoint"] == "nodal_stage"]
    sbrt = nodal[nodal["arm"] == "sbrt"]
    assert sbrt["patient"].nunique() == 140
    assert sbrt["status"].isna().all()
    assert sbrt["risk"].notna().all()
    assert nodal[nodal["arm"] == "surgery"]["status"].notna().all()
    ledger = Ledger.from_parquet(results / "ledger.parquet").to_frame()
    unobserved = ledger[ledger["reason"].str.contains("unobserved, not N0")]
    assert len(unobserved) == 140


def test_models_are_judged_where_nodes_were_examined(finished):
    folder, _ = finished
    evaluations = {
        e["endpoint"]: e
        for p in (folder / ".metasight" / "store").glob("*/*/evaluation.json")
        if (e := read_json(p))
    }
    nodal = evaluations["nodal_stage"]["data"]
    assert (nodal["n_patients"], nodal["n_unobserved"]) == (220, 140)
    assert set(nodal["class_counts"]) == {"N0", "N1", "N2"}
    models = evaluations["nodal_stage"]["models"]
    assert set(models) == {"ordinal", "size alone", "CTR rule", "SUVmax alone", "Fudan 2012"}
    assert models["ordinal"]["ordinal_c"]["value"] > 0.6
    regional = evaluations["regional_recurrence"]
    assert regional["kind"] == "competing"
    assert regional["data"]["n_patients"] == 140


def test_the_model_is_silent_about_patients_unlike_those_of_training(finished):
    _, results = finished
    staging = read_json(results / "staging.json")
    told = {p["patient"]: p for p in staging["patients"]}
    ledger = Ledger.from_parquet(results / "ledger.parquet").to_frame()
    rows = ledger[ledger["stage"] == "likeness to training"]
    unlike = [p for p, view in told.items() if "differs from the training" in view["abstains"]]
    assert sorted(rows["patient"]) == sorted(unlike)
    assert 2 <= len(unlike) <= 0.04 * len(told)
    by_suv = rows[rows["reason"].str.contains("furthest in suvmax")]
    assert len(by_suv) >= 2
    assert (rows["verdict"] == "unknown").all()
    # judged all the same: every model on the same patients
    table = Predictions.from_parquet(results / "predictions.parquet").table
    assert table.loc[table["patient"].isin(unlike), "risk"].notna().all()
    page = (results / "report.html").read_text("utf-8")
    assert "Patients unlike the training patients" in page


def test_rule_and_risk_stand_side_by_side(finished):
    folder, results = finished
    staging = read_json(results / "staging.json")
    assert staging["format"] == 2
    cells = pd.DataFrame(staging["cells"])
    assert cells["patients"].sum() == 360
    assert cells["examined"].sum() == 220
    # peripheral and small, by the table that was made up
    optional = cells[cells["rule"] == "optional"]["patients"].sum()
    table = pd.read_csv(folder / "patients.csv")
    assert optional == ((table["size"] <= 30) & (table["central"] == "no")).sum()
    spoken = [p for p in staging["patients"] if p["risks"] is not None]
    for p in spoken:
        risk, mediastinal = p["risks"]["any_node"], p["risks"]["n2"]
        assert risk["lower"] < risk["value"] < risk["upper"]
        assert mediastinal["value"] + p["risks"]["n1"]["value"] == pytest.approx(risk["value"])
        if p["after_ebus"] is not None:  # PET showed no node
            assert p["after_ebus"]["value"] < mediastinal["value"]
        assert p["agree"] is None  # the protocol names no risk at which to compare
    assert any(p["after_ebus"] is not None for p in spoken)
    gain = staging["benefit"]["rows"]
    assert [r["threshold"] for r in gain] == [0.05, 0.10, 0.15, 0.20]
    assert all(g["lower"] <= g["value"] <= g["upper"] for g in (r["gain"] for r in gain))
    patient = spoken[0]["patient"]
    text = " ".join(staging_of(folder, patient))
    assert "Guideline (ESTS 2014)" in text
    assert "not a medical device" in text
    assert "220 patients with examined nodes" in text
    with pytest.raises(StudyError, match="the patient is not among those") as caught:
        staging_of(folder, "somebody else")
    assert "somebody" not in str(caught.value)


def test_exported_stages_are_those_of_the_staging_view_and_silence_is_kept(finished, tmp_path):
    folder, results = finished
    staging = {p["patient"]: p for p in read_json(results / "staging.json")["patients"]}
    out = tmp_path / "out"
    request = exporting.Request(
        forms=(Form.FHIR, Form.TABLES), made=dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
    )
    exporting.export(read_study(folder), out, request)
    risks = pd.read_parquet(out / "tables" / "risks.parquet").set_index("patient")
    assert set(risks.index) == set(staging)
    for patient, view in staging.items():
        own = risks.loc[[patient]].set_index("target")
        if view["risks"] is None:
            assert own["risk"].isna().all() and own["why_none"].tolist() == [view["abstains"]]
            assert not (out / "fhir" / f"{patient}.json").exists()
            continue
        assert list(own.index) == ["N0", "N1", "N2"]
        for stage, name in (("N1", "n1"), ("N2", "n2")):
            told = [view["risks"][name][k] for k in ("value", "lower", "upper")]
            assert own.loc[stage, ["risk", "lower", "upper"]].tolist() == pytest.approx(told)
        stated = values_in(out / "fhir" / f"{patient}.json")
        assert stated["risk_nodal_stage_N1"][0] == own.loc["N1", "risk"]


def test_the_planted_set_goes_with_the_risk_and_no_other(finished):
    _, results = finished
    sets = pd.read_csv(results / "gene_sets.csv").set_index("set")
    assert sets.loc["SET_0", "fdr"] < 0.05
    assert sets.loc["SET_0", "nes"] > 1
    assert (sets.drop("SET_0")["fdr"] > 0.05).sum() >= 8
    assert sets.loc["SET_0", "single_sample_t"] > 4
    genes = pd.read_csv(results / "genes.csv").set_index("gene")
    assert len(genes) == 150
    assert genes["t"].nlargest(10).index.str.removeprefix("GENE").astype(int).max() < 15
    # models do not read it
    assert "GENE0" not in pd.read_parquet(results / "features.parquet")
    page = (results / "report.html").read_text("utf-8")
    assert "adjusted for centre and purity" in page
    assert "Requested, but the same or unknown in every patient: clinical_t" in page
    assert "Negative control: permuted risks" in page


def test_the_locked_model_is_silent_about_another_hospitals_strange_patients(finished, tmp_path):
    folder, results = finished
    table = pd.read_csv(folder / "patients.csv").iloc[:120].assign(centre="North")
    table["id"] = [f"N{k}" for k in range(len(table))]
    table.loc[table.index[:25], "suvmax"] = 75.0  # as if another unit had been exported
    table.to_csv(tmp_path / "patients.csv", index=False)
    first, rest = STUDY.split("[modalities.expression]")
    (tmp_path / "study.toml").write_text(first + "[constants]" + rest.split("[constants]")[1])
    found = pipeline.validate(results / "bundle", tmp_path, scheduler="inline", progress=Silent())
    ledger = Ledger.from_parquet(found / "ledger.parquet").to_frame()
    silent = ledger[ledger["stage"] == "likeness to training"]
    assert silent["reason"].str.contains("furthest in suvmax").sum() >= 25
    assert len(silent) <= 30
    assert "Patients unlike the training patients" in (found / "report.html").read_text("utf-8")
