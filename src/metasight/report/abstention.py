"""Patients about whom the headline model is silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metasight.report.blocks import Block, Column, DataTable, Heading, Paragraph, Row, numeric
from metasight.report.view import View
from metasight.report.wording import count, number, percent, plural, span

Found = Mapping[str, Any]


def section(view: View) -> list[Block]:
    """The section; empty where the headline model never abstains."""
    found = view.contents.abstention
    if found is None:
        return []
    silent, patients = found["silent"], found["patients"]
    text = (
        f"{found['model']} is silent about {count(silent)} of {plural(patients, 'patient')} "
        f"({percent(silent / patients, 1)}), who are unlike those it learnt from"
    )
    if found["unmeasured"]:
        text += f", or in whom nothing was measured ({count(found['unmeasured'])})"
    blocks: list[Block] = [
        Heading(1, "Patients unlike those of training", "abstention"),
        Paragraph(
            f"{text}. Likeness was judged for each patient by models that had not seen the "
            "patient; the limit is the distance that about one in a hundred training patients "
            "exceeds. All other figures of this report include these patients, so that every "
            "model is judged on the same ones; at the bedside no risk is given. Who, and in "
            "what, stands in the ledger."
        ),
        DataTable(
            "abstention-centres",
            "Patients about whom the model is silent, by centre.",
            (Column("Centre", weight=1.4), numeric("Patients"), numeric("Silent")),
            tuple(
                Row(
                    (
                        r["centre"],
                        count(r["patients"]),
                        f"{count(r['silent'])} ({percent(r['silent'] / max(r['patients'], 1))})",
                    )
                )
                for r in found["centres"]
            ),
        ),
    ]
    speaking = found["speaking"]
    if speaking is None:
        return blocks
    if "skipped" in speaking:
        return [*blocks, Paragraph(f"Without them nothing can be judged: {speaking['skipped']}")]
    both = [n for n in found["all"].get("measures", {}) if n in speaking["measures"]]
    blocks.append(
        DataTable(
            "abstention-measures",
            "The headline model in all patients, and in those about whom it speaks.",
            (
                Column("Measure", weight=1.4),
                numeric(f"All ({count(found['all']['patients'])})"),
                numeric(f"Spoken of ({count(speaking['patients'])})"),
            ),
            tuple(
                Row((n, _told(found["all"]["measures"][n]), _told(speaking["measures"][n])))
                for n in both
            ),
        )
    )
    return blocks


def _told(figure: Mapping[str, float | None]) -> str:
    value, lower, upper = figure["value"], figure["lower"], figure["upper"]
    if value is None:
        return "–"
    text = number(value)
    return text if lower is None or upper is None else f"{text} ({span(lower, upper)})"
