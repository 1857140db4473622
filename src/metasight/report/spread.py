"""Instability of each patient's risk, and the uniformity behind D-calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from metasight.report.blocks import Figure
from metasight.report.contents import OptimismResult
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
from metasight.report.view import View
from metasight.report.wording import number, percent
from metasight.spreadsheet import csv_text
from metasight.validation.results import DCalibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SHOWN = 400
"""More patients than this are thinned evenly by rank: lines would merge into a block."""


def instability_figure(found: OptimismResult, look: Look, horizon: str) -> Figure:
    """Each patient's risk with the spread of the refits' risks."""
    every = found.patients
    step = max(1, -(-len(every) // MOST_SHOWN))
    patients = every[::step]
    widths = sorted(p["upper"] - p["lower"] for p in every)
    middle = widths[len(widths) // 2]
    title = "Instability of individual risks"
    alt = (
        f"{title} of {found.model}: for {len(every)} patients, risk by the model against the range "
        f"of risks by {found.resamples} refits. Half the patients have a 95 % range wider than "
        f"{percent(middle)}; the mean absolute difference is {percent(found.mape, 1)}."
    )
    with canvas(PAGE_PT, 276) as figure:
        axes = place(figure, 130, 8, 226, 226)
        top = min(1.0, max(0.1, *(p["upper"] for p in patients), *(p["risk"] for p in patients)))
        axes.plot([0, top], [0, top], color=SOFT, dashes=(4, 3), linewidth=0.9)
        for p in patients:
            axes.plot(
                [p["risk"]] * 2,
                [p["lower"], p["upper"]],
                color=look.colour,
                alpha=0.5,
                linewidth=0.55,
            )
        axes.plot(
            [p["risk"] for p in patients],
            [p["risk"] for p in patients],
            linestyle="",
            marker=".",
            markersize=2.5,
            color=INK,
        )
        _percent_axes(axes, top)
        axes.set_xlabel(f"Risk by the model ({horizon})")
        axes.set_ylabel("Risk by refits")
        svg = to_svg(figure, "instability", title, alt)
    thinned = f" One patient in {step}, evenly by risk, is shown." if step > 1 else ""
    caption = (
        f"Instability: each patient’s risk by {found.model} fitted to all patients (points, on "
        f"the dashed line) and the 2.5 to 97.5 % range over {found.resamples} refits on bootstrap "
        f"resamples (vertical lines).{thinned}"
    )
    data = csv_text(
        ["risk", "lower", "upper"], ([p["risk"], p["lower"], p["upper"]] for p in every)
    )
    return Figure("instability", svg, PAGE_PT, alt, caption, data)


def _percent_axes(axes: Axes, top: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.3g} %"))
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)


def d_calibration_figure(view: View, look: Mapping[str, Look]) -> Figure | None:
    """Patients in ten bins of predicted survival at their own time; None where not estimable."""
    found = {m: view.evaluation.models[m].d_calibration for m in view.leading}
    shown = {m: d for m, d in found.items() if isinstance(d, DCalibration)}
    if not shown:
        return None
    title = "D-calibration"
    told = "; ".join(f"{m}: {', '.join(number(b, 1) for b in d.bins)}" for m, d in shown.items())
    alt = f"{title}: patients in ten bins of predicted survival, low to high. {told}."
    heads = {m: wrap(m, 192.0, NORMAL, bold=True) for m in shown}
    top = 12.0 * max(len(h) for h in heads.values()) + 6
    tall = top + 90 + 34
    with canvas(PAGE_PT, tall) as figure:
        for k, (name, d) in enumerate(shown.items()):
            left = 44.0 + k * 238.0
            figure.text(
                left / PAGE_PT,
                1 - 4 / tall,
                "\n".join(heads[name]),
                va="top",
                fontsize=NORMAL,
                fontweight="bold",
                linespacing=1.15,
            )
            axes = place(figure, left, top, 184, 90)
            _bars(axes, d.bins, look[name])
            if k == 0:
                axes.set_ylabel("Patients")
        svg = to_svg(figure, "d-calibration", title, alt)
    caption = (
        "D-calibration: patients by the predicted probability of surviving to their own event "
        "time (censored patients are shared among the bins they may belong to). A calibrated "
        "model fills all ten bins equally (dashed)."
    )
    data = csv_text(
        ["model", "bin_from", "bin_to", "patients", "expected"],
        (
            [m, k / 10, (k + 1) / 10, b, sum(d.bins) / 10]
            for m, d in shown.items()
            for k, b in enumerate(d.bins)
        ),
    )
    return Figure("d-calibration", svg, PAGE_PT, alt, caption, data)


def _bars(axes: Axes, bins: Sequence[float], look: Look) -> None:
    axes.bar(
        [k / 10 for k in range(10)],
        bins,
        width=0.1,
        align="edge",
        color=look.colour,
        alpha=0.75,
        edgecolor="white",
        linewidth=0.6,
    )
    axes.axhline(sum(bins) / 10, color=INK, linewidth=0.9, dashes=(4, 3))
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_xlabel("Predicted survival at the patient’s time")
