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
    """
    common = {"host": "127.0.0.1", "protocol": "tls://", "security": temporary_keys()}
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
    return SpecCluster(
        scheduler=scheduler,
        workers=dict.fromkeys(range(workers), worker),
        security=common["security"],
        silence_logs=logging.CRITICAL,
        name="metasight",
    )
