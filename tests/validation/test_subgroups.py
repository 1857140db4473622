import pytest

from metasight.estimate import Estimate
from metasight.validation.bootstrap import draw
from metasight.validation.results import NotEstimable
from metasight.validation.subgroups import (
    evaluate_by_centre,
    evaluate_subgroups,
    headline_target,
    refusal,
    target_events,
)
from metasight.validation.table import align

from .conftest import predictions
from .test_evaluate import plan


def test_a_group_of_everyone_is_the_whole():
    everyone = {f"p{i:04d}": "all" for i in range(120)}
    asked = plan(subgroups={"x": everyone})
    aligned, w = align(predictions(120), asked), draw(120, 20, 0)
    (got,) = evaluate_subgroups(aligned, "model0", w, asked)
    events, free = target_events(headline_target(aligned))
    assert (got.n, got.events) == (120, events)
    assert events + free <= 120
    assert isinstance(got.discrimination, Estimate)


def test_a_centre_that_is_not_estimable_is_listed_and_not_pooled():
    asked = plan(min_group_events=30)
    aligned = align(predictions(200), asked)
    got = evaluate_by_centre(aligned, "model0", draw(200, 20, 0), asked)
    assert len(got.centres) == 3
    poolable = [c for c in got.centres if isinstance(c.discrimination, Estimate)]
    if len(poolable) < 2:
        assert isinstance(got.discrimination, NotEstimable)
    else:
        assert got.discrimination.k == len(poolable)


@pytest.mark.parametrize(("floor", "refused"), [(1, False), (1000, True)])
def test_refusal_says_how_many(floor, refused):
    asked = plan(min_group_events=floor)
    why = refusal(align(predictions(120), asked), asked)
    assert (why is not None) == refused
    if why is not None:
        assert "1000 of each are needed" in why.not_estimable
