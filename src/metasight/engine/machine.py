"""What of this machine the process may use: cores and memory, by affinity and control groups.

A batch system or a container gives a process a part of the machine. Counting the machine's cores
would start a process for each of them, all on the few that were given.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def cores(cgroups: Path = _CGROUPS, own_group: Path = _OWN_GROUP) -> int:
    """Cores that this process may use: of its affinity, and no more than its quota of time.

    Parameters
    ----------
    cgroups, own_group
        Where the kernel tells of control groups; other folders in tests.

    Returns
    -------
    1 or more. A quota of 2.5 cores counts as 2: a third process would wait for the others.
    """
    found = len(os.sched_getaffinity(0))
    for quota, period in _quotas(cgroups, own_group):
        found = min(found, math.floor(quota / period))
    return max(1, found)


def memory_bytes(cgroups: Path = _CGROUPS, own_group: Path = _OWN_GROUP) -> int:
    """Memory that this process and its children may use, in bytes.

    Parameters
    ----------
    cgroups, own_group
        As in :func:`cores`.
    """
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _groups(cgroups, own_group, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _number(folder / name)
            if limit is not None and limit > 0:
                found = min(found, limit)
    return found


def _quotas(cgroups: Path, own_group: Path) -> Iterator[tuple[int, int]]:
    """Microseconds of processor time a period, and the period, of every group with a limit."""
    for folder in _groups(cgroups, own_group, "cpu"):
        try:
            quota, period = (folder / "cpu.max").read_text("ascii").split()
            yield int(quota), int(period)  # "max" is no number: there is no limit
        except (OSError, ValueError):
            pass
        older = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if older[0] is not None and older[1] and older[0] > 0:
            yield older[0], older[1]


def _groups(cgroups: Path, own_group: Path, controller: str) -> Iterator[Path]:
    """The folders of the group of this process and of all above it, of both versions."""
    try:
        lines = own_group.read_text("utf-8").splitlines()
    except OSError:
        lines = []
    roots = [cgroups, cgroups / controller, cgroups / "cpu,cpuacct"]
    yield from roots
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for root in roots:
            folder = root / path.strip("/")
            while folder != root and root in folder.parents:
                yield folder
                folder = folder.parent


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
