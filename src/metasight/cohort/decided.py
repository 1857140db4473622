"""How a reader's decision stands in what a step writes: the verdict, and beside it the rule's."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from metasight.cohort.reader_decisions import ReaderDecision
from metasight.ledger import Fate

Found = dict[str, Any]
_RULE, _DECISION = "by_rule", "reader_decision"


def with_decision(found: Found, verdict: str, decision: ReaderDecision | None) -> Found:
    """What a step found, its verdict as a reader decided it.

    Parameters
    ----------
    found
        As it is written.
    verdict
        Name of the entry that is True, False or None.
    decision
        Of a reader, if one was made. It is told also where it is not applied.
    """
    if decision is None:
        return found
    ruled = found[verdict]
    holds = Fate.of(ruled) is decision.replaces
    return found | {
        verdict: decision.verdict is Fate.KEPT if holds else ruled,
        _RULE: ruled,
        _DECISION: asdict(decision),
    }


def fate_by_rule(found: Found, verdict: str) -> Fate:
    """The verdict as it was before a reader decided."""
    return Fate.of(found.get(_RULE, found[verdict]))


def decision_in(found: Found) -> ReaderDecision | None:
    """The decision that `with_decision` wrote; None where nobody decided."""
    told = found.get(_DECISION)
    if told is None:
        return None
    return ReaderDecision(
        **{**told, "verdict": Fate(told["verdict"]), "replaces": Fate(told["replaces"])}
    )
