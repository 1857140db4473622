"""Whether performance holds elsewhere: in other centres, later, and in subgroups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from metasight.report import imputation
from metasight.report.blocks import (
    Block,
    Callout,
    Column,
    DataTable,
    Figure,
    Heading,
    Paragraph,
    Row,
    numeric,
)
from metasight.report.by_centre import by_centre
from metasight.report.drawing import HEADLINE, REFERENCE, Look, looks
from metasight.report.forest_plot import Forest, Line, Mark, Panel, forests
from metasight.report.interactions import interactions, level_name
from metasight.report.view import (
    View,
    at_target,
    discrimination,
    discrimination_name,
    targets,
)
from metasight.report.wording import (
    Footnotes,
    count,
    in_years,
    metric,
    number,
    percent,
    plural,
    pooled,
)
from metasight.validation.results import (
    CentreSummary,
    NotEstimable,
    Pooled,
    SubgroupEvaluation,
)


def section(view: View) -> list[Block]:
    """The section."""
    look = looks(view.models, view.reference, view.lead)
    return [
        Heading(1, "Centres, time and subgroups", "heterogeneity"),
        Heading(2, "Centres", "centres"),
        *_centres(view, look),
        *_temporal(view),
        Heading(2, "Subgroups", "subgroups"),
        *_subgroups(view),
        *imputation.blocks(view),
    ]


# --------------------------------------------------------------------------------------- centres


def _centres(view: View, look: Mapping[str, Look]) -> Iterator[Block]:
    found = view.headline.centres
    if found is None and view.external:
        yield from _external_centres(view, look)
        return
    if found is None:
        why = view.contents.single_centre_reason or "no reason is given in the study file"
        yield Callout(
            "warning",
            "Leave-one-centre-out was not done",
            (
                f"Reason given: {why}. Whether the model holds in a hospital that it has not "
                "seen is therefore unknown.",
            ),
        )
        return
    yield Paragraph(in_years(" ".join(found.notes)))
    yield from _centre_figures(view, found.models, look)
    yield _centre_table(view, found.models)
    yield from by_centre(view, found.models)
    if view.headline.gaps:
        yield _gap_table(view)


def _external_centres(view: View, look: Mapping[str, Look]) -> Iterator[Block]:
    """Locked models in every centre of the external patients."""
    yield Paragraph(
        "In a validation no centre is left out: the models were fitted elsewhere. The figures of "
        "the other sections are over all "
        f"{plural(view.evaluation.data.n_centres, 'centre')} of the external patients."
    )
    models = view.evaluation.models
    summaries = {m: models[m].centres for m in view.order(view.evaluation)}
    if view.evaluation.data.n_centres > 1:
        yield from _centre_figures(view, summaries, look)
        yield _centre_table(view, summaries)
        yield from by_centre(view, summaries)


def _centre_figures(
    view: View, summaries: Mapping[str, CentreSummary | NotEstimable], look: Mapping[str, Look]
) -> Iterator[Block]:
    for k, model in enumerate(m for m in view.leading if m in summaries):
        summary = summaries[model]
        if isinstance(summary, NotEstimable):
            yield Paragraph(f"{model}: not estimable: {summary.not_estimable}.")
        else:
            yield from _centre_figure(view, model, summary, look[model], k)


def _measure_name(measure: str) -> str:
    return measure.replace("Harrell's", "Harrell’s").replace("ordinal c-index", "Ordinal C")


def _which(view: View) -> str:
    return "external" if view.external else "left-out"


def _centre_figure(
    view: View, model: str, summary: CentreSummary, look: Look, k: int
) -> Iterator[Figure]:
    measure, which = _measure_name(summary.measure), _which(view)
    lines = [
        Line(
            c.centre,
            look,
            (Mark.of(c.discrimination), Mark.of(c.oe)),
            f"{plural(c.n, 'patient')}, {plural(c.events, 'event')}",
        )
        for c in summary.centres
    ]
    both = (summary.discrimination, summary.oe)
    if any(isinstance(p, Pooled) for p in both):
        lines.append(
            Line(
                "Pooled (REML, Hartung–Knapp)",
                look,
                (Mark.of(both[0]), Mark.of(both[1])),
                "thin line: prediction interval",
            )
        )
    told = "; ".join(f"{c.centre} {metric(c.discrimination, 2)}" for c in summary.centres)
    about = Forest(
        f"centres-{k}",
        f"{which.capitalize()} centres: {model}",
        f"“{model}” in centres that were not used to fit it, with 95 % intervals; diamond: average "
        "over "
        "centres; thin line: 95 % prediction interval for a new centre (three centres or more).",
        f"{measure} of {model} in {which} centres: {told}; pooled {pooled(both[0], 2)}.",
    )
    return forests(
        about,
        lines,
        [Panel(measure, "0.5 is chance", 0.5), Panel("O/E", "1 is calibrated", 1.0, log=True)],
    )


def _centre_table(view: View, summaries: Mapping[str, CentreSummary | NotEstimable]) -> DataTable:
    notes, rows = Footnotes(), []
    for m in view.order(view.evaluation):
        summary = summaries.get(m)
        if summary is None:
            continue
        if isinstance(summary, NotEstimable):
            rows.append(Row((m, notes.mark(summary.not_estimable), "–", "–", "–")))
            continue
        c = summary.discrimination
        low_high, i2 = "–", "–"
        if isinstance(c, Pooled):
            i2 = percent(c.i2)
            if c.prediction_lower is not None and c.prediction_upper is not None:
                low_high = f"{number(c.prediction_lower, 2)} to {number(c.prediction_upper, 2)}"
        rows.append(
            Row(
                (m, notes.metric(c), low_high, i2, notes.metric(summary.oe, 2)),
                strong=m == view.lead,
            )
        )
    return DataTable(
        "centres-table",
        f"Average over {_which(view)} centres.",
        (
            Column("Model", weight=2),
            numeric("Discrimination", 1.6),
            numeric("Prediction interval", 1.3),
            numeric("I²", 0.6),
            numeric("O/E", 1.5),
        ),
        tuple(rows),
        (
            *notes.notes,
            "I²: share of the variation between centres that exceeds chance. With few "
            "centres all of this is uncertain.",
        ),
    )


def _gap_table(view: View) -> DataTable:
    notes = Footnotes()
    ordered = sorted(
        view.headline.gaps,
        key=lambda g: view.models.index(g.model) if g.model in view.models else len(view.models),
    )
    rows = tuple(
        Row(
            (
                g.model,
                _across_centres(view, g.model, notes),
                notes.metric(g.random_folds),
                notes.metric(g.left_out_centres),
                notes.contrast(g.gap),
            ),
            strong=g.model == view.lead,
        )
        for g in ordered
    )
    return DataTable(
        "gaps",
        f"Random folds compared with left-out centres ({ordered[0].measure}): a difference above "
        "zero is what a model gains from having seen the centre before. Pairs of patients of the "
        "same centre are compared; additional discrimination across centres may only reflect "
        "differences between the centres.",
        (
            Column("Model", weight=2),
            numeric("Random folds, across centres", 1.5),
            numeric("Random folds", 1.5),
            numeric("Left-out centres", 1.5),
            numeric("Gap", 1.6),
        ),
        rows,
        notes.notes,
    )


def _across_centres(view: View, model: str, notes: Footnotes) -> str:
    """Discrimination in random folds of all pairs; a dash for a model that was not judged there."""
    if model not in view.evaluation.models:
        return "–"
    return notes.metric(discrimination(view.evaluation.models[model], view.kind))


# ------------------------------------------------------------------------------------------ time


def _temporal(view: View) -> Iterator[Block]:
    later = view.headline.temporal
    if later is None:
        return
    yield Heading(2, "Later patients (temporal split)", "temporal")
    d = later.data
    yield Paragraph(
        "Models fitted to earlier patients were evaluated in "
        f"{plural(d.n_patients, 'later patient')} "
        f"with {plural(d.n_events, 'event')}."
    )
    notes, rows = Footnotes(), []
    for m in view.order(later):
        model = later.models[m]
        rows.append(Row((m,), group=True))
        rows.append(
            Row(
                (
                    discrimination_name(later.kind),
                    notes.metric(discrimination(model, later.kind)),
                    "–",
                    "–",
                ),
                indent=True,
            )
        )
        for t in model.targets:
            rows.append(
                Row(
                    (
                        f"AUC {at_target(t)}",
                        notes.metric(t.auc),
                        notes.metric(t.ipa, 1, scale=100),
                        notes.metric(t.calibration.oe, 2),
                    ),
                    indent=True,
                )
            )
    yield DataTable(
        "temporal-table",
        "Performance in later patients.",
        (
            Column("Model", weight=1.7),
            numeric("Discrimination", 1.5),
            numeric("IPA, %", 1.5),
            numeric("O/E", 1.5),
        ),
        tuple(rows),
        notes.notes,
    )


# ------------------------------------------------------------------------------------- subgroups


def _subgroups(view: View) -> Iterator[Block]:
    groups = view.evaluation.models[view.lead].subgroups
    if not groups:
        yield Paragraph("The study file requests no subgroups.")
        return
    where = targets(view.evaluation)
    at = at_target(where[0] if view.nodal else where[-1])
    yield Paragraph(
        f"The headline model in parts of the cohort, {at}. Overlapping intervals do not prove "
        "that subgroups are alike, and a continuous variable is cut at its median for description "
        "only."
    )
    yield _subgroup_table(view, groups)
    yield from interactions(view, groups)
    yield from _subgroup_figure(view, groups, at)


def _subgroup_figure(
    view: View, groups: tuple[SubgroupEvaluation, ...], at: str
) -> Iterator[Figure]:
    lines: list[Line] = []
    variable = ""
    nothing = (Mark(None), Mark(None))
    for g in groups:
        if g.variable != variable:
            variable = g.variable
            lines.append(Line(view.label(variable), HEADLINE, nothing, group=True))
        lines.append(
            Line(
                f"  {level_name(view, g)}",
                HEADLINE if view.has_increment else REFERENCE,
                (Mark.of(g.discrimination), Mark.of(g.oe)),
                f"{plural(g.n, 'patient')}, {plural(g.events, 'event')}",
            )
        )
    told = "; ".join(
        f"{view.label(g.variable)} {g.level}: {metric(g.discrimination, 2)}" for g in groups
    )
    about = Forest(
        "subgroups-figure",
        "Subgroups",
        f"“{view.lead}” in subgroups {at}, with 95 % intervals; – where a group is too small.",
        f"Discrimination of {view.lead} in subgroups: {told}.",
    )
    name = discrimination_name(view.kind)
    return forests(
        about,
        lines,
        [Panel(name, "0.5 is chance", 0.5), Panel("O/E", "1 is calibrated", 1.0, log=True)],
    )


def _subgroup_table(view: View, groups: tuple[SubgroupEvaluation, ...]) -> DataTable:
    notes, rows = Footnotes(), []
    variable = ""
    for g in groups:
        if g.variable != variable:
            variable = g.variable
            rows.append(Row((view.label(variable),), group=True))
        reason = g.discrimination
        cells: tuple[str, ...]
        if isinstance(reason, NotEstimable) and isinstance(g.auc, NotEstimable):
            cells = (notes.mark(reason.not_estimable), "–", "–", "–")
        else:
            cells = (
                notes.metric(g.discrimination),
                notes.metric(g.auc),
                notes.metric(g.oe, 2),
                notes.metric(g.ipa, 1, scale=100),
            )
        rows.append(Row((level_name(view, g), count(g.n), count(g.events), *cells), indent=True))
    return DataTable(
        "subgroups-table",
        f"“{view.lead}” in subgroups.",
        (
            Column("Subgroup", weight=1.2),
            numeric("Patients", 0.75),
            numeric("Events", 0.7),
            numeric(discrimination_name(view.kind), 1.4),
            numeric("AUC", 1.4),
            numeric("O/E", 1.2),
            numeric("IPA, %", 1.4),
        ),
        tuple(rows),
        notes.notes,
    )
