"""One lung study three times: as it was, de-identified, and as it was under the new ids.

Folds are drawn in the order of pseudonyms, which derive from ids and key, so that nobody foresees
them. So the figures of a study on de-identified input are compared to the bit with those of the
original files under the ids that de-identification gave, which nothing else was done to; and what
was measured with the original as it is, patient by patient.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from metasight.cohort.canonical import pseudonym
from metasight.deidentify.batch import deidentify_folder
from metasight.deidentify.check import check_output
from metasight.deidentify.flags import TableFlags
from metasight.deidentify.key import Key
from metasight.ledger import Fate
from metasight.simulate.lung.table import CLINICAL_COLUMNS
from metasight.study.file import Study, read_study

KEY = Key(secret=bytes(range(7, 39)))
DATES = ("treatment_date", "ct_date")
"""Columns of the patient table that hold days of the calendar."""
FLAGS = (
    TableFlags(
        file="patients.csv",
        name="patients",
        patient="patient",
        columns={c: "date" if c in DATES else "keep" for c in CLINICAL_COLUMNS},
    ),
    TableFlags(
        file="scans.csv",
        name="scans",
        patient="patient",
        columns={"path": "scan", "kind": "keep", "roi": "keep"}
        | dict.fromkeys(("x_mm", "y_mm", "z_mm"), "keep"),
    ),
)
_HASH = re.compile(r"\b[0-9a-f]{12,64}\b")


def deidentify(original: Path, work: Path) -> Path:
    """De-identify scans and tables of a study; a folder with a study file that reads them.

    The only line of ``study.toml`` that changes is the folder of the scans.
    """
    source = work / "source"
    source.mkdir(parents=True)
    shutil.copytree(original / "scans", source / "scans")
    for name in ("patients.csv", "scans.csv"):
        shutil.copyfile(original / name, source / name)
    output = work / "deidentified"
    rows = deidentify_folder(source, output, KEY, tables=FLAGS)
    failed = [r.reason for r in rows if r.verdict is Fate.FAILED]
    if failed:
        raise AssertionError(f"not de-identified: {failed}")
    found = check_output(output, source, KEY, tables=FLAGS)
    if found:
        raise AssertionError(f"found again: {found[:3]}")
    text = (original / "study.toml").read_text("utf-8")
    text = text.replace('folder = "scans"', 'folder = "."')
    (output / "study.toml").write_text(text, "utf-8")
    return output


def renamed(original: Path, work: Path) -> Path:
    """The original files under the ids that de-identification gave; nothing else is changed."""
    folder = work / "renamed"
    folder.mkdir(parents=True)
    shutil.copytree(original / "scans", folder / "scans")
    shutil.copyfile(original / "study.toml", folder / "study.toml")
    for name in ("patients.csv", "scans.csv"):
        table = pd.read_csv(original / name, dtype=str, keep_default_na=False)
        table["patient"] = [KEY.patient(p) for p in table["patient"]]
        # the ledger names rows by number, and the output's are in the order of the new ids
        table.sort_values("patient", kind="stable").to_csv(folder / name, index=False)
    return folder


def coarse(folder: Path) -> Study:
    """A study whose protocol accepts the pixels of a small simulation, of two millimetres."""
    study = read_study(folder)
    limits = study.protocol.ct_quality | {"pixel_spacing_mm": {"high": 3.0}}
    return replace(study, protocol=study.protocol.model_copy(update={"ct_quality": limits}))


def new_names(original: Path, key: str) -> dict[str, str]:
    """Pseudonym of each patient in the study on the original → in that on the output."""
    ids = pd.read_csv(original / "patients.csv", dtype=str)["patient"]
    return {pseudonym(i, key): pseudonym(KEY.patient(i), key) for i in ids}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One file of two runs.

    Attributes
    ----------
    name
        Within the results.
    parts, differing
        Rows of a table, values of JSON, lines of a text, or the bytes as one part; how many of them
        are not the same.
    where
        Columns, keys or lines that differ.
    """

    name: str
    parts: int
    differing: int
    where: tuple[str, ...] = ()


def compare(a: Path, b: Path) -> list[Compared]:
    """Every file of two folders: tables by cell, JSON by value, texts by line, others by bytes."""
    names = [{p.relative_to(f).as_posix() for p in f.rglob("*") if p.is_file()} for f in (a, b)]
    alone = [
        Compared(name=n, parts=1, differing=1, where=("only in one",))
        for n in sorted(names[0] ^ names[1])
    ]
    return alone + [_compared(n, a / n, b / n) for n in sorted(names[0] & names[1])]


def _compared(name: str, a: Path, b: Path) -> Compared:
    parts = [_parts(p) for p in (a, b)]
    keys = [k for k in {**parts[0], **parts[1]} if parts[0].get(k) != parts[1].get(k)]
    if a.suffix == ".parquet" and parts[0].keys() == parts[1].keys():
        rows, other = (p["rows"] for p in parts)
        differing = sum(x != y for x, y in zip(rows, other, strict=False))
        differing += abs(len(rows) - len(other))
        told = ["rows"] if differing else []
        return Compared(name=name, parts=len(rows), differing=differing, where=tuple(told))
    return Compared(
        name=name, parts=len(parts[0]), differing=len(keys), where=tuple(map(str, keys))
    )


def _parts(path: Path) -> dict[Any, Any]:
    if path.suffix == ".parquet":
        table = pd.read_parquet(path).reset_index()
        return {"columns": list(table), "rows": [repr(r) for r in table.to_numpy().tolist()]}
    if path.suffix == ".json":
        return dict(_leaves(json.loads(path.read_text("utf-8"))))
    if path.suffix in {".html", ".md", ".csv", ".svg", ".R"}:
        lines = _HASH.sub("HASH", path.read_text("utf-8")).splitlines()
        return {(n, line): line for n, line in enumerate(lines)}
    return {"bytes": path.read_bytes()}


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, found in inner:
            yield from _leaves(found, f"{at}/{key}")
    else:
        yield at, value
