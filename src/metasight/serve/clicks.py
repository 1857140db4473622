"""A lesion from a click: asked of the stage that finds lesions, in a process beside the server.

One process, one question at a time: lungs take seconds and hundreds of MB, and pages must go on.
It keeps the last scan and its lungs, so a second click in the same scan is quicker.
"""

from __future__ import annotations

import multiprocessing
import secrets
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import numpy.typing as npt

from metasight.cohort.scan_table import PatientScans, Point
from metasight.cohort.settings import ScanRecipe
from metasight.errors import MetasightError, VolumeError
from metasight.lesions.disagreement import disagreement_of
from metasight.lesions.measured import measure
from metasight.segmentation.lesion import lesion_from_click
from metasight.segmentation.lesion_network import shipped_lesion_network
from metasight.segmentation.lung import Lungs, find_lungs
from metasight.serve.scans import read_own_ct
from metasight.volumes.grid import Grid
from metasight.volumes.volume import Mask, Volume

_MOST_KEPT = 30


@dataclass(frozen=True, kw_only=True)
class Click:
    """A point in a patient's CT.

    Attributes
    ----------
    scans, recipe
        As the study names and reads them.
    point_mm
        x, y, z in patient coordinates (LPS).
    """

    scans: PatientScans
    recipe: ScanRecipe
    point_mm: Point


@dataclass(frozen=True, kw_only=True)
class FoundLesion:
    """A lesion and its measures.

    Attributes
    ----------
    inside
        (z, y, x) on the CT's grid, packed.
    grid
        Of the CT.
    row
        Measurements by name, as a run would write them.
    words
        How far other outlines lie apart.
    flagged
        Whether somebody must look before the outline is used; None where that is not known.
    """

    inside: npt.NDArray[np.uint8]
    grid: Grid
    row: dict[str, Any]
    words: str
    flagged: bool | None

    def mask_on(self, ct: Volume) -> Mask:
        """The lesion on its scan.

        Raises
        ------
        VolumeError
            The scan is another one by now.
        """
        if not ct.grid.matches(self.grid):
            raise VolumeError("the scan was changed since the click", remedy="Click again")
        shape = ct.grid.size[::-1]
        inside = np.unpackbits(self.inside, count=int(np.prod(shape)))
        return Mask.from_array(inside.reshape(shape), on=ct)


_LAST: dict[PatientScans, tuple[Volume, Lungs]] = {}
"""Of the process that answers clicks: the last scan and its lungs."""


def find(click: Click) -> FoundLesion:
    """Answer a click as the steps of a run would.

    Raises
    ------
    VolumeError
        The CT cannot be read, no lungs were found, or nothing denser than lung is at the point.
    """
    if click.scans not in _LAST:
        _LAST.clear()
        ct = read_own_ct(click.scans, click.recipe)
        _LAST[click.scans] = ct, find_lungs(ct)
    ct, lungs = _LAST[click.scans]
    found = lesion_from_click(ct, lungs, click.point_mm, network=shipped_lesion_network())
    try:
        measured = measure(ct, found.mask, lungs=lungs)
    except VolumeError:  # it lies in no lung: its size is known all the same
        measured = measure(ct, found.mask)
    apart = disagreement_of(found.outlines)
    return FoundLesion(
        inside=np.packbits(found.mask.array),
        grid=ct.grid,
        row=measured.with_disagreement(apart).as_row(),
        words=apart.in_words(),
        flagged=apart.flagged,
    )


@dataclass(kw_only=True)
class Job:
    """A click that was asked.

    Attributes
    ----------
    patient
        Pseudonym.
    click
        Where.
    begun
        On the monotonic clock.
    """

    patient: str
    click: Click
    begun: float
    answer: Future[FoundLesion]

    @property
    def seconds(self) -> float:
        """Since it was asked."""
        return time.monotonic() - self.begun

    @property
    def done(self) -> bool:
        """Whether there is an answer, or none will come."""
        return self.answer.done()

    @property
    def found(self) -> FoundLesion | None:
        """The lesion; None where none was found, or it is not known yet."""
        return self.answer.result() if self.done and not self.problem else None

    @property
    def problem(self) -> str:
        """Why none was found; empty where one was, or it is not known yet."""
        if not self.done or self.answer.cancelled():
            return "it was not looked for" if self.answer.cancelled() else ""
        error = self.answer.exception()
        if error is None:
            return ""
        if isinstance(error, MetasightError):
            return str(error)
        if isinstance(error, BrokenProcessPool):
            return "The process that looks for lesions was ended: too little memory. Click again."
        return f"A fault in metasight ({type(error).__name__}), not in the scan."


class Clicks:
    """Clicks of all browsers, answered one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._children: tuple[BaseProcess, ...] = ()

    def ask(self, click: Click) -> str:
        """Ask; the name under which the answer is kept."""
        name = secrets.token_urlsafe(12)
        with self._lock:
            answer = self._submitted(click)
            self._jobs[name] = Job(
                patient=click.scans.patient, click=click, begun=time.monotonic(), answer=answer
            )
            while len(self._jobs) > _MOST_KEPT:
                self._jobs.popitem(last=False)[1].answer.cancel()
        return name

    def of(self, name: str, patient: str) -> Job | None:
        """A click on a patient's scan; None where it is not known any more."""
        with self._lock:
            job = self._jobs.get(name)
        return job if job is not None and job.patient == patient else None

    def close(self) -> None:
        """Let go of the process; an answer under way is given up."""
        with self._lock:
            if self._pool is None:
                return
            if not all(job.done for job in self._jobs.values()):
                for child in self._children:
                    child.terminate()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _submitted(self, click: Click) -> Future[FoundLesion]:
        for _ in range(2):
            before = {*multiprocessing.active_children()}
            if self._pool is None:
                self._children = ()
                # spawned: a fork of a process with threads may hang
                self._pool = ProcessPoolExecutor(
                    max_workers=1, mp_context=multiprocessing.get_context("spawn")
                )
            with suppress(BrokenProcessPool):
                answer = self._pool.submit(find, click)
                new = {*multiprocessing.active_children()} - before
                self._children = (*self._children, *new)
                return answer
            self._pool = None
        raise VolumeError(
            "the process that looks for lesions cannot be started",
            remedy="Check free memory, then start the workbench again",
        )
