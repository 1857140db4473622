"""What the ledger says of whatever a slide's step raises."""

from __future__ import annotations

import pytest

from metasight.errors import LeakageError, SlideError, StudyError
from metasight.steps.failures import OF_ALL_SLIDES, why_failed


@pytest.mark.parametrize("error", [KeyError("Meier"), MemoryError("Meier"), OSError(28, "Meier")])
def test_another_librarys_words_are_not_repeated(error: Exception) -> None:
    said = why_failed(error)
    assert type(error).__name__ in said
    assert "Meier" not in said


def test_our_own_errors_say_what_to_do() -> None:
    assert why_failed(SlideError("it is cut off", remedy="Copy it")) == "it is cut off. Copy it."


def test_what_concerns_every_slide_is_no_fault_of_one() -> None:
    assert issubclass(LeakageError, OF_ALL_SLIDES)
    assert issubclass(StudyError, OF_ALL_SLIDES)
    assert not issubclass(SlideError, OF_ALL_SLIDES)
