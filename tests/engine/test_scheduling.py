"""Processes are started where the pending steps are worth it, and only there."""

from __future__ import annotations

from functools import partial

import pytest

from metasight.engine import placement, scheduling
from metasight.engine.contents import Contents
from metasight.engine.progress import Silent
from metasight.engine.run import Work
from metasight.engine.run_log import measured
from metasight.engine.scheduling import MANY_STEPS, PATIENCE_S, hand_over, worth_processes
from metasight.engine.step import Step, StepKind
from metasight.engine.store import Store

FITS = [StepKind.FIT] * 100
SLIDES = [StepKind.CHECK_SLIDE, StepKind.MEASURE_SCANS]


def nothing(inputs, out, argument):
    (out / "x").write_text("x")


def steps(kind: StepKind, n: int) -> list[Step]:
    return [
        Step(name=f"{kind} {i}", kind=kind, label=kind.value, function=nothing, argument=i)
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("kinds", "cores", "worth"),
    [
        (FITS, 8, False),
        (FITS + SLIDES[:1], 8, False),
        (FITS + SLIDES, 8, True),
        (FITS + SLIDES, 1, False),
        ([StepKind.TRAIN_GENERATOR] * 2, 2, True),
        ([StepKind.FIT] * MANY_STEPS, 2, True),
        ([StepKind.FIT] * (MANY_STEPS - 1), 2, False),
        ([], 8, False),
    ],
)
def test_processes_are_for_images_and_for_many_steps(kinds, cores, worth):
    assert worth_processes(kinds, cores=cores) is worth


def test_what_takes_long_is_handed_over_unless_one_step_or_one_core_is_left():
    assert hand_over(seconds=PATIENCE_S, left=2, cores=2)
    assert not hand_over(seconds=PATIENCE_S - 1, left=200, cores=2)
    assert not hand_over(seconds=PATIENCE_S, left=1, cores=2)
    assert not hand_over(seconds=PATIENCE_S, left=200, cores=1)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A run's work whose processes are only counted."""
    given: list[int] = []

    class Counted(Work):
        def _in_processes(self, missing):
            given.append(len(missing))
            self._cluster = object()
            for step in missing:
                self._finished(step, measured(partial(self.store.make, step.task)))

    def make(scheduler: str) -> tuple[Work, list[int]]:
        contents = Contents(tmp_path / "contents.json")
        store = Store(tmp_path / "store", contents)
        memory = tmp_path / "last_run.json"
        return Counted(store, contents, memory, scheduler=scheduler, progress=Silent()), given

    monkeypatch.setattr(placement, "cores", lambda: 2)
    return make


def test_auto_keeps_a_small_study_here(asked):
    work, given = asked("auto")
    with work:
        work.make(steps(StepKind.FIT, 20))
    assert given == []


def test_auto_starts_processes_for_images_and_keeps_them(asked):
    work, given = asked("auto")
    with work:
        work.make(steps(StepKind.MEASURE_SCANS, 3))
        work.make(steps(StepKind.FIT, 5))
    assert given == [3, 5]


def test_auto_hands_over_what_takes_longer_than_thought(asked, monkeypatch):
    monkeypatch.setattr(scheduling, "PATIENCE_S", 0.0)
    work, given = asked("auto")
    with work:
        work.make(steps(StepKind.FIT, 4))
    assert given == [4]


def test_what_is_chosen_explicitly_is_done(asked):
    work, given = asked("inline")
    with work:
        work.make(steps(StepKind.MEASURE_SCANS, 3))
    assert given == []
    work, given = asked("local")
    with work:
        work.make(steps(StepKind.SCREEN, 1))
    assert given == [1]
