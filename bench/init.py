"""What `metasight init` proposes for real and simulated exports, against a truth by hand.

python bench/init.py

A proposal is right when every cell of the table reads as it does under the truth: same column,
unit, codes, date format and missing codes. The exit status is 1 if fewer than 90 % of the variables
that are there are proposed rightly, or one is wrong without a question mark.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import init_exports as exports
import pandas as pd

from metasight.cli.study import IdKind, init
from metasight.cohort.codes import MissingCodes, meaning
from metasight.cohort.mapping import ColumnMapping
from metasight.cohort.parsing import parse_cell
from metasight.cohort.redcap import read_redcap
from metasight.cohort.settings import TableSettings
from metasight.cohort.tables import read_table
from metasight.protocol.load import read_protocol
from metasight.protocol.study import Protocol
from metasight.units import conversion_factor

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "tables"
BAR = 0.9
RIGHT = ("right, sure", "right, ?")
VERDICTS = (*RIGHT, "not proposed", "wrong, ?", "wrong, sure")


@dataclass(frozen=True, kw_only=True)
class Export:
    """A table, how a person would call `init` on it, and what is in it.

    Attributes
    ----------
    name
        For the table of results.
    write
        Puts its files into a folder.
    truth
        Variable → what ``[columns]`` should say, or several that are right; "event + event_days" →
        one of [[time_and_status]].
    protocol, options
        Of `init`.
    """

    name: str
    write: Callable[[Path], Any]
    truth: exports.Truth
    options: dict[str, Any]
    protocol: str = "breast-dmfs"


def _copy(path: Path) -> Callable[[Path], Any]:
    return lambda folder: shutil.copy(path, folder / "patients.csv")


_DAYS = {"unit": "days"}
NKI: exports.Truth = {
    "age_years": "age",
    "tumour_size_mm": {"column": "size", "unit": "cm"},  # 2.0, 2.5: the median is 2
    "grade": "grade",
    "er_positive": "er",
    "chemotherapy": "chemotherapy",
    "endocrine_therapy": "hormonotherapy",
    # t.* is filled in for patients without the event, as follow-up
    "distant_metastasis + distant_metastasis_days": {
        "time": "t.dmfs",
        "status": "e.dmfs",
        "codes": {"0.0": "censored", "1.0": "distant_metastasis"},
        **_DAYS,
    },
    "death + death_days": {
        "time": "t.os",
        "status": "e.os",
        "codes": {"0.0": "censored", "1.0": "death"},
        **_DAYS,
    },
    # `node` is whether nodes were positive, not how many; `series` is no centre
}
NKI70: exports.Truth = {
    "age_years": "Age",
    "er_positive": {"column": "ER", "values": {"Positive": True, "Negative": False}},
    "grade": {"column": "Grade", "values": {"Well diff": 1, "Intermediate": 2, "Poorly diff": 3}},
    # the table says time and event alone; they are years, and metastasis-free survival
    "distant_metastasis + distant_metastasis_days": {
        "time": "time",
        "unit": "years",
        "status": "event",
        "codes": {"0": "censored", "1": "distant_metastasis"},
    },
    # Diam (<=2cm, >2cm) is no size and no T stage (>2cm may be T2 or T3); N is 1-3 or >=4
}
ROTTERDAM: exports.Truth = {
    "age_years": "age",
    "postmenopausal": "meno",
    "grade": "grade",
    "positive_nodes": "nodes",
    "endocrine_therapy": "hormon",
    "chemotherapy": "chemo",
    # bands of exactly T1, T2 and T3
    "pt_stage": {"column": "size", "values": {"<=20": "T1", "20-50": "T2", ">50": "T3"}},
    "death + death_days": {
        "time": "dtime",
        "status": "death",
        "codes": {"0": "censored", "1": "death"},
        **_DAYS,
    },
    # er and pgr are fmol/mg and need a threshold; recur is any recurrence
}
_US = {"date_format": "%m/%d/%Y"}
RADIOGENOMICS: exports.Truth = {
    "centre": "Patient affiliation",
    "age_years": "Age at Histological Diagnosis",
    "female": {"column": "Gender", "values": {"Female": True, "Male": False}},
    "ever_smoker": {
        "column": "Smoking status",
        "values": {"Current": True, "Former": True, "Nonsmoker": False},
    },
    "adenocarcinoma": {
        "column": "Histology",
        "values": {
            "Adenocarcinoma": True,
            "Squamous cell carcinoma": False,
            "NSCLC NOS (not otherwise specified)": False,
        },
    },
    "pathological_n": {"column": "Pathological N stage", "missing": ["Not Collected"]},
    "ct_date": {"column": "CT Date", **_US},
    "death": {"column": "Survival Status", "values": {"Dead": True, "Alive": False}},
    "death_date": {"column": "Date of Death", "missing": ["N/A"], **_US},
    "death_days": {"column": "Time to Death (days)", "missing": ["N/A"]},  # of the dead alone
    "followup_date": {"column": "Date of Last Known Alive", **_US},
    # %GG in bands; 100 % is pure ground glass
    "pure_ground_glass": {
        "column": "%GG",
        "values": {
            "100%": True,
            **dict.fromkeys(
                ("0%", ">0 - 25%", "25 - 50%", "50 - 75%", "75 - < 100%"),
                False,
            ),
        },
        "missing": ["Not Assessed"],
    },
    # T and M stage are pathological, not clinical; the upper lobe is in two columns; the first day
    # of treatment is a date plus a number of days
}


def all_exports() -> list[Export]:
    """Those of ``../shared``, where it is, and the simulated ones."""
    radiogenomics = next(iter((SHARED / "nsclc-radiogenomics").glob("NSCLC*.csv")), SHARED)
    lung = "nsclc-occult-node"
    real = [
        Export(
            name="NKI (genefu)",
            write=_copy(SHARED / "genefu_nkis_dmfs.csv"),
            truth=NKI,
            options={"id_column": "id"},
        ),
        Export(
            name="nki70",
            write=_copy(SHARED / "nki70_mfs.csv"),
            truth=NKI70,
            options={"id_column": "row", "ids": "row"},
        ),
        Export(
            name="Rotterdam",
            write=_copy(SHARED / "rotterdam.csv"),
            truth=ROTTERDAM,
            options={"id_column": "pid"},
        ),
        Export(
            name="NSCLC Radiogenomics",
            write=_copy(radiogenomics),
            truth=RADIOGENOMICS,
            options={"id_column": "Case ID"},
            protocol=lung,
        ),
    ]
    return [*(e for e in real if SHARED.is_dir()), *simulated()]


def simulated() -> list[Export]:
    """Those that this folder writes."""
    return [
        Export(
            name="REDCap, German (simulated)",
            write=exports.redcap,
            truth=exports.REDCAP,
            options={"id_column": "record_id", "dictionary": "dictionary.csv"},
        ),
        Export(
            name="NAACCR registry (simulated)",
            write=exports.naaccr,
            truth=exports.NAACCR,
            options={"id_column": "patientIdNumber"},
        ),
        Export(
            name="German registry (simulated)",
            write=exports.obds,
            truth=exports.OBDS,
            options={"id_column": "Patienten_ID"},
            protocol="nsclc-occult-node",
        ),
        Export(
            name="cBioPortal (simulated)",
            write=exports.cbioportal,
            truth=exports.CBIOPORTAL,
            options={"id_column": "Patient ID", "table": "patients.tsv"},
        ),
    ]


def judge(export: Export, folder: Path) -> dict[str, str]:
    """Variable → verdict; of all that are there or are proposed."""
    export.write(folder)
    options = {"table": "patients.csv", "ids": "text", "sheet": None, "header_row": 1}
    options |= {"dictionary": None, "encoding": "utf-8", **export.options}
    options["ids"] = IdKind(options["ids"])
    with contextlib.redirect_stdout(io.StringIO()):
        init(folder=folder, protocol=export.protocol, **options)
    text = (folder / "study.toml").read_text("utf-8")
    sure, whole = tomllib.loads(text), tomllib.loads(text.replace("# ? ", ""))
    settings = TableSettings(**whole["patients"])
    read = read_redcap if settings.format == "redcap" else read_table
    cells = read(folder, settings, None if settings.format == "redcap" else ()).cells
    protocol = read_protocol(export.protocol)
    found: dict[str, str] = {}
    proposed = dict(whole["columns"])
    for name, right in export.truth.items():
        if " + " in name:
            event = name.split(" + ", maxsplit=1)[0]
            pairs = [
                p for p in whole.get("time_and_status", []) if event in set(p["codes"].values())
            ]
            same = bool(pairs) and _pair(pairs[0], cells) == _pair(right, cells)
            verdict = "right, ?" if same else "wrong, ?" if pairs else "not proposed"
            found |= dict.fromkeys(name.split(" + "), verdict)
            continue
        given = proposed.get(name)
        if given is None:
            found[name] = "not proposed"
            continue
        mark = "sure" if name in sure["columns"] else "?"
        rights = right if isinstance(right, list) else [right]
        one, *others = (_values(protocol, name, m, cells, settings) for m in (given, *rights))
        found[name] = f"{'right' if one in others else 'wrong'}, {mark}"
    for name in proposed.keys() - found.keys():
        found[name] = f"wrong, {'sure' if name in sure['columns'] else '?'}"
    for pair in whole.get("time_and_status", []):
        for event in set(pair["codes"].values()) - {"censored"}:
            found.setdefault(event, "wrong, ?")
    return found


def _values(
    protocol: Protocol, name: str, given: Any, cells: pd.DataFrame, settings: TableSettings
) -> Any:
    """What every cell of the mapped column reads as, and the column."""
    if isinstance(given, dict) and "column" not in given:
        return {**given, "missing": sorted(given.get("missing", []))}
    mapping = ColumnMapping(column=given) if isinstance(given, str) else ColumnMapping(**given)
    missing = MissingCodes((*settings.missing, *mapping.missing))
    variable = protocol.variables[name]
    return mapping.column, [
        None if t in missing else parse_cell(str(t), variable, mapping, settings.decimal)
        for t in cells[mapping.column]
    ]


def _pair(given: dict[str, Any], cells: pd.DataFrame) -> Any:
    """Time in days and event of every patient, under [[time_and_status]]."""
    factor = conversion_factor(given.get("unit", "days"), "days")
    missing = MissingCodes(("NA", *given.get("missing", ())))
    times = [
        None if t in missing else round(float(t) * (factor or 0), 6) for t in cells[given["time"]]
    ]
    codes = [None if s in missing else meaning(s, given["codes"]) for s in cells[given["status"]]]
    return times, codes


def table(found: Sequence[Export], work: Path) -> tuple[Counter[str], list[str]]:
    """Print a row for each, and what is not right; returns the counts and what was wrong."""
    total: Counter[str] = Counter()
    told = []
    width = max(len(e.name) for e in found)
    print(f"{'table':{width}} | there | " + " | ".join(VERDICTS))
    for number, export in enumerate(found):
        folder = work / str(number) / "study"
        folder.mkdir(parents=True)
        verdicts = judge(export, folder)
        counts = Counter(verdicts.values())
        there = sum(len(n.split(" + ")) for n in export.truth)
        total += counts
        total["there"] += there
        shown = " | ".join(f"{counts[v]:{len(v)}d}" for v in VERDICTS)
        print(f"{export.name:{width}} | {there:5d} | {shown}", flush=True)
        told += [f"{export.name}: {n}: {v}" for n, v in verdicts.items() if v not in RIGHT]
    shown = " | ".join(f"{total[v]:{len(v)}d}" for v in VERDICTS)
    print(f"{'all':{width}} | {total['there']:5d} | {shown}")
    return total, told


def main() -> int:
    """1 if the bar is missed."""
    with tempfile.TemporaryDirectory(prefix="init-") as work:
        total, told = table(all_exports(), Path(work))
    print("\n" + "\n".join(told or ["everything right"]))
    share = sum(total[v] for v in RIGHT) / total["there"]
    print(f"\n{share:.1%} of what is there proposed rightly, {total['wrong, sure']} wrong and sure")
    return int(share < BAR or total["wrong, sure"] > 0)


if __name__ == "__main__":
    sys.exit(main())
