"""Where steps are carried out: in this process, on one process a core, or on a cluster elsewhere.

A process a core takes seconds to start and to import what steps need. Small studies take about as
long in all, so ``auto`` starts processes only where the pending steps are worth it.
"""

from __future__ import annotations

from collections.abc import Sequence

from metasight.engine.step import StepKind

INLINE = "inline"
LOCAL = "local"
AUTO = "auto"

MANY_STEPS = 1000
"""Steps of a few hundredths of a second each that are worth starting processes."""
PATIENCE_S = 20.0
"""Seconds that a part of the plan may take in this process before processes are started after all;
several times what starting them costs."""


def takes_long(kind: StepKind) -> bool:
    """Whether one such step takes seconds or more: it works on images, or trains on them."""
    return kind.measures


def worth_processes(kinds: Sequence[StepKind], *, cores: int) -> bool:
    """Whether pending steps are worth one process a core from the start.

    They are if two or more of them work on slides or scans, or if they are `MANY_STEPS` or more.

    Parameters
    ----------
    kinds
        Of the steps that are about to be carried out.
    cores
        That this process may use; with one core nothing is gained.
    """
    if cores < 2:
        return False
    return sum(takes_long(k) for k in kinds) >= 2 or len(kinds) >= MANY_STEPS


def hand_over(*, seconds: float, left: int, cores: int) -> bool:
    """Whether a part of the plan that was begun in this process goes on in one process a core.

    Parameters
    ----------
    seconds
        Since the part was begun.
    left
        Steps that are still to be carried out.
    cores
        That this process may use.
    """
    return cores >= 2 and left >= 2 and seconds >= PATIENCE_S
