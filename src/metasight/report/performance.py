"""How well every model predicts: discrimination, accuracy, calibration, clinical use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from metasight.report.blocks import (
    Block,
    Column,
    DataTable,
    Figure,
    Heading,
    Paragraph,
    Row,
    numeric,
)
from metasight.report.curves import calibration_figure
from metasight.report.decision_curves import decision_figure, headline_differences
from metasight.report.drawing import Look, looks
from metasight.report.forest_plot import Forest, Line, Mark, Panel, forests
from metasight.report.risk_groups import risk_groups_figure
from metasight.report.spread import d_calibration_figure
from metasight.report.view import (
    View,
    at_target,
    discrimination,
    discrimination_contrast,
    discrimination_name,
    targets,
)
from metasight.report.wording import Footnotes, contrast, metric, number, percent, span, years
from metasight.validation.results import Comparison, DeLong, ModelEvaluation, NotEstimable
from metasight.validation.threshold_band import BandPoint

WIDE = 1.7


def section(view: View) -> list[Block]:
    """The section."""
    look = looks(view.models, view.reference, view.lead)
    return [
        Heading(1, "Performance of the models", "performance"),
        *_increment(view, look),
        Heading(2, "Discrimination", "discrimination"),
        *discrimination_figure(view, look),
        *([curves] if (curves := risk_groups_figure(view)) is not None else []),
        _overall_table(view),
        Heading(
            2, "Accuracy at each " + ("threshold of stage" if view.nodal else "horizon"), "accuracy"
        ),
        _target_table(view),
        *_calibration(view, look),
        *_decisions(view, look),
    ]


def role(view: View, model: str) -> str:
    """Name of a model with its role."""
    if model == view.lead and view.has_increment:
        return f"{model} (headline)"
    return f"{model} (reference)" if model == view.reference else model


# ----------------------------------------------------------------------------------- increment


def _increment(view: View, look: Mapping[str, Look]) -> Iterator[Block]:
    compared = [c for c in view.evaluation.comparisons if c.model in view.models]
    if not compared:
        return
    compared.sort(key=lambda c: view.models.index(c.model))
    yield Heading(2, f"Increment over {view.reference}", "increment")
    yield Paragraph(
        "Differences are taken on the same resamples of the same patients. Above zero "
        "favours the model over the reference."
    )
    name = discrimination_name(view.kind)
    panels = [Panel(f"Δ {name}", "difference", 0.0)]
    panels += [Panel(f"Δ AUC {at_target(t)}", "difference", 0.0) for t in compared[0].targets[:2]]
    lines = [
        Line(
            role(view, c.model),
            look[c.model],
            (
                Mark.of(discrimination_contrast(c, view.kind)),
                *(Mark.of(t.auc) for t in c.targets[:2]),
            ),
        )
        for c in compared
    ]
    told = "; ".join(
        f"{c.model}: {contrast(discrimination_contrast(c, view.kind))}" for c in compared
    )
    about = Forest(
        "increment-figure",
        "Increment over the reference model",
        f"Difference in discrimination to “{view.reference}”, with 95 % intervals. The dashed line "
        "is no difference.",
        f"Differences in {name} to {view.reference}: {told}.",
    )
    yield from forests(about, lines, panels)
    yield _increment_table(view, compared)
    yield from _estimator(view)
    yield from _contributions(view)


def _estimator(view: View) -> Iterator[Block]:
    """The headline against other references, and what the change of estimator alone does."""
    own = view.contents.study_reference
    lines = [(f"{c.model} − {c.reference}", c) for c in view.evaluation.further]
    nested = view.nested
    change = next((c for c in view.evaluation.comparisons if c.model == own), None)
    if nested and change is not None:
        lines.append((f"{own} − {view.reference} (change of estimator alone)", change))
    if not lines:
        return
    notes = Footnotes()
    name = discrimination_name(view.kind)
    rows = [
        Row(
            (
                told,
                notes.contrast(discrimination_contrast(c, view.kind)),
                *(notes.contrast(t.auc) for t in c.targets[:2]),
            )
        )
        for told, c in lines
    ]
    if nested:
        yield Paragraph(
            f"“{view.reference}” is the headline’s own procedure (kind, penalties, folds, seeds, "
            f"preparation) on the predictors of “{own}”. The difference from it is due to the "
            "added predictors; the difference from another kind of model also includes the effect "
            "of the change of estimator."
        )
    yield DataTable(
        "further-comparisons",
        "Other contrasts: the headline model against further references, and the effect of the "
        "estimator alone. Differences with 95 % intervals.",
        (
            Column("Models", weight=2),
            numeric(f"Δ {name}", 1.5),
            *(numeric(f"Δ AUC {at_target(t)}", 1.5) for t in lines[0][1].targets[:2]),
        ),
        tuple(rows),
        notes.notes,
    )


def _contributions(view: View) -> Iterator[Block]:
    """What each modality adds to a headline model that fuses them, for the cohort."""
    found = view.contents.contributions
    if found is None:
        return
    yield DataTable(
        "contributions-table",
        f"What each modality adds to the log hazard by {found.model}, in {found.n} patients not "
        "used in the fits. A modality that adds nothing in any patient was given no weight. "
        "The contributions for each patient are in contributions.parquet, in the folder of this "
        "report.",
        (
            Column("Modality", weight=1),
            numeric("Standard deviation over patients"),
            numeric("As a hazard ratio"),
            numeric("Largest for one patient"),
        ),
        tuple(
            Row((name, number(p["sd"], 2), number(math.exp(p["sd"]), 2), number(p["widest"], 2)))
            for name, p in found.modalities.items()
        ),
    )


def _increment_table(view: View, compared: list[Comparison]) -> DataTable:
    notes, rows = Footnotes(), []
    name = discrimination_name(view.kind)
    for c in compared:
        rows.append(Row((role(view, c.model),), group=True))
        gap = discrimination_contrast(c, view.kind)
        overall = "–" if view.nodal else notes.contrast(c.integrated_ipa, 1, scale=100)
        rows.append(
            Row((f"{name}, over all", notes.contrast(gap), overall, "–", _better(gap)), indent=True)
        )
        rows += [
            Row(
                (
                    f"AUC {at_target(t)}",
                    notes.contrast(t.auc),
                    notes.contrast(t.ipa, 1, scale=100),
                    notes.contrast(t.brier),
                    _better(t.auc),
                ),
                indent=True,
            )
            for t in c.targets
        ]
    delong = [
        f"{role(view, c.model)}, AUC {at_target(t)}: {_delong(t.delong)}"
        for c in compared
        for t in c.targets
        if not isinstance(t.delong, NotEstimable)
    ]
    tested = "DeLong’s test, patients of one fold compared: " + "; ".join(delong) + "."
    return DataTable(
        "increment-table",
        f"Every model against “{view.reference}”: differences with 95 % intervals.",
        (
            Column("Model and measure", weight=1.4),
            numeric("Δ discrimination", 2),
            numeric("Δ IPA, %", 1.5),
            numeric("Δ Brier score", 1.7),
            numeric("Resamples in which it is better", 1),
        ),
        tuple(rows),
        (
            *notes.notes,
            *((tested,) if delong else ()),
            "Below zero is better for the Brier score only. Share of resamples: of the "
            "difference in discrimination.",
        ),
    )


def _delong(test: DeLong) -> str:
    p = "< 0.001" if test.p < 0.001 else f"= {number(test.p, 3)}"
    between = span(test.lower, test.upper, signed=True)
    return f"{number(test.difference, signed=True)} ({between}), p {p}"


def _better(gap: object) -> str:
    share = getattr(gap, "probability_better", None)
    return "–" if share is None else percent(share)


# -------------------------------------------------------------------------------- discrimination


def discrimination_figure(view: View, look: Mapping[str, Look]) -> Iterator[Figure]:
    """Forest plot of discrimination of every model."""
    kind, shown = view.kind, targets(view.evaluation)[:2]
    name = discrimination_name(kind)
    panels = [Panel(name, "0.5 is chance", 0.5)]
    panels += [Panel(f"AUC {at_target(t)}", "0.5 is chance", 0.5) for t in shown]
    lines, told = [], []
    for m in view.models:
        model = view.evaluation.models[m]
        marks = (Mark.of(discrimination(model, kind)), *(Mark.of(t.auc) for t in model.targets[:2]))
        lines.append(Line(role(view, m), look[m], marks))
        told.append(f"{m}: {metric(discrimination(model, kind))}")
    about = Forest(
        "discrimination-figure",
        "Discrimination of the models",
        "Discrimination of every model with 95 % intervals"
        f"{'' if view.external else ', out of fold'}. The dashed line is chance.",
        f"{name} of the models: {'; '.join(told)}.",
    )
    return forests(about, lines, panels)


def _overall_caption(view: View) -> str:
    if view.nodal:
        return "All models over all stages."
    tau = view.evaluation.settings.tau_days
    until = "" if tau is None else f" until {years(tau)}"
    return f"All models over follow-up{until}."


def _overall_table(view: View) -> DataTable:
    notes = Footnotes()
    if view.nodal:
        columns: tuple[Column, ...] = (numeric("Ordinal C", WIDE),)
        rows: list[tuple[str, tuple[str, ...]]] = [
            (m, (notes.metric(v.ordinal_c),)) for m, v in _each(view)
        ]
    else:
        columns = tuple(
            numeric(c, WIDE)
            for c in (
                discrimination_name(view.kind),
                "Uno’s C (IPCW)" if view.kind == "survival" else "C, IPCW",
                "Integrated Brier score",
                "Integrated IPA, %",
            )
        )
        rows = [
            (
                m,
                (
                    notes.metric(v.harrell_c),
                    notes.metric(v.uno_c),
                    notes.metric(v.integrated_brier),
                    notes.metric(v.integrated_ipa, 1, scale=100),
                ),
            )
            for m, v in _each(view)
        ]
    return DataTable(
        "overall",
        _overall_caption(view),
        (Column("Model", weight=2.0), *columns),
        tuple(Row((role(view, m), *cells), strong=m == view.lead) for m, cells in rows),
        notes.notes,
    )


def _each(view: View) -> list[tuple[str, ModelEvaluation]]:
    return [(m, view.evaluation.models[m]) for m in view.models]


def _target_table(view: View) -> DataTable:
    notes, rows = Footnotes(), []
    for k, target in enumerate(targets(view.evaluation)):
        rows.append(Row((_head(view, k),), group=True))
        for m, v in _each(view):
            t = v.targets[k]
            rows.append(
                Row(
                    (
                        role(view, m),
                        notes.metric(t.auc),
                        notes.metric(t.brier),
                        notes.metric(t.ipa, 1, scale=100),
                    ),
                    strong=m == view.lead,
                )
            )
        del target
    return DataTable(
        "targets",
        "AUC, Brier score and index of prediction accuracy (IPA).",
        (
            Column("Model", weight=2.0),
            numeric("AUC", WIDE),
            numeric("Brier score", WIDE),
            numeric("IPA, %", WIDE),
        ),
        tuple(rows),
        (
            *notes.notes,
            "IPA is 1 − Brier / Brier of the same risk for every patient, which is: "
            + "; ".join(
                f"{metric(t.brier_null, 3).split(' (')[0]} {at_target(t)}"
                for t in targets(view.evaluation)
            )
            + ".",
        ),
    )


def _head(view: View, k: int) -> str:
    target = targets(view.evaluation)[k]
    n = view.evaluation.data.events_by_horizon.get(target.target)
    words = at_target(target)
    words = words[0].upper() + words[1:]
    return words if n is None else f"{words} ({n} events)"


# ----------------------------------------------------------------------------------- calibration


def _calibration(view: View, look: Mapping[str, Look]) -> Iterator[Block]:
    yield Heading(2, "Calibration", "calibration")
    yield Paragraph(
        "Do predicted and observed risks agree? Ideal values are O/E 1, slope 1, ICI 0. A slope "
        "below 1 means that high risks are too high and low ones too low. ICI, E50 and "
        "E90 are never below 0, so their intervals extend to the right of small estimates."
        + (
            ""
            if view.external
            else " O/E is close to 1 in cross-validation whatever the model: the baseline of each "
            "fit is estimated in patients of the same cohort."
        )
    )
    yield _calibration_table(view)
    for k, _ in enumerate(targets(view.evaluation)):
        yield calibration_figure(view, k, look)
    uniform = None if view.nodal else d_calibration_figure(view, look)
    if uniform is not None:
        yield uniform
    if not view.nodal:
        yield Paragraph(_d_words(view))


def _calibration_table(view: View) -> DataTable:
    notes, rows = Footnotes(), []
    for k in range(len(targets(view.evaluation))):
        rows.append(Row((_head(view, k),), group=True))
        for m, v in _each(view):
            c = v.targets[k].calibration
            rows.append(
                Row(
                    (
                        role(view, m),
                        notes.metric(c.oe, 2),
                        notes.metric(c.intercept, 2),
                        notes.metric(c.slope, 2),
                        notes.metric(c.ici, 1, scale=100),
                        notes.metric(c.e90, 1, scale=100),
                    ),
                    strong=m == view.lead,
                )
            )
    return DataTable(
        "calibration-table",
        "Calibration of all models.",
        (
            Column("Model", weight=1.7),
            numeric("O/E", 1.35),
            numeric("Intercept", 1.45),
            numeric("Slope", 1.35),
            numeric("ICI, %", 1.25),
            numeric("E90, %", 1.25),
        ),
        tuple(rows),
        (
            *notes.notes,
            "O/E: observed over expected events. Intercept: calibration in the large with "
            "slope fixed at 1. ICI, E90: mean and 90th percentile of |observed − predicted| risk.",
        ),
    )


def _d_words(view: View) -> str:
    why = {
        m: d.not_estimable for m, v in _each(view) if isinstance(d := v.d_calibration, NotEstimable)
    }
    text = (
        "D-calibration is shown without a test: where most patients are censored, the model "
        "itself distributes them over the bins, and a test of equal bins has little power."
    )
    if why:
        told = "; ".join(f"{m}: {reason}" for m, reason in why.items())
        text += f" Not estimable: {told}."
    return text


# -------------------------------------------------------------------------------- decision curves


def _decisions(view: View, look: Mapping[str, Look]) -> Iterator[Block]:
    yield Heading(2, "Decision curves", "decisions")
    yield Paragraph(
        "Net benefit weighs correctly treated patients against unnecessarily treated patients, at "
        "the risk threshold for treatment. The thresholds are the protocol’s."
    )
    found = view.headline_comparison
    if found is not None and view.has_increment:
        yield _decision_table(view, found)
    yield _band_table(view)
    for k, _ in enumerate(targets(view.evaluation)):
        yield decision_figure(view, k, look)


def _band_table(view: View) -> DataTable:
    """Differences of the headline's net benefit with bands that hold over all thresholds."""
    notes, rows = Footnotes(), []
    names: tuple[str, ...] = ()
    for k, _ in enumerate(targets(view.evaluation)):
        found = headline_differences(view, k)
        names = tuple(found)
        rows.append(Row((_head(view, k),), group=True))
        for at in zip(*(band.points for band in found.values()), strict=True):
            cells = [_banded(notes, p) for p in at]
            rows.append(Row((f"{100 * at[0].threshold:g} %", *cells)))
    return DataTable(
        "decision-band-table",
        f"Differences in net benefit of {view.lead}, per 100 patients, with simultaneous 95 % "
        "bands over the thresholds.",
        (
            Column("Threshold", weight=0.9),
            *(numeric(f"Difference to {name}", 2) for name in names),
        ),
        tuple(rows),
        notes.notes,
    )


def _banded(notes: Footnotes, p: BandPoint) -> str:
    shown = number(100 * p.value, 2, signed=True)
    if p.lower is None or p.upper is None:
        return f"{shown}; band {notes.mark(p.reason)}"
    return f"{shown} ({span(100 * p.lower, 100 * p.upper, 2, signed=True)})"


def _decision_table(view: View, found: Comparison) -> DataTable:
    notes, rows = Footnotes(), []
    for k, target in enumerate(found.targets):
        rows.append(Row((_head(view, k),), group=True))
        ref = view.evaluation.models[view.reference].targets[k].decision_curve.points
        lead = view.evaluation.models[view.lead].targets[k].decision_curve.points
        gaps = {n.threshold: n.contrast for n in target.net_benefit}
        for a, b in zip(ref, lead, strict=True):
            rows.append(
                Row(
                    (
                        f"{100 * a.threshold:g} %",
                        notes.metric(a.treat_all, 1, scale=100),
                        notes.metric(a.net_benefit, 1, scale=100),
                        notes.metric(b.net_benefit, 1, scale=100),
                        notes.contrast(gaps[a.threshold], 2, scale=100)
                        if a.threshold in gaps
                        else "–",
                        percent(b.treated),
                    )
                )
            )
    return DataTable(
        "decision-table",
        "Net benefit per 100 patients at each threshold; treating none has net benefit 0.",
        (
            Column("Threshold", weight=0.9),
            numeric("Treat all", 1.4),
            numeric(view.reference, 1.4),
            numeric(view.lead, 1.4),
            numeric("Difference", 1.5),
            numeric("Treated by headline", 0.9),
        ),
        tuple(rows),
        notes.notes,
    )
