"""The list of patients: counts agree with the flow; searched, filtered and put in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from metasight.ledger import Entry, Fate
from metasight.serve.last_run import LastRun
from metasight.serve.patients import ORDERS, Asked, Line, Verdict, left_at, lines_of
from metasight.study.file import read_study


@pytest.fixture(scope="module")
def run(finished_folder: Path) -> LastRun:
    return LastRun(read_study(finished_folder))


def test_lines_agree_with_the_flow(run: LastRun) -> None:
    lines = lines_of(run)
    assert len(lines) == run.cohort["screened"]
    at = Counter(x.left_at for x in lines)
    for step in run.cohort["steps"]:
        assert at[step["criterion"]] == step["excluded"] + step["unknown"], step["criterion"]
    verdicts = Counter(x.verdict for x in lines)
    assert verdicts[Verdict.AS_WRITTEN] == len(run.cohort["as_written"])
    eligible = verdicts[Verdict.AS_WRITTEN] + verdicts[Verdict.BUT_FUTURE]
    assert eligible == len(run.cohort["all_eligible"])
    assert verdicts[Verdict.BUT_FUTURE] > 0


def test_slides_are_counted(run: LastRun) -> None:
    assert sum(x.slides for x in lines_of(run)) == 1


def entry(criterion: str, verdict: Fate) -> Entry:
    return Entry(
        patient="P", item="patient", stage="eligibility", verdict=verdict, criterion=criterion
    )


def test_an_exclusion_counts_before_what_is_unknown() -> None:
    rows = [entry("I1", Fate.UNKNOWN), entry("I2", Fate.EXCLUDED), entry("I3", Fate.EXCLUDED)]
    assert left_at(rows) == ("I2", Fate.EXCLUDED)
    assert left_at(rows[:1]) == ("I1", Fate.UNKNOWN)
    assert left_at([entry("I1", Fate.KEPT), entry("I2", Fate.WAIVED)]) is None


LINE = Line(
    patient="P01",
    centre="North",
    arm="A",
    verdict=Verdict.AS_WRITTEN,
    left_at="",
    failed=0,
    missing=0,
    analysed=True,
    slides=0,
)
LINES = (
    LINE,
    replace(LINE, patient="P02", centre="South", missing=2),
    replace(LINE, patient="P03", verdict=Verdict.EXCLUDED, left_at="E1", failed=1),
)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (Asked(), ["P01", "P02", "P03"]),
        (Asked(search=" p02 "), ["P02"]),
        (Asked(centre="North"), ["P01", "P03"]),
        (Asked(arm="B"), []),
        (Asked(verdict="excluded"), ["P03"]),
        (Asked(left_at="E1"), ["P03"]),
        (Asked(missing=True), ["P02"]),
        (Asked(order="missing"), ["P02", "P01", "P03"]),
        (Asked(order="failed"), ["P03", "P01", "P02"]),
    ],
)
def test_what_is_asked_for(asked: Asked, found: list[str]) -> None:
    assert [x.patient for x in asked.of(LINES)] == found


def test_every_order_is_one(run: LastRun) -> None:
    for name in ORDERS:
        assert len(Asked(order=name).of(LINES)) == 3
