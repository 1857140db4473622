"""Simulated exports, as REDCap, cancer registries and cBioPortal write them, and what they hold.

Patients are made up; names of columns, codes and missing codes are those of the systems. Beside the
protocol's variables each has columns that are something else under a similar name.
"""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import pandas as pd

Truth = dict[str, Any]
N = 120


def _day(r: random.Random, first: int = 2015, years: int = 8) -> dt.date:
    return dt.date(first, 1, 1) + dt.timedelta(days=r.randrange(365 * years))


def _course(r: random.Random) -> dict[str, Any]:
    """Operation, metastasis, death and last contact of one patient."""
    start = _day(r)
    moved, died, seen = (r.randrange(120, 4500) for _ in range(3))
    dead, metastasis = died < seen, moved < min(died, seen)
    end = min(died, seen)
    return {
        "start": start,
        "moved": start + dt.timedelta(days=moved) if metastasis else None,
        "died": start + dt.timedelta(days=died) if dead else None,
        "last": start + dt.timedelta(days=end),
        "days": end,
    }


def _write(rows: list[dict[str, Any]], path: Path, separator: str = ",") -> None:
    frame = pd.DataFrame(rows, dtype=object)
    frame.to_csv(path, index=False, sep=separator)


# ------------------------------------------------------------------------- REDCap, raw, German

_DICTIONARY = (
    *("Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label"),
    *("Choices, Calculations, OR Slider Labels", "Field Note"),
    *("Text Validation Type OR Show Slider Number", "Identifier?"),
)
_POSITIVE = "1, positiv | 0, negativ | 9, unbekannt"
_FIELDS = (
    ("record_id", "stammdaten", "text", "Record ID", "", ""),
    ("pat_geb", "stammdaten", "text", "Geburtsdatum", "", "y"),
    ("geschl", "stammdaten", "radio", "Geschlecht", "1, weiblich | 2, männlich | 3, divers", ""),
    ("alter_op", "stammdaten", "text", "Alter bei Operation (Jahre)", "", ""),
    ("alter_men", "stammdaten", "text", "Alter bei der Menarche", "", ""),
    (
        "meno",
        "stammdaten",
        "radio",
        "Menopausenstatus",
        "1, prämenopausal | 2, perimenopausal | 3, postmenopausal",
        "",
    ),
    ("vor_mal", "stammdaten", "yesno", "Frühere Tumorerkrankung", "", ""),
    ("op_dat", "operation", "text", "Datum der Operation", "", ""),
    (
        "op_typ",
        "operation",
        "radio",
        "Art der Operation",
        "1, Brusterhaltende Therapie | 2, Ablatio mammae | 3, keine Operation",
        "",
    ),
    ("nact", "operation", "yesno", "Neoadjuvante Chemotherapie", "", ""),
    (
        "histo",
        "pathologie",
        "radio",
        "Histologischer Typ",
        "1, NST (duktal) | 2, lobulär | 3, gemischt | 4, muzinös | 5, andere",
        "",
    ),
    ("pt_kat", "pathologie", "dropdown", "pT", "1, pT1 | 2, pT2 | 3, pT3 | 4, pT4 | 9, pTX", ""),
    ("pn_kat", "pathologie", "dropdown", "pN", "0, pN0 | 1, pN1 | 2, pN2 | 3, pN3 | 9, pNX", ""),
    ("tu_gr", "pathologie", "text", "Tumorgröße (mm)", "", ""),
    ("lk_bef", "pathologie", "text", "Anzahl befallener Lymphknoten", "", ""),
    ("lk_unt", "pathologie", "text", "Anzahl untersuchter Lymphknoten", "", ""),
    ("diff", "pathologie", "radio", "Grading", "1, G1 | 2, G2 | 3, G3 | 9, GX", ""),
    ("oer", "pathologie", "radio", "Östrogenrezeptor", _POSITIVE, ""),
    ("pgr", "pathologie", "radio", "Progesteronrezeptor", _POSITIVE, ""),
    (
        "her2",
        "pathologie",
        "radio",
        "HER2-Status",
        "1, positiv (3+ oder FISH+) | 0, negativ | 2, nicht bestimmt",
        "",
    ),
    ("ki67", "pathologie", "text", "Ki-67 (%)", "", ""),
    ("bef_dat", "pathologie", "text", "Befunddatum", "", ""),
    (
        "adj",
        "therapie",
        "checkbox",
        "Adjuvante Therapie",
        "1, Chemotherapie | 2, Endokrine Therapie | 3, Bestrahlung | 4, Trastuzumab",
        "",
    ),
    ("tuko_dat", "therapie", "text", "Datum der Tumorkonferenz", "", ""),
    ("lokrez", "verlauf", "yesno", "Lokalrezidiv", "", ""),
    ("m_ed", "verlauf", "yesno", "Fernmetastasen bei Erstdiagnose", "", ""),
    ("fm", "verlauf", "yesno", "Fernmetastasen", "", ""),
    ("fm_dat", "verlauf", "text", "Datum der Fernmetastasierung", "", ""),
    ("tot", "verlauf", "yesno", "Verstorben", "", ""),
    ("tod_dat", "verlauf", "text", "Todesdatum", "", ""),
    ("lko_dat", "verlauf", "text", "Datum des letzten Kontakts", "", ""),
)


def redcap(folder: Path) -> None:
    """A breast cancer project: raw export and dictionary, -99 and UNK as missing-data codes."""
    r = random.Random(11)
    listed = [
        dict(zip(_DICTIONARY, (n, form, "", kind, label, codes, "", "", flag), strict=True))
        for n, form, kind, label, codes, flag in _FIELDS
    ]
    _write(listed, folder / "dictionary.csv")
    rows = []
    for i in range(N):
        c = _course(r)
        nodes = r.choice([0, 0, 0, 1, 2, 5])
        chemo, endocrine = r.random() < 0.4, r.random() < 0.7
        rows.append(
            {
                "record_id": f"{101 + i}",
                "redcap_data_access_group": r.choice(["uk_nord", "kh_sued"]),
                "geschl": 2 if i == 7 else 1,
                "pat_geb": f"{r.randrange(1935, 1980)}-05-0{r.randrange(1, 9)}",
                "alter_op": r.randrange(33, 84),
                "alter_men": r.randrange(10, 16),
                "meno": r.choice([1, 2, 3, 3, -99]),
                "vor_mal": int(r.random() < 0.05),
                "stammdaten_complete": 2,
                "op_dat": c["start"].isoformat(),
                "op_typ": r.choice([1, 1, 2]),
                "nact": int(r.random() < 0.1),
                "operation_complete": 2,
                "histo": r.choice([1, 1, 1, 2, 3, 4, 5]),
                "pt_kat": r.choice([1, 1, 2, 2, 3, 9]),
                "pn_kat": 0 if nodes == 0 else 1 if nodes < 4 else 2,
                "tu_gr": r.choice([*range(6, 60), -99, -99]),
                "lk_bef": nodes if r.random() > 0.03 else "UNK",
                "lk_unt": r.randrange(nodes + 1, 20),
                "diff": r.choice([1, 2, 2, 3, 9]),
                "oer": r.choice([1, 1, 0, 9]),
                "pgr": r.choice([1, 1, 0, 9]),
                "her2": r.choice([0, 0, 0, 1, 2]),
                "ki67": r.randrange(3, 80),
                "bef_dat": (c["start"] + dt.timedelta(days=6)).isoformat(),
                "pathologie_complete": 2,
                "adj___1": int(chemo),
                "adj___2": int(endocrine),
                "adj___3": int(r.random() < 0.6),
                "adj___4": int(r.random() < 0.1),
                "tuko_dat": (c["start"] + dt.timedelta(days=12)).isoformat(),
                "therapie_complete": 2,
                "lokrez": int(r.random() < 0.1),
                "m_ed": 0,
                "fm": int(c["moved"] is not None),
                "fm_dat": c["moved"].isoformat() if c["moved"] else "",
                "tot": int(c["died"] is not None),
                "tod_dat": c["died"].isoformat() if c["died"] else "",
                "lko_dat": c["last"].isoformat(),
                "verlauf_complete": 2,
            }
        )
    _write(rows, folder / "patients.csv")


_UNKNOWN = {"positiv": True, "negativ": False}
REDCAP: Truth = {
    "centre": "redcap_data_access_group",
    "sex": {
        "column": "geschl",
        "values": {"weiblich": "female", "männlich": "male"},
        "missing": ["divers"],
    },
    "age_years": "alter_op",  # not the age at menarche
    "postmenopausal": {
        "column": "meno",
        "values": {"prämenopausal": False, "perimenopausal": False, "postmenopausal": True},
        "missing": ["-99"],
    },
    "prior_malignancy": "vor_mal",
    "surgery_date": "op_dat",
    "surgery": {
        "column": "op_typ",
        "values": {
            "Brusterhaltende Therapie": "breast-conserving",
            "Ablatio mammae": "mastectomy",
            "keine Operation": "none",
        },
    },
    "neoadjuvant": "nact",
    "histological_type": {
        "column": "histo",
        "values": {
            "NST (duktal)": "no special type",
            "lobulär": "lobular",
            "gemischt": "mixed",
            "muzinös": "mucinous",
            "andere": "other special",
        },
    },
    "pt_stage": {
        "column": "pt_kat",
        "values": {"pT1": "T1", "pT2": "T2", "pT3": "T3", "pT4": "T4"},
        "missing": ["pTX"],
    },
    "pn_stage": {
        "column": "pn_kat",
        "values": {"pN0": "N0", "pN1": "N1", "pN2": "N2", "pN3": "N3"},
        "missing": ["pNX"],
    },
    "tumour_size_mm": {"column": "tu_gr", "missing": ["-99"]},
    "positive_nodes": {"column": "lk_bef", "missing": ["UNK"]},  # not those examined
    "grade": {"column": "diff", "values": {"G1": 1, "G2": 2, "G3": 3}, "missing": ["GX"]},
    "er_positive": {"column": "oer", "values": _UNKNOWN, "missing": ["unbekannt"]},
    "pr_positive": {"column": "pgr", "values": _UNKNOWN, "missing": ["unbekannt"]},
    "her2_positive": {
        "column": "her2",
        "values": {"positiv (3+ oder FISH+)": True, "negativ": False},
        "missing": ["nicht bestimmt"],
    },
    "pathology_date": "bef_dat",
    "chemotherapy": "adj___1",  # boxes of one field: the choice says what it is
    "endocrine_therapy": "adj___2",
    "tumour_board_date": "tuko_dat",
    "distant_metastasis": "fm",  # in the course; those at diagnosis are m_ed
    "distant_metastasis_date": "fm_dat",
    "death": "tot",
    "death_date": "tod_dat",
    "followup_date": "lko_dat",
}

# ------------------------------------------------------------------------- NAACCR, breast


def naaccr(folder: Path) -> None:
    """A cancer registry's file of invasive breast cancer: NAACCR items by their XML names."""
    r = random.Random(12)
    rows = []
    for i in range(N):
        c = _course(r)
        nodes = r.choice(["00", "00", "00", "01", "02", "06", "98", "99"])
        chemo = r.choice(["00", "00", "01", "02", "03", "82", "88", "99"])
        rows.append(
            {
                "patientIdNumber": f"{10000031 + 7 * i:08d}",
                "reportingFacility": r.choice(["0000401230", "0000407710", "0000409905"]),
                "sex": "1" if i == 5 else "2",
                "ageAtDiagnosis": r.choice([f"0{r.randrange(34, 88)}"] * 20 + ["999"]),
                "dateOfDiagnosis": (c["start"] - dt.timedelta(days=30)).strftime("%Y%m%d"),
                "primarySite": r.choice(["C504", "C502", "C509"]),
                "sequenceNumberCentral": r.choice(["00", "00", "00", "01"]),
                "histologicTypeIcdO3": r.choice(["8500", "8500", "8500", "8520", "8522", "8480"]),
                "behaviorCodeIcdO3": r.choice(["3", "3", "3", "3", "2"]),
                "gradePathological": r.choice(["1", "2", "2", "3", "9"]),
                "tumorSizeSummary": r.choice([f"{r.randrange(5, 70):03d}"] * 12 + ["999"]),
                "regionalNodesPositive": nodes,
                "regionalNodesExamined": f"{r.randrange(1, 20):02d}",
                "ajccTnmPathT": r.choice(["pT1b", "pT1c", "pT1c", "pT2", "pT3", "pTX"]),
                "ajccTnmPathN": r.choice(["pN0", "pN0(sn)", "pN1a", "pN2a", "pNX"]),
                "ajccTnmPathM": "88",
                "metsAtDxBone": "0",
                "metsAtDxDistantLn": "0",
                "estrogenReceptorSummary": r.choice(["0", "1", "1", "1", "7", "9"]),
                "progesteroneRcptorSummary": r.choice(["0", "1", "1", "9"]),
                "her2OverallSummary": r.choice(["0", "0", "0", "1", "9"]),
                "rxSummSurgPrimSite": r.choice(["20", "22", "23", "41", "51", "00"]),
                "rxDateSurgery": c["start"].strftime("%Y%m%d"),
                "rxSummChemo": chemo,
                "rxSummHormone": r.choice(["00", "01", "01", "86", "88", "99"]),
                "rxSummRadiation": r.choice(["0", "1"]),
                "vitalStatus": "0" if c["died"] else "1",  # 0 is dead here
                "causeOfDeath": r.choice(["C509", "I219", "C349"]) if c["died"] else "0000",
                "dateOfLastContact": c["last"].strftime("%Y%m%d"),
                "survMosActiveFollowup": f"{int(c['days'] / 30.4375):04d}",
            }
        )
    _write(rows, folder / "patients.csv")


_GIVEN = {"00": False, "01": True, "02": True, "03": True, "82": False}
NAACCR: Truth = {
    "centre": "reportingFacility",
    "sex": {"column": "sex", "values": {"1": "male", "2": "female"}},  # item 220
    "age_years": {"column": "ageAtDiagnosis", "missing": ["999"]},
    "surgery_date": {"column": "rxDateSurgery", "date_format": "%Y%m%d"},  # not of diagnosis
    "histological_type": {
        "column": "histologicTypeIcdO3",
        "values": {
            "8500": "no special type",
            "8520": "lobular",
            "8522": "mixed",
            "8480": "mucinous",
        },
    },
    "invasive_carcinoma": {"column": "behaviorCodeIcdO3", "values": {"3": True, "2": False}},
    "grade": {"column": "gradePathological", "missing": ["9"]},
    "tumour_size_mm": {"column": "tumorSizeSummary", "missing": ["999"]},
    # 98: none examined, 99: unknown
    "positive_nodes": {"column": "regionalNodesPositive", "missing": ["98", "99"]},
    "pt_stage": {
        "column": "ajccTnmPathT",
        "values": {"pT1b": "T1", "pT1c": "T1", "pT2": "T2", "pT3": "T3"},
        "missing": ["pTX"],
    },
    "pn_stage": {
        "column": "ajccTnmPathN",
        "values": {"pN0": "N0", "pN0(sn)": "N0", "pN1a": "N1", "pN2a": "N2"},
        "missing": ["pNX"],
    },
    "er_positive": {"column": "estrogenReceptorSummary", "missing": ["7", "9"]},
    "pr_positive": {"column": "progesteroneRcptorSummary", "missing": ["9"]},
    "her2_positive": {"column": "her2OverallSummary", "missing": ["9"]},
    "surgery": {
        "column": "rxSummSurgPrimSite",
        "values": {
            **dict.fromkeys(("20", "22", "23"), "breast-conserving"),
            **dict.fromkeys(("41", "51"), "mastectomy"),
            "00": "none",
        },
    },
    # 82: contraindicated; 88 and 99: recommended, and not known whether given
    "chemotherapy": {"column": "rxSummChemo", "values": _GIVEN, "missing": ["88", "99"]},
    "endocrine_therapy": {
        "column": "rxSummHormone",
        "values": {"00": False, "01": True, "86": False},
        "missing": ["88", "99"],
    },
    # the living are 1; follow-up in months is theirs, too
    "death + death_days": {
        "time": "survMosActiveFollowup",
        "unit": "months",
        "status": "vitalStatus",
        "codes": {"1": "censored", "0": "death"},
    },
    "followup_date": {"column": "dateOfLastContact", "date_format": "%Y%m%d"},
    "followup_days": {"column": "survMosActiveFollowup", "unit": "months"},
}

# ------------------------------------------------------------------------- German registry, lung


def obds(folder: Path) -> None:
    """A German clinic's cancer registry, lung: semicolons, decimal commas, words and letters."""
    r = random.Random(13)
    rows = []
    for i in range(N):
        c = _course(r)
        born = dt.date(r.randrange(1938, 1970), r.randrange(1, 13), r.randrange(1, 29))
        german = "%d.%m.%Y"
        arm = r.choice(["OP", "OP", "OP", "Stereotaxie"])
        size = round(r.uniform(0.6, 4.0), 1)
        stage = "1a" if size <= 1 else "1b" if size <= 2 else "1c" if size <= 3 else "2a"
        rows.append(
            {
                "Patienten_ID": f"L-{i + 1:04d}",
                "Meldende_Klinik": r.choice(["Thoraxchirurgie", "Pneumologie"]),
                "Geschlecht": r.choice("MW"),
                "Geburtsdatum": born.strftime(german),
                "Diagnosedatum": (c["start"] - dt.timedelta(days=25)).strftime(german),
                "Morphologie_Code": r.choice(["8140/3", "8140/3", "8070/3", "8250/3", "8560/3"]),
                "cT": stage,
                "cN": "0",
                "cM": "0",
                "UICC": r.choice(["IA1", "IA2", "IA3", "IB"]),
                "Therapieart": arm,
                "OP_Datum": c["start"].strftime(german),
                "pN": r.choice(["0", "0", "0", "1", "2", "X"]) if arm == "OP" else "",
                "Raucherstatus": r.choice(["Raucher", "Ex-Raucher", "Nie-Raucher", "k.A."]),
                "Packyears": r.randrange(0, 60),
                "Karnofsky_Index": r.choice([100, 90, 90, 80, 70]),
                "FEV1": f"{r.uniform(1.2, 4):.2f}".replace(".", ","),
                "Tumorgröße_cm": f"{size:.1f}".replace(".", ","),
                "Lage": r.choice(["zentral", "peripher", "peripher"]),
                "PET_CT": r.choice("JJJN"),
                "EBUS": r.choice("JNN"),
                "SUVmax": f"{r.uniform(0.8, 18):.1f}".replace(".", ","),
                "Einwilligung": "J",
                "Rezidiv": r.choice("JNN"),
                "Vitalstatus": "verstorben" if c["died"] else "lebend",
                "Sterbedatum": c["died"].strftime(german) if c["died"] else "",
                "Datum_letzte_Information": c["last"].strftime(german),
            }
        )
    _write(rows, folder / "patients.csv", ";")


_YES = {"J": True, "N": False}
_T = {"1a": "T1a", "1b": "T1b", "1c": "T1c", "2a": "T2a"}
_GERMAN = {"date_format": "%d.%m.%Y"}
OBDS: Truth = {
    "centre": "Meldende_Klinik",
    "female": {"column": "Geschlecht", "values": {"W": True, "M": False}},
    "age_years": {"years_between": ["Geburtsdatum", "OP_Datum"], **_GERMAN},
    # 8560 is adenosquamous
    "adenocarcinoma": {
        "column": "Morphologie_Code",
        "values": {"8140/3": True, "8250/3": True, "8070/3": False, "8560/3": False},
    },
    "clinical_t": {"column": "cT", "values": _T},
    "clinical_n": {"column": "cN", "values": {"0": "N0"}},
    "clinical_m": {"column": "cM", "values": {"0": "M0"}},
    "arm": {"column": "Therapieart", "values": {"OP": "surgery", "Stereotaxie": "sbrt"}},
    "treatment_date": {"column": "OP_Datum", **_GERMAN},
    "pathological_n": {
        "column": "pN",
        "values": {"0": "N0", "1": "N1", "2": "N2"},
        "missing": ["X"],
    },
    "ever_smoker": {
        "column": "Raucherstatus",
        "values": {"Raucher": True, "Ex-Raucher": True, "Nie-Raucher": False},
        "missing": ["k.A."],
    },
    "kps": "Karnofsky_Index",
    "tumour_size_mm": {"column": "Tumorgröße_cm", "unit": "cm"},
    "central": {"column": "Lage", "values": {"zentral": True, "peripher": False}},
    "pet_ct": {"column": "PET_CT", "values": _YES},
    "invasive_staging": {"column": "EBUS", "values": _YES},
    "suvmax": "SUVmax",
    "informed_consent": {"column": "Einwilligung", "values": _YES},
    "death": {"column": "Vitalstatus", "values": {"verstorben": True, "lebend": False}},
    "death_date": {"column": "Sterbedatum", **_GERMAN},
    "followup_date": {"column": "Datum_letzte_Information", **_GERMAN},
}

# ------------------------------------------------------------------------- cBioPortal, breast


def cbioportal(folder: Path) -> None:
    """Clinical data of a breast cancer study as cBioPortal's page saves it (tab separated)."""
    r = random.Random(14)
    rows = []
    for i in range(N):
        c = _course(r)
        rows.append(
            {
                "Study ID": "brca_made_up",
                "Patient ID": f"MB-{i:04d}",
                "Age at Diagnosis": f"{r.uniform(30, 88):.2f}",
                "Type of Breast Surgery": r.choice(["MASTECTOMY", "BREAST CONSERVING"]),
                "Cancer Type": "Breast Cancer",
                "Cancer Type Detailed": r.choice(
                    [
                        "Breast Invasive Ductal Carcinoma",
                        "Breast Invasive Lobular Carcinoma",
                        "Breast Mixed Ductal and Lobular Carcinoma",
                    ]
                ),
                "Chemotherapy": r.choice(["YES", "NO", "NO"]),
                "ER status measured by IHC": r.choice(["Positve", "Negative", ""]),
                "ER Status": r.choice(["Positive", "Positive", "Negative"]),
                "Neoplasm Histologic Grade": r.choice(["1.0", "2.0", "3.0", ""]),
                "HER2 status measured by SNP6": r.choice(["NEUTRAL", "GAIN", "LOSS"]),
                "HER2 Status": r.choice(["Negative", "Negative", "Positive"]),
                "Hormone Therapy": r.choice(["YES", "NO"]),
                "Inferred Menopausal State": r.choice(["Post", "Post", "Pre"]),
                "Lymph nodes examined positive": r.choice(["0.0", "0.0", "1.0", "3.0", "11.0"]),
                "Mutation Count": str(r.randrange(1, 40)),
                "Nottingham prognostic index": f"{r.uniform(2, 6.5):.2f}",
                "Overall Survival (Months)": f"{c['days'] / 30.4375:.6f}",
                "Overall Survival Status": "1:DECEASED" if c["died"] else "0:LIVING",
                "PR Status": r.choice(["Positive", "Negative"]),
                "Radio Therapy": r.choice(["YES", "NO"]),
                "Relapse Free Status (Months)": f"{c['days'] / 32:.2f}",
                "Relapse Free Status": r.choice(["0:Not Recurred", "1:Recurred"]),
                "Sex": "Female",
                "Tumor Size": f"{r.uniform(6, 80):.1f}",
                "Tumor Stage": r.choice(["1.0", "2.0", "3.0"]),
            }
        )
    _write(rows, folder / "patients.tsv", "\t")


CBIOPORTAL: Truth = {
    # relapse of any kind is no distant metastasis; the stage is neither T nor N
    "age_years": "Age at Diagnosis",
    "sex": "Sex",
    "surgery": {
        "column": "Type of Breast Surgery",
        "values": {"MASTECTOMY": "mastectomy", "BREAST CONSERVING": "breast-conserving"},
    },
    "histological_type": {
        "column": "Cancer Type Detailed",
        "values": {
            "Breast Invasive Ductal Carcinoma": "no special type",
            "Breast Invasive Lobular Carcinoma": "lobular",
            "Breast Mixed Ductal and Lobular Carcinoma": "mixed",
        },
    },
    "chemotherapy": "Chemotherapy",
    # by expression, or by immunohistochemistry (misspelt there, too): for a person to choose
    "er_positive": [
        {"column": "ER Status", "values": {"Positive": True, "Negative": False}},
        {"column": "ER status measured by IHC", "values": {"Positve": True, "Negative": False}},
    ],
    "pr_positive": {"column": "PR Status", "values": {"Positive": True, "Negative": False}},
    "her2_positive": {"column": "HER2 Status", "values": {"Positive": True, "Negative": False}},
    "grade": "Neoplasm Histologic Grade",
    "endocrine_therapy": "Hormone Therapy",
    "postmenopausal": {
        "column": "Inferred Menopausal State",
        "values": {"Post": True, "Pre": False},
    },
    "positive_nodes": "Lymph nodes examined positive",
    "tumour_size_mm": "Tumor Size",
    "death + death_days": {
        "time": "Overall Survival (Months)",
        "unit": "months",
        "status": "Overall Survival Status",
        "codes": {"0:LIVING": "censored", "1:DECEASED": "death"},
    },
}
