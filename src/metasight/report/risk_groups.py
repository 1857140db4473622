"""What happened in patients of low, middle and high predicted risk: curves with numbers at risk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metasight.report.blocks import Figure
from metasight.report.drawing import FILL, INK, NORMAL, PAGE_PT, Look, canvas, place, to_svg
from metasight.report.view import View
from metasight.report.wording import listed, percent, plural
from metasight.spreadsheet import csv_text
from metasight.units import DAYS_PER_YEAR
from metasight.validation.group_curve import GroupCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# Told apart by dash and by where they end as well: a grey print loses nothing.
LOOKS = (
    Look("#3288bd", "v", (1.2, 1.2)),
    Look("#22456e", "s", (5.0, 1.6)),
    Look("#c25100", "o"),
)
_LEFT, _WIDTH, _HEIGHT, _LINE = 150.0, PAGE_PT - 150.0 - 16.0, 190.0, 11.0


def risk_groups_figure(view: View) -> Figure | None:
    """Cumulative incidence by thirds of the headline's risk; None where there are no curves."""
    curves = view.evaluation.models[view.lead].by_risk
    if not curves:
        return None
    title = f"{view.endpoint.label} by predicted risk"
    alt = _alt(title, curves)
    top = 8.0
    table = top + _HEIGHT + 40
    tall = table + _LINE * (len(curves) + 1) + 10
    with canvas(PAGE_PT, tall) as figure:
        axes = place(figure, _LEFT, top, _WIDTH, _HEIGHT)
        years = _axes(axes, curves)
        for curve, look in zip(curves, LOOKS, strict=True):
            _draw(axes, curve, look)
        _legend(figure, axes, curves)
        _at_risk(figure, curves, years, table, tall)
        svg = to_svg(figure, "risk-groups", title, alt)
    competing = "Aalen–Johansen" if view.kind == "competing" else "1 − Kaplan–Meier"
    caption = (
        f"{title}: observed cumulative incidence ({competing}) in thirds of the risk that "
        f"“{view.lead}” predicts"
        + ("" if view.external else ", each patient by models that had not seen the patient")
        + ". Bands: pointwise 95 % bootstrap intervals. Below: patients still followed without an "
        "event. The groups show how far risks are spread; they are no categories to treat by."
    )
    return Figure("risk-groups", svg, PAGE_PT, alt, caption, _data(curves))


def _axes(axes: Axes, curves: Sequence[GroupCurve]) -> list[int]:
    """Scale both axes; returns the years that are ticked."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    last = curves[0].days[-1] / DAYS_PER_YEAR
    step = 1 if last <= 6 else 2 if last <= 14 else 5
    years = [*range(0, round(last) + 1, step)]
    axes.set_xlim(0, last)
    axes.set_xticks(years)
    highest = max(max(c.upper) for c in curves)
    axes.set_ylim(0, min(1.0, max(1.05 * highest, 0.1)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g} %"))
    axes.set_xlabel("Years since time zero")
    axes.set_ylabel("Cumulative incidence")
    axes.grid(axis="y", color=FILL, linewidth=0.6)
    axes.set_axisbelow(True)
    return years


def _draw(axes: Axes, curve: GroupCurve, look: Look) -> None:
    x = [d / DAYS_PER_YEAR for d in curve.days]
    axes.fill_between(
        x, curve.lower, curve.upper, color=look.colour, alpha=0.14, linewidth=0, step="post"
    )
    axes.step(
        x,
        curve.incidence,
        where="post",
        color=look.colour,
        dashes=look.dashes or (None, None),
        linewidth=1.4,
    )


def _legend(figure: Canvas, axes: Axes, curves: Sequence[GroupCurve]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=k.colour, dashes=k.dashes or (None, None), linewidth=1.4)
        for k in LOOKS
    ]
    labels = [
        f"{c.name[:1].upper()}{c.name[1:]} (predicted {percent(c.lowest)} to {percent(c.highest)})"
        for c in curves
    ]
    # The highest group is the uppermost curve.
    axes.legend(handles[::-1], labels[::-1], loc="upper left", frameon=False, fontsize=NORMAL)


def _at_risk(
    figure: Canvas, curves: Sequence[GroupCurve], years: Sequence[int], top: float, tall: float
) -> None:
    """The table of patients at risk under the axes, in their own columns."""
    figure.text(8 / PAGE_PT, 1 - top / tall, "At risk", va="top", fontweight="bold")
    last = curves[0].days[-1]
    for row, (curve, look) in enumerate(zip(reversed(curves), reversed(LOOKS), strict=True), 1):
        y = 1 - (top + row * _LINE) / tall
        figure.text(8 / PAGE_PT, y, curve.name, va="top", color=look.colour)
        for year in years:
            day = year * DAYS_PER_YEAR
            at = min(range(len(curve.days)), key=lambda k: abs(curve.days[k] - day))
            x = (_LEFT + _WIDTH * day / last) / PAGE_PT
            figure.text(x, y, str(curve.at_risk[at]), va="top", ha="center", color=INK)


def _alt(title: str, curves: Sequence[GroupCurve]) -> str:
    last = curves[0].days[-1] / DAYS_PER_YEAR
    parts = [f"{c.name}: {percent(c.incidence[-1])} of {plural(c.n, 'patient')}" for c in curves]
    return f"{title}, at {last:.0f} years: {listed(parts)}."


def _data(curves: Sequence[GroupCurve]) -> str:
    return csv_text(
        ["group", "days", "incidence", "lower", "upper", "at_risk"],
        (
            [c.name, round(c.days[k], 2), c.incidence[k], c.lower[k], c.upper[k], c.at_risk[k]]
            for c in curves
            for k in range(len(c.days))
        ),
    )
