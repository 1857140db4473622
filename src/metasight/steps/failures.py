"""Whatever a slide's step raises is that slide's own: a ``failed`` row, and the others go on."""

from __future__ import annotations

from metasight.errors import (
    LeakageError,
    MetasightError,
    ProtocolError,
    StoreError,
    StudyError,
)

OF_ALL_SLIDES = (LeakageError, ProtocolError, StoreError, StudyError)
"""What is no fault of one slide: every other one would fail alike, so that the study stops."""


def why_failed(error: Exception) -> str:
    """What the ledger says of an exception.

    metasight's own errors say what is wrong and what to do. The text of any other may be the
    file's, so that only its kind is told.
    """
    if isinstance(error, MetasightError):
        return str(error)
    return not_processed(error)


def not_processed(error: Exception) -> str:
    """What the ledger says of an exception whose text may be the file's: its kind alone."""
    return f"this file could not be processed ({type(error).__name__})"
