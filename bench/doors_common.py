"""Situations of real input, and the table of what metasight makes of each.

``bench/doors.py`` collects those of every part; each part's file also runs alone.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One property that real files have.

    Attributes
    ----------
    name
        What is met.
    run
        Makes the input in an empty folder, runs metasight on it and returns "right",
        "refused: <message>" or "wrong: <what>".
    """

    name: str
    run: Callable[[Path], str]


def table(situations: Sequence[Situation], work: Path) -> int:
    """Run all, print "situation | outcome", and return how many are wrong."""
    wrong = 0
    width = max(len(s.name) for s in situations)
    print(f"{'situation':{width}} | outcome")
    print(f"{'-' * width}-|-{'-' * 60}")
    for number, situation in enumerate(situations):
        folder = work / f"{number:03d}"
        folder.mkdir(parents=True)
        try:
            outcome = situation.run(folder)
        except Exception as error:  # noqa: BLE001 (that it was raised is the outcome)
            place = traceback.extract_tb(sys.exc_info()[2])[-1]
            outcome = f"wrong: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        wrong += not outcome.startswith(("right", "refused: "))
        print(f"{situation.name:{width}} | {outcome}", flush=True)
    print(f"\n{len(situations)} situations, {wrong} wrong")
    return wrong


def main(situations: Sequence[Situation]) -> int:
    """The table of one part in a folder that is removed; 1 if one is wrong."""
    with tempfile.TemporaryDirectory(prefix="doors-") as work:
        return int(table(situations, Path(work)) > 0)
