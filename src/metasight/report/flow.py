"""The flow diagram: who was screened, who left and why, who was analysed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from metasight.cohort.eligibility import FlowStep
from metasight.report.blocks import Figure
from metasight.report.contents import FlowCounts
from metasight.report.drawing import INK, PAGE_PT, SMALL, SOFT, canvas, to_svg, wrap
from metasight.report.view import POPULATIONS, View
from metasight.report.wording import count, listed, plural
from metasight.spreadsheet import csv_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = 11.5
PAD = 7.0
GAP = 18.0


@dataclass(frozen=True)
class Box:
    """A box of text.

    Attributes
    ----------
    head
        First line, bold.
    lines
        Below it.
    dashed
        For what did not happen: criteria not assessed.
    """

    head: str
    lines: tuple[str, ...] = ()
    dashed: bool = False

    def words(self, width: float) -> list[tuple[str, bool]]:
        """Lines as set, each with whether it is bold."""
        room = width - 2 * PAD
        told = [(w, True) for w in wrap(self.head, room, bold=True)]
        for line in self.lines:
            first, *rest = wrap(line, room)
            told.append((first, False))
            told += [("   " + w, False) for part in rest for w in wrap(part, room - 10)]
        return told

    def height(self, width: float) -> float:
        """Height in points."""
        return LINE * len(self.words(width)) + 2 * PAD


@dataclass(frozen=True)
class Branch:
    """What happens at the criteria that select on the future.

    Attributes
    ----------
    ids, texts
        Of these criteria.
    here
        Eligible without them, and not eligible, or not known to be, with them.
    earlier
        Counted under them in protocol order, though another criterion excludes them as well.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    here: int
    earlier: int


def branch(view: View) -> Branch | None:
    """The split between the two populations; None where no criterion selects on the future."""
    criteria = view.contents.protocol.criteria
    flow = view.contents.flow
    steps = [
        s
        for s in flow.steps
        if not s.waived and s.criterion in criteria and criteria[s.criterion].selects_on_future
    ]
    if not steps:
        return None
    here = flow.all_eligible - flow.as_written
    return Branch(
        ids=tuple(s.criterion for s in steps),
        texts=tuple(s.text for s in steps),
        here=here,
        earlier=max(sum(s.excluded + s.unknown for s in steps) - here, 0),
    )


def held_back(view: View) -> list[FlowStep]:
    """Criteria that could not be assessed in somebody who is therefore not analysed.

    A criterion that selects on the future holds nobody back from the other population.
    """
    criteria = view.contents.protocol.criteria
    return [
        s
        for s in view.contents.flow.steps
        if s.unknown and not (s.criterion in criteria and criteria[s.criterion].selects_on_future)
    ]


def flow_figure(view: View) -> Figure:
    """CONSORT-like diagram with counts at every step."""
    flow = view.contents.flow
    split = branch(view)
    excluded = _excluded(flow, split)
    unknown = held_back(view)
    main: list[Box] = [Box(f"Patients in the table (n = {count(flow.screened)})")]
    aside: list[list[Box]] = [[]]
    if flow.failed:
        aside[0].append(
            Box(
                f"Excluded because of an error in the data (n = {count(flow.failed)})",
                ("each with its reason in the ledger",),
            )
        )
    main.append(Box(f"Assessed for eligibility (n = {count(flow.screened - flow.failed)})"))
    out = sum(n for _, n in excluded)
    boxes = [
        Box(
            f"Excluded (n = {count(out)})",
            tuple(f"{text}: n = {count(n)}" for text, n in excluded) or ("nobody",),
        )
    ]
    if unknown:
        held = sum(s.unknown for s in unknown)
        boxes.append(
            Box(
                f"Eligibility unknown, not analysed (n = {count(held)})",
                tuple(f"{s.criterion} {s.text}: n = {count(s.unknown)}" for s in unknown),
            )
        )
    waived = [s.criterion for s in flow.steps if s.waived]
    if waived:
        boxes.append(
            Box(
                f"Not assessed in this study: {listed(waived)}",
                ("waived, with the reasons in the text",),
                dashed=True,
            )
        )
    aside.append(boxes)
    if split is None:
        main.append(_population(view, "as_written"))
        aside.append([])
    else:
        main.append(_population(view, "all_eligible"))
        aside.append(
            [
                Box(
                    f"Not eligible as written (n = {count(split.here)})",
                    tuple(f"{i} {t}" for i, t in zip(split.ids, split.texts, strict=True)),
                )
            ]
        )
        main.append(_population(view, "as_written"))
        aside.append([])
    alt = _alt(view, excluded, split)
    svg = _drawn(main, aside, alt)
    return Figure("flow", svg, PAGE_PT, alt, _caption(view, split), _data(view), floats=True)


def _excluded(flow: FlowCounts, split: Branch | None) -> list[tuple[str, int]]:
    future = split.ids if split else ()
    told = [
        (f"{s.criterion} {s.text}", s.excluded)
        for s in flow.steps
        if s.excluded and s.criterion not in future
    ]
    if split and split.earlier:
        told.append((f"{listed(split.ids)} and another criterion", split.earlier))
    return told


def _population(view: View, name: str) -> Box:
    flow = view.contents.flow
    n = flow.as_written if name == "as_written" else flow.all_eligible
    words = {"as_written": "Eligible as written", "all_eligible": "All eligible"}[name]
    lines = []
    for analysis in view.contents.analyses:
        if analysis.population == name:
            lead = ", headline" if analysis is view.headline else ""
            lines.append(
                f"{analysis.endpoint}{lead}: {count(analysis.n)} analysed, "
                f"{plural(analysis.events, 'event')}"
            )
            if analysis.landmark is not None and analysis.landmark.left:
                lines.append(f"{count(analysis.landmark.left)} left by day {analysis.landmark.day}")
    return Box(f"{words} (n = {count(n)})", tuple(lines) or ("not analysed",))


def _drawn(main: list[Box], aside: list[list[Box]], alt: str) -> str:
    """Main column of boxes, with those who left to the right of the arrow below each."""
    left, right, between = 200.0, PAGE_PT - 200.0 - 46.0, 46.0
    heights = [b.height(left) for b in main]
    sides = [sum(b.height(right) for b in boxes) + 8.0 * max(len(boxes) - 1, 0) for boxes in aside]
    gaps = [max(2 * GAP, s + GAP) if s else 2 * GAP for s in sides[:-1]]
    tall = sum(heights) + sum(gaps) + 2
    with canvas(PAGE_PT, tall) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, PAGE_PT)
        axes.set_ylim(tall, 0)
        axes.axis("off")
        y = 1.0
        for k, box in enumerate(main):
            _box(axes, box, 1.0, y, left - 2)
            y += heights[k]
            if k == len(main) - 1:
                break
            _arrow(axes, (left / 2, y), (left / 2, y + gaps[k]))
            at = y + (gaps[k] - sides[k]) / 2
            for other in aside[k]:
                tall_box = other.height(right)
                middle = at + tall_box / 2
                if not other.dashed:
                    _arrow(axes, (left / 2, middle), (left + between - 1, middle))
                _box(axes, other, left + between, at, right - 1)
                at += tall_box + 8.0
            y += gaps[k]
        return to_svg(figure, "flow", "Flow of patients", alt)


def _box(axes: Axes, box: Box, x: float, y: float, width: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (x, y),
            width,
            box.height(width),
            facecolor="white" if box.dashed else "#f6f6f6",
            edgecolor=SOFT,
            linewidth=0.8,
            linestyle=(0, (3, 2)) if box.dashed else "-",
        )
    )
    for k, (words, bold) in enumerate(box.words(width)):
        axes.text(
            x + PAD,
            y + PAD + LINE * (k + 0.5),
            words,
            va="center",
            fontsize=SMALL,
            color=INK,
            fontweight="bold" if bold else "normal",
        )


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "",
        xy=end,
        xytext=start,
        zorder=0,
        arrowprops={
            "arrowstyle": "-|>",
            "color": SOFT,
            "linewidth": 0.9,
            "shrinkA": 0,
            "shrinkB": 0,
            "mutation_scale": 8,
        },
    )


def _alt(view: View, excluded: list[tuple[str, int]], split: Branch | None) -> str:
    flow = view.contents.flow
    parts = [
        f"Of {plural(flow.screened, 'patient')} in the table, {count(flow.failed)} were excluded "
        "because of an error in the data"
    ]
    parts += [f"{count(n)} were excluded by {text}" for text, n in excluded]
    parts += [
        f"{count(s.unknown)} were held back because {s.criterion} is unknown"
        for s in held_back(view)
    ]
    parts.append(
        f"{count(flow.all_eligible)} are eligible"
        + (f" but for {listed(split.ids)}" if split else "")
    )
    if split:
        parts.append(f"{count(flow.as_written)} are eligible as written")
    return "Flow diagram. " + "; ".join(parts) + "."


def _caption(view: View, split: Branch | None) -> str:
    text = (
        "Flow of patients. Each excluded patient is counted once, under the first criterion in "
        "protocol order that excludes him or her."
    )
    if split:
        lead = POPULATIONS.get(view.headline.population, view.headline.population)
        text += (
            f" {listed(split.ids)} uses information from after time zero; patients are therefore "
            f"counted with and without it, and the headline is “{lead}”."
        )
    return text


def _data(view: View) -> str:
    flow = view.contents.flow
    rows: list[list[object]] = [
        ["screened", "", "", flow.screened],
        ["data problem", "", "", flow.failed],
    ]
    for s in flow.steps:
        state = "waived" if s.waived else s.kind
        rows.append([f"{state} {s.criterion}: excluded", s.text, s.waived, s.excluded])
        rows.append([f"{state} {s.criterion}: unknown", s.text, s.waived, s.unknown])
    rows += [
        ["eligible as written", "", "", flow.as_written],
        ["all eligible", "", "", flow.all_eligible],
    ]
    rows += [
        [f"{a.endpoint}, {a.population}: left by day {a.landmark.day}", "", "", a.landmark.left]
        for a in view.contents.analyses
        if a.landmark is not None
    ]
    return csv_text(["step", "criterion", "waived_because", "patients"], rows)
