import math
from dataclasses import dataclass

import pytest

from metasight.errors import EvaluationError
from metasight.estimate import Estimate
from metasight.validation.json_tree import from_jsonable, to_jsonable
from metasight.validation.results import NotEstimable


@dataclass(frozen=True, kw_only=True)
class Leaf:
    x: float
    y: float | None


@dataclass(frozen=True, kw_only=True)
class Tree:
    leaves: tuple[Leaf, ...]
    metric: Estimate | NotEstimable
    named: dict[str, int]


TREE = Tree(leaves=(Leaf(x=1.5, y=None),), metric=NotEstimable(not_estimable="why"), named={"a": 1})


def test_both_ways():
    assert from_jsonable(Tree, to_jsonable(TREE)) == TREE


def test_nan_is_null_and_back():
    plain = to_jsonable(Leaf(x=math.nan, y=2.0))
    assert plain == {"x": None, "y": 2.0}
    assert math.isnan(from_jsonable(Leaf, plain).x)


@pytest.mark.parametrize("data", [{"x": 1.0}, {"x": 1.0, "y": None, "z": 0}, [1]])
def test_a_damaged_file_is_named(data):
    with pytest.raises(EvaluationError, match="not an evaluation"):
        from_jsonable(Leaf, data)


def test_a_union_without_a_match():
    plain = to_jsonable(TREE)
    plain["metric"] = {"other": 1}
    with pytest.raises(EvaluationError, match="not an evaluation"):
        from_jsonable(Tree, plain)
