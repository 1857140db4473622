"""Stability of texture features: to the boundary that a reader draws, and to the hospital."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

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
from metasight.report.wording import count, number, plural
from metasight.spreadsheet import csv_text

Found = Mapping[str, Any]

_SHOWN = 6
_GOOD, _CENTRES = 0.75, 0.10


def section(view: View) -> list[Block]:
    """The section; empty where no texture was measured."""
    found = view.contents.stability
    if found is None or not found["features"]:
        return []
    features = found["features"]
    blocks: list[Block] = [
        Heading(1, "Stability of texture features", "texture-stability"),
        Paragraph(_text(found)),
    ]
    blocks += _figure(features)
    drawn = [f for f in features if f["reliability"] is not None]
    blocks.append(
        DataTable(
            "texture-stability-table",
            "Features that depend least and most on the boundary"
            if drawn
            else "Features that differ most between centres",
            (
                Column("Feature"),
                numeric("Reliability"),
                numeric("Centres’ share"),
                numeric("Patients"),
            ),
            tuple(_row(f) for f in _extremes(features, drawn)),
        )
    )
    return blocks


def _text(found: Found) -> str:
    features = found["features"]
    drawn = [f["reliability"] for f in features if f["reliability"] is not None]
    shares = [f["centre_share"] for f in features if f["centre_share"] is not None]
    text = f"{plural(len(features), 'feature')} of {plural(found['patients'], 'patient')}. "
    if drawn:
        good = sum(r >= _GOOD for r in drawn)
        text += (
            f"Of {count(len(drawn))} that were measured on other readers’ boundaries as well, "
            f"{count(good)} have a reliability of {number(_GOOD, 2)} or more: that share of their "
            "variance between patients is not due to delineation. "
        )
    else:
        text += "Texture was measured on one boundary only; its reliability is unknown. "
    if shares:
        many = sum(s >= _CENTRES for s in shares)
        text += (
            f"In {count(many)} of {count(len(shares))} more than a tenth of the variance is "
            f"between the {count(found['centres'])} centres, before any harmonisation. "
        )
    return (
        text + "This describes all patients; in the models, features are selected within each fold."
    )


def _extremes(features: Sequence[Found], drawn: Sequence[Found]) -> list[Found]:
    if not drawn:
        known = [f for f in features if f["centre_share"] is not None]
        return sorted(known, key=lambda f: -f["centre_share"])[: 2 * _SHOWN]
    ordered = sorted(drawn, key=lambda f: -f["reliability"])
    if len(ordered) <= 2 * _SHOWN:
        return ordered
    return [*ordered[:_SHOWN], *ordered[-_SHOWN:]]


def _row(f: Found) -> Row:
    return Row((f["feature"], _told(f["reliability"]), _told(f["centre_share"]), count(f["n"])))


def _told(value: float | None) -> str:
    return "–" if value is None else number(value, 2)


def _figure(features: Sequence[Found]) -> Iterator[Block]:
    both = [f for f in features if f["reliability"] is not None and f["centre_share"] is not None]
    if not both:
        return
    anchor = "texture-stability-figure"
    alt = (
        "Reliability of each feature against the share of its variance between centres; the best "
        "features are at the lower right."
    )
    with canvas(PAGE_PT, 210) as figure:
        axes = place(figure, 46, 10, 300, 160)
        for shell, colour, label in ((False, "#22456e", "Lesion"), (True, "#c25100", "Shells")):
            own = [f for f in both if str(f["feature"]).startswith("shell") is shell]
            if own:
                axes.plot(
                    [f["reliability"] for f in own],
                    [f["centre_share"] for f in own],
                    ".",
                    color=colour,
                    markersize=5,
                    linestyle="none",
                    label=label,
                )
        top = max(float(np.max([f["centre_share"] for f in both])), _CENTRES) * 1.08
        axes.axvline(_GOOD, color="#888888", linewidth=0.6, dashes=(4, 2))
        axes.axhline(_CENTRES, color="#888888", linewidth=0.6, dashes=(4, 2))
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02 * top, top)
        axes.set_xlabel("Reliability over boundaries")
        axes.set_ylabel("Share between centres")
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
        svg = to_svg(figure, anchor, "Stability of texture", alt)
    data = csv_text(
        ["feature", "reliability", "centre share"],
        ([f["feature"], f["reliability"], f["centre_share"]] for f in both),
    )
    caption = (
        "Stability of every texture feature; lines at a reliability of 0.75 and a share of a "
        "tenth. All are in stability.csv."
    )
    yield Figure(anchor, svg, PAGE_PT, alt, caption, data)
