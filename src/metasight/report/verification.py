"""Nodes that nobody examined: corrected accuracy, the assumption given up, and recurrence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from metasight.report.blocks import (
    Block,
    Column,
    DataTable,
    Figure,
    Heading,
    Paragraph,
    Row,
    numeric,
)
from metasight.report.drawing import PAGE_PT, canvas, place, to_svg
from metasight.report.view import View
from metasight.report.wording import count, number, percent, plural
from metasight.spreadsheet import csv_text
from metasight.units import DAYS_PER_YEAR

Found = Mapping[str, Any]

_NAMES = {
    "naive": "Examined patients alone",
    "begg_greenes": "Begg–Greenes",
    "inverse_probability": "Inverse probability weighting",
    "multiple_imputation": "Multiple imputation",
}
_SHOWN = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "negative_value": "Negative predictive value",
    "auc": "AUC",
}
_COLOURS = ("#3b6fb5", "#c8741a", "#a3293d", "#4a7c45")


def section(view: View) -> list[Block]:
    """The section; empty where the study judges no nodal stage."""
    found = view.contents.verification
    if found is None or "model" not in found:
        return []
    blocks: list[Block] = [Heading(1, "Nodes that were not examined", "verification")]
    if "skipped" in found:
        blocks.append(Paragraph(f"Accuracy was not corrected: {found['skipped']}."))
    else:
        blocks += _accuracy(found)
        blocks += _tipping(found)
    for told in found.get("recurrence", ()):
        blocks += _recurrence(told)
    return blocks


def _accuracy(found: Found) -> Iterator[Block]:
    unseen = found["patients"] - found["examined"]
    yield Paragraph(
        f"Nodes were examined in {count(found['examined'])} of "
        f"{plural(found['patients'], 'patient')}; of the other {count(unseen)} nodal status is "
        "unknown and is not counted as negative. Accuracy among the examined alone is biased "
        "where who "
        "is examined depends on the risk. The three corrections assume that examined and other "
        "patients with the same risk and covariates "
        f"({', '.join(found['covariates'])}) are equally likely to have nodal disease."
    )
    for text in found["refused"]:
        yield Paragraph(f"Not estimable: {text}")
    header = ("Risk from", *_SHOWN.values(), "Prevalence")
    yield DataTable(
        "verification-table",
        f"Accuracy of {found['model']} for any nodal metastasis in all patients, examined or not, "
        "with 95 % intervals.",
        (Column("Method", weight=1.8), *(numeric(h) for h in header)),
        tuple(_row(r) for r in found["rows"]),
    )


def _row(r: Found) -> Row:
    cells = [_NAMES[r["method"]], percent(r["threshold"])]
    cells += [_told(r[name]) for name in _SHOWN]
    return Row((*cells, _told(r["prevalence"])))


def _told(interval: Found) -> str:
    value, lower, upper = interval["value"], interval["lower"], interval["upper"]
    if value is None:
        return "–"
    return f"{number(value, 2)} ({number(lower, 2)} to {number(upper, 2)})"


def _tipping(found: Found) -> Iterator[Block]:
    curve = found["tipping"]
    yield Heading(2, "If the assumption does not hold", "verification-tipping")
    yield Paragraph(
        "Examined and other patients may differ in what was not recorded. The figure relaxes the "
        "assumption: the odds of nodal disease of those who were not examined are multiplied "
        "as the axis says. A conclusion that changes within a plausible range is not robust."
    )
    title = f"Accuracy at a risk of {percent(curve['threshold'])}"
    with canvas(PAGE_PT, 190) as figure:
        axes = place(figure, 46, 14, PAGE_PT - 200, 140)
        for colour, (name, label) in zip(_COLOURS, _SHOWN.items(), strict=True):
            axes.plot(curve["delta"], curve["value"][name], color=colour, label=label)
            axes.fill_between(
                curve["delta"],
                _floats(curve["lower"][name]),
                _floats(curve["upper"][name]),
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        axes.axvline(0, color="#888888", linewidth=0.6)
        ticks = [-2, -1, 0, 1, 2]
        axes.set_xticks(ticks)
        axes.set_xticklabels(["÷ 7.4", "÷ 2.7", "1", "× 2.7", "× 7.4"])
        axes.set_ylim(0, 1)
        axes.set_xlabel("Odds of nodal disease in the unexamined, times")
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
        alt = (
            "Sensitivity, specificity, negative predictive value and AUC as the odds of disease of "
            "unexamined patients vary from one seventh to seven times the value expected if data "
            "are missing at random."
        )
        svg = to_svg(figure, "verification-tipping-figure", title, alt)
    data = csv_text(
        ["log odds ratio", *_SHOWN],
        ([d, *(curve["value"][n][k] for n in _SHOWN)] for k, d in enumerate(curve["delta"])),
    )
    caption = f"{title}, by Begg–Greenes; bands are 95 % intervals."
    yield Figure("verification-tipping-figure", svg, PAGE_PT, alt, caption, data)


def _floats(values: Any) -> list[float]:
    return [float("nan") if v is None else float(v) for v in values]


def _recurrence(told: Found) -> Iterator[Block]:
    yield Heading(2, f"{told['endpoint']} by risk", "verification-recurrence")
    if "skipped" in told:
        yield Paragraph(f"Not analysed: {told['skipped']}")
        return
    years = [h / DAYS_PER_YEAR for h in told["horizons_days"]]
    yield Paragraph(
        f"{plural(told['patients'], 'patient')} by out-of-fold risk of nodal metastasis; "
        "cumulative incidence by Aalen–Johansen, death competing. If the risk is informative "
        "where nodes were not examined, the higher-risk groups have more recurrences."
    )
    yield DataTable(
        "verification-recurrence-table",
        f"{told['endpoint']} by risk group, with 95 % intervals.",
        (
            Column("Risk of nodal metastasis", weight=1.6),
            numeric("Patients"),
            numeric("Events"),
            *(numeric(f"By {round(y, 1):g} years") for y in years),
        ),
        tuple(
            Row(
                (
                    f"{percent(g['from'])} to {percent(g['to'])}",
                    count(g["patients"]),
                    count(g["events"]),
                    *(_at(a) for a in g.get("at", [None] * len(years))),
                )
            )
            for g in told["groups"]
        ),
    )
    yield _curves(told)


def _at(band: Mapping[str, float] | None) -> str:
    if band is None:
        return "not followed so long"
    return f"{percent(band['value'])} ({percent(band['lower'])} to {percent(band['upper'])})"


def _curves(told: Found) -> Figure:
    anchor = "verification-recurrence-figure"
    title = f"{told['endpoint']} by risk group"
    drawn = [g for g in told["groups"] if g["patients"]]
    with canvas(PAGE_PT, 180) as figure:
        axes = place(figure, 46, 14, PAGE_PT - 180, 130)
        highest = 0.05
        for colour, group in zip(_COLOURS, drawn, strict=False):
            curve = group["curve"]
            days = [0.0, *_floats(curve["days"])]
            share = [0.0, *_floats(curve["incidence"])]
            highest = max(highest, *share)
            axes.step(
                [d / DAYS_PER_YEAR for d in days],
                share,
                where="post",
                color=colour,
                label=f"{percent(group['from'])} to {percent(group['to'])}",
            )
        axes.set_ylim(0, min(1.0, 1.15 * highest))
        axes.set_xlim(left=0)
        axes.set_xlabel("Years from treatment")
        axes.set_ylabel("Cumulative incidence")
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
        alt = f"Cumulative incidence curves of {len(drawn)} risk groups."
        svg = to_svg(figure, anchor, title, alt)
    data = csv_text(
        ["risk from", "years", "cumulative incidence"],
        (
            [g["from"], d / DAYS_PER_YEAR, v]
            for g in drawn
            for d, v in zip(
                _floats(g["curve"]["days"]), _floats(g["curve"]["incidence"]), strict=True
            )
        ),
    )
    return Figure(anchor, svg, PAGE_PT, alt, f"{title}, death competing.", data)
