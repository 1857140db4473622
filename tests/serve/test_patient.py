"""One patient's page says what ledger, table and predictions hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.report.wording import percent
from metasight.serve.last_run import LastRun
from metasight.serve.patient import (
    HEIGHT,
    WIDTH,
    criteria_of,
    drawn,
    history_of,
    in_labels,
    is_pseudonym,
    neighbours,
    risk_of,
    values_of,
)
from metasight.serve.patients import lines_of
from metasight.study.file import read_study


@pytest.fixture(scope="module")
def run(finished_folder: Path) -> LastRun:
    return LastRun(read_study(finished_folder))


def test_every_criterion_stands_there_in_the_protocol_s_order(run: LastRun) -> None:
    for entries in [e for p, e in run.ledger.items() if p][:20]:
        found = criteria_of(entries, run.study.protocol)
        assert [c.criterion for c in found] == list(run.study.protocol.criteria)
        assert all("_" not in c.value and "=" not in c.value for c in found)
        assert len(found) + len(history_of(entries)) == len(entries)


def test_values_are_labelled(run: LastRun) -> None:
    patient = str(run.table.index[0])
    found = {v.label: v.value for v in values_of(run, patient)}
    size = run.table.at[patient, "tumour_size_mm"]
    (label,) = [n for n in found if "size" in n.lower()]
    assert float(found[label]) == pytest.approx(size, rel=1e-4) and "mm" in label
    assert not [n for n in found if "_" in n]


def test_a_risk_has_its_interval_and_its_curve(run: LastRun) -> None:
    patient, risks = next(iter(run.risks.of.items()))
    found = risk_of(run, patient)
    assert [r[1] for r in found.risks] == [percent(r.value, 1) for r in risks]
    assert found.why_none == "" and found.model == "penalised"
    assert found.counted_from == "the day of curative surgery"
    drawing = drawn(found)
    assert drawing is not None
    points = [tuple(map(float, p.split(","))) for p in drawing.line.split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)


def test_a_patient_without_a_risk_has_a_reason(run: LastRun) -> None:
    without = set(map(str, run.table.index)) - set(run.risks.of)
    for patient in without:
        found = risk_of(run, patient)
        assert found.why_none and not found.risks and drawn(found) is None


def test_neighbours_follow_the_list(run: LastRun) -> None:
    lines = lines_of(run)[:3]
    a, b, c = (x.patient for x in lines)
    assert neighbours(lines, a) == ("", b, 1)
    assert neighbours(lines, b) == (a, c, 2)
    assert neighbours(lines, c) == (b, "", 3)
    assert neighbours(lines, "P") == ("", "", 0)


def test_names_become_labels(run: LastRun) -> None:
    protocol = run.study.protocol
    text = in_labels("sex=female; age_years=46; nobody_knows=1; plain", protocol)
    assert text == "Sex: female; Age at surgery: 46 years; nobody_knows=1; plain"
    assert in_labels("", protocol) == ""


def test_pseudonyms_are_told_from_other_texts() -> None:
    assert is_pseudonym("P0123456789abcdef")
    for text in ("P0123456789ABCDEF", "P0123456789abcde", "MRN-1", "P0123456789abcdef\n", ""):
        assert not is_pseudonym(text)
