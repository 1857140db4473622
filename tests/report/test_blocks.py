"""Numbering and references of the document model."""

from __future__ import annotations

import pytest

from metasight.report.blocks import (
    Column,
    DataTable,
    Document,
    Heading,
    Paragraph,
    Ref,
    Row,
    numbers,
    resolved,
)
from metasight.spreadsheet import csv_text


def document(*blocks) -> Document:
    return Document("T", "K", "R", "F", "D", (Heading(1, "Summary", "summary"),), blocks)


def table(anchor: str) -> DataTable:
    return DataTable(anchor, "c", (Column("a"), Column("b")), (Row(("1", "2")),))


def test_numbers_follow_reading_order():
    found = numbers(
        document(table("t1"), Heading(1, "Two", "two"), Heading(2, "Sub", "sub"), table("t2"))
    )
    assert found == {
        "summary": "Section 1",
        "t1": "Table 1",
        "two": "Section 2",
        "sub": "Section 2.1",
        "t2": "Table 2",
    }


def test_two_blocks_of_one_name_are_refused():
    with pytest.raises(ValueError, match="t1"):
        numbers(document(table("t1"), table("t1")))


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="3 cells"):
        DataTable("t", "c", (Column("a"), Column("b")), (Row(("1", "2", "3")),))


def test_references_are_numbers_and_a_missing_one_is_words():
    data = resolved(document(table("t1"), Paragraph(("see ", Ref("t1"), " and ", Ref("gone")))))
    told = data["blocks"][1]["text"]
    assert told[1] == {"t": "ref", "text": "Table 1", "anchor": "t1"}
    assert told[3] == {"t": "plain", "text": "not in this report"}


def test_csv_quotes_and_leaves_missing_empty():
    assert csv_text(["a", "b"], [['x, "y"', None]]) == 'a,b\r\n"x, ""y""",\r\n'


@pytest.mark.parametrize("text", ["", "  "])
def test_a_column_without_a_head_is_refused(text):
    with pytest.raises(ValueError, match="no head"):
        Column(text)
