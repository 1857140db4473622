"""A reader that loops, eats memory or dies is one named error, and the batch goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hostile_readers import measured, read
from metasight.engine.guarded import Limits, guarded, limits_for, renew
from metasight.errors import SlideError, VolumeError

LIMITS = Limits(memory_bytes=1 << 29, seconds=20.0)
SHORT = Limits(memory_bytes=1 << 29, seconds=1.0)


@pytest.fixture
def file(tmp_path: Path):
    def make(words: str) -> Path:
        path = tmp_path / f"{words.replace(' ', '-')}.txt"
        path.write_text(words, "utf-8")
        return path

    return make


def test_the_same_child_answers_again_and_its_arrays_are_the_same(file) -> None:
    first, values = guarded(read, LIMITS, SlideError, file("is 100000"))
    second, _ = guarded(read, LIMITS, SlideError, file("prints 3"))
    assert first == second != os.getpid()
    np.testing.assert_array_equal(values, np.arange(100_000))
    assert values.flags.writeable


@pytest.mark.parametrize(
    ("words", "limits", "says"),
    [
        ("loops", SHORT, "took longer .*value: 1 s"),
        ("sleeps", SHORT, "took longer"),
        ("eats 2000000000", LIMITS, "more memory .*value: 0.5 GiB"),
        ("dies", LIMITS, "ended the process .*signal 11"),
        ("leaves", LIMITS, "ended the process .*status 3"),
    ],
)
def test_what_does_not_come_back_is_an_error_of_the_kind_that_is_asked_for(
    file, words, limits, says
) -> None:
    with pytest.raises(SlideError, match=says):
        guarded(read, limits, SlideError, file(words))
    assert len(guarded(read, LIMITS, SlideError, file("is 5"))[1]) == 5


def test_what_it_raises_is_raised_here(file) -> None:
    with pytest.raises(VolumeError, match=r"it is no scan .value: 7.\. Give one") as told:
        guarded(read, LIMITS, SlideError, file("refuses"))
    assert told.value.value == "7"
    with pytest.raises(Exception, match=r"^Odd$"):
        guarded(read, LIMITS, SlideError, file("raises"))
    with pytest.raises(FileNotFoundError):
        guarded(read, LIMITS, SlideError, Path("none"))


def test_after_a_failure_there_is_a_new_child_that_holds_nothing_of_it(file) -> None:
    first, _ = guarded(read, LIMITS, SlideError, file("is 1"))
    with pytest.raises(VolumeError):
        guarded(read, LIMITS, SlideError, file("refuses"))
    second, _ = guarded(read, LIMITS, SlideError, file("is 1"))
    renew()
    third, _ = guarded(read, LIMITS, SlideError, file("is 1"))
    assert len({first, second, third}) == 3


def test_an_interrupted_call_s_answer_is_not_the_next_one_s(file) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    guarded(read, LIMITS, SlideError, file("is 1"))
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            guarded(read, LIMITS, SlideError, file("sleeps"))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(guarded(read, LIMITS, SlideError, file("is 5"))[1]) == 5


def test_a_limit_that_the_machine_sets_is_kept(file) -> None:
    words = (
        "import resource, sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path;"
        "import hostile_readers; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30));"
        "print(hostile_readers.measured(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", words, str(file("is 7")), *filter(None, sys.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "7"


def test_a_batch_goes_on(file) -> None:
    batch = ["is 1", "loops", "is 2", "eats 2000000000", "is 3", "dies", "is 4"]
    told = [measured(file(words)) for words in batch]
    assert told[::2] == ["1", "2", "3", "4"]
    assert len({*told[1::2]}) == 3 and not any(t.isdigit() for t in told[1::2])


def test_limits_grow_with_what_the_file_claims(tmp_path: Path) -> None:
    small, packed = tmp_path / "a", tmp_path / "b.zip"
    small.write_bytes(b"x")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 50_000_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(bytes(5_000_000))
    least = limits_for(tmp_path / "none")
    assert limits_for(small).seconds == pytest.approx(least.seconds, abs=0.1)
    assert limits_for(packed).seconds == pytest.approx(220, abs=1)
    assert limits_for(packed).memory_bytes - least.memory_bytes == 16 * 50_000_000
    both = limits_for(small, tmp_path / "folder")
    assert both.seconds == pytest.approx(130, abs=0.1)
