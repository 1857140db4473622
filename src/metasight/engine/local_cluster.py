"""A Dask cluster on this machine that nobody but this process can use, and that serves no pages.

Dask's own servers of status pages ask nobody who he is. Scheduler and workers are made without
them; what is left listens on loopback and speaks to holders of this run's temporary key alone.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from distributed import Nanny, Scheduler, Security, SpecCluster, Worker

from metasight.errors import StudyError


class _Pageless:
    """A server of Dask's that opens no port for pages."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Open nothing."""


HOST = "127.0.0.1"
"""Where processes meet: no other machine reaches them."""


class PagelessScheduler(_Pageless, Scheduler):
    """A scheduler without pages."""


class PagelessWorker(_Pageless, Worker):
    """A worker without pages."""


def temporary_keys() -> Any:
    """Keys for one run, made in memory: without them nothing is answered.

    Raises
    ------
    StudyError
        The package that makes them is not installed.
    """
    try:
        return Security.temporary()
    except ImportError as error:
        raise StudyError(
            "processes beside this one need the package cryptography, which is not installed",
            remedy="Install it, or run with --scheduler inline",
        ) from error


def local_cluster(*, workers: int, worker_bytes: int, folder: str) -> Any:
    """Start processes of one thread each on this machine.

    Parameters
    ----------
    workers
        How many.
    worker_bytes
        Memory of each, in bytes; one that needs more is ended.
    folder
        For what workers write beside results; of this user alone.

    Raises
    ------
    StudyError
        The system does not let them start: no loopback interface, no room in ``/dev/shm``, too many
        processes or files.
    """
    common = {"host": HOST, "protocol": "tls://", "security": temporary_keys()}
    worker = {
        "cls": partial(Nanny, worker_class=PagelessWorker),
        "options": {
            **common,
            "nthreads": 1,
            "memory_limit": worker_bytes,
            "silence_logs": logging.CRITICAL,
            "local_directory": folder,
        },
    }
    scheduler = {
        "cls": PagelessScheduler,
        "options": {**common, "port": 0, "dashboard": False, "dashboard_address": None},
    }
    try:
        return SpecCluster(
            scheduler=scheduler,
            workers=dict.fromkeys(range(workers), worker),
            security=common["security"],
            silence_logs=logging.CRITICAL,
            name="metasight",
        )
    except (RuntimeError, OSError) as error:  # Dask wraps what the system refused
        raise StudyError(
            "processes beside this one could not be started",
            value=str(_first(error)),
            remedy="Run with --scheduler inline, or see that the machine has a loopback interface "
            "and room in /dev/shm (docs/operation.md)",
        ) from error


def _first(error: BaseException) -> BaseException:
    """What an error was raised from, to begin with."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
