"""Terms over refits: share kept and range."""

from __future__ import annotations

import json

import pytest

from metasight.models.refit_spread import FEWEST_FOR_RANGE, RefitSpread, refit_spread

REFITS = [{"a": k / 40, "b": 0.0 if k % 4 else 0.5} for k in range(41)]


def test_a_term_is_kept_where_its_coefficient_is_not_zero():
    found = refit_spread("net", ["a", "b", "c"], REFITS)
    assert found.refits == 41
    assert found.terms["a"].kept == pytest.approx(40 / 41)
    assert found.terms["b"].kept == pytest.approx(11 / 41)
    assert (found.terms["a"].lower, found.terms["a"].upper) == pytest.approx((0.025, 0.975))


def test_a_term_that_no_refit_has_is_zero_in_all():
    one = refit_spread("net", ["a", "b", "c"], REFITS).terms["c"]
    assert (one.kept, one.lower, one.upper) == (0.0, 0.0, 0.0)


def test_few_refits_give_a_share_but_no_range():
    found = refit_spread("net", ["a"], REFITS[1:FEWEST_FOR_RANGE])
    assert found.terms["a"].kept == 1.0
    assert found.terms["a"].lower is None and found.terms["a"].upper is None
    assert refit_spread("net", ["a"], REFITS[:FEWEST_FOR_RANGE]).terms["a"].lower is not None


def test_it_survives_json():
    found = refit_spread("net", ["a", "b"], REFITS)
    assert RefitSpread.from_json(json.loads(json.dumps(found.to_json()))) == found
