"""Whether a measure differs between the levels of a subgroup variable: differences, intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metasight.report.blocks import Block, Column, DataTable, Paragraph, Row, numeric
from metasight.report.view import View, discrimination_name
from metasight.report.wording import Footnotes, count, excludes_zero, listed, plural
from metasight.validation.results import Contrast, SubgroupEvaluation

Groups = Sequence[SubgroupEvaluation]


def interactions(view: View, groups: Groups) -> Iterator[Block]:
    """Table of differences to the level with most events, and what they say.

    Parameters
    ----------
    view
        Of the run.
    groups
        Subgroups of the headline model.
    """
    compared = [g for g in groups if g.against]
    if not compared:
        return
    yield Paragraph(_words(view, compared))
    notes, rows = Footnotes(), []
    variable = ""
    for g in compared:
        if g.variable != variable:
            variable = g.variable
            rows.append(Row((view.label(variable),), group=True))
        other = next(o for o in groups if (o.variable, o.level) == (g.variable, g.against))
        between = f"{level_name(view, g)} against {level_name(view, other)}"
        if not isinstance(g.difference, Contrast):
            cells = (notes.mark(g.difference.not_estimable), "–")
        else:
            cells = (notes.contrast(g.difference), notes.metric(g.oe_ratio, 2))
        rows.append(Row((between, *cells), indent=True))
    yield DataTable(
        "interactions-table",
        f"“{view.lead}” in one subgroup against another: differences with 95 % intervals.",
        (
            Column("Subgroups", weight=1.6),
            numeric(f"Δ {discrimination_name(view.kind)}", 1.5),
            numeric("Ratio of O/E", 1.3),
        ),
        tuple(rows),
        (
            *notes.notes,
            "Each level against the one with most events, on the same resamples of all patients. "
            "Intervals are not adjusted for their number, and hold the models fixed.",
        ),
    )


def _words(view: View, compared: Groups) -> str:
    """How many differences were looked at, and which intervals exclude no difference."""
    known = [g for g in compared if isinstance(g.difference, Contrast)]
    name = discrimination_name(view.kind)
    if not known:
        return f"No difference in {name} between subgroups can be estimated: they are too small."
    apart = [g for g in known if excludes_zero(g.difference)]
    looked = plural(len(known), "difference")
    if not apart:
        interval = "its interval includes" if len(known) == 1 else "every interval includes"
        return (
            f"Of {looked} in {name} between subgroups, {interval} zero. No interaction was found; "
            "the width of the intervals shows which interactions remain possible."
        )
    named = listed(
        f"{view.label(g.variable)} ({level_name(view, g)}: "
        f"{'higher' if excludes_zero(g.difference) > 0 else 'lower'})"
        for g in apart
    )
    found = f"Of {looked} in {name} between subgroups, the interval excludes zero for {named}."
    if len(known) == 1:
        return found
    return f"{found} With {count(len(known))} intervals, one may do so by chance alone."


def level_name(view: View, g: SubgroupEvaluation) -> str:
    """Level of a subgroup with the variable's unit."""
    known = view.contents.protocol.variables
    unit = known[g.variable].unit if g.variable in known else ""
    return f"{g.level} {unit}".strip() if g.level[:1] in "≤>" else g.level
