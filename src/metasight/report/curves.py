"""Calibration curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from metasight.estimate import Estimate
from metasight.report.blocks import Figure
from metasight.report.drawing import (
    INK,
    NORMAL,
    PAGE_PT,
    SOFT,
    Look,
    canvas,
    place,
    to_svg,
    wrap,
)
from metasight.report.view import View, at_target
from metasight.report.wording import metric, number, percent
from metasight.spreadsheet import csv_text
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
