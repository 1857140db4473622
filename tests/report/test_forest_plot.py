"""Marks of a forest plot: values as they are judged, axis limits, and the data beneath."""

from __future__ import annotations

import csv
import io
import re

import pytest

from metasight.report.drawing import HEADLINE, Look
from metasight.report.forest_plot import (
    TALLEST,
    Forest,
    Line,
    Mark,
    Panel,
    _layout,
    _limits,
    _parts,
    _value,
    forest,
    forests,
)
from metasight.validation.results import Estimate, NotEstimable

C = Panel("C", "C index", 0.5)
RATIO = Panel("O/E", "observed / expected", 1.0, log=True)


def test_marks_of_what_was_estimated():
    assert Mark.of(Estimate(value=0.7, lower=0.6, upper=0.8)) == Mark(0.7, 0.6, 0.8)
    assert Mark.of(Estimate(value=0.7)) == Mark(0.7)
    told = Mark.of(NotEstimable(not_estimable="no events"))
    assert (told.value, told.reason) == (None, "no events")


def test_a_scale_reaches_the_interval_too():
    assert Mark.of(Estimate(value=0.07, lower=0.05, upper=0.09), 100) == Mark(
        pytest.approx(7), pytest.approx(5), pytest.approx(9)
    )


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        (Mark(0.714, 0.605, 0.81), "0.71 (0.60 to 0.81)"),
        (Mark(0.5), "0.50"),
        (Mark(None, reason="x"), "not estimable"),
        (Mark(None), ""),
    ],
)
def test_values_as_printed(mark, text):
    assert _value(mark, 2) in (text, text.replace("0.60", "0.61"))


def test_the_axis_holds_all_values_and_the_null():
    low, high = _limits([Mark(0.7, 0.65, 0.8), Mark(0.75, 0.72, 0.79)], C)
    assert low < 0.5
    assert high > 0.8
    assert high - 0.8 == pytest.approx(0.06 * 0.3)
    assert _limits([Mark(None, reason="x")], Panel("x", "x", None)) == (0.0, 1.0)
    outer = _limits([Mark(0.7, 0.65, 0.8, 0.3, 0.95, pooled=True)], C)
    assert outer[0] < 0.3
    assert outer[1] > 0.95


def test_a_ratio_has_a_logarithmic_axis_of_positive_values():
    low, high = _limits([Mark(1.2, 0.0, 3.0)], RATIO)
    assert 0 < low < 1
    assert high == pytest.approx(3.0 * 1.15)
    assert _limits([Mark(1.2, 0.001, 300.0)], RATIO) == (0.05, 20.0)
    assert _limits([Mark(None)], Panel("x", "x", None, log=True)) == (0.5, 2.0)


def test_the_data_beneath_the_picture_are_the_marks():
    look = Look("#335577", "o")
    lines = [
        Line("Models", look, (Mark(None), Mark(None)), group=True),
        Line("clinical", look, (Mark(0.7, 0.6, 0.8), Mark(1.1, 0.9, 1.3)), note="120 patients"),
        Line("maps", look, (Mark(None, reason="no events"), Mark(1.0))),
    ]
    figure = forest(Forest("f", "Title", "Caption", "Alt"), lines, [C, RATIO])
    rows = list(csv.DictReader(io.StringIO(figure.data)))
    assert [(r["line"], r["measure"]) for r in rows] == [
        ("clinical", "C"),
        ("clinical", "O/E"),
        ("maps", "C"),
        ("maps", "O/E"),
    ]
    assert (rows[0]["value"], rows[0]["lower"], rows[0]["upper"]) == ("0.7", "0.6", "0.8")
    assert rows[2]["not_estimable"] == "no events"
    assert rows[2]["value"] == ""


def test_what_a_page_cannot_hold_is_drawn_in_parts_with_one_scale():
    lines = [
        Line(f"Hospital {k}", HEADLINE, (Mark(0.6, 0.5, 0.5 + k / 60),), "40 patients, 9 events")
        for k in range(31)
    ]
    about = Forest("centres-0", "Centres", "Every centre.", "Figures of every centre.")
    panels = [Panel("C", "0.5 is chance", 0.5)]
    parts = list(forests(about, lines, panels))
    assert [p.anchor for p in parts] == ["centres-0", "centres-0-part-2"]
    assert parts[0].caption == "Every centre. Part 1 of 2."
    heights = [float(re.search(r'height="([\d.]+)pt"', p.svg)[1]) for p in parts]
    assert max(heights) < 650
    assert sum(p.data.count("Hospital") for p in parts) == 31
    alone = forest(about, lines[:20], panels).svg  # its axis ends sooner: parts share the whole's
    assert alone != forest(about, lines[:20], panels, whole=lines).svg
    assert alone == forest(about, lines[:20], panels, whole=lines[:20]).svg
    (one,) = forests(about, lines[:5], panels)
    assert (one.anchor, one.caption) == ("centres-0", "Every centre.")


def labels(part) -> list[str]:
    return [x.label for x in part]


def test_a_group_that_goes_on_has_its_head_again_and_none_ends_a_part():
    nothing = (Mark(None),)
    lines = []
    for group in range(5):
        lines.append(Line(f"Variable {group}", HEADLINE, nothing, group=True))
        lines += [Line(f"{group} level {k}", HEADLINE, (Mark(0.6, 0.5, 0.7),)) for k in range(11)]
    heights = [20.0] * len(lines)
    parts = _parts(lines, heights)
    assert len(parts) == 3
    for part in parts:
        assert part[0].group
        assert not part[-1].group
        assert 20 * len(part) <= TALLEST
    seen = [x for part in parts for x in labels(part) if not x.endswith("(continued)")]
    assert seen == labels(lines)
    assert labels(parts[1])[0] == "Variable 1 (continued)"


@pytest.mark.parametrize("levels", range(2, 14))
def test_no_part_ends_with_a_groups_head(levels):
    nothing = (Mark(None),)
    one = [Line("Variable", HEADLINE, nothing, group=True)]
    one += [Line("level", HEADLINE, (Mark(0.6, 0.5, 0.7),))] * levels
    for groups in range(3, 16):
        for height in (18.0, 25.0):
            parts = _parts(one * groups, [height] * len(one) * groups)
            assert not any(part[-1].group for part in parts)
            assert max(map(len, parts)) * height <= TALLEST


def test_the_average_at_the_end_stands_with_centres_that_it_is_of():
    lines = [Line(f"Hospital {k}", HEADLINE, (Mark(0.6, 0.5, 0.7),), "40") for k in range(24)]
    pooled = Line("Pooled", HEADLINE, (Mark(0.6, 0.5, 0.7, pooled=True),), "thin line")
    for n in range(1, 25):
        parts = _parts([*lines[:n], pooled], [28.0] * (n + 1))
        assert labels(parts[-1])[-1] == "Pooled"
        assert len(parts[-1]) > 1
        assert sum(map(len, parts)) == n + 1


def test_parts_have_columns_as_wide_as_the_whole():
    lines = [Line(f"Centre {k}", HEADLINE, (Mark(0.6, 0.5, 0.7),)) for k in range(39)]
    lines.append(Line("A hospital of a much longer name", HEADLINE, (Mark(0.6, 0.5, 0.7),)))
    first, last = (_layout(x, [C], values=True, whole=lines) for x in (lines[:20], lines[20:]))
    assert (first.label_width, first.width) == (last.label_width, last.width)
    alone = _layout(lines[:20], [C], values=True, whole=lines[:20])
    assert alone.label_width < first.label_width
