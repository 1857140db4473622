"""A reader's verdict in what a step writes, the rule's beside it."""

from __future__ import annotations

import json

import pytest

from metasight.cohort.decided import decision_in, fate_by_rule, with_decision
from metasight.cohort.reader_decisions import ReaderDecision
from metasight.ledger import Fate


def decision(verdict: Fate, replaces: Fate) -> ReaderDecision:
    return ReaderDecision(
        verdict=verdict, replaces=replaces, reader="AB", day="2026-03-01", reason="a good reason"
    )


@pytest.mark.parametrize(
    ("ruled", "replaces", "verdict", "after"),
    [
        (False, Fate.EXCLUDED, Fate.KEPT, True),
        (True, Fate.KEPT, Fate.EXCLUDED, False),
        (None, Fate.UNKNOWN, Fate.KEPT, True),
        (None, Fate.UNKNOWN, Fate.EXCLUDED, False),
        # the verdict is another one than the reader saw
        (None, Fate.EXCLUDED, Fate.KEPT, None),
        (True, Fate.EXCLUDED, Fate.KEPT, True),
        (False, Fate.UNKNOWN, Fate.KEPT, False),
    ],
)
def test_a_verdict_is_replaced_only_where_it_is_the_one_decided_about(
    ruled, replaces, verdict, after
):
    made = decision(verdict, replaces)
    found = with_decision({"sufficient": ruled, "mpp": 0.5}, "sufficient", made)
    assert found["sufficient"] is after
    assert found["mpp"] == 0.5
    again = json.loads(json.dumps(found))
    assert fate_by_rule(again, "sufficient") is {True: Fate.KEPT, False: Fate.EXCLUDED}.get(
        ruled, Fate.UNKNOWN
    )
    assert decision_in(again) == made


def test_without_a_decision_nothing_is_written():
    found = {"sufficient": False}
    assert with_decision(found, "sufficient", None) is found
    assert fate_by_rule(found, "sufficient") is Fate.EXCLUDED
    assert decision_in(found) is None
