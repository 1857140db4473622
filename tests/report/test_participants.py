"""Participants: numbers in tables are the run's, shares are of those they say, none is invented."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.cohort.describe import Table1, Table1Row
from metasight.cohort.outcome import Landmark
from metasight.report.blocks import DataTable, Paragraph
from metasight.report.participants import section
from metasight.report.view import View


def plain(value) -> str:
    return str(value).replace("\u00a0", " ").replace("\u202f", " ")


def tables(contents) -> dict[str, DataTable]:
    return {b.anchor: b for b in section(View(contents)) if isinstance(b, DataTable)}


def cells(table: DataTable) -> list[tuple[str, ...]]:
    return [tuple(plain(c) for c in r.cells) for r in table.rows]


def words(contents) -> str:
    blocks = [b for b in section(View(contents)) if isinstance(b, Paragraph)]
    return " ".join(plain(b.text) for b in blocks)


def with_headline(contents, **changes):
    first, *others = contents.analyses
    return replace(contents, analyses=(replace(first, **changes), *others))


def test_missing_values_are_shares_of_the_patients_and_in_order(survival):
    few = {"age_years": 4, "grade": 0, "tumour_size_mm": 40, "pr_positive": 4}
    rows = cells(tables(with_headline(survival, missing=few))["missing-table"])
    # 40 and 4 of 160; what is complete is not listed; ties by name
    label = survival.protocol.variables
    assert rows == [
        (plain(label["tumour_size_mm"].label), "40", "25.0 %"),
        (plain(label["age_years"].label), "4", "2.5 %"),
        (plain(label["pr_positive"].label), "4", "2.5 %"),
    ]


def test_of_many_incomplete_predictors_the_worst_thirty_are_shown(survival):
    many = {f"feature_{k:02d}": k for k in range(1, 36)}
    table = tables(with_headline(survival, missing=many))["missing-table"]
    assert len(table.rows) == 30
    assert [r[1] for r in cells(table)] == [str(k) for k in range(35, 5, -1)]
    assert "5 more" in plain(table.notes[0])


def test_without_missing_values_there_is_no_table_of_them(survival):
    complete = with_headline(survival, missing={"age_years": 0, "grade": 0})
    assert "missing-table" not in tables(complete)
    assert "None of the 2 predictors" in words(complete)


def test_outcomes_of_the_follow_up_add_up_to_the_patients(survival):
    found = {a.endpoint: a for a in survival.analyses if a.headline}
    assert len(found) == 1
    rows = cells(tables(survival)["follow-up-table"])
    assert len(rows) == len(survival.analyses)
    for row, a in zip(rows, survival.analyses, strict=True):
        f = a.follow_up
        assert row[1:] == (
            str(a.n),
            f"{f.median_days / 365.25:.1f} years",
            f"{f.maximum_days / 365.25:.1f} years",
            str(f.events),
            str(f.competing),
            str(f.censored),
        )


def test_a_median_that_was_not_reached_is_said_so(survival):
    f = replace(survival.analyses[0].follow_up, median_days=None)
    silent = with_headline(survival, follow_up=f)
    assert cells(tables(silent)["follow-up-table"])[0][2] == "not reached"
    assert "not reached: fewer than half the patients were censored" in words(silent)


def test_unexamined_nodes_are_no_stage(nodal):
    rows = cells(tables(nodal)["stages"])
    d = nodal.analyses[0].evaluation.data
    assert [r[0] for r in rows] == [*d.class_counts, "Not observed (nodes not examined)"]
    assert rows[-1][1:] == (str(d.n_unobserved), "–")
    assert d.n_unobserved == 6
    shown = [int(r[1]) for r in rows]
    assert sum(shown) == 160
    for (_, n, share), count in zip(rows[:-1], d.class_counts.values(), strict=True):
        assert int(n) == count
        assert float(share.split()[0]) == pytest.approx(100 * count / 154, abs=0.5)


def test_many_centres_are_spread_over_tables_and_none_is_lost(survival):
    names = [f"C{k}" for k in range(9)]
    groups = {"All": 90, **dict.fromkeys(names, 10)}
    row = Table1Row(
        label="Age", cells={g: f"age in {g}" for g in groups}, missing=dict.fromkeys(groups, 0)
    )
    told = with_headline(survival, table1=Table1(groups=groups, rows=(row,)))
    parts = [t for a, t in tables(told).items() if a.startswith("table1")]
    assert [len(t.rows[0].cells) for t in parts] == [7, 7, 4]  # label, all, 4 + 4 + 1, missing
    shown = [c for t in parts for c in cells(t)[0][2:-1]]
    assert shown == [f"age in {c}" for c in names]
    assert plain(parts[2].columns[2].text) == "C8 (n = 10)"


def test_a_level_has_no_missing_count_of_its_own(survival):
    rows = {r[0]: r for r in cells(tables(survival)["table1"])}
    assert rows["Age at surgery, years"][-1] == "4"
    assert rows["Histological grade"][-1] == "0"
    assert rows["1"][-1] == ""


def test_what_is_stated_and_not_measured_is_told_with_its_reason(survival):
    rows = cells(tables(survival)["waived"])
    flat = [c for r in rows for c in r]
    assert "Criteria not assessed (waived)" in flat
    assert ("I5", "No slides <here>.") in [(r[0].split()[0], r[1]) for r in rows if len(r) > 1]
    constant = replace(survival, constants={"sex": "True: women only"})
    assert "Yes: women only." in [c for r in cells(tables(constant)["waived"]) for c in r]


def test_who_left_before_patients_enter_is_told_and_what_the_risk_is_then_of(survival):
    left = with_headline(survival, landmark=Landmark(day=120, events=1, competing=0, censored=2))
    said = words(left)
    assert (
        "3 patients had left by then: 1 with the event, 0 with a competing event, 2 no longer"
        in (said)
    )
    assert "A risk is that of a patient without an event on that day" in said
    nobody = with_headline(survival, landmark=Landmark(day=120, events=0, competing=0, censored=0))
    assert "Nobody had left by then." in words(nobody)
    assert "Patients enter on day" not in words(with_headline(survival, landmark=None))


def test_what_becomes_of_missing_values_is_what_the_models_do(survival):
    some = words(with_headline(survival, missing={"age_years": 4, "grade": 0}))
    assert "imputed inside each training fold, with an indicator where at least 10 training" in some
    n = survival.analyses[0].n
    one = words(with_headline(survival, missing={"age_years": 4, "grade": n}))
    assert "1 of them has no value in any patient and is not used; the others are imputed" in one
    never = words(with_headline(survival, missing={"age_years": n, "grade": n}))
    assert "2 of them have no value in any patient and are not used. No patient" in never
