"""The flow diagram counts everybody once, and holds back nobody who is analysed."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from metasight.cohort.outcome import Landmark
from metasight.report.contents import FlowCounts
from metasight.report.drawing import wrap
from metasight.report.flow import Box, branch, flow_figure, held_back
from metasight.report.limitations import limitations
from metasight.report.view import View


def with_steps(contents, **counts):
    """The same run with ``criterion=(excluded, unknown)`` and everything else nobody."""
    left = contents.flow.screened - contents.flow.failed
    steps = []
    for s in contents.flow.steps:
        excluded, unknown = counts.get(s.criterion, (0, 0))
        left -= excluded + unknown
        steps.append(replace(s, excluded=excluded, unknown=unknown, remaining=left))
    return steps, left


def run(contents, *, all_eligible, **counts):
    steps, left = with_steps(contents, **counts)
    flow = FlowCounts(
        screened=contents.flow.screened,
        failed=contents.flow.failed,
        steps=tuple(steps),
        as_written=left,
        all_eligible=all_eligible,
    )
    return View(replace(contents, flow=flow))


def test_unknown_follow_up_holds_nobody_back_from_those_eligible_at_time_zero(survival):
    """180 assessed; I1 excludes 5 and is unknown in 2; I8 excludes 20 and is unknown in 3."""
    view = run(survival, all_eligible=173, I1=(5, 2), I8=(20, 3))
    assert [(s.criterion, s.unknown) for s in held_back(view)] == [("I1", 2)]
    split = branch(view)
    assert (split.here, split.earlier) == (23, 0)
    alt = flow_figure(view).alt
    assert "2 were held back because I1 is unknown" in alt
    assert "I8 is unknown" not in alt
    assert "173 are eligible but for I8; 150 are eligible as written" in alt
    told = " ".join(str(t) for t in limitations(view))
    assert "2 patients could not be assessed" in told.replace("\u00a0", " ")


def test_who_fails_the_future_and_something_else_is_counted_apart(survival):
    """Of 20 that I8 excludes first, 4 are excluded by a later criterion too: 164 are eligible."""
    view = run(survival, all_eligible=171, I1=(5, 0), I8=(20, 0))
    split = branch(view)
    assert split.here == 171 - 155
    assert split.earlier == 20 - 16
    excluded = 5 + split.earlier
    assert 180 - excluded == view.contents.flow.all_eligible


def test_a_protocol_whose_future_criterion_is_waived_has_one_population(survival):
    steps, _ = with_steps(survival)
    steps = [replace(s, waived="not followed") if s.criterion == "I8" else s for s in steps]
    flow = replace(survival.flow, steps=tuple(steps), as_written=180, all_eligible=180)
    assert branch(View(replace(survival, flow=flow))) is None


def test_the_data_beneath_the_diagram_are_the_counts(survival):
    figure = flow_figure(View(survival))
    rows = {r["step"]: int(r["patients"]) for r in csv.DictReader(io.StringIO(figure.data))}
    flow = survival.flow
    assert rows["screened"] == flow.screened
    assert rows["data problem"] == flow.failed
    assert rows["eligible as written"] == flow.as_written
    assert rows["all eligible"] == flow.all_eligible
    for s in flow.steps:
        state = "waived" if s.waived else s.kind
        assert rows[f"{state} {s.criterion}: excluded"] == s.excluded
        assert rows[f"{state} {s.criterion}: unknown"] == s.unknown


@pytest.mark.parametrize("width", [120.0, 240.0])
def test_a_box_is_as_high_as_its_words(width):
    box = Box("A head", ("short", "a line that is long enough to be broken " * 3))
    words = box.words(width)
    assert words[0] == ("A head", True)
    assert box.height(width) == pytest.approx(11.5 * len(words) + 14)
    assert Box("A head").height(width) < box.height(width)
    assert len(words) >= 2 + len(wrap("a line that is long enough to be broken " * 3, width - 14))


def test_who_left_by_the_landmark_stands_beside_the_population(survival):
    first, *others = survival.analyses
    left = replace(first, landmark=Landmark(day=120, events=1, competing=0, censored=2))
    found = flow_figure(View(replace(survival, analyses=(left, *others))))
    assert f"{first.endpoint}, {first.population}: left by day 120" in found.data
    assert ",,,3\r\n" in found.data
    # and it is drawn: the box of the population has one line more
    from_start = flow_figure(View(replace(survival, analyses=(first, *others))))
    assert "left by day" not in from_start.data
    assert from_start.svg.count("<use") < found.svg.count("<use")
