"""What every figure rests on: widths, wrapping, labels kept apart, and clean SVG."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from metasight.report import drawing
from metasight.report.flow import branch, flow_figure
from metasight.report.forest_plot import Forest, Line, Mark, Panel, forest
from metasight.report.view import View
from metasight.validation.results import NotEstimable


@pytest.mark.parametrize("text", ["a short one", "supercalifragilistic" * 4, "$x^2$ & <b> \\frac"])
def test_wrapped_lines_fit(text):
    lines = drawing.wrap(text, 80)
    assert all(drawing.width_of(line) <= 80 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_labels_are_spread_apart_in_order():
    placed = drawing.spread_apart([0.5, 0.52, 0.51, 3.0], 1.0, 0.0, 4.0)
    ordered = sorted(placed)
    assert all(b - a > 0.99 for a, b in pairwise(ordered))
    assert placed[0] < placed[2] < placed[1] < placed[3]
    assert min(placed) >= -1e-6
    assert max(placed) <= 4.0 + 1e-6


def test_reference_and_headline_look_the_same_everywhere():
    found = drawing.looks(("a", "b", "c", "d"), "c", "a")
    assert found["c"] == drawing.REFERENCE
    assert found["a"] == drawing.HEADLINE
    assert len({(look.colour, look.marker) for look in found.values()}) == 4


def test_letters_that_come_along():
    assert drawing.has_letters_for("ΔAUC ≥ 5 − “größer” ✓")
    assert not drawing.has_letters_for("乳腺癌")


def test_svg_stands_in_a_page_and_tells_no_time(survival):
    figure = flow_figure(View(survival))
    assert figure.svg.startswith("<svg")
    assert figure.svg.endswith("</svg>\n") or figure.svg.endswith("</svg>")
    ids = re.findall(r'\bid="([^"]*)"', figure.svg)
    assert all(i.startswith("flow-") for i in ids)
    assert "metadata" not in figure.svg
    assert "<!--" not in figure.svg
    assert flow_figure(View(survival)).svg == figure.svg


def test_the_branch_counts_everybody_once(survival):
    flow = survival.flow
    split = branch(View(survival))
    assert split.ids == ("I8",)
    gone = sum(s.excluded + s.unknown for s in flow.steps)
    assert flow.screened - flow.failed - gone == flow.all_eligible
    assert split.here == flow.all_eligible - flow.as_written


def test_an_estimate_that_is_not_there_is_a_dash_with_its_reason():
    nothing = Mark.of(NotEstimable(not_estimable="too few"))
    look = drawing.HEADLINE
    figure = forest(
        Forest("f", "t", "c", "a"),
        [Line("one", look, (nothing,)), Line("two", look, (Mark(0.7, 0.6, 0.8),))],
        [Panel("C", "", 0.5)],
    )
    assert "one,,C,,,,,,too few" in figure.data
    assert "two,,C,0.7,0.6,0.8,,," in figure.data
