"""Steps know what they are, what they read, and what a worker needs of them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from metasight.engine.step import Input, Inputs, Step, StepKind


def nothing(inputs, out, argument):
    pass


def test_kinds_that_learn_measure_and_report():
    assert StepKind.FIT_RESAMPLE.learns
    assert StepKind.TRAIN_GENERATOR.learns
    assert not StepKind.PREDICT.learns
    assert StepKind.CHECK_SLIDE.measures
    assert StepKind.GATHER_CROPS.measures
    assert not StepKind.SCREEN.measures
    assert StepKind.WRITE_REPORT.reports
    assert not StepKind.EVALUATE.reports


def test_inputs_by_name_by_kind_and_the_only_one():
    told = Inputs(
        (
            Input(name="a", kind=StepKind.FIT, subject="m", folder=Path("x")),
            Input(name="b", kind=StepKind.FIT, subject="n", folder=Path("y")),
            Input(name="c", kind=StepKind.SCREEN, subject="", folder=Path("z")),
        )
    )
    assert told["a"] == Path("x")
    assert list(told) == ["a", "b", "c"]
    assert [i.subject for i in told.of(StepKind.FIT)] == ["m", "n"]
    assert told.one(StepKind.SCREEN) == Path("z")
    assert told.one(StepKind.PREDICT) is None
    with pytest.raises(ValueError, match="2 inputs"):
        told.one(StepKind.FIT)


def test_a_worker_is_sent_names_and_keys_of_what_it_reads_and_no_more():
    first = Step(name="first", label="s", function=nothing, argument=tuple(range(10_000)))
    second = Step(name="second", label="s", function=nothing, needs=(first,))
    assert second.task.needs[0].key == first.key
    assert len(pickle.dumps(second.task)) < 2_000


def test_the_label_of_a_bar_is_only_a_label():
    one, two = (Step(name="x", label=label, function=nothing) for label in ("a", "b"))
    assert one.key == two.key
