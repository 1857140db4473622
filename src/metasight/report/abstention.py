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
        f"{found['model']} gives no risk for {count(silent)} of {plural(patients, 'patient')} "
        f"({percent(silent / patients, 1)}), who differ from the training patients"
    )
    if found["unmeasured"]:
        text += (
            f", or who lack the measurements needed to compare them ({count(found['unmeasured'])})"
        )
    blocks: list[Block] = [
        Heading(1, "Patients unlike the training patients", "abstention"),
        Paragraph(
            f"{text}. Each patient was compared with the training patients of models that had not "
            "seen the patient; the limit is the distance that about one in a hundred training "
            "patients "
            "exceeds. All other figures of this report include these patients, so that every "
            "model is judged on the same patients; for a new patient of this kind no risk is "
            "given. The ledger lists the patients and how they differ."
        ),
        DataTable(
            "abstention-centres",
            "Patients for whom the model gives no risk, by centre.",
            (Column("Centre", weight=1.4), numeric("Patients"), numeric("No risk")),
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
        return [
            *blocks,
            Paragraph(
                f"Performance without these patients could not be estimated: {speaking['skipped']}"
            ),
        ]
    return [*blocks, _measures(found["all"], speaking)]


def _measures(everybody: Mapping[str, Any], speaking: Mapping[str, Any]) -> DataTable:
    """The headline in all patients and in those with a risk."""
    both = [n for n in everybody.get("measures", {}) if n in speaking["measures"]]
    return DataTable(
        "abstention-measures",
        "The headline model in all patients, and in those for whom it gives a risk.",
        (
            Column("Measure", weight=1.4),
            numeric(f"All ({count(everybody['patients'])})"),
            numeric(f"With a risk ({count(speaking['patients'])})"),
        ),
        tuple(
            Row((n, _told(everybody["measures"][n]), _told(speaking["measures"][n]))) for n in both
        ),
    )


def _told(figure: Mapping[str, float | None]) -> str:
    value, lower, upper = figure["value"], figure["lower"], figure["upper"]
    if value is None:
        return "–"
    text = number(value)
    return text if lower is None or upper is None else f"{text} ({span(lower, upper)})"
