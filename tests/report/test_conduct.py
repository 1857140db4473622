"""Sample size and leakage in words: figures side by side, no verdict without its number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.report.blocks import DataTable, Paragraph
from metasight.report.conduct import VERDICTS, leakage, models, size_words, stability
from metasight.report.view import View


def plain(value) -> str:
    return str(value).replace("\u00a0", " ").replace("\u202f", " ")


def test_size_needed_beside_size_there(survival):
    found = replace(
        survival.sample_size,
        parameters=6,
        required_n=400,
        required_events=90.0,
        available_n=160,
        available_events=48,
    )
    assert plain(size_words(found)) == (
        "A model of 6 parameters needs 400 patients and 90 events; there were 160 and 48 "
        "(8.0 events a parameter)."
    )
    unknown = replace(found, required_n=None, required_events=None)
    assert "an unknown number of patients" in size_words(unknown)


def test_the_size_for_all_that_models_may_read_is_said_where_it_is_more(survival):
    def said(**changes) -> str:
        size = replace(survival.sample_size, **changes)
        blocks = stability(View(replace(survival, sample_size=size)))
        return plain(" ".join(b.text for b in blocks if isinstance(b, Paragraph)))

    assert "26 parameters; by the same criteria the size for these is 1733 patients" in said()
    assert "the size for these cannot be computed" in said(all_required_n=None)
    assert "All that the models may read" not in said(all_parameters=6, parameters=6)


@pytest.mark.parametrize(("there", "marks"), [(399, ["✗", "✓", "✗"]), (400, ["✓", "✓", "✓"])])
def test_each_criterion_has_its_own_verdict(survival, there, marks):
    size = replace(survival.sample_size, required_n=400, available_n=there)
    blocks = stability(View(replace(survival, sample_size=size)))
    table = next(b for b in blocks if isinstance(b, DataTable) and b.anchor == "size-table")
    assert [plain(r.cells[2])[0] for r in table.rows] == marks
    assert table.rows[-1].strong is (there < 400)


def test_what_was_not_done_is_said(survival):
    told = " ".join(
        plain(getattr(b, "text", ""))
        for b in stability(View(replace(survival, optimism=None, sample_size=None)))
    )
    assert "not refitted to resamples" in told
    assert "were not computed" in told


def test_every_check_has_its_verdict_in_words(survival):
    tables = [b for b in leakage(View(survival)) if isinstance(b, DataTable)]
    rows = [r for t in tables for r in t.rows]
    told = plain([r.cells for r in rows])
    for check in survival.checks:
        assert VERDICTS[check.verdict] in told
        assert check.finding in told


def test_fitting_notes_name_columns_by_their_label(survival):
    lead = replace(
        survival.models[0],
        notes=("positive_nodes: constant in training, dropped", "ESR1: of one level", "no more"),
    )
    blocks = models(View(replace(survival, models=(lead,))))
    table = next(b for b in blocks if isinstance(b, DataTable) and b.anchor == "models-table")
    told = table.rows[0].cells[-1]
    assert told == (
        "Positive lymph nodes: constant in training, dropped; ESR1: of one level; no more"
    )
