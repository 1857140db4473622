"""A study's results as tables that statisticians open, each column described in a data dictionary.

Every table is written as Parquet and as CSV (formulas shielded). The dictionary is the authority on
what may stand in a table: a table with a column that is not described is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from metasight.errors import StudyError
from metasight.exchange.contents import RESEARCH_ONLY, Interval, PatientResults
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.formats import read_table, write_table
from metasight.ledger import Ledger
from metasight.predictions import Predictions
from metasight.spreadsheet import csv_text, write_csv

FORMAT = 1
"""Of the Parquet files and of ``data-dictionary.json``."""
DICTIONARY = "data-dictionary"
Type = Literal["text", "number", "integer", "yes/no"]
_DTYPES = {"text": "string", "number": "float64", "integer": "Int64", "yes/no": "boolean"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a column of a table is.

    Attributes
    ----------
    name
        As in the header.
    meaning
        In words.
    type
        Of its values.
    unit
        Empty for a pure number or a text.
    values
        Allowed ones, where only some are.
    """

    name: str
    meaning: str
    type: Type = "text"
    unit: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A table and what its columns are.

    Attributes
    ----------
    name
        Of its files, without ending.
    meaning
        What a row is.
    rows
        Columns as described, in their order.
    columns
        Of the table.

    Raises
    ------
    StudyError
        Columns and their description differ.
    """

    name: str
    meaning: str
    rows: pd.DataFrame
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        described = [c.name for c in self.columns]
        if described != list(self.rows.columns):
            odd = sorted(set(described) ^ {str(c) for c in self.rows.columns})
            raise StudyError(
                "a table and its description have different columns",
                where=self.name,
                value=", ".join(odd) or "another order",
            )

    def typed(self) -> pd.DataFrame:
        """Rows with the types that the description states."""
        return self.rows.astype({c.name: _DTYPES[c.type] for c in self.columns})


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Write every table as Parquet and CSV, and the dictionary of all as CSV and JSON.

    The Parquet file is read back and compared.

    Raises
    ------
    StudyError
        A table does not read back as it was written.
    """
    folder.mkdir(parents=True)
    for table in tables:
        rows = table.typed()
        path = folder / f"{table.name}.parquet"
        write_table(pa.Table.from_pandas(rows, preserve_index=False), path, own=FORMAT)
        again = read_table(path, own=FORMAT).to_pandas()
        if not again.astype(rows.dtypes.to_dict()).equals(rows.reset_index(drop=True)):
            raise StudyError("a table does not read back as it was written", where=table.name)
        write_csv(rows, folder / f"{table.name}.csv")
    _write_dictionary(tables, folder)


def _write_dictionary(tables: Sequence[Table], folder: Path) -> None:
    header = ("table", "column", "type", "unit", "allowed values", "meaning")
    lines = [
        (t.name, c.name, c.type, c.unit, "; ".join(c.values), c.meaning)
        for t in tables
        for c in t.columns
    ]
    (folder / f"{DICTIONARY}.csv").write_text(csv_text(header, lines), "utf-8")
    told = {
        "format": FORMAT,
        "notice": RESEARCH_ONLY,
        "tables": {
            t.name: {"meaning": t.meaning, "columns": [asdict(c) for c in t.columns]}
            for t in tables
        },
    }
    text = json.dumps(told, ensure_ascii=False, indent=1)
    (folder / f"{DICTIONARY}.json").write_text(text + "\n", "utf-8")


# ------------------------------------------------------------------ what a study has

PATIENT = Column(name="patient", meaning="Study pseudonym")
_INTERVAL = (
    Column(
        name="lower", meaning="Lower end of the interval; empty where none is known", type="number"
    ),
    Column(name="upper", meaning="Upper end of the interval", type="number"),
    Column(name="interval", meaning="What the interval is"),
)


def measurements_table(results: Iterable[PatientResults]) -> Table:
    """One row a measurement of a patient's lesion."""
    columns = (
        PATIENT,
        Column(name="measurement", meaning="Name in the study's results"),
        Column(name="on", meaning="Scan", values=("CT", "PET")),
        Column(name="value", meaning="In the unit of the row", type="number"),
        Column(name="unit", meaning="UCUM"),
        *_INTERVAL,
        Column(name="scheme", meaning="Coding scheme of the code"),
        Column(name="code", meaning="Of what is measured"),
        Column(name="meaning", meaning="The code in words"),
    )
    rows = [
        (
            *(found.patient, m.name, m.on, m.value, m.code.unit.value),
            *((None,) * 3 if m.interval is None else _told(m.interval)),
            *(m.code.concept.scheme, m.code.concept.value, m.code.concept.meaning),
        )
        for found in results
        for m in found.measurements
    ]
    return _table("measurements", "A measurement of a patient's lesion", rows, columns)


def risks_table(results: Iterable[PatientResults]) -> Table:
    """One row a predicted probability of a patient, and one a patient without any."""
    columns = (
        PATIENT,
        Column(name="endpoint", meaning="By the protocol; empty where no risk is given"),
        Column(name="target", meaning="Stage, or the horizon in words"),
        Column(
            name="horizon_days",
            meaning="From time zero; empty for a stage",
            type="integer",
            unit="d",
        ),
        Column(
            name="risk", meaning="Predicted probability, 0 to 1; for research only", type="number"
        ),
        *_INTERVAL,
        Column(name="model", meaning="That predicted it, fitted without the patient"),
        Column(name="why_none", meaning="Why no risk is given"),
        Column(name="notice", meaning="What must not be missed"),
    )
    rows: list[tuple[object, ...]] = []
    for found in results:
        rows += [
            (
                *(found.patient, r.endpoint, r.target, r.horizon_days, r.value),
                *_told(r.interval),
                *(found.algorithm.model, None, found.notice),
            )
            for r in found.risks
        ]
        if not found.risks:
            rows.append((found.patient, *(None,) * 8, found.why_no_risk, found.notice))
    return _table("risks", "A predicted probability of a patient", rows, columns)


def features_table(features: FeatureTable, meanings: dict[str, str]) -> Table:
    """One row a patient, with every column that models may read.

    Parameters
    ----------
    features
        Of the headline analysis.
    meanings
        Name → words, of the protocol's variables.
    """
    types: dict[Kind, Type] = {
        Kind.CONTINUOUS: "number",
        Kind.ORDINAL: "number",
        Kind.BINARY: "yes/no",
    }
    columns = tuple(
        Column(
            name=f.name,
            meaning=_meaning(f, meanings),
            type=types.get(f.kind, "text"),
            unit=f.unit,
            values=f.levels,
        )
        for f in features.features
    )
    rows = features.values.rename_axis(PATIENT.name).reset_index()
    return Table(
        name="features",
        meaning="A patient of the headline analysis, as models read the patient",
        rows=rows,
        columns=(PATIENT, *columns),
    )


def predictions_table(predictions: Predictions) -> Table:
    """Every out-of-fold prediction, with what was observed."""
    columns = (
        PATIENT,
        Column(name="centre", meaning="Hospital"),
        Column(name="arm", meaning="Treatment arm; empty where the study has none"),
        Column(name="model", meaning="Name in the study"),
        Column(name="repeat", meaning="Of the cross-validation", type="integer"),
        Column(
            name="fold", meaning="That the patient was left out with; -1: external", type="integer"
        ),
        Column(name="endpoint", meaning="By the protocol"),
        Column(name="horizon_days", meaning="Empty for nodal stage", type="integer", unit="d"),
        Column(name="label", meaning="Nodal stage", values=("N0", "N1", "N2")),
        Column(name="risk", meaning="Predicted probability; for research only", type="number"),
        Column(
            name="time_days", meaning="Follow-up; empty for nodal stage", type="number", unit="d"
        ),
        Column(
            name="status",
            meaning="0 censored, 1 event, 2 competing event; of a stage the observed one, empty "
            "where nodes were not examined",
            type="integer",
        ),
    )
    return Table(
        name="predictions",
        meaning="A prediction for a patient by a fit that did not see the patient",
        rows=predictions.table[[c.name for c in columns]],
        columns=columns,
    )


def ledger_table(ledger: Ledger) -> Table:
    """What became of every patient and image. Who decided it is left out: it names staff."""
    columns = (
        PATIENT,
        Column(name="item", meaning="What it happened to"),
        Column(name="stage", meaning="Step of the study"),
        Column(
            name="verdict",
            meaning="What became of it",
            values=("kept", "excluded", "failed", "unknown", "waived"),
        ),
        Column(name="criterion", meaning="Of the protocol, or the check; empty if none"),
        Column(name="value", meaning="That the verdict rests on"),
        Column(name="reason", meaning="In words"),
    )
    rows = [
        (e.patient, e.item, e.stage, str(e.verdict), e.criterion, e.value, e.reason)
        for e in ledger.entries
    ]
    return _table("ledger", "What became of a patient, an image or a fold", rows, columns)


def _table(
    name: str, meaning: str, rows: Sequence[tuple[object, ...]], columns: tuple[Column, ...]
) -> Table:
    frame = pd.DataFrame(rows, columns=[c.name for c in columns], dtype=object)
    return Table(name=name, meaning=meaning, rows=frame, columns=columns)


def _told(interval: Interval) -> tuple[object, ...]:
    return interval.lower, interval.upper, interval.kind


def _meaning(feature: Feature, meanings: dict[str, str]) -> str:
    if feature.error_of:
        return f"Standard error of {feature.error_of}"
    words = meanings.get(feature.name, feature.name.replace("_", " "))
    return f"{words} ({feature.modality})"
