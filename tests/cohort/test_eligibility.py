"""Who is in, who is out by which criterion first, and flow counts that add up."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.cohort.eligibility import assess
from metasight.cohort.reader_decisions import ReaderDecision
from metasight.errors import StudyError
from metasight.ledger import Fate
from metasight.protocol.criteria import Criterion
from metasight.protocol.load import read_protocol


def criterion(name: str, variable: str, **changes) -> Criterion:
    kind = "inclusion" if name.startswith("I") else "exclusion"
    told = {"id": name, "kind": kind, "text": f"{variable} is so", "evidence": "table"}
    return Criterion(**{**told, "condition": {"variable": variable, "is": True}, **changes})


# Adults without a relapse at entry who were followed: an inclusion, an exclusion, and one
# criterion that is only known later.
PROTOCOL = read_protocol("breast-dmfs").model_copy(
    update={
        "criterion": (
            criterion("I1", "adult"),
            criterion("E1", "relapse", evidence="slides"),
            criterion("I2", "followed", selects_on_future=True),
        )
    }
)
YES, NO, MISSING = True, False, None


def row(adult, relapse, followed):
    return {"adult": adult, "relapse": relapse, "followed": followed}


ROWS = {
    "in": row(YES, NO, YES),
    "child": row(NO, NO, YES),
    "child with relapse": row(NO, YES, NO),
    "relapse": row(YES, YES, YES),
    "relapse unknown": row(YES, MISSING, YES),
    "age unknown, relapse": row(MISSING, YES, YES),
    "lost": row(YES, NO, NO),
    "follow-up unknown": row(YES, NO, MISSING),
}


def test_who_is_in():
    told = assess(ROWS, PROTOCOL, {})
    assert told.as_written == ("in",)
    # what is only known later, or not known at all, keeps nobody out of the other population
    assert told.all_eligible == ("in", "lost", "follow-up unknown")


def test_a_patient_goes_at_the_first_criterion_that_excludes_him():
    steps = {s.criterion: s for s in assess(ROWS, PROTOCOL, {}).steps}
    flow = {name: (s.excluded, s.unknown, s.remaining) for name, s in steps.items()}
    # I1: both children. E1: the relapses, also the one whose age is unknown (nothing but an
    # exclusion decides), and one is held back. I2: one lost, one of unknown follow-up.
    assert flow == {"I1": (2, 0, 6), "E1": (2, 1, 3), "I2": (1, 1, 1)}


def test_every_patient_has_a_row_for_every_criterion():
    told = assess(ROWS, PROTOCOL, {})
    fates = {(e.patient, e.criterion): e.verdict for e in told.entries}
    assert len(fates) == len(told.entries) == len(ROWS) * 3
    assert fates["child with relapse", "E1"] is Fate.EXCLUDED  # told although I1 came first
    assert fates["relapse unknown", "E1"] is Fate.UNKNOWN
    assert fates["in", "E1"] is Fate.KEPT
    reasons = {(e.patient, e.criterion): e.reason for e in told.entries}
    assert reasons["relapse unknown", "E1"] == ("unknown: relapse is so (no evidence from: slides)")
    values = {(e.patient, e.criterion): e.value for e in told.entries}
    assert values["relapse", "E1"] == "relapse=yes"
    assert values["relapse unknown", "E1"] == "relapse=missing"


def test_a_waived_criterion_keeps_everybody_and_prints_why():
    reason = "slides were never scanned"
    told = assess(ROWS, PROTOCOL, {"E1": reason})
    assert "relapse" in told.as_written
    assert "relapse unknown" in told.as_written
    assert [(s.criterion, bool(s.waived)) for s in told.steps] == [
        ("I1", False),
        ("E1", True),
        ("I2", False),
    ]
    waived = [e for e in told.entries if e.criterion == "E1"]
    assert {e.verdict for e in waived} == {Fate.WAIVED}
    against = f"{reason} (the table says: not eligible)"
    assert {e.patient for e in waived if e.reason == against} == {
        "child with relapse",
        "relapse",
        "age unknown, relapse",
    }
    assert {e.reason for e in waived} == {reason, against}
    step = next(s for s in told.steps if s.criterion == "E1")
    assert (step.against, step.in_part) == (3, False)
    assert (
        step.waived == f"{reason} (3 patients remain included although not eligible by the table)"
    )
    assert [e.value for e in waived if e.patient == "relapse"] == ["relapse=yes"]


@pytest.mark.parametrize(
    ("waive", "problem", "remedy"),
    [
        ({"E9": "we do not have it"}, "names no criterion", "Criteria: I1, E1, I2"),
        ({"E1": "  no    "}, "is waived, but no reason is given", "the report prints it"),
    ],
)
def test_waivers_that_make_no_sense(waive, problem, remedy):
    with pytest.raises(StudyError, match=problem) as error:
        assess(ROWS, PROTOCOL, waive)
    assert remedy in error.value.remedy


truth = st.sampled_from([YES, NO, MISSING])
cohorts = st.lists(st.tuples(truth, truth, truth), min_size=1, max_size=12)


@given(cohorts)
def test_the_flow_ends_with_those_who_are_in_and_loses_nobody(patients):
    rows = {f"p{i}": row(*p) for i, p in enumerate(patients)}
    told = assess(rows, PROTOCOL, {})
    assert told.steps[-1].remaining == len(told.as_written)
    gone = sum(s.excluded + s.unknown for s in told.steps)
    assert gone + len(told.as_written) == len(rows)
    assert set(told.as_written) <= set(told.all_eligible)
    assert set(told.as_written) == {p for p, r in rows.items() if r == row(YES, NO, YES)}


@given(cohorts, st.permutations(range(3)))
def test_the_order_of_the_criteria_moves_counts_but_no_patient(patients, order):
    rows = {f"p{i}": row(*p) for i, p in enumerate(patients)}
    turned = PROTOCOL.model_copy(update={"criterion": tuple(PROTOCOL.criterion[i] for i in order)})
    one, other = assess(rows, PROTOCOL, {}), assess(rows, turned, {})
    assert one.as_written == other.as_written
    assert one.all_eligible == other.all_eligible


@pytest.mark.parametrize(
    ("limit", "stays"),
    [
        ({"below": 30.0}, {"under"}),
        ({"at_most": 30.0}, {"under", "at it"}),
        ({"above": 30.0}, {"over"}),
        ({"at_least": 30.0}, {"at it", "over"}),
    ],
)
def test_which_limits_take_in_the_value_itself(limit, stays):
    one = criterion("I1", "size", condition={"variable": "size", **limit})
    protocol = PROTOCOL.model_copy(update={"criterion": (one,)})
    rows = {"under": {"size": 29.9}, "at it": {"size": 30}, "over": {"size": 30.1}}
    assert set(assess(rows, protocol, {}).as_written) == stays


BREAST = read_protocol("breast-dmfs")
OPERATED = {
    "surgery": "mastectomy",
    "surgery_date": None,
    "curative_resection": True,
}


def of_i3(row, waive):
    told = assess({"p": row}, BREAST, waive)
    entry = next(e for e in told.entries if e.criterion == "I3")
    return entry, next(s for s in told.steps if s.criterion == "I3")


def test_a_part_is_waived_and_the_others_count():
    """The dates are not in an anonymised table; who was not operated for cure is still excluded."""
    why = {"I3.surgery_date": "the table holds no dates"}
    entry, step = of_i3(OPERATED, why)
    assert entry.verdict is Fate.KEPT
    assert "surgery date is not assessed: the table holds no dates" in entry.reason
    assert step.in_part
    assert "surgery date is not assessed" in step.waived
    palliative, _ = of_i3({**OPERATED, "curative_resection": False}, why)
    assert palliative.verdict is Fate.EXCLUDED
    unknown, _ = of_i3({**OPERATED, "surgery": None}, why)
    assert unknown.verdict is Fate.UNKNOWN


def test_who_stays_in_against_the_table_is_said():
    entry, step = of_i3(
        {**OPERATED, "curative_resection": False}, {"I3": "the table holds no dates"}
    )
    assert entry.verdict is Fate.WAIVED
    assert entry.reason.endswith("(the table says: not eligible)")
    assert step.against == 1
    assert "1 patient remains included although not eligible by the table" in step.waived
    assert "one of its parts alone: I3.curative_resection, I3.surgery, I3.surgery" in step.waived


def test_what_is_only_not_recorded_is_nothing_against_a_patient():
    told = assess({"p": {}}, BREAST, {"I7": "treatment is not in the table"})
    assert next(s.against for s in told.steps if s.criterion == "I7") == 0


def test_a_variable_of_a_list_that_must_be_recorded_is_waived_alone():
    row = dict.fromkeys(BREAST.criteria["I7"].condition.variables(), 1.0)
    told = {}
    for waive in ({}, {"I7.chemotherapy": "treatment is not in the table"}):
        entries = assess({"p": {**row, "chemotherapy": None}}, BREAST, waive).entries
        told[len(waive)] = next(e.verdict for e in entries if e.criterion == "I7")
    assert told == {0: Fate.EXCLUDED, 1: Fate.KEPT}


@pytest.mark.parametrize(
    ("waive", "problem", "remedy"),
    [
        ({"I3.grade": "it is not recorded"}, "names no part of I3", '"I3.surgery_date"'),
        ({"E4.prior_malignancy": "not recorded"}, "names no part of E4", "none; waive it whole"),
        ({"E3.neoadjuvant": "not recorded"}, "names no part of E3", "none; waive it whole"),
        (
            {"I3": "it is not recorded", "I3.surgery": "it is not recorded"},
            "names I3 and a part",
            "or parts of it",
        ),
        (
            {f"I3.{v}": "it is not recorded" for v in BREAST.criteria["I3"].parts},
            "names every part of I3",
            "Waive the whole criterion: I3",
        ),
    ],
)
def test_parts_that_cannot_be_waived_alone(waive, problem, remedy):
    with pytest.raises(StudyError, match=problem) as error:
        assess({"p": {}}, BREAST, waive)
    assert remedy in error.value.remedy


@pytest.mark.parametrize("protocol", ["breast-dmfs", "nsclc-occult-node"])
@given(data=st.data())
def test_a_waived_part_never_turns_a_recorded_failure_of_another_into_a_pass(protocol, data):
    """Property: what is left of a criterion is asked exactly as it is without the part."""
    known = read_protocol(protocol)
    criterion = data.draw(st.sampled_from([c for c in known.criterion if len(c.parts) > 1]))
    part = data.draw(st.sampled_from(criterion.parts))
    values = st.sampled_from([None, True, False, "N0", "T1a", "mastectomy", 5.0, 2000.0])
    names = tuple(dict.fromkeys(criterion.condition.variables()))
    row = {n: data.draw(values) for n in names if n != part}
    row = {n: v for n, v in row.items() if v is None or _fits(known, n, v)}
    why = {f"{criterion.id}.{part}": "it was not recorded"}
    verdicts = {
        next(
            e.verdict
            for e in assess({"p": {**row, part: v}}, known, why).entries
            if e.criterion == criterion.id
        )
        for v in (None, _some(known, part))
    }
    assert len(verdicts) == 1, "the waived part decides nothing"
    assert Fate.WAIVED not in verdicts


def _fits(protocol, name, value):
    kind = {"number": float, "integer": float, "boolean": bool, "category": str}
    return isinstance(value, kind.get(protocol.variables[name].type, dt.date))


def _some(protocol, name):
    variable = protocol.variables[name]
    if variable.type == "date":
        return dt.date(2016, 3, 1)
    return {"boolean": False, "category": (variable.values or ("x",))[-1]}.get(variable.type, 1.0)


# ------------------------------------------------------------------ readers


def decision(verdict: Fate, replaces: Fate) -> ReaderDecision:
    return ReaderDecision(
        verdict=verdict, replaces=replaces, reader="AB", day="2026-03-01", reason="a good reason"
    )


def test_a_reader_lets_a_patient_in_whom_the_rule_excludes():
    kept = decision(Fate.KEPT, Fate.EXCLUDED)
    told = assess(ROWS, PROTOCOL, {}, {"relapse": {"E1": kept}})
    assert told.as_written == ("in", "relapse")
    before = assess(ROWS, PROTOCOL, {})
    steps = {s.criterion: (s.excluded, s.remaining) for s in told.steps}
    were = {s.criterion: (s.excluded, s.remaining) for s in before.steps}
    assert steps["E1"] == (were["E1"][0] - 1, were["E1"][1] + 1)


def test_a_reader_decides_what_the_table_does_not_know():
    out, kept = decision(Fate.EXCLUDED, Fate.UNKNOWN), decision(Fate.KEPT, Fate.UNKNOWN)
    told = assess(ROWS, PROTOCOL, {}, {"relapse unknown": {"E1": out}})
    row = next(e for e in told.entries if (e.patient, e.criterion) == ("relapse unknown", "E1"))
    assert (row.verdict, row.who, row.replaced) == (Fate.EXCLUDED, "AB", "unknown")
    told = assess(ROWS, PROTOCOL, {}, {"relapse unknown": {"E1": kept}})
    assert "relapse unknown" in told.as_written


def test_a_reader_s_decision_of_one_criterion_leaves_the_others():
    kept = decision(Fate.KEPT, Fate.EXCLUDED)
    told = assess(ROWS, PROTOCOL, {}, {"child with relapse": {"E1": kept}})
    assert "child with relapse" not in told.all_eligible


def test_a_decision_about_the_future_moves_one_population_only():
    kept = decision(Fate.KEPT, Fate.EXCLUDED)
    told = assess(ROWS, PROTOCOL, {}, {"lost": {"I2": kept}})
    assert told.as_written == ("in", "lost")
    assert told.all_eligible == assess(ROWS, PROTOCOL, {}).all_eligible


def test_a_waived_criterion_is_nobody_s_to_decide():
    kept = decision(Fate.EXCLUDED, Fate.KEPT)
    told = assess(ROWS, PROTOCOL, {"E1": "was not assessed here"}, {"in": {"E1": kept}})
    row = next(e for e in told.entries if (e.patient, e.criterion) == ("in", "E1"))
    assert row.verdict is Fate.WAIVED
    assert "is not applied" in row.reason
    assert "in" in told.as_written
