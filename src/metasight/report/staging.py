"""What a risk means for invasive staging: the guideline beside it, and a negative EBUS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from metasight.report.blocks import (
    Block,
    BulletList,
    Callout,
    Code,
    Column,
    DataTable,
    Heading,
    Paragraph,
    Row,
    numeric,
)
from metasight.report.patient_page import what_interval
from metasight.report.view import View
from metasight.report.wording import count, number, percent, plural, span

Found = Mapping[str, Any]

_RULES = {
    "optional": "Staging may be left out",
    "indicated": "Staging is indicated",
    "unknown": "Rule cannot be applied",
}


def section(view: View) -> list[Block]:
    """The section; empty where the protocol defines nothing about staging."""
    found = view.contents.staging
    if found is None:
        return []
    blocks: list[Block] = [Heading(1, "What the risk means for staging", "staging")]
    if "skipped" in found:
        return [*blocks, Paragraph(f"Not shown: {found['skipped']}.")]
    blocks.append(_rests_on(found))
    blocks += _central(found.get("centrality"))
    blocks += _cells(found)
    blocks += _benefit(found)
    blocks += _ebus(found)
    blocks += _example(found)
    return blocks


def _rests_on(found: Found) -> Callout:
    limits = found["limits"]
    return Callout(
        "warning",
        "Nothing is recommended here",
        (
            "Research software, not a medical device. The guideline’s rule (ESTS 2014: after "
            "PET/CT without suspicious nodes, invasive staging may be left out where the tumour "
            f"is peripheral and at most {number(limits['largest_peripheral_mm'], 0)} mm) and the "
            "model’s risk are shown side by side; where they differ, it is not known which is "
            "right.",
            f"Risks rest on {found['evidence']}. {what_interval(found['interval'])}",
        ),
    )


def _central(found: Found | None) -> Iterator[Block]:
    """What is called central, since definitions differ and the guideline gives none."""
    if found is None or not found["definition"]:
        return
    text = (
        f"Central is what the protocol defines: {found['definition']}. The guideline gives no "
        "definition, and those in use differ."
    )
    if found["measured"]:
        text += (
            f" Of {plural(found['measured'], 'lesion')} measured on the CT, "
            f"{count(found['central'])} "
            f"{'is' if found['central'] == 1 else 'are'} central by it; another definition says "
            f"otherwise of {count(found['disagree'])}. Each patient’s own value is among the "
            "sentences of `metasight staging`."
        )
    yield Paragraph(text)


def _cells(found: Found) -> Iterator[Block]:
    rows: list[Row] = []
    for rule, said in _RULES.items():
        own = [c for c in found["cells"] if c["rule"] == rule and c["patients"]]
        if own:
            rows.append(Row((said,), group=True))
            rows += [_cell(c) for c in own]
    yield DataTable(
        "staging-cells",
        f"The rule and the risk of any nodal metastasis by {found['model']}: patients, and how "
        "many of those examined had a positive node.",
        (Column("Risk"), numeric("Patients"), numeric("Examined"), numeric("Node-positive")),
        tuple(rows),
    )


def _cell(c: Found) -> Row:
    where = "The model gives no risk"
    if c["from"] is not None:
        where = f"{percent(c['from'])} to {percent(c['to'])}"
    share = f"{c['positive']} ({percent(c['positive'] / c['examined'])})" if c["examined"] else "–"
    return Row((where, count(c["patients"]), count(c["examined"]), share), indent=True)


def _benefit(found: Found) -> Iterator[Block]:
    told = found["benefit"]
    yield Heading(2, "Net benefit of staging by risk of N2 and by the rule", "staging-benefit")
    if "skipped" in told:
        yield Paragraph(f"Not estimable: {told['skipped']}.")
        return
    yield Paragraph(
        f"In {plural(told['patients'], 'patient')} whose nodes were examined, of whom "
        f"{count(told['positive'])} had N2: invasive staging of the mediastinum finds N2, so both "
        "are judged by it. A threshold states how many unnecessary "
        "stagings are accepted: 5 % means accepting 19 unnecessary invasive stagings to find one "
        "metastasis. These patients were operated on; the same benefit in other patients is an "
        "assumption."
    )
    yield DataTable(
        "staging-benefit-table",
        "Net benefit per 1,000 patients, and the difference with its 95 % interval (paired "
        "resampling of patients, no refitting).",
        (
            Column("Threshold"),
            numeric("By risk"),
            numeric("By the rule"),
            numeric("Everybody"),
            numeric("Risk minus rule"),
        ),
        tuple(
            Row(
                (
                    percent(r["threshold"]),
                    *(_per_1000(r[n]) for n in ("risk", "rule", "everybody")),
                    f"{_per_1000(r['gain']['value'], signed=True)} ({_span_per_1000(r['gain'])})",
                )
            )
            for r in told["rows"]
        ),
    )


def _per_1000(value: float, *, signed: bool = False) -> str:
    return number(1000 * value, 0, signed=signed)


def _span_per_1000(gain: Found) -> str:
    return span(1000 * gain["lower"], 1000 * gain["upper"], 0, signed=True)


def _ebus(found: Found) -> Iterator[Block]:
    limits = found["limits"]
    yield Heading(2, "After a negative EBUS", "staging-ebus")
    low, mid, high = (percent(limits[f"sensitivity{e}"]) for e in ("_lower", "", "_upper"))
    yield Paragraph(
        "The risk of N2 after a negative EBUS, by Bayes’ theorem, in patients whose PET shows no "
        f"node. It depends on the test’s sensitivity for mediastinal nodes that PET does not show, "
        f"taken as {mid} ({low} to {high}): an assumption of the protocol, not a result of this "
        "study."
    )
    target = percent(limits["thresholds"][0])
    yield DataTable(
        "staging-ebus-table",
        "Risk of N2 before and after a negative EBUS.",
        (
            numeric("Before"),
            numeric("After"),
            numeric(f"If sensitivity is {low} or {high}"),
            numeric(f"Sensitivity needed to reach {target}"),
        ),
        tuple(
            Row(
                (
                    percent(r["risk"]),
                    percent(r["after"]["value"], 1),
                    f"{percent(r['after']['upper'], 1)} or {percent(r['after']['lower'], 1)}",
                    "–" if r["needed"] is None else percent(r["needed"]),
                )
            )
            for r in found["ebus"]
        ),
    )


def _example(found: Found) -> Iterator[Block]:
    """One patient where rule and risk differ, else the first who has a risk."""
    told = [p for p in found["patients"] if p["value"] is not None]
    if not told:
        return
    differing = [p for p in told if p["agree"] is False]
    patient = max(differing or told, key=lambda p: p["value"])
    yield Heading(2, "As a clinician reads it", "staging-example")
    yield Paragraph(
        (
            f"Patient {patient['patient']} of this study; ",
            Code("metasight staging FOLDER PATIENT"),
            " says the same of any other.",
        )
    )
    yield BulletList(tuple(patient["text"]))
