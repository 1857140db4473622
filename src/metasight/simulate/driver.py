"""Fill a folder with simulated patients: each whole or not at all, an interrupted run goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from metasight.engine.progress import Progress
from metasight.errors import StudyError
from metasight.simulate.settings import STAMP, Part

_SETTINGS = "settings.json"
_LABEL = "patients"


def drawn_from(settings: Part, key: str, seed: int, version: int) -> dict[str, Any]:
    """What a cohort is drawn from, as it is said in its folder.

    Parameters
    ----------
    settings, seed, version
        Of the cohort, and of the simulator.
    key
        Tells the cohort from every other.
    """
    return {
        "simulated": STAMP,
        "version": version,
        "seed": seed,
        "key": key,
        "settings": settings.model_dump(mode="json"),
    }


def claim(folder: Path, said: Mapping[str, Any]) -> None:
    """Take a folder for a cohort, or see that it already is this cohort's.

    Parameters
    ----------
    folder
        New, empty, or one that the same cohort began to fill.
    said
        What the cohort is drawn from; ``key`` tells it from others.

    Raises
    ------
    StudyError
        The folder holds something else.
    """
    path = folder / "truth" / _SETTINGS
    if path.is_file():
        if json.loads(path.read_text("utf-8")).get("key") != said["key"]:
            raise StudyError(
                "the folder holds a cohort of other settings or another seed",
                where=folder.name,
                remedy="Give another folder, or the same settings and seed",
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError("the folder is not empty", where=folder.name, remedy="Give a new folder")
    path.parent.mkdir(parents=True)
    write_truth(path, said)


def write_truth(path: Path, value: Any) -> None:
    """Write JSON that is the same for the same value, for people to read."""
    beside = path.with_name(f".{path.name}.partial")
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    beside.write_text(text + "\n", "utf-8")
    os.replace(beside, path)


def fill(
    made: Callable[[int], bool],
    make: Callable[[int], int],
    patients: int,
    *,
    jobs: int,
    progress: Progress,
) -> None:
    """Make every patient that is not there yet.

    Parameters
    ----------
    made
        Whether the patient of a number is there, whole.
    make
        Makes one and returns the number; must pickle.
    patients
        How many.
    jobs
        Processes.
    progress
        Told of patients done.
    """
    todo = [i for i in range(patients) if not made(i)]
    progress.start([_LABEL] * patients)
    for _ in range(patients - len(todo)):
        progress.finished(_LABEL)
    for _ in _each(make, todo, jobs):
        progress.finished(_LABEL)


def _each(make: Callable[[int], int], todo: list[int], jobs: int) -> Iterator[int]:
    if jobs <= 1 or len(todo) <= 1:
        yield from map(make, todo)
        return
    # spawned, not forked: OpenCV, SimpleITK and numba hold threads
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(todo)), mp_context=context) as pool:
        waiting = [pool.submit(make, i) for i in todo]
        for done in as_completed(waiting):
            yield done.result()
