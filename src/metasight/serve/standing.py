"""Whether the results are up to date, and what is pending and why: looked at beside the pages."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.errors import MetasightError
from metasight.study.file import Study, read_study

_IN_WORDS = {
    "folder changed": "a table of the study changed",
    "accepted changed": "a reader accepted a lesion",
    "decision changed": "a reader decided",
}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a look at the study found.

    Attributes
    ----------
    looking
        Whether it is being looked at now.
    pending
        What steps do → number of steps and the reasons, the most frequent first.
    steps
        Number of all pending steps that are known; more may follow from them.
    problem
        What stops the next run, in words; empty where nothing does.
    """

    looking: bool = False
    pending: tuple[tuple[str, int, tuple[str, ...]], ...] = ()
    steps: int = 0
    problem: str = ""

    @property
    def is_current(self) -> bool:
        """Whether a new run would have nothing to do."""
        return not (self.looking or self.steps or self.problem)


class Looking:
    """Looks at a study in a thread of its own; a page never waits for it.

    Parameters
    ----------
    study
        Whose tables and settings are read anew at each look.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._found = Standing(looking=True)

    @property
    def found(self) -> Standing:
        """The last look's result, or that it is still going on."""
        with self._lock:
            return self._found

    def again(self) -> None:
        """Look again, unless a look is going on."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._found = Standing(looking=True)
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()

    def wait(self, timeout_s: float = 60.0) -> Standing:
        """The result, once it is there."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return self.found

    def _look(self) -> None:
        found = _looked_at(self._study)
        with self._lock:
            self._found = found


def _looked_at(study: Study) -> Standing:
    try:
        pending = pipeline.look(read_study(study.folder), progress=Silent())
    except MetasightError as error:
        return Standing(problem=str(error))
    except OSError:
        return Standing(problem="A file of the study cannot be read. Check permissions.")
    number: Counter[str] = Counter(str(p.step.kind) for p in pending)
    reasons: dict[str, Counter[str]] = {}
    for one in pending:
        # a step that is named in a reason may be a patient's: the kind of the change is enough
        why = _IN_WORDS.get(one.why, one.why)
        why = why if "'" not in why else "a step that it reads has changed"
        reasons.setdefault(str(one.step.kind), Counter())[why] += 1
    return Standing(
        pending=tuple(
            (kind, n, tuple(w for w, _ in reasons[kind].most_common(3)))
            for kind, n in number.items()
        ),
        steps=len(pending),
    )
