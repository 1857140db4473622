"""Whether a Cox model's shape holds: hazard ratios constant over time, log hazards straight."""

from __future__ import annotations

from collections.abc import Iterator

from metasight.models.proportional_hazards import GLOBAL, ChiSquare
from metasight.report.blocks import Block, Column, DataTable, Paragraph, Ref, Row, Text, numeric
from metasight.report.contents import ModelDescription
from metasight.report.view import View
from metasight.report.wording import listed, number

LEVEL = 0.05
"""p value below which a departure is named in the text."""


def assumptions(view: View, model: ModelDescription, k: int) -> Iterator[Block]:
    """Table of the tests of a Cox model, and what they found; nothing for other models.

    Parameters
    ----------
    model
        Of the report.
    k
        Its place among the models.
    """
    final = model.final
    if not final.over_time:
        return
    days = {t.term: t for t in final.over_days}
    straight = {t.term: t for t in final.straight}
    rows = [
        Row(
            (
                "All terms" if t.term == GLOBAL else view.label(t.term),
                str(t.df),
                *_cells(t),
                *_cells(days.get(t.term)),
                *_cells(straight.get(t.term)),
            ),
            strong=t.term == GLOBAL,
        )
        for t in final.over_time
    ]
    yield Paragraph(_words(view, model))
    yield DataTable(
        f"assumptions-{k}",
        f"{model.name}: tests of proportional hazards and of linearity.",
        (
            Column("Predictor", weight=1.8),
            numeric("df", 0.4),
            numeric("Hazards, χ² (KM)", 1.0),
            numeric("p (KM)", 0.8),
            numeric("Hazards, χ² (days)", 1.0),
            numeric("p (days)", 0.8),
            numeric("Linearity, χ²", 1.0),
            numeric("p (linearity)", 0.8),
        ),
        tuple(rows),
        (
            "Hazards: score test of Grambsch and Therneau of a hazard ratio that changes with "
            "time, on the scale of 1 − Kaplan–Meier (KM) or in days. Linearity: likelihood-ratio "
            "test of a restricted cubic spline in a continuous predictor"
            + _degrees(final.straight)
            + "; – where the predictor is not continuous or no spline could be fitted. The p "
            "values are not adjusted for the number of tests.",
        ),
    )


def _degrees(straight: tuple[ChiSquare, ...]) -> str:
    if not straight:
        return ""
    found = sorted({t.df for t in straight})
    return f" ({listed((str(d) for d in found), 'or')} df)"


def _cells(test: ChiSquare | None) -> tuple[str, str]:
    return ("–", "–") if test is None else (number(test.chisq, 2), p_value(test.p))


def p_value(p: float) -> str:
    """Three digits, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else number(p, 3)


def _words(view: View, model: ModelDescription) -> Text:
    """What the tests found and what follows; no more than that."""
    final = model.final
    whole = final.over_time[-1]
    changing = [view.label(t.term) for t in final.over_time[:-1] if t.p < LEVEL]
    bent = [view.label(t.term) for t in final.straight if t.p < LEVEL]
    tested = (
        f"“{model.name}” assumes that hazard ratios stay the same over time (score test of all "
        f"terms: p {equals(whole.p)})"
    )
    bends = any(term.endswith("'") for term in model.coefficients)
    parts = [tested + ("." if bends else " and that log hazards are linear in what it reads.")]
    if changing:
        parts.append(
            f"Hazard ratios of {listed(changing)} differ over time (p < {LEVEL:g}): each printed "
            "ratio is an average over follow-up."
        )
    elif whole.p < LEVEL:
        parts.append("Together, though not one by one, hazard ratios differ over time.")
    else:
        parts.append(f"No test of hazards has p < {LEVEL:g}; a small study may miss a difference.")
    if bent:
        allowed = ", for which the model has spline terms where it bends them" if bends else ""
        parts.append(f"The log hazard is not linear in {listed(bent)} (p < {LEVEL:g}){allowed}.")
    if changing or bent or whole.p < LEVEL:
        parts.append("Calibration of the risks at each horizon is in ")
        return " ".join(parts), Ref("calibration"), "."
    return " ".join(parts)


def equals(p: float) -> str:
    """``= 0.012``, or ``< 0.001``."""
    shown = p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"
