"""Situations of patient tables: exports, spreadsheets and registries as hospitals have them.

python bench/doors_tables.py
"""

from __future__ import annotations

import datetime as dt
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from doors_common import Situation, main
from openpyxl import Workbook

from metasight.cohort.read import Cohort, read_cohort
from metasight.errors import MetasightError, TableError
from metasight.ledger import Fate
from metasight.study.file import read_study

Rows = list[dict[str, Any]]
N = 80

_STUDY = """
protocol = "breast-dmfs"
salt = "a salt for situations"
public_data = true
{top}
[patients]
path = "{path}"
id = "{id}"
{patients}
{tables}
[columns]
{columns}
[constants]
neoadjuvant = {{ value = false, reason = "nobody had neoadjuvant therapy" }}
pretreatment_specimen = {{ value = true, reason = "no treatment before surgery" }}
pure_dcis = {{ value = false, reason = "only invasive carcinoma is here" }}
[waive]
{waive}
[analysis]
reference_model = "clinical"
headline_model = "clinical"
[[model]]
kind = "cox"
name = "clinical"
"""
_PLAIN = [
    "centre",
    "sex",
    "age_years",
    "surgery_date",
    "invasive_carcinoma",
    "curative_resection",
    "surgery",
    "tumour_size_mm",
    "positive_nodes",
    "grade",
    "er_positive",
    "distant_metastasis",
    "distant_metastasis_days",
    "death",
    "death_days",
    "followup_days",
]
_WAIVE = {
    "I5": "no slides in this table",
    "I6": "no sections were kept here",
    "I7": "treatment is not in this table",
    "E2": "histological type is not here",
    "E4": "earlier cancers are not here",
    "E5": "no slides in this table",
    "E6": "no slides in this table",
    "E7": "no slides in this table",
}


def patients(n: int = N) -> Rows:
    """Made-up patients, the same each time."""
    r = random.Random(4)
    rows = []
    for i in range(n):
        died, moved, seen = (round(r.uniform(200, 4000)) for _ in range(3))
        dm, dead = moved < min(died, seen), died < seen
        rows.append(
            {
                "id": f"A{i + 1:04d}",
                "centre": r.choice(["N", "S"]),
                "sex": "female",
                "age_years": r.randint(35, 75),
                "surgery_date": "2016-03-01",
                "invasive_carcinoma": "yes",
                "curative_resection": "yes",
                "surgery": "mastectomy",
                "tumour_size_mm": r.randint(8, 45),
                "positive_nodes": r.choice([0, 0, 1, 4]),
                "grade": r.choice([1, 2, 3]),
                "er_positive": r.choice(["yes", "no"]),
                "distant_metastasis": "yes" if dm else "no",
                "distant_metastasis_days": moved if dm else "",
                "death": "yes" if dead else "no",
                "death_days": died if dead else "",
                "followup_days": min(died, seen),
            }
        )
    return rows


def study(
    folder: Path,
    rows: Rows,
    *,
    path: str = "patients.csv",
    id_: str = "id",
    columns: dict[str, str | None] | None = None,
    patients: str = "",
    tables: str = "",
    top: str = "",
    waive: dict[str, str | None] | None = None,
    write: Callable[[pd.DataFrame, Path], None] | None = None,
) -> None:
    """A study folder; a column or waiver of None is left out."""
    frame = pd.DataFrame(rows, dtype=object)
    if write is None:
        frame.to_csv(folder / path, index=False)
    else:
        write(frame, folder / path)
    mapped: dict[str, str | None] = {c: f'"{c}"' for c in _PLAIN}
    mapped |= columns or {}
    left = {**_WAIVE, **(waive or {})}
    (folder / "study.toml").write_text(
        _STUDY.format(
            path=path,
            id=id_,
            patients=patients,
            tables=tables,
            top=top,
            columns="\n".join(f"{k} = {v}" for k, v in mapped.items() if v),
            waive="\n".join(f'"{k}" = "{v}"' for k, v in left.items() if v),
        )
    )


def cohort(folder: Path) -> Cohort:
    """As `metasight check` reads it."""
    told = read_study(folder)
    return read_cohort(told.folder, told.settings, told.protocol)


def same(read: Cohort, plain: Cohort, but: tuple[str, ...] = ()) -> str:
    """Whether two tables hold the same patients and values."""
    one, other = (
        c.table.drop(columns=[*but, "centre"], errors="ignore").sort_index() for c in (read, plain)
    )
    return "right" if one.equals(other[one.columns]) else "wrong: other values"


def outcome(run: Callable[[], str], *, one_problem: bool = True, says: str = "") -> str:
    """What a situation comes to; a refusal is one clear problem that says what it should."""
    try:
        return run()
    except TableError as error:
        kinds = str(error).splitlines()[0]
        if one_problem and not kinds.startswith("1 problem"):
            return f"wrong: {kinds}"
        told = " ".join(str(error).split())
    except MetasightError as error:
        told = " ".join(str(error).split())
    return f"refused: {told[:150]}" if says in told else f"wrong: says {told[:100]}"


def plain(folder: Path) -> Cohort:
    """The same patients in a plain table."""
    place = folder / "plain"
    place.mkdir()
    study(place, patients())
    return cohort(place)


_FOUND: list[Situation] = []


def situation(name: str) -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    """Add a function to the table under the name of what is met."""

    def added(run: Callable[[Path], str]) -> Callable[[Path], str]:
        _FOUND.append(Situation(name=name, run=run))
        return run

    return added


def situations() -> list[Situation]:
    """All of patient tables."""
    return list(_FOUND)


# ----------------------------------------------------------------------------- REDCap


def _redcap(folder: Path, rows: Rows, fields: dict[str, tuple[str, str, str]]) -> None:
    names = ["id", *[c for c in _PLAIN if c not in fields], *fields]
    plain = ("main", "text", "")
    pd.DataFrame(
        [
            {
                "Variable / Field Name": n,
                "Form Name": fields.get(n, plain)[0],
                "Field Type": fields.get(n, plain)[1],
                "Choices, Calculations, OR Slider Labels": fields.get(n, plain)[2],
                "Identifier?": "",
            }
            for n in names
        ]
    ).to_csv(folder / "dictionary.csv", index=False)
    del rows


_REDCAP = 'format = "redcap"\ndictionary = "dictionary.csv"\n'


@situation("REDCap: boxes of a form that nobody opened")
def unopened(folder: Path) -> str:
    rows = patients()
    for i, row in enumerate(rows):
        row["prior___1"], row["history_complete"] = 0, 2 if i >= 10 else i % 2 and ""
    _redcap(folder, rows, {"prior": ("history", "checkbox", "1, Cancer")})
    columns = {"prior_malignancy": '"prior___1"'}
    study(folder, rows, columns=columns, patients=_REDCAP, waive={"E4": None})
    found = [e.verdict for e in cohort(folder).ledger.entries if e.criterion == "E4"]
    unknown = found.count(Fate.UNKNOWN)
    return "right" if unknown == 10 else f"wrong: {unknown} unknown"


@situation("REDCap: missing-data code UNK in a choice field, declared")
def redcap_missing(folder: Path) -> str:
    rows = patients()
    for i, row in enumerate(rows):
        row["er"] = "UNK" if i < 5 else int(row["er_positive"] == "yes")
    _redcap(folder, rows, {"er": ("main", "radio", "1, Positive | 0, Negative")})
    er = '{ column = "er", values = { Positive = true, Negative = false } }'
    told = _REDCAP + 'missing = ["UNK"]'
    study(
        folder,
        [{k: v for k, v in r.items() if k != "er_positive"} for r in rows],
        columns={"er_positive": er},
        patients=told,
    )
    n = int(cohort(folder).table["er_positive"].isna().sum())
    return "right" if n == 5 else f"wrong: {n} missing"


@situation("REDCap: a code that neither dictionary nor study declares")
def redcap_code(folder: Path) -> str:
    rows = patients()
    for i, row in enumerate(rows):
        row["er"] = "UNK" if i < 5 else int(row["er_positive"] == "yes")
        del row["er_positive"]
    _redcap(folder, rows, {"er": ("main", "radio", "1, yes | 0, no")})
    study(folder, rows, columns={"er_positive": '"er"'}, patients=_REDCAP)
    return outcome(lambda: "wrong: read" if cohort(folder) else "", says="missing in study.toml")


@situation("REDCap: a repeating form that the study does not read")
def redcap_repeats(folder: Path) -> str:
    known = plain(folder)
    rows: Rows = []
    for row in patients():
        empty = dict.fromkeys(row, "")
        own = {"redcap_repeat_instrument": "", "redcap_repeat_instance": "", "lab": ""}
        rows.append({**row, **own})
        for n in (1, 2):
            lab = {"redcap_repeat_instrument": "labs", "redcap_repeat_instance": n, "lab": n}
            rows.append({**empty, "id": row["id"], **lab})
    _redcap(folder, rows, {"lab": ("labs", "text", "")})
    study(folder, rows, patients=_REDCAP)
    return same(cohort(folder), known)


@situation("REDCap: a repeating form that is read, without a choice")
def redcap_which(folder: Path) -> str:
    rows: Rows = []
    for row in patients():
        for n in (1, 2):
            own = {"redcap_repeat_instrument": "main", "redcap_repeat_instance": n}
            rows.append({**row, **own, "grade": n})
    _redcap(folder, rows, {})
    study(folder, rows, patients=_REDCAP)
    said = outcome(
        lambda: "wrong: read" if cohort(folder) else "", says='repeats = { main = "first"'
    )
    study(folder, rows, patients=_REDCAP + 'repeats = { main = "last" }')
    last = cohort(folder).table["grade"].eq(2).all()
    return said if last else "wrong: the remedy does not work"


@situation("REDCap: the same form in two events that differ")
def redcap_events(folder: Path) -> str:
    rows: Rows = []
    for row in patients():
        for n, event in enumerate(("diagnosis", "surgery"), start=1):
            rows.append({**row, "redcap_event_name": event, "grade": n})
    _redcap(folder, rows, {})
    study(folder, rows, patients=_REDCAP)
    said = outcome(lambda: "wrong: read" if cohort(folder) else "", says="events = { main")
    study(folder, rows, patients=_REDCAP + 'events = { main = "surgery" }')
    right = cohort(folder).table["grade"].eq(2).all()
    return said if right else "wrong: the remedy does not work"


# ----------------------------------------------------------------------------- spreadsheets


def _excel(change: Callable[[Any], None] | None = None) -> Callable[[pd.DataFrame, Path], None]:
    def write(frame: pd.DataFrame, path: Path) -> None:
        book = Workbook()
        sheet = book.active
        sheet.append(list(frame.columns))
        for values in frame.itertuples(index=False):
            sheet.append([None if v == "" else v for v in values])
        if change:
            change(book)
        book.save(path)

    return write


def _column(sheet: Any, name: str) -> int:
    return next(c.column for c in sheet[1] if c.value == name)


@situation("Excel: cells formatted as per cent beside plain ones")
def percentages(folder: Path) -> str:
    rows = [{**r, "area": 45} for r in patients()]

    def change(book: Any) -> None:
        column = _column(book.active, "area")
        for row in range(2, N + 2, 2):
            book.active.cell(row, column, 0.45).number_format = "0%"

    study(
        folder,
        rows,
        path="p.xlsx",
        columns={"tumour_area_percent": '"area"'},
        waive={"E6": None},
        write=_excel(change),
    )
    found = set(cohort(folder).table["tumour_area_percent"])
    return "right" if found == {45.0} else f"wrong: {found}"


@situation("Excel: 0.45 typed beside 45 %")
def ambiguous(folder: Path) -> str:
    rows = [{**r, "area": "0.45" if i == 3 else "45%"} for i, r in enumerate(patients())]
    study(folder, rows, columns={"tumour_area_percent": '"area"'}, waive={"E6": None})
    return outcome(lambda: "wrong: read" if cohort(folder) else "", says="row 5, column area")


@situation("Excel: real dates beside texts, with a date format")
def mixed_dates(folder: Path) -> str:
    known = plain(folder)
    rows = patients()
    for i, row in enumerate(rows):
        row["surgery_date"] = dt.date(2016, 3, 1) if i % 2 else "01.03.2016"
    day = '{ column = "surgery_date", date_format = "%d.%m.%Y" }'
    study(folder, rows, path="p.xlsx", columns={"surgery_date": day}, write=_excel())
    return same(cohort(folder), known)


@situation("Excel: #REF!, a formula and merged cells in notes")
def notes(folder: Path) -> str:
    known = plain(folder)
    rows = [{**r, "notes": "#REF!" if i == 4 else "seen"} for i, r in enumerate(patients())]

    def change(book: Any) -> None:
        column = _column(book.active, "notes")
        book.active.cell(9, column, "=#REF!-#REF!")
        book.active.merge_cells(start_row=12, end_row=14, start_column=column, end_column=column)

    study(folder, rows, path="p.xlsx", write=_excel(change))
    return same(cohort(folder), known)


@situation("Excel: a formula without a result in a column that is read")
def formula(folder: Path) -> str:
    def change(book: Any) -> None:
        book.active.cell(5, _column(book.active, "grade"), "=1+1")

    study(folder, patients(), path="p.xlsx", write=_excel(change))
    return outcome(lambda: "wrong: read" if cohort(folder) else "", says="row 5, column grade")


@situation("Excel: a title above the header")
def title(folder: Path) -> str:
    known = plain(folder)

    def change(book: Any) -> None:
        book.active.insert_rows(1)
        book.active["A1"] = "Registry, export of today"

    study(folder, patients(), path="p.xlsx", write=_excel(change))
    said = outcome(lambda: "wrong: read" if cohort(folder) else "", says="header_row = 2")
    study(folder, patients(), path="p.xlsx", patients="header_row = 2", write=_excel(change))
    return said if same(cohort(folder), known) == "right" else "wrong: the remedy does not work"


@situation("Excel: a row of units below the header")
def units_row(folder: Path) -> str:
    known = plain(folder)

    def change(book: Any) -> None:
        book.active.insert_rows(2)
        book.active.cell(2, _column(book.active, "tumour_size_mm"), "mm")

    study(folder, patients(), path="p.xlsx", patients="skip_rows = [2]", write=_excel(change))
    return same(cohort(folder), known)


@situation("Excel: several sheets")
def sheets(folder: Path) -> str:
    def change(book: Any) -> None:
        book.create_sheet("codes").append(["code", "meaning"])

    study(folder, patients(), path="p.xlsx", write=_excel(change))
    said = outcome(lambda: "wrong: read" if cohort(folder) else "", says="--sheet")
    study(folder, patients(), path="p.xlsx", patients='sheet = "Sheet"', write=_excel(change))
    return said if len(cohort(folder).table) == N else "wrong: the remedy does not work"


# ----------------------------------------------------------------------------- text files


@situation("R: write.csv with a column of row numbers and no name")
def row_numbers(folder: Path) -> str:
    known = plain(folder)
    study(folder, patients(), write=lambda f, p: f.set_index(f.index + 1).to_csv(p))
    return same(cohort(folder), known)


@situation("R: write.table, whose header lacks a name for row numbers")
def write_table(folder: Path) -> str:
    def write(frame: pd.DataFrame, path: Path) -> None:
        lines = frame.to_csv(index=False).splitlines()
        path.write_text("\n".join([lines[0], *(f"{i},{x}" for i, x in enumerate(lines[1:], 1))]))

    study(folder, patients(), write=write)
    return outcome(lambda: "wrong: read" if cohort(folder) else "", says="R wrote row names")


@situation("Names that occur twice, of columns that nobody reads")
def names_twice(folder: Path) -> str:
    known = plain(folder)
    study(
        folder,
        [{**r, "shape": 1, "margin": 2} for r in patients()],
        write=lambda f, p: f.rename(columns={"margin": "shape"}).to_csv(p, index=False),
    )
    return same(cohort(folder), known)


@situation("Missing code -99, written -99.0 by another program")
def sentinel(folder: Path) -> str:
    rows = patients()
    for row in rows[:7]:
        row["tumour_size_mm"] = "-99.0"
    study(folder, rows, patients="missing = [-99]")
    n = int(cohort(folder).table["tumour_size_mm"].isna().sum())
    return "right" if n == 7 else f"wrong: {n} missing"


@situation("Codes of an integer column with a gap: 2.0, and 2,0 with decimal commas")
def float_codes(folder: Path) -> str:
    known = plain(folder)
    grade = '{ column = "grade", values = { 1 = 1, 2 = 2, 3 = 3 } }'
    rows = [{**r, "grade": f"{r['grade']}.0"} for r in patients()]
    study(folder, rows, columns={"grade": grade})
    return same(cohort(folder), known)


@situation("Levels in capitals: Female, FEMALE, Mastectomy")
def capitals(folder: Path) -> str:
    known = plain(folder)
    rows = [
        {**r, "sex": "FEMALE" if i % 2 else "Female", "surgery": "Mastectomy"}
        for i, r in enumerate(patients())
    ]
    study(folder, rows)
    return same(cohort(folder), known)


@situation("An undeclared code in all rows is one problem with a count")
def one_problem(folder: Path) -> str:
    study(
        folder,
        [{**r, "er_positive": "P" if i % 3 else "N"} for i, r in enumerate(patients())],
        columns={"er_positive": '{ column = "er_positive", values = { pos = true, neg = false } }'},
    )
    return outcome(lambda: "wrong: read" if cohort(folder) else "", says=f"{N - 1} more rows")


# ----------------------------------------------------------------------------- ids


def _other_ids(folder: Path, change: Callable[[str], str], says: str) -> str:
    study(folder, patients(), tables='[modalities.labs]\npath = "labs.csv"\nid = "id"\n')
    labs = [{"id": change(r["id"]), "ki67": 15 + i} for i, r in enumerate(patients())]
    pd.DataFrame(labs).to_csv(folder / "labs.csv", index=False)

    def read() -> str:
        found = cohort(folder).modalities["labs"]["ki67"].notna().sum()
        return "right" if found == N else f"wrong: {found} of {N} meet"

    return outcome(read, says=says)


@situation("Ids: an invisible character in another table")
def invisible(folder: Path) -> str:
    return _other_ids(folder, lambda i: i + "\u200b", "")


@situation("Ids: leading zeros lost in another table")
def zeros(folder: Path) -> str:
    return _other_ids(folder, lambda i: f"A{int(i[1:])}", "leading zeros")


@situation("Ids: small letters in another table")
def small_letters(folder: Path) -> str:
    return _other_ids(folder, str.lower, "capitals")


@situation("Ids: another hospital's numbers altogether")
def nobody(folder: Path) -> str:
    return _other_ids(folder, lambda i: f"X{9000 + int(i[1:])}", "no patient of the patient table")


@situation("Ids: 17 in slides.csv, 0017 in patients.csv")
def slides(folder: Path) -> str:
    rows = [{**r, "id": f"{i:04d}"} for i, r in enumerate(patients())]
    study(folder, rows, tables='[slides]\npath = "slides.csv"\nid = "case"\n')
    (folder / "slides.csv").write_text("case,file,stain,markers\n17,x.svs,H&E,\n")
    told = read_study(folder)
    from metasight.cohort.slide_table import read_slide_table

    def read() -> str:
        rows = read_slide_table(folder, told.settings, told.protocol.marker)
        return f"wrong: {len(rows)} slides, nothing said"

    return outcome(read, says="leading zeros")


@situation("Ids: 17.0 and 0017 in two tables that say ids are numbers")
def number_ids(folder: Path) -> str:
    rows = [{**r, "id": f"{i:04d}"} for i, r in enumerate(patients())]
    labs = 'path = "labs.csv"\nid = "id"\nids = "number"\n'
    study(folder, rows, patients='ids = "number"', tables=f"[modalities.labs]\n{labs}")
    pd.DataFrame({"id": [f"{i}.0" for i in range(N)], "x": 1.5}).to_csv(
        folder / "labs.csv", index=False
    )
    found = cohort(folder).modalities["labs"]["x"].notna().sum()
    return "right" if found == N else f"wrong: {found} of {N} meet"


@situation("Ids: 17 and 017 in one table")
def perhaps_twice(folder: Path) -> str:
    rows = [{**r, "id": str(i + 1)} for i, r in enumerate(patients())]
    rows[20]["id"] = "017"
    study(folder, rows)
    return outcome(lambda: "wrong: read" if cohort(folder) else "", says="perhaps the same patient")


# ----------------------------------------------------------------------------- outcomes


_OUTCOME = ("distant_metastasis", "distant_metastasis_days", "death", "death_days", "followup_days")


def _one_status(rows: Rows) -> Rows:
    for row in rows:
        dm, dead = row["distant_metastasis"] == "yes", row["death"] == "yes"
        row["status"] = "DM" if dm else "dead" if dead else "alive"
        row["time"] = row["distant_metastasis_days" if dm else "death_days"] or row["followup_days"]
        for name in _OUTCOME:
            del row[name]
    return rows


@situation("One time and one status column, declared")
def status(folder: Path) -> str:
    known = plain(folder)
    codes = '{ alive = "censored", DM = "distant_metastasis", dead = "death" }'
    told = f'[[time_and_status]]\ntime = "time"\nstatus = "status"\ncodes = {codes}\n'
    study(folder, _one_status(patients()), columns=dict.fromkeys(_OUTCOME), tables=told)
    read = cohort(folder).table
    first = known.table[["distant_metastasis_days", "death_days"]].min(axis=1)
    own = read[["distant_metastasis_days", "death_days"]].min(axis=1)
    return "right" if own.equals(first) else "wrong: other times"


@situation("One time and one status column, mapped as several outcomes")
def status_mapped(folder: Path) -> str:
    codes = '{{ column = "status", values = {{ DM = {}, dead = {}, alive = false }} }}'
    columns: dict[str, str | None] = {
        "distant_metastasis": codes.format("true", "false"),
        "death": codes.format("false", "true"),
        **dict.fromkeys(("distant_metastasis_days", "death_days", "followup_days"), '"time"'),
    }
    study(folder, _one_status(patients()), columns=columns)
    return outcome(lambda: "wrong: read" if cohort(folder) else "", says="[[time_and_status]]")


@situation("A status with a code that is not declared")
def status_code(folder: Path) -> str:
    codes = '{ alive = "censored", DM = "distant_metastasis" }'
    told = f'[[time_and_status]]\ntime = "time"\nstatus = "status"\ncodes = {codes}\n'
    columns = dict.fromkeys(_OUTCOME)
    study(folder, _one_status(patients()), columns=columns, tables=told)
    return outcome(lambda: "wrong: read" if cohort(folder) else "", says="not define")


@situation("Death days filled in for the living")
def living(folder: Path) -> str:
    rows = [{**r, "death_days": r["death_days"] or r["followup_days"]} for r in patients()]
    study(folder, rows)
    return outcome(lambda: "wrong: read" if cohort(folder) else "", says="empty if death = no")


@situation("Age as negative days, event where a time is, offsets from diagnosis")
def derived(folder: Path) -> str:
    known = plain(folder)
    rows = patients()
    for row in rows:
        row["age"] = -round(365.25 * row["age_years"])
        row["to_surgery"] = 30
        row["to_death"] = row["death_days"] + 30 if row["death_days"] != "" else "NP"
    study(
        folder,
        rows,
        columns={
            "age_years": '{ column = "age", unit = "days", negate = true }',
            "death": '{ filled = "to_death", missing = ["NP"] }',
            "death_days": '{ days_between = ["to_surgery", "to_death"], missing = ["NP"] }',
        },
    )
    return same(cohort(folder), known, but=("age_years",))


@situation("Not curatively operated, and the dates are not in the table")
def palliative(folder: Path) -> str:
    rows = patients()
    for row in rows[:12]:
        row["curative_resection"] = "no"
    columns: dict[str, str | None] = {"surgery_date": None}
    study(folder, rows, columns=columns, waive={"I3.surgery_date": "the table holds no dates"})
    i3 = next(s for s in cohort(folder).eligibility.steps if s.criterion == "I3")
    if i3.excluded != 12:
        return f"wrong: {i3.excluded} excluded"
    study(folder, rows, columns=columns, waive={"I3": "the table holds no dates"})
    i3 = next(s for s in cohort(folder).eligibility.steps if s.criterion == "I3")
    return (
        "right" if "12 patients remain included" in i3.waived else "wrong: they pass without a word"
    )


@situation("Grade in a second table with the pathologist's ids")
def second_table(folder: Path) -> str:
    known = plain(folder)
    rows = patients()
    grades = pd.DataFrame({"case": [r["id"] for r in rows], "g": [r["grade"] for r in rows]})
    grades[::-1].to_csv(folder / "path.csv", index=False)
    for row in rows:
        del row["grade"]
    study(
        folder,
        rows,
        columns={"grade": '{ table = "path", column = "g" }'},
        tables='[tables.path]\npath = "path.csv"\nid = "case"\n',
    )
    return same(cohort(folder), known)


# ----------------------------------------------------------------------------- other formats


@situation("Parquet of pandas, with real dates")
def parquet(folder: Path) -> str:
    known = plain(folder)

    def write(frame: pd.DataFrame, path: Path) -> None:
        day = pd.to_datetime(frame["surgery_date"])
        text = frame.astype(str).assign(surgery_date=day)
        text.to_parquet(path)

    study(folder, patients(), path="p.parquet", write=write)
    return same(cohort(folder), known)


def _labelled(folder: Path, ending: str) -> str:
    try:
        import pyreadstat
    except ImportError:
        study(folder, patients(), path=f"p{ending}", write=lambda _, p: p.write_bytes(b"x"))
        return outcome(lambda: "wrong: read" if cohort(folder) else "", says="pip install")
    known = plain(folder)

    def write(frame: pd.DataFrame, path: Path) -> None:
        coded = frame.astype(str).assign(
            er_positive=[1.0 if v == "yes" else 0.0 for v in frame["er_positive"]]
        )
        make = pyreadstat.write_sav if ending == ".sav" else pyreadstat.write_dta
        make(coded, path, variable_value_labels={"er_positive": {1: "Positive", 0: "Negative"}})

    values = "{ Positive = true, Negative = false }"
    column = f'{{ column = "er_positive", values = {values} }}'
    study(folder, patients(), path=f"p{ending}", columns={"er_positive": column}, write=write)
    by_label = same(cohort(folder), known)
    column = '{ column = "er_positive", values = { 1 = true, 0 = false } }'
    study(folder, patients(), path=f"p{ending}", columns={"er_positive": column}, write=write)
    return by_label if same(cohort(folder), known) == "right" else "wrong: by code"


@situation("SPSS with value labels, mapped by label and by code")
def spss(folder: Path) -> str:
    return _labelled(folder, ".sav")


@situation("Stata with value labels, mapped by label and by code")
def stata(folder: Path) -> str:
    return _labelled(folder, ".dta")


if __name__ == "__main__":
    sys.exit(main(situations()))
