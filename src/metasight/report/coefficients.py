"""Coefficients of a final model, with intervals or how they differ between refits; its formula."""

from __future__ import annotations

import math
from collections.abc import Iterator

from metasight.models.by_hand import Formula
from metasight.report.blocks import Block, Column, DataTable, Heading, Paragraph, Row, numeric
from metasight.report.contents import ModelDescription
from metasight.report.view import View
from metasight.report.wording import number, percent, plural, significant, span, years

MOST_COEFFICIENTS = 40
_LARGEST = 50.0
"""Log ratio beyond which a ratio is not printed."""
_LOG = "log("
_SHORT = 8
"""Terms up to which a table without intervals has one column of terms."""


def coefficients(view: View, model: ModelDescription, k: int) -> Iterator[Block]:
    """Table of a model's coefficients, largest first, and what a risk is computed by.

    Parameters
    ----------
    model
        With coefficients.
    k
        Its place among the models.
    """
    chosen = {t: c for t, c in model.coefficients.items() if c != 0}
    yield Heading(2, f"Coefficients of {model.name}", f"coefficients-section-{k}")
    if not chosen:
        yield Paragraph(
            f"All {plural(len(model.coefficients), 'coefficient')} are 0: the fit selected no "
            "predictor."
        )
        return
    ordered = sorted(chosen.items(), key=lambda item: (-abs(item[1]), item[0]))
    columns, rows, told = _layout(view, model, ordered[:MOST_COEFFICIENTS])
    notes = list(told)
    if len(model.coefficients) > len(chosen):
        dropped = len(model.coefficients) - len(chosen)
        notes.append(f"{plural(dropped, 'further term')} with coefficient 0.")
    if len(ordered) > MOST_COEFFICIENTS:
        notes.append(f"The {MOST_COEFFICIENTS} largest of {len(ordered)}; all are in the bundle.")
    yield DataTable(
        f"coefficients-{k}",
        f"{model.name}: coefficients on the scale of the predictor, largest first.",
        columns,
        rows,
        tuple(notes),
    )
    if model.formula is not None and (k == 0 or model.role):
        yield _formula(view, model, model.formula, k)


_Layout = tuple[tuple[Column, ...], tuple[Row, ...], tuple[str, ...]]


def _layout(view: View, model: ModelDescription, terms: list[tuple[str, float]]) -> _Layout:
    """Columns, rows and notes: with intervals, with the spread over refits, or with neither."""
    ratio = "Odds ratio" if view.nodal else "Hazard ratio"
    if model.final.intervals:
        return _with_intervals(view, model, terms, ratio)
    if model.refits is not None:
        return _with_refits(view, model, terms, ratio)
    return _plain(view, terms, ratio)


def _with_intervals(
    view: View, model: ModelDescription, terms: list[tuple[str, float]], ratio: str
) -> _Layout:
    rows = []
    for term, c in terms:
        found = model.final.intervals.get(term)
        between = "–" if found is None else _ratios(*found.ends)
        error = "–" if found is None or found.se is None else number(found.se, 4)
        rows.append(Row((term_label(view, term), number(c, 4), error, _ratio(c), between)))
    return (
        (
            Column("Term", weight=2),
            numeric("Coefficient"),
            numeric("Standard error"),
            numeric(ratio),
            numeric("95 % confidence interval", 1.4),
        ),
        tuple(rows),
        (
            "Intervals (Wald) are those of this one fit to all patients: they assume its model "
            "and do not count how predictors were chosen or missing values imputed.",
        ),
    )


def _with_refits(
    view: View, model: ModelDescription, terms: list[tuple[str, float]], ratio: str
) -> _Layout:
    spread = model.refits
    assert spread is not None  # noqa: S101 - the caller looked
    ranged = any(t.lower is not None for t in spread.terms.values())
    rows = []
    for term, c in terms:
        cells = [term_label(view, term), number(c, 4), _ratio(c)]
        one = spread.terms.get(term)
        cells.append("–" if one is None else percent(one.kept))
        if ranged:
            known = one is not None and one.lower is not None and one.upper is not None
            cells.append(_ratios(one.lower, one.upper) if known else "–")  # type: ignore[union-attr, arg-type]
        rows.append(Row(tuple(cells)))
    refits = plural(spread.refits, "refit")
    what = f"Over {refits} to bootstrap resamples of the patients, with the penalty chosen anew"
    columns = [Column("Term", weight=2), numeric("Coefficient"), numeric(ratio), numeric("Kept")]
    if ranged:
        columns.append(numeric(f"{ratio}, 2.5 to 97.5 % of refits", 1.4))
    return (
        tuple(columns),
        tuple(rows),
        (
            "A penalised coefficient is drawn towards zero and has no confidence interval. "
            f"{what}: “Kept” is the share of refits in which the coefficient is not 0"
            + (
                "; a refit without the term counts as a ratio of 1 in the range."
                if ranged
                else "; they are too few for a range."
            ),
        ),
    )


def _plain(view: View, terms: list[tuple[str, float]], ratio: str) -> _Layout:
    cells = [(term_label(view, t), number(c, 4), _ratio(c)) for t, c in terms]
    columns = (Column("Term", weight=2), numeric("Coefficient"), numeric(ratio))
    notes = (
        ()
        if view.external
        else (
            "No interval is given: the coefficients are penalised, and the model was not refitted "
            "to resamples.",
        )
    )
    if len(cells) <= _SHORT:
        return columns, tuple(Row(c) for c in cells), notes
    half = -(-len(cells) // 2)
    right = cells[half:] + [("", "", "")] * (2 * half - len(cells))
    both = tuple(Row((*a, *b)) for a, b in zip(cells[:half], right, strict=True))
    return columns * 2, both, notes


def _ratio(c: float) -> str:
    return number(math.exp(c), 3) if math.isfinite(c) and abs(c) < _LARGEST else "–"


def _ratios(lower: float, upper: float) -> str:
    if max(abs(lower), abs(upper)) >= _LARGEST:
        return "–"
    return span(math.exp(lower), math.exp(upper), 3)


def term_label(view: View, term: str) -> str:
    """Label of a column of a design: of a level its variable too, of a spline which bend."""
    name, equals, level = term.partition("=")
    base = name.rstrip("'")
    bends = len(name) - len(base)
    inside = base.removeprefix(_LOG).removesuffix(")")
    label = f"log({view.label(inside)})" if base == f"{_LOG}{inside})" else view.label(base)
    if equals:
        return f"{label}: {level}"
    return f"{label}, spline term {bends + 1}" if bends else label


def _formula(view: View, model: ModelDescription, formula: Formula, k: int) -> DataTable:
    """Means and constants, with which a risk can be computed by hand."""
    hazard = formula.kind == "hazard"
    rows = [
        Row((term_label(view, name), number(mean, 4), number(b, 6)))
        for name, b, mean in formula.terms
    ]
    rows.append(Row(("Constant",), group=True))
    rows += [
        Row((years(float(t)) if hazard else f"above {t}", number(c, 5), "–"))
        for t, c in formula.constants
    ]
    how = (
        "Risk at a horizon: 1 − exp(−H · exp(s)), H being its constant"
        if hazard
        else "Probability of a higher stage: 1 / (1 + exp(c − s)), c being the constant"
    )
    return DataTable(
        f"formula-{k}",
        f"{model.name}: to compute a risk by hand.",
        (Column("Term", weight=2), numeric("Training mean"), numeric("Coefficient")),
        tuple(rows),
        (
            f"s: sum of coefficient × (value − mean) over the terms. {how}.",
            *_logarithm_notes(view, formula),
        ),
    )


def _logarithm_notes(view: View, formula: Formula) -> tuple[str, ...]:
    """How the logarithms of a formula are taken."""
    if not formula.logarithms:
        return ()
    parts = []
    for feature, log in formula.logarithms.values():
        what = f"value + {significant(log.offset, 5)}" if log.offset else "value"
        parts.append(
            f"{view.label(feature)}: log({what}), lowest value {significant(log.floor, 5)}"
        )
    return (
        "log is the natural logarithm; a value below the lowest of training counts as the lowest. "
        f"{'; '.join(parts)}.",
    )
