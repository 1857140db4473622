"""Decision curves: net benefit by threshold, and its differences with simultaneous bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from metasight.estimate import Estimate
from metasight.report.blocks import Figure
from metasight.report.drawing import (
    FILL,
    INK,
    NORMAL,
    PAGE_PT,
    SOFT,
    Look,
    canvas,
    place,
    spread_apart,
    to_svg,
    width_of,
    wrap,
)
from metasight.report.view import View, at_target
from metasight.report.wording import number, span
from metasight.spreadsheet import csv_text
from metasight.validation.results import Metric, NotEstimable, TargetEvaluation
from metasight.validation.threshold_band import ThresholdBand

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

ALL = Look(SOFT, "", (1.5, 1.5))
NONE = Look(INK, "")
DEFAULT = "the better of treat all and treat none"
Series = tuple[str, Look, list[float], list[float]]


def decision_figure(view: View, index: int, look: Mapping[str, Look]) -> Figure:
    """Net benefit of reference, headline, treating all and none, at one target.

    Beneath are the headline's differences, to the better default and to the reference, each with
    its simultaneous band.
    """
    shown = {m: view.evaluation.models[m].targets[index] for m in view.leading}
    first = next(iter(shown.values()))
    anchor = f"decision-{index}"
    title = f"Net benefit {at_target(first)}"
    series = _series(shown, look)
    differences = headline_differences(view, index)
    alt = _decision_alt(title, series, differences)
    headings = _headings(differences)
    beneath = 236 + 11.5 * max(len(h) for h in headings)
    with canvas(PAGE_PT, beneath + 138) as figure:
        labels = min(150.0, 18 + max(width_of(s[0]) for s in series))
        axes = place(figure, 48, 8, PAGE_PT - 48 - labels, 186)
        band = shown[view.lead].decision_curve.band
        _decision_axes(axes, series, _highest((band,)))
        _fill(axes, band, look[view.lead])
        _direct_labels(axes, series, labels)
        _difference_panels(figure, differences, headings, look[view.lead], top=beneath)
        svg = to_svg(figure, anchor, title, alt)
    level = f"{100 * band.confidence:g}"
    caption = (
        f"{title}, per 100 patients: true positives minus false positives weighted by the odds of "
        "the threshold. A model is useful at a threshold where it is above both “treat all” and "
        "“treat none”. Beneath: differences of the headline model. Bands: simultaneous "
        f"{level} % bands over the thresholds, made to hold the whole curve in {level} of "
        "100 studies like this one (bootstrap of patients, largest studentised deviation); a "
        "hollow point has no band. Curves of all models are in the data."
    )
    every = {m: view.evaluation.models[m].targets[index] for m in view.models}
    return Figure(anchor, svg, PAGE_PT, alt, caption, _decision_data(every, differences))


def headline_differences(view: View, index: int) -> dict[str, ThresholdBand]:
    """Bands of what is decided on at one target: the headline minus what, by the latter's name."""
    lead = view.evaluation.models[view.lead].targets[index]
    found = {DEFAULT: lead.decision_curve.over_default}
    compared = view.headline_comparison
    if view.has_increment and compared is not None:
        same = next((t for t in compared.targets if t.target == lead.target), None)
        if same is not None:
            found[view.reference] = same.net_benefit_band
    return found


def _values(found: Metric) -> tuple[float | None, float | None, float | None]:
    if isinstance(found, NotEstimable):
        return None, None, None
    return found.value, found.lower, found.upper


def _highest(bands: Sequence[ThresholdBand]) -> float:
    return max((100 * p.upper for b in bands for p in b.points if p.upper is not None), default=0.0)


def _fill(axes: Axes, band: ThresholdBand, look: Look) -> None:
    """The band as a tint between two thin lines, which a print in grey keeps."""
    nan = float("nan")
    x = [p.threshold for p in band.points]
    low = [nan if p.lower is None else 100 * p.lower for p in band.points]
    high = [nan if p.upper is None else 100 * p.upper for p in band.points]
    axes.fill_between(x, low, high, color=look.colour, alpha=0.14, linewidth=0)
    for edge in (low, high):
        axes.plot(x, edge, color=look.colour, linewidth=0.6)


BETWEEN = 24.0
"""Points between panels of differences."""


def _room(panels: int) -> float:
    """Points that a panel of differences has across, with its axis."""
    return (PAGE_PT - 48 - BETWEEN * (panels - 1)) / panels


def _headings(differences: Mapping[str, ThresholdBand]) -> list[list[str]]:
    room = _room(len(differences)) - 26
    return [wrap(f"Difference to {name}", room, NORMAL, bold=True) for name in differences]


def _difference_panels(
    figure: Canvas,
    differences: Mapping[str, ThresholdBand],
    headings: Sequence[Sequence[str]],
    look: Look,
    *,
    top: float,
) -> None:
    room, down = _room(len(differences)), float(figure.get_size_inches()[1]) * 72
    for k, (heading, band) in enumerate(zip(headings, differences.values(), strict=True)):
        left = 48 + k * (room + BETWEEN)
        figure.text(
            left / PAGE_PT,
            1 - 234 / down,
            "\n".join(heading),
            va="top",
            fontsize=NORMAL,
            fontweight="bold",
            linespacing=1.15,
        )
        axes = place(figure, left, top, room - (26 if len(differences) > 1 else 0), 104)
        _fill(axes, band, look)
        axes.axhline(0, color=INK, linewidth=0.9)
        x = [p.threshold for p in band.points]
        y = [100 * p.value for p in band.points]
        axes.plot(x, y, color=look.colour, dashes=look.dashes or (None, None))
        for p in band.points:
            axes.plot(
                [p.threshold],
                [100 * p.value],
                marker=look.marker,
                markersize=4,
                color=look.colour,
                markerfacecolor="white" if p.lower is None else look.colour,
            )
        _ticks(axes, x, room)
        if k == 0:
            axes.set_ylabel("Per 100 patients")


def _ticks(axes: Axes, thresholds: Sequence[float], room: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    step = max(1, -(-len(thresholds) * 26 // int(room)))
    axes.set_xticks(list(thresholds)[::step])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g} %"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}".replace("-", "\u2212")))
    axes.set_xlabel("Threshold")
    axes.grid(axis="y", color=FILL, linewidth=0.6)
    axes.set_axisbelow(True)


def _series(shown: Mapping[str, TargetEvaluation], look: Mapping[str, Look]) -> list[Series]:
    found: list[Series] = []
    for name, target in shown.items():
        points = [
            (p.threshold, p.net_benefit.value)
            for p in target.decision_curve.points
            if isinstance(p.net_benefit, Estimate)
        ]
        found.append((name, look[name], [p[0] for p in points], [100 * p[1] for p in points]))
    points = [
        (p.threshold, p.treat_all.value)
        for p in next(iter(shown.values())).decision_curve.points
        if isinstance(p.treat_all, Estimate)
    ]
    found.append(("treat all", ALL, [p[0] for p in points], [100 * p[1] for p in points]))
    found.append(("treat none", NONE, [p[0] for p in points], [0.0 for _ in points]))
    return [s for s in found if s[2]]


def _decision_axes(axes: Axes, series: Sequence[Series], highest: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    peak = max((max(s[3]) for s in series), default=1.0)
    top = max(1.12 * peak, min(highest, 1.6 * peak), 1.0)
    lowest = min((min(s[3]) for s in series if s[0] != "treat all"), default=0.0)
    axes.set_ylim(min(-0.2 * top, max(1.1 * lowest, -0.6 * top)), top)
    for name, look, x, y in series:
        axes.plot(
            x,
            y,
            color=look.colour,
            dashes=look.dashes or (None, None),
            marker=look.marker,
            markersize=4,
            linewidth=0.9 if name == "treat none" else 1.4,
        )
    axes.set_xticks(sorted({x for s in series for x in s[2]}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g} %"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v, 0)))
    axes.set_xlabel("Threshold: risk from which a patient would be treated")
    axes.set_ylabel("Net benefit per 100 patients")
    axes.grid(axis="y", color=FILL, linewidth=0.6)
    axes.set_axisbelow(True)


def _direct_labels(axes: Axes, series: Sequence[Series], room: float) -> None:
    low, high = axes.get_ylim()
    points = 186.0 / (high - low)
    words = [wrap(s[0], room - 16) for s in series]
    ends = [min(max(s[3][-1], low), high) for s in series]
    gap = 10.5 * max(len(w) for w in words) + 2
    at = spread_apart(ends, gap / points, low + gap / 2 / points, high)
    right = max(x for s in series for x in s[2])
    for (_, look, _, _), lines, end, y in zip(series, words, ends, at, strict=True):
        axes.annotate(
            "\n".join(lines),
            xy=(right, end),
            xytext=(12, (y - end) * points),
            va="center",
            xycoords="data",
            textcoords="offset points",
            color=look.colour,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look.colour,
                "linewidth": 0.5,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def _decision_alt(
    title: str, series: Sequence[Series], differences: Mapping[str, ThresholdBand]
) -> str:
    parts = []
    for name, _, x, y in series:
        at = ", ".join(f"{number(v, 1)} at {100 * t:g} %" for t, v in zip(x, y, strict=True))
        parts.append(f"{name}: {at}")
    for name, band in differences.items():
        at = ", ".join(
            f"{number(100 * p.value, 1, signed=True)}"
            + (
                " without a band"
                if p.lower is None or p.upper is None
                else f" ({span(100 * p.lower, 100 * p.upper, 1, signed=True)})"
            )
            + f" at {100 * p.threshold:g} %"
            for p in band.points
        )
        parts.append(f"headline minus {name}, with its simultaneous band: {at}")
    return f"{title} per 100 patients, by threshold. " + "; ".join(parts) + "."


def _decision_data(
    every: Mapping[str, TargetEvaluation], differences: Mapping[str, ThresholdBand]
) -> str:
    rows: list[list[object]] = []
    for name, target in every.items():
        curve = target.decision_curve
        bands = zip(curve.points, curve.band.points, curve.over_default.points, strict=True)
        for p, own, over in bands:
            rows.append(
                [
                    *(name, p.threshold, *_values(p.net_benefit), own.lower, own.upper),
                    *(*_values(p.treat_all), 0.0, p.treated, over.value, over.lower, over.upper),
                ]
            )
    for name, band in list(differences.items())[1:]:
        for q in band.points:
            rows.append(
                [f"headline minus {name}", q.threshold, q.value, None, None, q.lower, q.upper]
                + [None] * 8
            )
    head = [
        "model",
        "threshold",
        "net_benefit",
        "lower",
        "upper",
        "band_lower",
        "band_upper",
        "treat_all",
        "treat_all_lower",
        "treat_all_upper",
        "treat_none",
        "share_treated",
        "over_better_default",
        "over_better_default_band_lower",
        "over_better_default_band_upper",
    ]
    return csv_text(head, rows)
