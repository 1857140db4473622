"""Refusals say what is wrong and what to do."""

from __future__ import annotations

from metasight.serve.wording import Refusal


def test_each_has_a_status_a_problem_and_a_remedy() -> None:
    for refusal in Refusal:
        assert 400 <= refusal.status < 600
        assert refusal.problem.endswith(".") and refusal.remedy.endswith(".")
        assert "Error" not in refusal.problem + refusal.remedy
