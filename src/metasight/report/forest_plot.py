"""Forest plots: estimates with their intervals, one line a model, centre or subgroup."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
    to_svg,
    width_of,
    wrap,
)
from metasight.report.wording import number
from metasight.spreadsheet import csv_text
from metasight.validation.results import (
    Contrast,
    ContrastMetric,
    Metric,
    NotEstimable,
    Pooled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True)
class Mark:
    """One estimate of one line; ``reason`` where there is none.

    Attributes
    ----------
    value, lower, upper
        As plotted.
    low_outer, high_outer
        A prediction interval around it, drawn as a thin line.
    pooled
        Drawn as a diamond.
    """

    value: float | None
    lower: float | None = None
    upper: float | None = None
    low_outer: float | None = None
    high_outer: float | None = None
    pooled: bool = False
    reason: str = ""

    @classmethod
    def of(cls, found: Metric | ContrastMetric | Pooled, scale: float = 1.0) -> Mark:
        """Mark of a metric, a difference or a pooled value."""
        match found:
            case NotEstimable():
                return cls(None, reason=found.not_estimable)
            case Contrast():
                return cls(found.difference * scale, found.lower * scale, found.upper * scale)
            case Pooled():
                return cls(
                    found.value,
                    found.lower,
                    found.upper,
                    found.prediction_lower,
                    found.prediction_upper,
                    pooled=True,
                )
            case Estimate():
                lower = None if found.lower is None else found.lower * scale
                upper = None if found.upper is None else found.upper * scale
                return cls(found.value * scale, lower, upper)


@dataclass(frozen=True)
class Line:
    """A line of the plot: label, note beneath it, one mark a panel."""

    label: str
    look: Look
    marks: tuple[Mark, ...]
    note: str = ""
    group: bool = False


@dataclass(frozen=True)
class Panel:
    """One measure.

    Attributes
    ----------
    title, axis
        Above and below.
    null
        Value of no difference or no discrimination, drawn as a vertical line.
    log
        Ratio scale.
    digits
        Of the printed values.
    """

    title: str
    axis: str
    null: float | None
    log: bool = False
    digits: int = 2


@dataclass(frozen=True)
class Forest:
    """Words around a forest plot."""

    anchor: str
    title: str
    caption: str
    alt: str


@dataclass(frozen=True)
class _Layout:
    """Sizes in points: of labels, panels and the values beside them, and each line's middle."""

    labels: tuple[list[str], ...]
    label_width: float
    width: float
    side: float
    heights: tuple[float, ...]

    @property
    def tall(self) -> float:
        return sum(self.heights)

    @property
    def middles(self) -> list[float]:
        return [sum(self.heights[:k]) + h / 2 for k, h in enumerate(self.heights)]


GAP = 16.0


def _layout(
    lines: Sequence[Line], panels: Sequence[Panel], *, values: bool, whole: Sequence[Line]
) -> _Layout:
    """Sizes of ``lines``, in columns as wide as the lines of the whole figure need."""
    printed = [_value(x.marks[k], p.digits) for x in whole for k, p in enumerate(panels)]
    side = 10 + max(width_of(v) for v in printed) if values else 6.0
    # A group's head may run on: nothing is drawn on its line.
    widest = max(width_of(t) for x in whole if not x.group for t in (x.label, x.note))
    label_width = min(150.0, widest) + 12
    labels = tuple(wrap(x.label, PAGE_PT if x.group else label_width - 10) for x in lines)
    return _Layout(
        labels=labels,
        label_width=label_width,
        width=(PAGE_PT - label_width - len(panels) * (GAP + side)) / len(panels),
        side=side,
        heights=tuple(
            max(18.0, 10.5 * (len(w) + bool(x.note)) + 7)
            for x, w in zip(lines, labels, strict=True)
        ),
    )


TALLEST = 560.0
"""Points of lines that fit on a printed page with head, axis and caption."""


def forests(about: Forest, lines: Sequence[Line], panels: Sequence[Panel]) -> Iterator[Figure]:
    """As :func:`forest`, in as many figures as pages need, each with its own head and axis.

    All have the columns and axes of the whole, so that they can be compared, and about the same
    height, so that an average at the end stands with some of what it is of. A group that goes on
    in the next part has its head there too.
    """
    heights = _layout(lines, panels, values=len(panels) <= 2, whole=lines).heights
    parts = _parts(lines, heights)
    for k, part in enumerate(parts):
        told = f" Part {k + 1} of {len(parts)}." if len(parts) > 1 else ""
        one = Forest(
            about.anchor if k == 0 else f"{about.anchor}-part-{k + 1}",
            about.title,
            about.caption + told,
            about.alt + told,
        )
        yield forest(one, part, panels, whole=lines)


def _parts(lines: Sequence[Line], heights: Sequence[float]) -> list[list[Line]]:
    """Lines by part: none taller than a page, no group's head at the end of one."""
    total = sum(heights)
    pages = math.ceil(total / TALLEST)
    most = TALLEST if pages == 1 else min(TALLEST, total / pages + max(heights))
    parts: list[list[Line]] = [[]]
    filled, head = 0.0, None
    for k, (line, height) in enumerate(zip(lines, heights, strict=True)):
        follows = heights[k + 1] if line.group and k + 1 < len(heights) else 0.0
        if parts[-1] and filled + height + follows > most:
            parts.append([])
            filled = 0.0
            if head is not None and not line.group:
                parts[-1].append(replace(head[0], label=f"{head[0].label} (continued)"))
                filled = head[1]
        if line.group:
            head = (line, height)
        parts[-1].append(line)
        filled += height
    return parts


def forest(
    about: Forest,
    lines: Sequence[Line],
    panels: Sequence[Panel],
    *,
    whole: Sequence[Line] | None = None,
) -> Figure:
    """Draw lines of estimates in panels side by side.

    With one or two panels the values are printed beside the marks; with more, the tables hold
    them. ``whole`` are the lines that set columns and limits of axes, these unless given.
    """
    values = len(panels) <= 2
    size = _layout(lines, panels, values=values, whole=whole or lines)
    titles = [wrap(p.title, size.width + size.side, NORMAL, bold=True) for p in panels]
    top = 12.0 * max(len(t) for t in titles) + 10
    down = top + size.tall + 34
    with canvas(PAGE_PT, down) as figure:
        for k, panel in enumerate(panels):
            left = size.label_width + k * (size.width + size.side + GAP) + GAP / 2
            axes = place(figure, left, top, size.width, size.tall)
            limits = _limits([line.marks[k] for line in whole or lines], panel)
            _panel(axes, [(line, line.marks[k]) for line in lines], limits, panel, size)
            if values:
                _print_values(axes, lines, k, panel, size)
            figure.text(
                left / PAGE_PT,
                1 - 2 / down,
                "\n".join(titles[k]),
                fontsize=NORMAL,
                fontweight="bold",
                va="top",
                linespacing=1.15,
            )
        _label(figure, lines, size.labels, [top + m for m in size.middles])
        svg = to_svg(figure, about.anchor, about.title, about.alt)
    return Figure(about.anchor, svg, PAGE_PT, about.alt, about.caption, _data(lines, panels))


def _panel(
    axes: Axes,
    lines: Sequence[tuple[Line, Mark]],
    limits: tuple[float, float],
    panel: Panel,
    size: _Layout,
) -> None:
    axes.set_ylim(size.tall, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("\n".join(wrap(panel.axis, size.width + GAP)))
    _scale(axes, panel, limits, size.width)
    for y, h, (line, mark) in zip(size.middles, size.heights, lines, strict=True):
        axes.axhline(y + h / 2, color=FILL, linewidth=0.7, zorder=0)
        _draw(axes, mark, line.look, y, limits)


def _print_values(axes: Axes, lines: Sequence[Line], k: int, panel: Panel, size: _Layout) -> None:
    for y, line in zip(size.middles, lines, strict=True):
        if not line.group:
            axes.annotate(
                _value(line.marks[k], panel.digits),
                (1, y),
                (4, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                color=INK,
            )


def _label(
    figure: Canvas, lines: Sequence[Line], labels: Sequence[list[str]], middles: Sequence[float]
) -> None:
    down = float(figure.get_size_inches()[1]) * 72
    for line, words, y in zip(lines, labels, middles, strict=True):
        n = len(words) + bool(line.note)
        first = y - (n - 1) * 5.25
        for k, text in enumerate(words):
            figure.text(
                0.004,
                1 - (first + 10.5 * k) / down,
                text,
                va="center",
                fontweight="bold" if line.group else "normal",
            )
        if line.note:
            figure.text(
                0.004, 1 - (first + 10.5 * len(words)) / down, line.note, va="center", color=SOFT
            )


def _value(mark: Mark, digits: int) -> str:
    if mark.value is None:
        return "not estimable" if mark.reason else ""
    if mark.lower is None or mark.upper is None:
        return number(mark.value, digits)
    low, high = number(mark.lower, digits), number(mark.upper, digits)
    return f"{number(mark.value, digits)} ({low} to {high})"


def _limits(marks: Sequence[Mark], panel: Panel) -> tuple[float, float]:
    """Axis limits: all estimates and the null; intervals up to a sensible distance."""
    seen = [
        v
        for m in marks
        for v in (m.value, m.lower, m.upper, m.low_outer, m.high_outer)
        if v is not None and math.isfinite(v) and (v > 0 or not panel.log)
    ]
    if panel.null is not None:
        seen.append(panel.null)
    if not seen:
        return (0.5, 2.0) if panel.log else (0.0, 1.0)
    low, high = min(seen), max(seen)
    if panel.log:
        return max(low / 1.15, 0.05), min(high * 1.15, 20.0)
    pad = 0.06 * (high - low or 0.2)
    return low - pad, high + pad


def _scale(axes: Axes, panel: Panel, limits: tuple[float, float], width: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator

    if panel.null is not None:
        axes.axvline(panel.null, color=SOFT, linewidth=0.9, dashes=(2, 2), zorder=1)
    if panel.log:
        axes.set_xscale("log")
        room = width / math.log(limits[1] / limits[0])
        ticks: list[float] = []
        for t in (1, 0.5, 2, 0.2, 5, 0.7, 1.5, 0.3, 3, 0.1, 10):
            inside = limits[0] <= t <= limits[1]
            if inside and all(abs(math.log(t / u)) * room > 24 for u in ticks):
                ticks.append(t)
        axes.set_xticks(ticks or [1])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    else:
        axes.xaxis.set_major_locator(
            MaxNLocator(nbins=max(2, int(width / 30)), steps=[1, 2, 2.5, 5, 10])
        )
        axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.set_xlim(*limits)


def _tick(value: float, _: object) -> str:
    text = f"{abs(value):.3f}".rstrip("0").rstrip(".")
    return text if value >= 0 or text == "0" else f"\u2212{text}"


def _draw(axes: Axes, mark: Mark, look: Look, y: float, limits: tuple[float, float]) -> None:
    if mark.value is None:
        if mark.reason:
            axes.annotate(
                "\u2013",
                (0.5, y),
                xycoords=("axes fraction", "data"),
                va="center",
                ha="center",
                color=SOFT,
            )
        return
    if mark.low_outer is not None and mark.high_outer is not None:
        axes.plot(
            [mark.low_outer, mark.high_outer],
            [y, y],
            color=INK,
            linewidth=0.8,
            marker="|",
            markersize=5,
        )
    if mark.lower is not None and mark.upper is not None:
        if mark.pooled:
            axes.fill(
                [mark.lower, mark.value, mark.upper, mark.value],
                [y, y - 5, y, y + 5],
                color=look.colour,
                zorder=3,
            )
            return
        low, high = max(mark.lower, limits[0]), min(mark.upper, limits[1])
        axes.plot([low, high], [y, y], color=look.colour, linewidth=1.4, solid_capstyle="butt")
        for end, cut, arrow in ((low, mark.lower, "<"), (high, mark.upper, ">")):
            if end != cut:
                axes.plot([end], [y], marker=arrow, color=look.colour, markersize=4)
    axes.plot(
        [mark.value],
        [y],
        marker=look.marker,
        color=look.colour,
        markersize=5.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        zorder=3,
    )


def _data(lines: Sequence[Line], panels: Sequence[Panel]) -> str:
    rows = [
        [
            line.label,
            line.note,
            panel.title,
            m.value,
            m.lower,
            m.upper,
            m.low_outer,
            m.high_outer,
            m.reason,
        ]
        for line in lines
        if not line.group
        for panel, m in zip(panels, line.marks, strict=True)
    ]
    head = [
        "line",
        "note",
        "measure",
        "value",
        "lower",
        "upper",
        "prediction_lower",
        "prediction_upper",
        "not_estimable",
    ]
    return csv_text(head, rows)
