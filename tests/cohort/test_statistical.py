"""Files of SPSS, Stata and SAS, and Parquet, read as text with their labels."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.settings import TableSettings
from metasight.cohort.tables import read_table
from metasight.errors import MetasightError, StudyError

LABELS = {"er": {1: "Positive", 0: "Negative"}}


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["0017", "18"],
            "er": [1.0, np.nan],
            "size": [22.0, 12.5],
            "operated": [dt.date(2016, 3, 1), dt.date(2017, 4, 2)],
        }
    )


def read(folder, name, **more):
    return read_table(folder, TableSettings(path=name, id="id", **more))


def test_parquet(tmp_path):
    table().to_parquet(tmp_path / "t.parquet")
    raw = read(tmp_path, "t.parquet")
    assert raw.cells.loc[2].tolist() == ["0017", "1", "22", "2016-03-01"]
    assert raw.cells.loc[3].tolist() == ["18", "", "12.5", "2017-04-02"]
    assert raw.dates == {(2, "operated"), (3, "operated")}
    assert read(tmp_path, "t.parquet", decimal=",").cells.at[3, "size"] == "12,5"


def test_the_index_of_pandas_is_no_column(tmp_path):
    table().set_index(pd.Index([7, 9])).to_parquet(tmp_path / "t.parquet")
    assert list(read(tmp_path, "t.parquet").cells) == ["id", "er", "size", "operated"]


def test_a_damaged_parquet_file_is_told(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(StudyError, match="not a Parquet file, or a damaged one"):
        read(tmp_path, "t.parquet")


@pytest.mark.parametrize("kind", ["sav", "zsav", "dta", "por", "xpt"])
def test_labels_are_read_and_codes_kept(tmp_path, kind):
    pyreadstat = pytest.importorskip("pyreadstat")
    path, rows = tmp_path / f"t.{kind}", table()
    match kind:
        case "dta":
            pyreadstat.write_dta(rows, path, variable_value_labels=LABELS)
        case "por":
            pyreadstat.write_por(rows.rename(columns=str.upper), path)
        case "xpt":
            pyreadstat.write_xport(rows, path)
        case _:
            pyreadstat.write_sav(rows, path, variable_value_labels=LABELS, compress=kind == "zsav")
    settings = TableSettings(path=path.name, id="ID" if kind == "por" else "id")
    raw = read_table(tmp_path, settings)
    raw.cells.columns = [c.lower() for c in raw.cells]
    assert raw.cells["id"].tolist() == ["0017", "18"], "ids keep their zeros"
    assert raw.cells["size"].tolist() == ["22", "12.5"]
    labelled = kind in {"sav", "zsav", "dta"}
    assert raw.cells["er"].tolist() == ["Positive" if labelled else "1", ""]
    assert raw.codes == ({"er": {2: "1"}} if labelled else {})
    assert raw.cells["operated"].tolist() == ["2016-03-01", "2017-04-02"]


def test_a_damaged_file_is_told(tmp_path):
    pytest.importorskip("pyreadstat")
    (tmp_path / "t.sav").write_bytes(b"$FL2 and nothing else")
    with pytest.raises(StudyError, match="not a SPSS, Stata or SAS file, or a damaged one"):
        read(tmp_path, "t.sav")


def test_no_damaged_byte_is_more_than_a_named_error(tmp_path):
    pyreadstat = pytest.importorskip("pyreadstat")
    pyreadstat.write_dta(table().astype(str), str(tmp_path / "a.dta"))
    whole = (tmp_path / "a.dta").read_bytes()
    for at in range(0, len(whole), 3):
        damaged = whole[:at] + bytes([whole[at] ^ 0xA5]) + whole[at + 1 :]
        (tmp_path / "t.dta").write_bytes(damaged)
        try:
            read(tmp_path, "t.dta")
        except MetasightError:
            continue


@pytest.mark.usefixtures("no_child")
def test_what_reads_it_is_named_where_it_is_not_installed(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyreadstat", None)
    (tmp_path / "t.dta").write_bytes(b"x")
    with pytest.raises(StudyError, match=r"pyreadstat, which is not installed.*\[statistics\]"):
        read(tmp_path, "t.dta")
