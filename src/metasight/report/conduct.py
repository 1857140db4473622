"""What could make the figures too good: optimism, instability, size, leakage; and the models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from metasight.report.assumptions import assumptions
from metasight.report.blocks import (
    Block,
    Callout,
    Code,
    Column,
    DataTable,
    Heading,
    Paragraph,
    Row,
    numeric,
)
from metasight.report.coefficients import coefficients, term_label
from metasight.report.contents import OptimismResult, SampleSizeResult
from metasight.report.drawing import looks
from metasight.report.model_settings import settings_read
from metasight.report.spread import instability_figure
from metasight.report.view import View
from metasight.report.wording import count, number, plural, sentence, stopped, years

VERDICTS: Mapping[str, str] = {
    "pass": "✓ passed",
    "warn": "! look at this",
    "fail": "✗ FAILED",
    "not done": "– not done",
}


def stability(view: View) -> list[Block]:
    """Optimism, instability and sample size; nothing of it applies to a validation."""
    if view.external:
        return []
    return [
        Heading(1, "Optimism, instability and sample size", "stability"),
        *_optimism(view),
        *_size(view.contents.sample_size),
    ]


def _optimism(view: View) -> Iterator[Block]:
    found = view.contents.optimism
    yield Heading(2, "Optimism and instability", "instability-section")
    if found is None:
        yield Paragraph("Not estimated: the headline model was not refitted to resamples.")
        return
    measure = "AUC of any positive node" if view.nodal else "Harrell’s C"
    yield Paragraph(
        f"Fitted to all patients and evaluated on the same patients, “{found.model}” has an "
        "apparent "
        f"{measure} of {number(found.apparent_c)}. Over {plural(found.resamples, 'refit')} on "
        f"bootstrap resamples {number(found.optimism, 3, signed=True)} of this is optimism, which "
        f"leaves {number(found.corrected_c)} (Harrell 1996). The headline figures of this report "
        "are cross-fitted and need no such correction. Where they are below the corrected value, "
        "rely on them: with many features and few events this correction is too small."
    )
    yield Paragraph(
        f"An individual’s risk {_horizon(found)} differed by "
        f"{number(100 * found.mape, 1)} percentage points on average (mean absolute prediction "
        "error) between the model fitted to all patients and its refits on resamples, which stand "
        "for other patients of the same kind."
    )
    look = looks(view.models, view.reference, view.lead)
    if found.patients and found.model in look:
        yield instability_figure(found, look[found.model], _horizon(found))


def _horizon(found: OptimismResult) -> str:
    number_, _, unit = found.horizon.partition(" ")
    if unit == "days" and number_.isdigit():
        return f"by {years(int(number_))}"
    return f"of {found.horizon}"


def _size(found: SampleSizeResult | None) -> Iterator[Block]:
    yield Heading(2, "Sample size", "sample-size")
    if found is None:
        yield Paragraph("Riley’s criteria were not computed.")
        return
    if found.required_n is None:
        yield Paragraph(f"The size needed is not estimable: {found.assumptions}.")
        return
    enough = found.available_n >= found.required_n
    yield Paragraph(size_words(found))
    if found.all_parameters > found.parameters:
        yield Paragraph(_size_of_all(found))
    rows = [
        Row((sentence(name).removesuffix("."), count(n), _enough(found.available_n, n)))
        for name, n in found.criteria.items()
    ]
    rows.append(
        Row(
            (
                "Largest of these",
                count(found.required_n),
                _enough(found.available_n, found.required_n),
            ),
            strong=not enough,
        )
    )
    yield DataTable(
        "size-table",
        f"Patients needed to develop a model like “{found.model}” "
        f"({plural(found.parameters, 'parameter')}).",
        (
            Column("Criterion", weight=2),
            numeric("Patients needed"),
            numeric(f"Available: {count(found.available_n)}"),
        ),
        tuple(rows),
        (f"Assumed: {found.assumptions}. Riley et al., BMJ 2020;368:m441.",),
    )


def _size_of_all(found: SampleSizeResult) -> str:
    needed = (
        "cannot be computed"
        if found.all_required_n is None
        else f"is {plural(found.all_required_n, 'patient')}"
    )
    return (
        f"That is the size for the clinical predictors alone. All that the models may read are "
        f"{count(found.all_parameters)} parameters; by the same criteria the size for these "
        f"{needed}. Penalties and selection are not in the criteria."
    )


def _enough(available: int, needed: int) -> str:
    return "✓ enough" if available >= needed else "✗ too few"


def size_words(found: SampleSizeResult) -> str:
    """Required beside available, in a sentence."""
    per = found.available_events / max(found.parameters, 1)
    events = "" if found.required_events is None else f" and {count(found.required_events)} events"
    needed = (
        "an unknown number of patients"
        if found.required_n is None
        else (f"{count(found.required_n)} patients{events}")
    )
    return (
        f"A model of {plural(found.parameters, 'parameter')} needs {needed}; there were "
        f"{count(found.available_n)} and {count(found.available_events)} "
        f"({number(per, 1)} events a parameter)."
    )


# --------------------------------------------------------------------------------------- leakage


def leakage(view: View) -> list[Block]:
    """Leakage checks; a validation fits nothing that could leak."""
    if view.external:
        return []
    checks = view.contents.checks
    blocks: list[Block] = [Heading(1, "Leakage checks", "checks")]
    if not checks:
        return [*blocks, Paragraph("None was run.")]
    failed = [c for c in checks if c.verdict == "fail"]
    if failed:
        blocks.append(
            Callout(
                "warning",
                "Leakage was found",
                (
                    "Do not rely on the performance in this report until this is explained: "
                    + "; ".join(c.title for c in failed)
                    + ".",
                ),
            )
        )
    blocks.append(
        DataTable(
            "checks-table",
            "Checks that run in every study. “Failed” means leakage; “look at this” needs "
            "judgement.",
            (
                Column("Check", weight=1.7),
                Column("Outcome", weight=0.8),
                Column("Found", weight=1.9),
                Column("Would not pass", weight=1.4),
            ),
            tuple(
                Row(
                    (c.title, VERDICTS[c.verdict], stopped(c.finding), stopped(c.limit)),
                    strong=c.verdict == "fail",
                )
                for c in checks
            ),
        )
    )
    return blocks


# ---------------------------------------------------------------------------------------- models


def models(view: View) -> list[Block]:
    """Every model as it would be used: settings, notes, coefficients."""
    blocks: list[Block] = [
        Heading(1, "Models", "models"),
        Paragraph(
            "As locked in the bundle: fitted to all development patients, and to none of the "
            "patients in this report."
            if view.external
            else "Fitted to all patients of the headline population: these are the models in the "
            "bundle. Their performance was estimated on cross-validation refits, not on these "
            "fits."
        ),
    ]
    if not view.contents.models:
        return [*blocks, Paragraph("The run describes no model.")]
    blocks.append(_model_table(view))
    for k, model in enumerate(view.contents.models):
        if model.coefficients:
            blocks += coefficients(view, model, k)
            blocks += assumptions(view, model, k)
    trees = [m.name for m in view.contents.models if not m.coefficients]
    if trees:
        blocks.append(Paragraph(f"Without coefficients to print: {'; '.join(trees)}."))
    return blocks


def _of_column(view: View, note: str) -> str:
    """A fitting note that begins with a column's name, with its label instead."""
    column, colon, rest = note.partition(": ")
    return f"{term_label(view, column)}: {rest}" if colon else note


def _model_table(view: View) -> DataTable:
    rows = []
    for m in view.contents.models:
        own = settings_read(m.kind, m.settings)
        notes = "; ".join(_of_column(view, n) for n in m.notes) or "–"
        rows.append(
            Row(
                (
                    m.name,
                    m.kind.replace("_", " "),
                    ", ".join(m.modalities),
                    m.role or "–",
                    (Code(_told(own)),),
                    notes,
                ),
                strong=bool(m.role),
            )
        )
    return DataTable(
        "models-table",
        "Models, their settings including defaults, and fitting notes.",
        (
            Column("Model", weight=1.2),
            Column("Kind", weight=0.9),
            Column("Reads", weight=0.8),
            Column("Role", weight=0.8),
            Column("Settings", weight=1.9),
            Column("Notes", weight=1.6),
        ),
        tuple(rows),
    )


def _told(settings: Mapping[str, Any]) -> str:
    parts = []
    for key, value in settings.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts.append(f"{key} = {shown}")
    return ", ".join(parts) or "as published"
