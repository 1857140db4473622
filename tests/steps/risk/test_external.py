"""Whom locked models are tried on, and what is refused before anything is predicted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from metasight.errors import StudyError
from metasight.ledger import Fate
from metasight.steps.risk import external
from metasight.steps.risk.external import _entries, _kept, _require_features


def data(columns):
    return SimpleNamespace(features=SimpleNamespace(values=SimpleNamespace(columns=columns)))


@pytest.fixture
def locked(monkeypatch):
    """A bundle of two models; a state is the list of what it reads."""
    monkeypatch.setattr(external, "features_of", frozenset)
    states = {"clinical": {"age": 0, "grade": 0}, "fusion": {"age": 0, "til": 0}}
    return SimpleNamespace(states=states, training=SimpleNamespace(run="abc123"))


def test_columns_that_no_model_reads_may_be_missing(locked):
    _require_features(locked, data(["age", "grade", "til", "another"]))


def test_what_any_model_reads_is_asked_for_by_name(locked):
    with pytest.raises(StudyError, match="missing from the external table") as error:
        _require_features(locked, data(["grade"]))
    assert error.value.value == "age, til"
    assert "study.toml" in error.value.remedy


@pytest.mark.parametrize(("n", "tail"), [(8, "f7"), (10, "and 2 more")])
def test_of_many_missing_features_eight_are_named(monkeypatch, n, tail):
    monkeypatch.setattr(external, "features_of", frozenset)
    many = SimpleNamespace(states={"m": {f"f{k}": 0 for k in range(n)}})
    with pytest.raises(StudyError) as error:
        _require_features(many, data([]))
    assert error.value.value.endswith(tail)
    assert error.value.value.count("f") == 8


def test_patients_keep_their_order_without_those_left_out():
    assert _kept(["C", "A", "B"], {"A": "unlike"}) == ["C", "B"]


def test_nobody_left_is_an_error_with_every_reason_once():
    left = {"A": "slices too thick", "B": "also in training", "C": "slices too thick"}
    with pytest.raises(StudyError, match="none of these patients") as error:
        _kept(["A", "B", "C"], left)
    assert error.value.value == "also in training; slices too thick"


def test_the_ledger_says_which_opening_it_is_and_who_is_left_out(locked):
    opened, *rest = _entries(locked, 3, {"A": "slices too thick"})
    assert (opened.patient, opened.verdict, opened.value) == ("", Fate.KEPT, "opening 3")
    assert "run abc123" in opened.reason
    (row,) = rest
    assert (row.patient, row.verdict, row.reason) == ("A", Fate.EXCLUDED, "slices too thick")


def test_a_training_patient_and_one_measured_otherwise_are_left_out(monkeypatch, tmp_path, locked):
    locked.overlap = SimpleNamespace()
    (tmp_path / "overlap.json").write_text('{"C": ["mark"], "Z": ["mark"]}')
    why = {"A": (), "B": ("slices of 5 mm", "no contrast"), "C": ()}
    monkeypatch.setattr(external, "measured_otherwise", lambda *_: why)
    monkeypatch.setattr(external, "shared", lambda *_: {"C", "Z"})
    inputs = SimpleNamespace(only=lambda kind: tmp_path)
    found = external._left_out(locked, inputs, ["A", "B", "C"])
    assert found == {
        "B": "slices of 5 mm; no contrast",
        "C": "also among the training patients of the models",
    }
