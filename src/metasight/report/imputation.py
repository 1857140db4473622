"""Missing predictors: performance by what patients lack, and multiple imputation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from metasight.features.missing_patterns import ANY, FEWEST
from metasight.models.pooled_coefficients import PooledCoefficients
from metasight.report.blocks import Block, Column, DataTable, Heading, Paragraph, Row, numeric
from metasight.report.coefficients import term_label
from metasight.report.contents import ImputationResult, PatternsResult
from metasight.report.view import View, at_target, discrimination_name, targets
from metasight.report.wording import (
    Footnotes,
    count,
    excludes_zero,
    in_years,
    listed,
    number,
    percent,
    plural,
    sentence,
    span,
)
from metasight.validation.imputed import ImputedEvaluation
from metasight.validation.results import Contrast, NotEstimable, SubgroupEvaluation

MOST_NAMED = 12
"""Predictors that a sentence names."""


def blocks(view: View) -> Iterator[Block]:
    """Both parts; nothing where no predictor of the headline model is missing."""
    patterns, found = view.headline.patterns, view.headline.imputation
    if patterns is not None and view.evaluation.models[view.lead].by_missing:
        yield Heading(2, "Patients with missing predictors", "missing-patterns")
        yield from _patterns(view, patterns)
    if found is not None:
        yield Heading(2, "Multiple imputation of missing predictors", "multiple-imputation")
        yield Paragraph(_how(view, found))
        if found.performance is not None:
            yield Paragraph(_finding(view, found.performance))
            yield _performance_table(view, found.performance)
        yield from _coefficients(view, found)


# ------------------------------------------------------------------------------------- patterns


def _patterns(view: View, patterns: PatternsResult) -> Iterator[Block]:
    where = targets(view.evaluation)
    at = at_target(where[0] if view.nodal else where[-1])
    text = (
        f"Performance {at} in patients grouped by which predictors of the headline model they "
        "lack; the predictors were imputed as in training. Patients who lack a predictor may "
        "differ in other ways too, so that a difference is not the effect of the missing value."
    )
    if patterns.few:
        names = [f"{_name(view, n)} ({count(k)} missing)" for n, k in patterns.few.items()]
        text += (
            f" Fewer than {FEWEST} patients lack, or have, {_named(names)}: no group is made of "
            "these."
        )
    if patterns.further:
        names = [_name(view, n) for n in patterns.further]
        text += f" No group is made of {_named(names)}, which fewer patients lack than the others."
    yield Paragraph(text)
    yield _pattern_table(view, patterns)


def _named(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMED:
        return listed(names)
    return f"{', '.join(names[:MOST_NAMED])} and {count(len(names) - MOST_NAMED)} others"


def _name(view: View, variable: str) -> str:
    """Label of a predictor; of a modality that it is meant as a whole."""
    if variable == ANY:
        return "Any predictor"
    known = variable in view.contents.protocol.variables or variable in view.headline.missing
    return view.label(variable) if known else f"All predictors of {variable}"


def _pattern_table(view: View, patterns: PatternsResult) -> DataTable:
    notes, rows = Footnotes(), []
    models = [m for m in view.leading if view.evaluation.models[m].by_missing]
    every = {m: view.evaluation.models[m].by_missing for m in models}
    variable = ""
    for k, g in enumerate(every[models[-1]]):
        if g.variable != variable:
            variable = g.variable
            also = patterns.together.get(variable, ())
            more = f" and {plural(len(also), 'predictor')} that the same patients lack" * bool(also)
            rows.append(Row((_name(view, variable) + more,), group=True))
        both = [every[m][k] for m in models]
        why = g.discrimination
        if isinstance(why, NotEstimable) and all(e.discrimination == why for e in both):
            cells = (count(g.n), count(g.events), notes.mark(why.not_estimable), "–", "–", "–")
            rows.append(Row((f"{_level(g)}: every model", *cells), indent=True))
            continue
        for m, e in zip(models, both, strict=True):
            rows.append(_pattern_row(view, m, e, notes, first=m == models[0]))
    columns = [
        Column("Patients and model", weight=2.2),
        numeric("Patients", 0.7),
        numeric("Events", 0.65),
        numeric(discrimination_name(view.kind), 1.4),
        numeric("AUC", 1.4),
        numeric("O/E", 1.3),
        numeric("Δ to the others", 1.5),
    ]
    told = (
        "O/E: observed over expected events. Intervals are not adjusted for their number, and hold "
        "the models fixed."
    )
    if any(isinstance(g.difference, Contrast) for groups in every.values() for g in groups):
        told += (
            f" Δ to the others: difference in {discrimination_name(view.kind)} to the group with "
            "more events, on the same resamples."
        )
    else:  # no two groups of a predictor can be compared
        columns = columns[:-1]
        rows = [r if r.group else replace(r, cells=r.cells[:-1]) for r in rows]
    return DataTable(
        "missing-patterns-table",
        "Performance by what patients lack, with 95 % intervals.",
        tuple(columns),
        tuple(rows),
        (*notes.notes, told),
    )


def _level(g: SubgroupEvaluation) -> str:
    return g.level.capitalize()


def _pattern_row(
    view: View, model: str, g: SubgroupEvaluation, notes: Footnotes, *, first: bool
) -> Row:
    who = f"{_level(g)}: {model}"
    sizes = (count(g.n), count(g.events)) if first else ("", "")
    if isinstance(g.discrimination, NotEstimable) and isinstance(g.auc, NotEstimable):
        cells: tuple[str, ...] = (notes.mark(g.discrimination.not_estimable), "–", "–", "–")
    else:
        apart = notes.contrast(g.difference) if isinstance(g.difference, Contrast) else "–"
        cells = (notes.metric(g.discrimination), notes.metric(g.auc), notes.metric(g.oe, 2), apart)
    return Row((who, *sizes, *cells), indent=True, strong=model == view.lead)


# --------------------------------------------------------------------------- multiple imputation


def _how(view: View, found: ImputationResult) -> str:
    """What was done, and with which models it was not."""
    outcome = "nodal stage" if view.nodal else "event indicator and Nelson–Aalen cumulative hazard"
    text = (
        f"{plural(found.predictors, 'predictor')} with missing values "
        f"{'was' if found.predictors == 1 else 'were'} imputed {count(found.imputations)} times by "
        "chained equations, with random draws (predictive mean matching; logistic regression for "
        "binary and categorical predictors). In each fold of the first repeat the regressions for "
        f"training patients read their {outcome} too; held-out patients were imputed by "
        "regressions of the training patients that read no outcome. The models were refitted to "
        "every imputation without indicators of missingness, and the risks of each held-out "
        "patient were averaged. Values are assumed to be missing at random given what was recorded."
    )
    if found.left_out:
        told = [f"{m} ({why})" for m, why in found.left_out.items()]
        text += f" Not refitted: {'; '.join(told)}."
    if found.performance is None:
        text += f" Performance was not compared: {in_years(found.not_judged)}."
    return text


def _finding(view: View, found: ImputedEvaluation) -> str:
    """What changes in the increment, or in the models where there is none."""
    name = discrimination_name(view.kind)
    first = next((d for d in found.differences if d.measure == "C"), None)
    if first is None:
        changed = [m for m in found.models if excludes_zero_of(m.discrimination.change)]
        if not changed:
            return f"For no refitted model does the interval of the change in {name} exclude zero."
        return (
            f"The interval of the change in {name} excludes zero for "
            f"{listed(m.model for m in changed)}."
        )
    if isinstance(first.single, NotEstimable) or isinstance(first.multiple, NotEstimable):
        return f"The increment in {name} cannot be estimated."
    told = (
        f"The increment in {name} over “{first.reference}” is "
        f"{number(first.multiple.difference, 3, signed=True)} "
        f"({span(first.multiple.lower, first.multiple.upper, 3, signed=True)}) over imputations "
        f"and {number(first.single.difference, 3, signed=True)} "
        f"({span(first.single.lower, first.single.upper, 3, signed=True)}) with single imputation "
        "in the same folds"
    )
    if isinstance(first.change, NotEstimable):
        return f"{told}."
    excludes = "excludes" if excludes_zero(first.change) else "includes"
    return (
        f"{told}; the interval of the change, "
        f"{span(first.change.lower, first.change.upper, 3, signed=True)}, {excludes} zero."
    )


def excludes_zero_of(change: Contrast | NotEstimable) -> bool:
    """Whether a change is known and its interval excludes zero."""
    return isinstance(change, Contrast) and bool(excludes_zero(change))


def _performance_table(view: View, found: ImputedEvaluation) -> DataTable:
    notes, rows = Footnotes(), []
    name, auc = discrimination_name(view.kind), f"AUC, {in_years(found.target)}"
    for label, which in ((name, "discrimination"), (auc, "auc")):
        rows.append(Row((label,), group=True))
        for m in sorted(found.models, key=lambda m: view.models.index(m.model)):
            measure = getattr(m, which)
            change = "no predictor missing" if m.complete else notes.contrast(measure.change)
            rows.append(
                Row(
                    (m.model, notes.metric(measure.single), notes.metric(measure.multiple), change),
                    indent=True,
                    strong=m.model == view.lead,
                )
            )
        for d in found.differences:
            if (d.measure == "C") == (which == "discrimination"):
                cells = [notes.contrast(c) for c in (d.single, d.multiple, d.change)]
                rows.append(Row((f"Δ over {d.reference}", *cells), indent=True))
    return DataTable(
        "multiple-imputation-table",
        f"Held-out performance with single and with multiple imputation ({count(found.n)} "
        "patients, folds of the first repeat).",
        (
            Column("Model", weight=1.7),
            numeric("Single imputation", 1.5),
            numeric("Multiple imputation", 1.5),
            numeric("Change", 1.6),
        ),
        tuple(rows),
        (
            *notes.notes,
            f"Δ: “{view.lead}” minus the reference named. Intervals resample patients and hold the "
            "fitted models fixed. Figures with single imputation are of one repeat and can differ "
            "from those over all repeats.",
        ),
    )


def _coefficients(view: View, found: ImputationResult) -> Iterator[Block]:
    if found.coefficients is None:
        yield Paragraph(
            f"Coefficients of “{found.reference}” were not pooled over imputations: "
            f"{sentence(found.skipped)[:1].lower() + sentence(found.skipped)[1:]}"
        )
        return
    yield _coefficient_table(view, found, found.coefficients)


def _coefficient_table(view: View, found: ImputationResult, told: PooledCoefficients) -> DataTable:
    rows = []
    for c in told.coefficients:
        low, high = c.pooled.ends
        single = "–"
        if c.single is not None:
            single = f"{number(c.single.value, 4)} ({span(*c.single.ends, 4)})"
        rows.append(
            Row(
                (
                    term_label(view, c.name),
                    f"{number(c.pooled.value, 4)} ({span(low, high, 4)})",
                    number(c.pooled.se or 0.0, 4),
                    percent(c.missing_information),
                    number(c.freedom, 1),
                    single,
                )
            )
        )
    what = "Proportional-odds" if view.nodal else "Cox"
    cause = " (cause-specific hazard of the event)" * (view.kind == "competing")
    notes = [
        f"{what} regression without a penalty and with straight terms{cause}, fitted to all "
        "patients; it predicts nothing. Pooled by Rubin’s rules with the degrees of freedom of "
        "Barnard and Rubin. FMI: fraction of missing information, which includes a term for the "
        "finite number of patients and imputations. Single imputation: the same "
        "regression with missing values imputed once, indicators of missingness included.",
    ]
    if told.not_pooled:
        names = [term_label(view, n) for n in told.not_pooled]
        notes.append(f"Not in every imputation’s regression, so not pooled: {_named(names)}.")
    return DataTable(
        "pooled-coefficients",
        f"{told.scale.capitalize()} per unit of the predictors of “{found.reference}”, "
        f"pooled over {count(found.imputations)} imputations, with 95 % intervals.",
        (
            Column("Term", weight=1.5),
            numeric("Multiple imputation", 1.8),
            numeric("Standard error", 0.8),
            numeric("FMI", 0.6),
            numeric("Degrees of freedom", 0.8),
            numeric("Single imputation", 1.8),
        ),
        tuple(rows),
        tuple(notes),
    )
