"""The TRIPOD+AI checklist, item by item: filled by the run, or marked for the authors.

What the authors must write and what each item asks stand in ``tripod_ai.json`` (own short
wording); what a run can say is said by :mod:`metasight.report.tripod_items`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from metasight.report.blocks import Block, Column, DataTable, Heading, Paragraph, Row, Strong, Text
from metasight.report.tripod_items import FILLED
from metasight.report.view import View

Status = Literal["run", "both", "author", "not applicable"]
SYMBOLS: dict[Status, str] = {
    "run": "● run",
    "both": "◐ run and author",
    "author": "○ author",
    "not applicable": "– n/a",
}


@dataclass(frozen=True)
class Item:
    """A row of the checklist.

    Attributes
    ----------
    item, section, topic
        Number, where it belongs in a paper, what it asks.
    applies
        ``D`` development, ``E`` evaluation.
    author
        What is left to the authors whatever the run says; empty where nothing is.
    """

    item: str
    section: str
    topic: str
    applies: tuple[str, ...]
    author: str


@dataclass(frozen=True)
class Answer:
    """What the report says to an item."""

    item: Item
    status: Status
    text: Text


@cache
def checklist() -> tuple[Item, ...]:
    """All 52 rows."""
    data = json.loads((files("metasight.report") / "tripod_ai.json").read_text("utf-8"))
    return tuple(Item(**{**row, "applies": tuple(row["applies"])}) for row in data["items"])


def answers(view: View) -> tuple[Answer, ...]:
    """Every item with what the run fills in, or what the authors must write."""
    return tuple(_answer(view, item) for item in checklist())


def _answer(view: View, item: Item) -> Answer:
    if not view.external and item.applies == ("E",):
        text = "Not applicable: no model was evaluated in other patients in this run."
        return Answer(item, "not applicable", text)
    if view.external and item.applies == ("D",):
        text = "Not applicable: nothing was developed in this run."
        return Answer(item, "not applicable", text)
    fill = FILLED.get(item.item)
    told = fill(view) if fill is not None else ""
    if not told:
        left = item.author or "For the authors to describe; not known to the program."
        return Answer(item, "author", (Strong("To write: "), left))
    parts = (told,) if isinstance(told, str) else told
    if item.author:
        return Answer(item, "both", (*parts, " ", Strong("To write: "), item.author))
    return Answer(item, "run", parts)


def section(view: View) -> list[Block]:
    """The checklist."""
    found = answers(view)
    tally = Counter(a.status for a in found)
    rows: list[Row] = []
    head = ""
    for a in found:
        first = a.item.section.split("/")[0]
        if first != head:
            head = first
            rows.append(Row((head,), group=True))
        rows.append(
            Row(
                (
                    a.item.item,
                    f"{a.item.topic} ({';'.join(a.item.applies)})",
                    SYMBOLS[a.status],
                    a.text,
                )
            )
        )
    return [
        Heading(1, "TRIPOD+AI checklist", "tripod"),
        Paragraph(
            f"Of {len(found)} items the run fills {tally['run']} and part of {tally['both']}; "
            f"{tally['author']} are the authors’ to write and {tally['not applicable']} do not "
            "apply. D: development, E: evaluation of a model."
        ),
        DataTable(
            "tripod-table",
            "TRIPOD+AI (Collins et al., BMJ 2024;385:e078378), in our own short wording.",
            (
                Column("Item", weight=0.5),
                Column("Asks for", weight=1.8),
                Column("Status", weight=0.95),
                Column("In this report, or for the authors", weight=3.4),
            ),
            tuple(rows),
        ),
    ]
