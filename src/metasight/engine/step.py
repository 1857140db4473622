"""A step of a study: a function, what it is told, what it reads, and a key of all of that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from metasight.engine.argument import Plain, tell
from metasight.engine.code import Reached, code_of
from metasight.engine.contents import Contents
from metasight.provenance import canonical_json


class StepKind(StrEnum):
    """What a step does. Plans, publishing and checks go by it; labels and names are for people."""

    CHECK_SLIDE = "check slide"
    READ_MARKERS = "read markers"
    MEASURE_SLIDES = "measure slides"
    DRAW_SHEET = "draw sheet"
    COLLECT_TILES = "collect tiles"
    TRAIN_GENERATOR = "train generator"
    PAINT_MAP = "paint map"
    PAINT_AGAIN = "paint map again"
    COMPARE_MAPS = "compare maps"
    COMPARE_GENERATORS = "compare generators"
    EMBED_PATCHES = "embed patches"
    GATHER_BAGS = "gather bags"
    CHECK_SCANS = "check scans"
    MEASURE_SCANS = "measure scans"
    GATHER_CROPS = "gather crops"
    SCREEN = "screen cohort"
    CUT_DATA = "cut data"
    FIT = "fit"
    FIT_RESAMPLE = "fit resample"
    FIT_EVERYBODY = "fit everybody"
    FIT_NOISE = "fit noise"
    FIT_SPOILT = "fit spoilt rows"
    FIT_CENTRE = "fit centre"
    FIT_PAIRS = "fit pairs of folds"
    FIT_PERMUTED = "fit permuted rows"
    FIT_INTERVALS = "fit intervals"
    FIT_IMPUTED = "fit imputations"
    CHECK_LEAKAGE = "check leakage"
    EVALUATE = "evaluate"
    PREDICT = "predict"
    VERIFY = "verify"
    STAGE = "stage"
    RELATE_GENES = "relate genes"
    JUDGE_TEXTURE = "judge texture"
    DRAW_ATTENTION = "draw attention"
    DRAW_PAGES = "draw pages"
    LOCK_BUNDLE = "lock bundle"
    COLLECT_RESULTS = "collect results"
    WRITE_REPORT = "write report"
    OTHER = "other"

    @property
    def learns(self) -> bool:
        """Whether such a step fits or trains anything; a validation has none."""
        return self.name.startswith(("FIT", "TRAIN"))

    @property
    def measures(self) -> bool:
        """Whether such a step works on slides or scans, before anybody is screened."""
        return self in _BEFORE_SCREENING

    @property
    def reports(self) -> bool:
        """Whether such a step only sets out what others found."""
        return self in {
            StepKind.DRAW_SHEET,
            StepKind.DRAW_ATTENTION,
            StepKind.DRAW_PAGES,
            StepKind.LOCK_BUNDLE,
            StepKind.COLLECT_RESULTS,
            StepKind.WRITE_REPORT,
        }


_BEFORE_SCREENING = frozenset(tuple(StepKind)[: tuple(StepKind).index(StepKind.SCREEN)])


@dataclass(frozen=True, kw_only=True)
class Input:
    """The result of a step that another step reads.

    Attributes
    ----------
    name, kind, subject
        Of the step that made it.
    folder
        Where it lies.
    """

    name: str
    kind: StepKind
    subject: str
    folder: Path


class Inputs(Mapping[str, Path]):
    """Results that a step reads: folders by step name, or all of a kind, in the plan's order."""

    def __init__(self, inputs: tuple[Input, ...] = ()) -> None:
        self._by_name = {i.name: i for i in inputs}

    def __getitem__(self, name: str) -> Path:
        return self._by_name[name].folder

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def of(self, *kinds: StepKind) -> tuple[Input, ...]:
        """All inputs of some kinds."""
        return tuple(i for i in self._by_name.values() if i.kind in kinds)

    def with_file(self, kind: StepKind, file: str) -> tuple[Input, ...]:
        """Inputs of a kind that left a file, as fits that succeeded do."""
        return tuple(i for i in self.of(kind) if (i.folder / file).is_file())

    def one(self, kind: StepKind) -> Path | None:
        """Folder of the only input of a kind; None where there is none."""
        found = self.of(kind)
        if len(found) > 1:
            raise ValueError(f"{len(found)} inputs are of kind {kind}")
        return found[0].folder if found else None

    def only(self, kind: StepKind) -> Path:
        """Folder of the only input of a kind that every plan gives.

        Raises
        ------
        ValueError
            There is none, or more than one.
        """
        folder = self.one(kind)
        if folder is None:
            raise ValueError(f"no input is of kind {kind}")
        return folder


StepFunction = Callable[[Inputs, Path, Any], None]
"""Called as ``function(inputs, out, argument)``: results of the steps it needs, an empty folder to
fill, and the step's argument. Must be at the top of a module (workers get it by name)."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One unit of work and of storage.

    Attributes
    ----------
    name
        Unique in a plan, for people: ``fit dmfs · clinical · repeat 1 fold 2``.
    kind
        What it does.
    label
        Progress bar in which it is counted.
    subject
        Pseudonym, fold or model that it is about; empty where it is about all.
    function
        What makes the result.
    argument
        Passed to ``function``; everything in it counts.
    needs
        Steps whose results are read.
    resumes
        Whether the function goes on from what a killed call of it left in its folder.
    contents
        Tells what the paths of the argument hold.
    told
        The argument as plain data.
    code
        The code that the result rests on.
    key
        Hash of all that can change the result.
    """

    name: str
    kind: StepKind = StepKind.OTHER
    label: str
    subject: str = ""
    function: StepFunction
    argument: Any = None
    needs: tuple[Step | Reference, ...] = ()
    resumes: bool = False
    contents: Contents = field(default_factory=Contents, repr=False, compare=False)
    told: Plain = field(init=False, repr=False)
    code: Reached = field(init=False, repr=False, compare=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        told = tell(self.argument, self.contents)
        object.__setattr__(self, "told", told.plain)
        object.__setattr__(self, "code", code_of(self.function, told.classes))
        beside = canonical_json(
            {
                "code": self.code.digest,
                "function": self.function.__name__,
                "name": self.name,
                "needs": {s.name: s.key for s in self.needs},
            }
        )
        # one canonical text of all; that of the argument is there already
        content = f'{{"argument":{told.text},{beside[1:]}'
        object.__setattr__(self, "key", hashlib.sha256(content.encode()).hexdigest())

    @property
    def task(self) -> Task:
        """What a worker is sent."""
        return Task(
            name=self.name,
            function=self.function,
            argument=self.argument,
            needs=tuple(
                Reference(name=n.name, kind=n.kind, subject=n.subject, key=n.key)
                for n in self.needs
            ),
            resumes=self.resumes,
            packages=self.code.packages,
            code=self.code.digest,
            key=self.key,
        )


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A step whose result is read, without what made it."""

    name: str
    kind: StepKind
    subject: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """A step as a worker needs it; see :class:`Step`.

    Attributes
    ----------
    packages
        Whose versions are written beside the result.
    code
        Digest of the code that was to make it.
    """

    name: str
    function: StepFunction
    argument: Any
    needs: tuple[Reference, ...]
    resumes: bool
    packages: tuple[str, ...]
    code: str
    key: str
