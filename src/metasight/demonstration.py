"""The demonstration study: real patients, TRANSBIG, from scikit-survival's bundled data.

198 women with node-negative breast cancer operated in 1980–1998 who had no systemic treatment,
and 76 genes of their tumours (Desmedt et al., Clin Cancer Res 2007;13:3207; GSE7390). The data
come with the ``demo`` extra; nothing is fetched.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from metasight.errors import StudyError

_STUDY = '''# The demonstration: TRANSBIG as a breast-dmfs study.
protocol = "breast-dmfs"
title = "Distant metastasis in node-negative breast cancer: clinical data and 76 genes (TRANSBIG)"
demonstration = "A demonstration on 198 public patients (TRANSBIG, GSE7390), operated in 1980–1998 and not treated systemically. It shows how metasight works; its figures are not evidence for the breast-dmfs study."
salt = "transbig is public data"

[patients]
path = "patients.csv"
id = "patient"

[modalities.genes]
path = "genes.csv"
id = "patient"

[columns]
centre = "series"
age_years = "age"
tumour_size_mm = { column = "size_cm", unit = "cm" }
grade = { column = "grade", values = { "well differentiated" = 1, "intermediate" = 2, "poorly differentiated" = 3 }, missing = ["unkown"] }
er_positive = { column = "er", values = { positive = true, negative = false } }
distant_metastasis = "metastasis"
distant_metastasis_days = "metastasis_days"
followup_days = "followup_days"

[constants]
sex = { value = "female", reason = "the series holds women only" }
invasive_carcinoma = { value = true, reason = "an inclusion criterion of the series" }
pure_dcis = { value = false, reason = "invasive carcinoma is an inclusion criterion of the series" }
positive_nodes = { value = 0, reason = "node-negative disease is an inclusion criterion of the series" }
neoadjuvant = { value = false, reason = "no systemic treatment is an inclusion criterion of the series" }
pretreatment_specimen = { value = true, reason = "frozen at surgery, without treatment before" }
endocrine_therapy = { value = false, reason = "no systemic treatment is an inclusion criterion of the series" }
chemotherapy = { value = false, reason = "no systemic treatment is an inclusion criterion of the series" }

[waive]
I3 = "operated in 1980–1998, before the protocol's accrual; type of operation not in the table"
I5 = "the public series has no slides"
I6 = "the public series has no sections"
I7 = "progesterone receptor and HER2 are not in the table"
E2 = "histological type is not in the table"
E4 = "prior malignancy is not in the table"
E5 = "the public series has no slides"
E6 = "the public series has no slides"
E7 = "the public series has no sections"

[not_recorded]
death = "the table gives distant metastasis only"

[analysis]
seed = 20250101
folds = 5
repeats = 5
bootstrap = 500
instability_resamples = 50
reference_model = "clinical"
headline_model = "clinical + genes"
subgroups = ["er_positive", "grade", "age_years"]
single_centre_reason = "the public table does not say which hospital a patient comes from"

[[model]]
kind = "cox"
name = "clinical"

[[model]]
kind = "stacked"
name = "clinical + genes"
modalities = ["clinical", "genes"]

[[model]]
kind = "elastic_net_cox"
name = "genes"
modalities = ["genes"]

[[model]]
kind = "forest"
name = "forest, clinical + genes"
modalities = ["clinical", "genes"]

[[model]]
kind = "npi"
name = "Nottingham Prognostic Index"

[[model]]
kind = "cts5"
name = "CTS5"
'''


def write_demonstration(folder: Path) -> None:
    """Write the demonstration's tables and ``study.toml`` into ``folder``.

    Raises
    ------
    StudyError
        The ``demo`` extra is not installed.
    """
    if find_spec("sksurv") is None:
        raise StudyError(
            "the demonstration's data are not installed",
            remedy="Install them: pip install 'metasight[demo]' (or run `make demo`)",
        )
    from sksurv.datasets import load_breast_cancer

    table, outcome = load_breast_cancer()
    event, days = (outcome[name] for name in outcome.dtype.names)
    patients = table[["age", "er", "grade"]].copy()
    patients.insert(0, "patient", [f"TB{i + 1:03d}" for i in range(len(table))])
    patients["series"] = "TRANSBIG"
    patients["size_cm"] = table["size"]
    patients["metastasis"] = ["yes" if e else "no" for e in event]
    patients["metastasis_days"] = [f"{d:g}" if e else "" for e, d in zip(event, days, strict=True)]
    patients["followup_days"] = [f"{d:g}" for d in days]
    genes = table[[c for c in table.columns if c.startswith("X")]].copy()
    genes.insert(0, "patient", patients["patient"])
    folder.mkdir(parents=True, exist_ok=True)
    patients.to_csv(folder / "patients.csv", index=False)
    genes.to_csv(folder / "genes.csv", index=False)
    (folder / "study.toml").write_text(_STUDY, "utf-8")
