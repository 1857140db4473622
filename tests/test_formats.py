"""Files that others read say their format, and one of another format is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from json_schema import problems
from metasight.errors import StoreError
from metasight.formats import read_table, require_format, with_format, write_table
from metasight.ledger import Entry, Fate, Ledger
from metasight.predictions import Predictions

SCHEMAS = Path(__file__).parent.parent / "docs" / "schema"


@pytest.mark.parametrize("found", [2, 0, "1", None, True, {}])
def test_another_format_is_refused_by_the_files_name(found):
    with pytest.raises(StoreError, match=r"scan\.json: the file is written in another format"):
        require_format(found, 1, file="scan.json")


def test_ones_own_format_is_read():
    require_format(with_format({"a": 2}, 1)["format"], 1, file="x")
    assert list(with_format({"a": 2}, 1)) == ["format", "a"]


def test_a_table_carries_its_format_and_nothing_else(tmp_path):
    table = pa.table({"a": [1, 2]}).replace_schema_metadata({"pandas": "{}"})
    write_table(table, tmp_path / "t.parquet", own=3)
    assert pq.read_schema(tmp_path / "t.parquet").metadata == {b"format": b"3"}
    assert read_table(tmp_path / "t.parquet", own=3).to_pydict() == {"a": [1, 2]}


@pytest.mark.parametrize("metadata", [None, {"format": "9"}, {"format": "1.0"}, {"other": "1"}])
@pytest.mark.parametrize("kind", [Predictions, Ledger])
def test_a_table_of_another_format_is_refused(tmp_path, kind, metadata):
    path = tmp_path / "of another.parquet"
    pq.write_table(pa.table({"patient": ["P"]}).replace_schema_metadata(metadata), path)
    with pytest.raises(StoreError, match=r"of another\.parquet: .*another format"):
        kind.from_parquet(path)


def test_a_ledger_of_a_later_format_is_refused_though_its_rows_could_be_read(tmp_path):
    path = tmp_path / "ledger.parquet"
    Ledger([Entry(patient="P", item="patient", stage="fit", verdict=Fate.KEPT)]).to_parquet(path)
    rows = pq.read_table(path)
    assert rows.schema.metadata == {b"format": b"2"}
    pq.write_table(rows.replace_schema_metadata({"format": "3"}), path)
    with pytest.raises(StoreError, match=r"ledger\.parquet: .*value: format 3.*reads format 2"):
        Ledger.from_parquet(path)


WRITTEN = [p for p in sorted(SCHEMAS.glob("*.json")) if p.name != "study.json"]  # a person's file


@pytest.mark.parametrize("path", WRITTEN, ids=lambda p: p.name)
def test_schemas_say_what_they_are(path):
    schema = json.loads(path.read_text("utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "format" in schema["required"]


def test_the_checker_of_schemas_notices():
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1},
            "rows": {"type": "array", "items": {"$ref": "#/$defs/row"}},
        },
        "required": ["n", "rows"],
        "additionalProperties": False,
        "$defs": {"row": {"type": ["number", "null"], "maximum": 1}},
    }
    assert problems({"n": 1, "rows": [0.5, None]}, schema, schema) == []
    assert problems({"rows": []}, schema, schema) == ["$ lacks n"]
    assert problems({"n": 1, "rows": [2.0]}, schema, schema) == ["$.rows[0] is 2.0, out of range"]
    assert problems({"n": True, "rows": []}, schema, schema) == ["$.n is True, no integer"]
    assert problems({"n": 1, "rows": [], "more": 1}, schema, schema) == [
        "$ has more, which the schema does not"
    ]
    assert problems([], schema, schema) == ["$ is [], no object"]


def test_a_damaged_table_is_one_named_error(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    values = np.random.default_rng(1).normal(size=3000)
    write_table(pa.table({"x": values}), path, own=3)
    whole = path.read_bytes()
    assert read_table(path, own=3).column("x").to_numpy().tolist() == values.tolist()
    for damaged in (
        whole[: len(whole) // 2],
        b"",
        b"x" * 100,
        # a bit within a page, of which only its checksum knows
        whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="missing, cut off or damaged"):
            read_table(path, own=3)
    with pytest.raises(StoreError, match="missing, cut off or damaged"):
        read_table(tmp_path / "none.parquet", own=3)
