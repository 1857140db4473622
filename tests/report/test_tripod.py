"""The TRIPOD+AI checklist: every item once, and nothing claimed that the run cannot say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from metasight.report.blocks import DataTable
from metasight.report.tripod import SYMBOLS, answers, checklist, section
from metasight.report.tripod_items import FILLED
from metasight.report.view import View


def test_the_checklist_is_that_of_the_statement():
    """27 main items, 52 with their letters (Collins et al., BMJ 2024)."""
    items = checklist()
    assert len(items) == 52
    numbers = [i.item for i in items]
    assert len(set(numbers)) == 52
    assert {int("".join(c for c in n if c.isdigit())) for n in numbers} == set(range(1, 28))
    assert all(set(i.applies) <= {"D", "E"} and i.applies for i in items)
    assert set(FILLED) <= set(numbers)


def test_what_applies_to_development_or_evaluation_alone(survival):
    view = View(survival)
    told = {a.item.item: a for a in answers(view)}
    for item in checklist():
        other = item.applies == ("E",)
        assert (told[item.item].status == "not applicable") == other, item.item


def test_in_an_external_evaluation_nothing_was_developed(survival):
    first = replace(survival.analyses[0], population="external")
    view = View(replace(survival, analyses=(first, *survival.analyses[1:])))
    assert view.external
    for answer in answers(view):
        developed = answer.item.applies == ("D",)
        assert (answer.status == "not applicable") == developed, answer.item.item


def test_an_item_that_the_run_cannot_fill_is_the_authors(survival):
    for answer in answers(View(survival)):
        if answer.status == "not applicable":
            continue
        filled = answer.item.item in FILLED and FILLED[answer.item.item](View(survival))
        wanted = ("both" if answer.item.author else "run") if filled else "author"
        assert answer.status == wanted, answer.item.item
        assert answer.text


@pytest.mark.parametrize("kind", ["survival", "nodal", "null_signal"])
def test_the_tally_in_words_is_that_of_the_table(request, kind):
    view = View(request.getfixturevalue(kind))
    blocks = section(view)
    tally = Counter(a.status for a in answers(view))
    assert f"the run fills {tally['run']} and part of {tally['both']}" in str(blocks[1])
    (table,) = [b for b in blocks if isinstance(b, DataTable)]
    rows = [r for r in table.rows if not r.group]
    assert len(rows) == 52
    assert Counter(r.cells[2] for r in rows) == {SYMBOLS[k]: n for k, n in tally.items()}
