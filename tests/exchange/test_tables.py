"""Tables hold what was found, in two formats that agree, and no column without a description."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from exchange_made import RESULTS
from metasight.errors import StudyError
from metasight.exchange import tables
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.ledger import Entry, Fate, Ledger
from metasight.predictions import Predictions

SILENT = replace(RESULTS, patient="P2", measurements=(), risks=(), why_no_risk="none is known")
FEATURES = FeatureTable(
    pd.DataFrame(
        {"age": [50.0, 60.0], "age_error": [1.0, 2.0], "female": [1.0, None], "t": ["a", "=1+1"]},
        index=pd.Index(["P1", "P2"]),
    ),
    (
        Feature(name="age", kind=Kind.CONTINUOUS, unit="years"),
        Feature(name="age_error", kind=Kind.CONTINUOUS, error_of="age"),
        Feature(name="female", kind=Kind.BINARY),
        Feature(name="t", kind=Kind.CATEGORICAL, levels=("a", "=1+1")),
    ),
)
LEDGER = Ledger(
    [
        Entry(
            patient="P1",
            item="CT",
            stage="scans",
            verdict=Fate.KEPT,
            value="1",
            reason="r",
            who="Dr Name",
        )
    ]
)
PREDICTIONS = Predictions(
    pd.DataFrame(
        {
            "patient": ["P1", "P1"],
            "centre": ["A"] * 2,
            "arm": [None] * 2,
            "model": ["m"] * 2,
            "repeat": [0, 0],
            "fold": [1, 1],
            "endpoint": ["e"] * 2,
            "horizon_days": [None] * 2,
            "label": ["N0", "N1"],
            "risk": [0.9, 0.1],
            "time_days": [None] * 2,
            "status": [0, 0],
        }
    )
)


@pytest.fixture
def folder(tmp_path):
    made = [
        tables.measurements_table([RESULTS, SILENT]),
        tables.risks_table([RESULTS, SILENT]),
        tables.features_table(FEATURES, {"age": "Age"}),
        tables.predictions_table(PREDICTIONS),
        tables.ledger_table(LEDGER),
    ]
    tables.write_tables(made, tmp_path / "tables")
    return tmp_path / "tables"


def test_parquet_and_csv_agree_and_every_column_is_described(folder) -> None:
    told = json.loads((folder / "data-dictionary.json").read_text("utf-8"))
    listed = pd.read_csv(folder / "data-dictionary.csv")
    for name, about in told["tables"].items():
        packed = pd.read_parquet(folder / f"{name}.parquet")
        flat = pd.read_csv(folder / f"{name}.csv", keep_default_na=True)
        assert list(packed) == list(flat) == [c["name"] for c in about["columns"]]
        assert list(listed[listed["table"] == name]["column"]) == list(packed)
        for column in about["columns"]:
            assert column["meaning"]
            if column["type"] == "number":
                assert (
                    packed[column["name"]].astype(float).equals(flat[column["name"]].astype(float))
                )
    assert "Research software" in told["notice"]


def test_measurements_and_risks_have_their_intervals(folder) -> None:
    measured = pd.read_parquet(folder / "measurements.parquet").set_index("measurement")
    assert len(measured) == len(RESULTS.measurements)
    assert measured.loc["ctr", ["value", "lower", "upper"]].tolist() == [0.5, 0.25, 1.0]
    assert measured.loc["tumour_size_mm", "unit"] == "mm"
    assert pd.isna(measured.loc["suvmax", "lower"])
    risks = pd.read_parquet(folder / "risks.parquet")
    first, silent = risks[risks["patient"] != "P2"], risks[risks["patient"] == "P2"]
    assert first[["risk", "lower", "upper"]].notna().all(axis=None)
    assert silent["why_none"].tolist() == ["none is known"] and silent["risk"].isna().all()
    assert risks["notice"].str.contains("Research software").all()


def test_formulas_are_shielded_and_staff_is_not_named(folder) -> None:
    assert "'=1+1" in (folder / "features.csv").read_text("utf-8")
    assert "Dr Name" not in (folder / "ledger.csv").read_text("utf-8")


def test_meanings_come_from_the_protocol(folder) -> None:
    listed = pd.read_csv(folder / "data-dictionary.csv").set_index(["table", "column"])
    assert listed.loc[("features", "age"), "meaning"] == "Age (clinical)"
    assert listed.loc[("features", "age_error"), "meaning"] == "Standard error of age"
    assert listed.loc[("features", "age"), "unit"] == "years"


def test_the_same_tables_have_the_same_bytes(folder, tmp_path) -> None:
    tables.write_tables([tables.measurements_table([RESULTS, SILENT])], tmp_path / "again")
    for name in ("measurements.parquet", "measurements.csv"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_column_without_description_is_refused() -> None:
    rows = pd.DataFrame({"patient": ["P1"], "secret": ["x"]})
    with pytest.raises(StudyError, match=r"different columns .value: secret"):
        tables.Table(name="t", meaning="m", rows=rows, columns=(tables.PATIENT,))
