"""Calibration and decision curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from metasight.estimate import Estimate
from metasight.report.blocks import Figure, csv_text
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
from metasight.report.wording import metric, number, percent
from metasight.validation.results import (
    CalibrationCurve,
    Metric,
    NotEstimable,
    TargetEvaluation,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def _values(found: Metric) -> tuple[float | None, float | None, float | None]:
    if isinstance(found, NotEstimable):
        return None, None, None
    return found.value, found.lower, found.upper


# ------------------------------------------------------------------------------- calibration


def calibration_figure(view: View, index: int, look: Mapping[str, Look]) -> Figure:
    """Smoothed calibration of reference and headline at one target, histograms beneath."""
    shown = {m: view.evaluation.models[m].targets[index] for m in view.leading}
    first = next(iter(shown.values()))
    anchor = f"calibration-{index}"
    limit = _risk_limit(list(shown.values()))
    title = f"Calibration {at_target(first)}"
    alt = _calibration_alt(title, shown)
    heads = {m: wrap(m, 192.0, NORMAL, bold=True) for m in shown}
    top = 12.0 * max(len(h) for h in heads.values()) + 6
    with canvas(PAGE_PT, top + 184 + 8 + 34 + 34) as figure:
        for k, (name, target) in enumerate(shown.items()):
            left = 44.0 + k * 238.0
            figure.text(
                left / PAGE_PT,
                1 - 4 / (top + 260),
                "\n".join(heads[name]),
                va="top",
                fontsize=NORMAL,
                fontweight="bold",
                linespacing=1.15,
            )
            _calibration_panel(place(figure, left, top, 184, 184), target, look[name], limit)
            _histogram(figure, (left, top + 192), target, look[name], limit, first=k == 0)
        svg = to_svg(figure, anchor, title, alt)
    caption = (
        f"{title}: observed against predicted risk{_unseen(view)}. Line and band: smoothed "
        "observed risk with its pointwise 95 % bootstrap interval; points: fifths of predicted "
        "risk with 95 % intervals; dashed: perfect calibration. Beneath: distribution of "
        "predicted risk."
    )
    return Figure(anchor, svg, PAGE_PT, alt, caption, _calibration_data(shown))


def _unseen(view: View) -> str:
    return "" if view.external else ", out of fold"


def _risk_limit(targets: Sequence[TargetEvaluation]) -> float:
    seen = [0.1]
    for t in targets:
        if isinstance(t.calibration.curve, CalibrationCurve):
            seen += [*t.calibration.curve.predicted, *t.calibration.curve.observed]
        for g in t.calibration.groups:
            value, _, upper = _values(g.observed)
            seen += [g.mean_predicted] + [v for v in (value, upper) if v is not None]
    top = max(seen)
    return next((v for v in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0) if top <= v * 1.02), 1.0)


def _calibration_panel(axes: Axes, target: TargetEvaluation, look: Look, limit: float) -> None:
    axes.set_xlim(0, limit)
    axes.set_ylim(0, limit)
    axes.plot([0, limit], [0, limit], color=SOFT, linewidth=0.9, dashes=(4, 3))
    curve = target.calibration.curve
    if isinstance(curve, CalibrationCurve):
        axes.fill_between(
            curve.predicted, curve.lower, curve.upper, color=look.colour, alpha=0.18, linewidth=0
        )
        axes.plot(curve.predicted, curve.observed, color=look.colour)
    else:
        axes.text(
            0.5,
            0.04,
            "\n".join(wrap(f"no curve: {curve.not_estimable}", 170)),
            ha="center",
            va="bottom",
            transform=axes.transAxes,
        )
    for group in target.calibration.groups:
        value, lower, upper = _values(group.observed)
        if value is None:
            continue
        if lower is not None and upper is not None:
            axes.plot([group.mean_predicted] * 2, [lower, upper], color=INK, linewidth=0.8)
        axes.plot(
            [group.mean_predicted],
            [value],
            marker=look.marker,
            markersize=5,
            color=look.colour,
            markeredgecolor="white",
            markeredgewidth=0.6,
            clip_on=False,
            zorder=4,
        )
    c = target.calibration
    told = [
        f"{name} {metric(m, 2)}"
        for name, m in (("O/E", c.oe), ("slope", c.slope))
        if isinstance(m, Estimate)
    ]
    if isinstance(c.ici, Estimate):
        told.append(f"ICI {number(100 * c.ici.value, 1)} %")
    axes.text(
        0.03,
        0.99,
        "\n".join(told),
        transform=axes.transAxes,
        va="top",
        linespacing=1.3,
        bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 1.5},
    )
    axes.set_ylabel("Observed risk")
    _percent_axis(axes, limit, both=True)
    axes.set_xticklabels([])


def _percent_axis(axes: Axes, limit: float, *, both: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis in (axes.xaxis, axes.yaxis) if both else (axes.xaxis,):
        axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.3g} %"))
    axes.set_xlim(0, limit)


def _histogram(
    figure: Canvas,
    corner: tuple[float, float],
    target: TargetEvaluation,
    look: Look,
    limit: float,
    *,
    first: bool,
) -> None:
    axes = place(figure, corner[0], corner[1], 184, 34)
    edges, counts = target.distribution.edges, target.distribution.counts
    total = sum(counts) or 1
    widths = [b - a for a, b in pairwise(edges)]
    axes.bar(
        edges[:-1],
        [c / total for c in counts],
        width=widths,
        align="edge",
        color=look.colour,
        edgecolor="white",
        linewidth=0.5,
    )
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    _percent_axis(axes, limit)
    axes.set_xlabel("Predicted risk")
    if first:
        axes.set_ylabel("Patients", labelpad=31)


def _calibration_alt(title: str, shown: Mapping[str, TargetEvaluation]) -> str:
    parts = []
    for name, target in shown.items():
        c = target.calibration
        groups = [
            f"{percent(g.mean_predicted)} predicted, {percent(g.observed.value)} observed"
            for g in c.groups
            if isinstance(g.observed, Estimate)
        ]
        parts.append(
            f"{name}: observed over expected {metric(c.oe, 2)}, slope "
            f"{metric(c.slope, 2)}; by fifths of risk: {'; '.join(groups)}"
        )
    return f"{title}. " + ". ".join(parts) + "."


def _calibration_data(shown: Mapping[str, TargetEvaluation]) -> str:
    rows: list[list[object]] = []
    for name, target in shown.items():
        curve = target.calibration.curve
        if isinstance(curve, CalibrationCurve):
            rows += [
                [name, "curve", p, o, low, high, None]
                for p, o, low, high in zip(
                    curve.predicted, curve.observed, curve.lower, curve.upper, strict=True
                )
            ]
        for g in target.calibration.groups:
            rows.append([name, "fifth", g.mean_predicted, *_values(g.observed), g.n])
        edges = target.distribution.edges
        for left, n in zip(edges, target.distribution.counts, strict=False):
            rows.append([name, "histogram", left, None, None, None, n])
    return csv_text(["model", "part", "predicted", "observed", "lower", "upper", "n"], rows)


# ---------------------------------------------------------------------------- decision curves

ALL = Look(SOFT, "", (1.5, 1.5))
NONE = Look(INK, "")
Series = tuple[str, Look, list[float], list[float]]


def decision_figure(view: View, index: int, look: Mapping[str, Look]) -> Figure:
    """Net benefit of reference, headline, treating all and none, at one target."""
    shown = {m: view.evaluation.models[m].targets[index] for m in view.leading}
    first = next(iter(shown.values()))
    anchor = f"decision-{index}"
    title = f"Net benefit {at_target(first)}"
    series = _series(shown, look)
    alt = _decision_alt(title, series)
    with canvas(PAGE_PT, 232) as figure:
        labels = min(150.0, 18 + max(width_of(s[0]) for s in series))
        axes = place(figure, 48, 8, PAGE_PT - 48 - labels, 186)
        lead = shown[view.lead].decision_curve.points
        band = [(p.threshold, *_values(p.net_benefit)) for p in lead]
        drawn = [(x, low, high) for x, _, low, high in band if low is not None and high is not None]
        _decision_axes(axes, series, max((100 * d[2] for d in drawn), default=0.0))
        if drawn:
            axes.fill_between(
                [d[0] for d in drawn],
                [100 * d[1] for d in drawn],
                [100 * d[2] for d in drawn],
                color=look[view.lead].colour,
                alpha=0.14,
                linewidth=0,
            )
        _direct_labels(axes, series, labels)
        svg = to_svg(figure, anchor, title, alt)
    caption = (
        f"{title}, per 100 patients: true positives minus false positives weighted by the odds of "
        "the threshold. Band: 95 % bootstrap interval of the headline model. A model is useful at "
        "a threshold where it is above both “treat all” and “treat none”. Curves of all "
        "models are in the data."
    )
    every = {m: view.evaluation.models[m].targets[index] for m in view.models}
    return Figure(anchor, svg, PAGE_PT, alt, caption, _decision_data(every))


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


def _decision_alt(title: str, series: Sequence[Series]) -> str:
    parts = []
    for name, _, x, y in series:
        at = ", ".join(f"{number(v, 1)} at {100 * t:g} %" for t, v in zip(x, y, strict=True))
        parts.append(f"{name}: {at}")
    return f"{title} per 100 patients, by threshold. " + "; ".join(parts) + "."


def _decision_data(every: Mapping[str, TargetEvaluation]) -> str:
    rows: list[list[object]] = []
    for name, target in every.items():
        for p in target.decision_curve.points:
            rows.append(
                [name, p.threshold, *_values(p.net_benefit), *_values(p.treat_all), 0.0, p.treated]
            )
    head = [
        "model",
        "threshold",
        "net_benefit",
        "lower",
        "upper",
        "treat_all",
        "treat_all_lower",
        "treat_all_upper",
        "treat_none",
        "share_treated",
    ]
    return csv_text(head, rows)
