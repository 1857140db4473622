"""Differences between subgroups in words and in a table; none found is not none there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.estimate import Estimate
from metasight.report.blocks import DataTable, Paragraph
from metasight.report.interactions import interactions
from metasight.report.view import View
from metasight.validation.results import Contrast, NotEstimable, SubgroupEvaluation

ITSELF = NotEstimable(not_estimable="the level that others are compared with")
SMALL = NotEstimable(not_estimable="2 events; 10 of each are needed")


def group(variable: str, level: str, against: str, difference, ratio=ITSELF) -> SubgroupEvaluation:
    some = Estimate(value=0.7, lower=0.6, upper=0.8, se=0.05)
    return SubgroupEvaluation(
        variable=variable,
        level=level,
        n=50,
        events=20,
        discrimination=some,
        auc=some,
        oe=some,
        ipa=some,
        against=against,
        difference=difference,
        oe_ratio=ratio,
    )


def gap(d: float) -> Contrast:
    return Contrast(difference=d, lower=d - 0.1, upper=d + 0.1, probability_better=0.5)


RATIO = Estimate(value=1.3, lower=0.9, upper=1.8, se=0.2)
OLD = group("age_years", "> 60", "", ITSELF)
THREE = group("grade", "3", "", ITSELF)


def told(survival, *groups) -> tuple[str, DataTable]:
    words, table = interactions(View(survival), groups)
    assert isinstance(words, Paragraph) and isinstance(table, DataTable)
    return str(words.text).replace("\u00a0", " "), table


def test_a_difference_that_excludes_zero_is_named_with_its_direction(survival):
    groups = (
        OLD,
        group("age_years", "≤ 60", "> 60", gap(-0.15), RATIO),
        THREE,
        group("grade", "1", "3", gap(0.05), RATIO),
    )
    words, table = told(survival, *groups)
    assert "Of 2 differences" in words
    assert "Age at surgery (≤ 60 years: lower)" in words and "grade" not in words
    assert "one may do so by chance alone" in words
    cells = [[str(c).replace("\u00a0", " ") for c in r.cells] for r in table.rows]
    assert cells[1][0] == "≤ 60 years against > 60 years"
    assert cells[1][1] == "−0.150 (−0.250 to −0.050)"
    assert cells[1][2] == "1.30 (0.90 to 1.80)"
    assert [r.group for r in table.rows] == [True, False, True, False]


@pytest.mark.parametrize(("many", "said"), [(1, "its interval includes"), (2, "every interval")])
def test_none_found_is_not_none_there(survival, many, said):
    others = [group("grade", str(k), "3", gap(0.02), RATIO) for k in range(1, many + 1)]
    words, _ = told(survival, THREE, *others)
    assert said in words and "remain possible" in words


def test_groups_that_are_too_small_are_said_to_be(survival):
    words, table = told(survival, THREE, group("grade", "1", "3", SMALL, SMALL))
    assert "too small" in words
    assert "10 of each are needed" in " ".join(table.notes)


def test_one_level_alone_has_nothing_beside_it(survival):
    found = replace(THREE, difference=SMALL, oe_ratio=SMALL)
    assert list(interactions(View(survival), [found])) == []
