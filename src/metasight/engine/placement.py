"""Where a user lets steps run: in this process, in processes beside it, or on a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from metasight.engine.machine import cores, memory_bytes
from metasight.engine.scheduling import AUTO, INLINE, LOCAL
from metasight.errors import StudyError

WAIT_S = 60.0
"""Seconds within which a scheduler elsewhere must have a worker."""
_UNITS = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 1e3, "mb": 1e6, "gb": 1e9, "b": 1}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where steps run, and what they may use there.

    Attributes
    ----------
    scheduler
        ``auto`` (by the work: see :mod:`metasight.engine.scheduling`), ``inline`` (this process),
        ``local`` (processes beside it), or the address of a Dask scheduler, ``tls://host:port``,
        whose workers see the same file system.
    workers
        Processes of ``auto`` and ``local``; None for one per core that may be used.
    memory
        Bytes that each of these processes may use before it is ended; None for an equal part of the
        memory that may be used.
    wait_s
        Seconds that a scheduler elsewhere may be without a worker.
    tls_ca, tls_cert, tls_key
        Certificate of the authority, own certificate and own key, for ``tls://``; where all are
        None, Dask's own configuration names them.
    insecure
        Whether an address without TLS is accepted: then everybody who reaches the scheduler can
        run code as this user.

    Raises
    ------
    StudyError
        The scheduler is none of these, its address is without TLS, or what else is given has no
        effect there.
    """

    scheduler: str = AUTO
    workers: int | None = None
    memory: int | None = None
    wait_s: float = WAIT_S
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.is_elsewhere:
            self._check_address()
        starts = self.scheduler in {AUTO, LOCAL}
        if not starts and (self.workers is not None or self.memory is not None):
            raise StudyError(
                "--workers and --memory are of processes that metasight starts, and it starts none",
                where="--scheduler",
                value=self.scheduler,
                remedy="Add --scheduler local, or leave them out; workers of a Dask scheduler have "
                "their own options",
            )
        certificates = self.tls_ca, self.tls_cert, self.tls_key
        if any(certificates) and not self.scheduler.startswith("tls://"):
            raise StudyError(
                "certificates are for an address that begins with tls://",
                where="--scheduler",
                value=self.scheduler,
                remedy="Give --scheduler tls://HOST:PORT, or leave the certificates out",
            )

    @property
    def is_elsewhere(self) -> bool:
        """Whether steps run on a scheduler that metasight has not started."""
        return self.scheduler not in {AUTO, INLINE, LOCAL}

    @property
    def n_workers(self) -> int:
        """Processes that are started on this machine."""
        return self.workers or cores()

    @property
    def worker_bytes(self) -> int:
        """Memory of each process that is started on this machine."""
        return self.memory or memory_bytes() // self.n_workers

    def _check_address(self) -> None:
        if "://" not in self.scheduler:
            raise StudyError(
                "there is no such scheduler",
                where="--scheduler",
                value=self.scheduler,
                remedy="Give auto, inline, local, or an address: tls://HOST:PORT",
            )
        if not self.scheduler.startswith("tls://") and not self.insecure:
            raise StudyError(
                "the scheduler's address is without TLS: anyone who reaches it can run code as "
                "you, and what is sent can be read",
                where="--scheduler",
                value=self.scheduler,
                remedy="Start the scheduler with certificates and give tls://HOST:PORT "
                "(docs/operation.md), or add --insecure-scheduler if only you can reach it",
            )


Where = str | Placement
"""A scheduler by its name or address, or a placement with more than that."""


def placement_of(scheduler: Where) -> Placement:
    """A scheduler that is given by its name alone, with the defaults of all else."""
    return scheduler if isinstance(scheduler, Placement) else Placement(scheduler=scheduler)


def parsed_bytes(text: str) -> int:
    """Bytes of a text such as ``4GiB``, ``500 MB`` or ``2000000``.

    Raises
    ------
    StudyError
        It is no such text, or less than a worker needs to start (256 MiB).
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?b|b)?\s*", text.lower())
    if found is None:
        raise StudyError(
            "not an amount of memory", where="--memory", value=text, remedy="For example 4GiB"
        )
    size = int(float(found[1]) * _UNITS[found[2] or "b"])
    if size < 256 * 2**20:
        raise StudyError(
            "too little memory for a worker",
            where="--memory",
            value=text,
            remedy="Give 256MiB or more; images need several GiB",
        )
    return size
