"""What a process may use: as the kernel's files say, those of this machine and made-up ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from metasight.engine.machine import cores, memory_bytes


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A machine of eight cores and a process in ``/slurm/job_7``."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    own = tmp_path / "cgroup"
    own.write_text("0::/slurm/job_7\n")
    root = tmp_path / "fs"
    (root / "slurm" / "job_7").mkdir(parents=True)

    def put(path: str, text: str) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    return put, root, own


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "300000 100000\n"}, 3),  # a container sees its own group as the root
        ({"slurm/job_7/cpu.max": "250000 100000\n"}, 2),
        ({"slurm/cpu.max": "400000 100000\n", "slurm/job_7/cpu.max": "max 100000"}, 4),
        ({"slurm/job_7/cpu.max": "50000 100000\n"}, 1),
        ({"other/cpu.max": "100000 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_cores_by_quota(groups, files, expected):
    put, root, own = groups
    for path, text in files.items():
        put(path, text)
    assert cores(root, own) == expected


def test_memory_by_the_least_limit(groups):
    put, root, own = groups
    machine = memory_bytes(root, own)
    assert machine == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    put("slurm/memory.max", "2000000000\n")
    put("slurm/job_7/memory.max", "max\n")
    assert memory_bytes(root, own) == 2_000_000_000
    put("memory/memory.limit_in_bytes", "1000000000\n")
    assert memory_bytes(root, own) == 1_000_000_000


def test_without_control_groups_the_affinity_counts(tmp_path):
    text = (
        "import os; os.sched_setaffinity(0, {0});"
        "from metasight.engine.machine import cores; print(cores())"
    )
    told = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "1"
    assert cores(tmp_path, tmp_path / "none") == len(os.sched_getaffinity(0))
