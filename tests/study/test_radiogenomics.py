"""nsclc-occult-node on the real NSCLC Radiogenomics tables (Bakr et al., Sci Data 2018;5:180202).

Its signal is near nothing; the point of the test is that the report says so plainly.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.ledger import Ledger
from metasight.predictions import Predictions
from metasight.steps.files import read_json
from metasight.study.file import read_study

AIM = "{gme://caCORE.caCORE/4.4/edu.northwestern.radiology.AIM}"
ISO = "{uri:iso.org:21090}"
STUDY = """
protocol = "nsclc-occult-node"
title = "Occult nodal metastasis in NSCLC Radiogenomics"
salt = "public data"
public_data = true

[patients]
path = "patients.csv"
id = "Case ID"
missing = ["Not Collected", "N/A", "Not Assessed"]

[modalities.semantic]
path = "semantic.csv"
id = "Case ID"

[columns]
centre = "Patient affiliation"
age_years = "Age at Histological Diagnosis"
female = { column = "Gender", values = { Female = true, Male = false } }
ever_smoker = { column = "Smoking status", values = { Former = 1, Current = 1, Nonsmoker = 0 } }
adenocarcinoma = "adenocarcinoma"
clinical_t = "Pathological T stage"
clinical_m = { column = "Pathological M stage", values = { M0 = "M0", M1a = "M1", M1b = "M1" } }
pathological_n = "Pathological N stage"
central = "central"
upper_lobe = "upper_lobe"
pure_ground_glass = "pure_ground_glass"

[constants]
arm = { value = "surgery", reason = "every patient of the series was operated" }
pathological_nsclc = { value = true, reason = "an inclusion criterion of the series" }
radical_treatment = { value = true, reason = "every patient of the series was operated" }
clinical_n = { value = "N0", reason = "not in the table; an early-stage series" }

[waive]
I4 = "performance status is not in the table"
I6 = "staging procedures are not in the table"
I7 = "willingness is not in the table"
I8 = "public data, consent given to the series"
E1 = "CT quality is judged by a later stage"
E3 = "comorbidity is not in the table"
E4 = "not applicable to nodal stage at surgery"

[analysis]
folds = 5
repeats = 2
bootstrap = 300
instability_resamples = 5
noise_replicates = 2
reference_model = "clinical"
headline_model = "clinical + semantic"

[[model]]
kind = "ordinal"
name = "clinical"

[[model]]
kind = "ordinal"
name = "clinical + semantic"
modalities = ["clinical", "semantic"]

[[model]]
kind = "forest"
name = "forest, clinical + semantic"
modalities = ["clinical", "semantic"]
"""


def annotations(archive: Path) -> pd.DataFrame:
    """What the radiologists said, as text: one row a patient, one column a question."""
    rows = []
    with zipfile.ZipFile(archive) as files:
        for name in sorted(n for n in files.namelist() if n.endswith(".xml")):
            root = ET.fromstring(files.read(name))
            row = {"Case ID": root.find(f"{AIM}person/{AIM}id").get("value")}
            for part in ("ImagingPhysicalEntity", "ImagingObservationCharacteristic"):
                for entity in root.iter(f"{AIM}{part}"):
                    label = entity.find(f"{AIM}label").get("value")
                    for code in entity.iter(f"{AIM}typeCode"):
                        shown = code.find(f"{ISO}displayName")
                        said = code.get("codeSystem") if shown is None else shown.get("value")
                        row[label] = (
                            f"{row[label]}; {said.strip()}" if label in row else said.strip()
                        )
            rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shared):
    source = shared / "data" / "tables" / "nsclc-radiogenomics"
    folder = tmp_path_factory.mktemp("radiogenomics")
    clinical = pd.read_csv(
        next(source.glob("NSCLCR01*.csv")), dtype=str, keep_default_na=False
    ).rename(columns=str.strip)
    aim = annotations(source / "AIM_semantic_annotations.zip")
    assert len(aim) == 190
    located = aim.set_index("Case ID")
    case = clinical["Case ID"]
    clinical["central"] = case.map(
        located["Axial Location"].map({"central": "yes", "peripheral": "no"})
    ).fillna("")
    clinical["adenocarcinoma"] = clinical["Histology"].eq("Adenocarcinoma")
    upper = [c for c in clinical if c.endswith(("=RUL)", "=LUL)"))]
    clinical["upper_lobe"] = [
        "yes" if r else "no" for r in (clinical[upper] == "Checked").any(axis=1)
    ]
    attenuation = case.map(located["Nodule Attenuation"]).fillna("")
    clinical["pure_ground_glass"] = [
        "" if not a else ("yes" if a in ("non-solid", "ground glass") else "no")
        for a in attenuation
    ]
    clinical.to_csv(folder / "patients.csv", index=False)
    margins = aim["Nodule Margins-Primary Pattern"] + "; " + aim["Nodule Margins-Secondary Pattern"]
    pd.DataFrame(
        {
            "Case ID": aim["Case ID"],
            "solid": aim["Nodule Attenuation"].eq("solid").astype(int),
            "spiculated": margins.str.contains("spiculat").astype(int),
            "lobulated": margins.str.contains("lobulat").astype(int),
            "poorly_defined": margins.str.contains("poorly").astype(int),
            "irregular": aim["Nodule Shape"].str.contains("irregular").astype(int),
            "abnormal_periphery": aim["Nodule Periphery"].ne("normal").astype(int),
            "emphysema": aim["Emphysema"].str.contains("present").astype(int),
        }
    ).to_csv(folder / "semantic.csv", index=False)
    (folder / "study.toml").write_text(STUDY)
    results, _ = pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return folder, results


def test_who_is_in(finished):
    _, results = finished
    ledger = Ledger.from_parquet(results / "ledger.parquet").to_frame()
    assert ledger[ledger["stage"] == "reading"]["patient"].nunique() == 211
    predictions = Predictions.from_parquet(results / "predictions.parquet").table
    counts = predictions.drop_duplicates("patient")["status"].value_counts()
    assert counts.sum() == pytest.approx(113, abs=6)
    assert 80 <= counts[0] <= 95
    assert predictions["label"].unique().tolist() == ["N0", "N1", "N2"]


def test_the_report_says_plainly_that_there_is_no_signal(finished):
    folder, results = finished
    store = folder / ".metasight" / "store"
    evaluation = read_json(next(store.glob("*/*/evaluation.json")))
    model = evaluation["models"]["clinical + semantic"]
    auc = next(t for t in model["targets"] if t["target"] == "N1 or worse")["auc"]
    assert auc["lower"] < 0.5 < auc["upper"], "the signal is near nothing"
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", (results / "report.html").read_text()))
    assert "There is hardly any signal." in text


def test_both_centres_were_left_out(finished):
    folder, _ = finished
    store = folder / ".metasight" / "store"
    centres = read_json(next(store.glob("*/*/centres.json")))
    assert [c["centre"] for c in centres["models"]["clinical"]["centres"]] == ["Stanford", "VA"]
