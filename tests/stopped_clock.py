"""A clock that stands still until a test sets it."""

from __future__ import annotations


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now
