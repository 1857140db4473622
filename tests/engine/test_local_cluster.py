"""Processes beside this one: whoever else uses the machine can do nothing with them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psutil
import pytest
from distributed import LocalCluster, Security

import worker_steps
from metasight.engine import local_cluster
from metasight.engine.contents import Contents
from metasight.engine.placement import Placement
from metasight.engine.progress import Silent
from metasight.engine.run import Work
from metasight.engine.step import Step
from metasight.engine.store import Store
from metasight.errors import StudyError

ATTACK = """
import sys
from concurrent.futures import ThreadPoolExecutor
from distributed import Client, Security

def attack(address):
    own = address.startswith("tls")
    security = Security.temporary() if own else Security(require_encryption=False)
    try:
        with Client(address, timeout=1, security=security) as client:
            return client.run(lambda: 1), client.run_on_scheduler(lambda: 1)
    except (OSError, TimeoutError, TypeError, ValueError):
        return "refused"

with ThreadPoolExecutor(len(sys.argv)) as pool:
    print(*pool.map(attack, sys.argv[1:]))
"""


def work(folder, **asked) -> Work:
    contents = Contents(folder / "contents.json")
    store = Store(folder / "store", contents)
    place = Placement(scheduler="local", **asked)
    return Work(store, contents, folder / "last.json", scheduler=place, progress=Silent())


def listening() -> set[int]:
    """Ports at which this process and its children listen."""
    me = psutil.Process()
    return {
        c.laddr.port
        for p in [me, *me.children(recursive=True)]
        for c in p.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    }


@pytest.fixture(scope="module")
def during(tmp_path_factory):
    """A run whose only step waits for the tests: its ports; afterwards, who carried it out."""
    folder = tmp_path_factory.mktemp("during")
    begun, end = folder / "begun", folder / "end"
    waits = Step(
        name="wait",
        label="s",
        function=worker_steps.wait_for,
        argument=(str(begun), str(end)),
    )
    before = listening()
    failed: list[Exception] = []

    def run() -> None:
        try:
            with work(folder, workers=1) as own:
                own.make([waits])
        except Exception as error:  # noqa: BLE001 - of a thread, raised below
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(600):
        if begun.exists() or failed:
            break
        time.sleep(0.05)
    assert failed == []
    yield listening() - before
    end.write_text("")
    thread.join(30)
    assert failed == []
    assert Store(folder / "store").has(waits.key)


def test_only_scheduler_nanny_and_worker_listen(during):
    assert len(during) == 3


def test_another_process_without_the_keys_is_refused_by_every_port(during):
    """Whether it speaks in clear or has keys of its own."""
    addresses = [f"{p}://127.0.0.1:{port}" for port in sorted(during) for p in ("tcp", "tls")]
    told = subprocess.run(
        [sys.executable, "-c", ATTACK, *addresses],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.split() == ["refused"] * 6


def test_the_attack_gets_into_a_cluster_without_keys():
    """So that the test above shows what it says."""
    with LocalCluster(
        n_workers=1, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
    ) as open_to_all:
        told = subprocess.run(
            [sys.executable, "-c", ATTACK, open_to_all.scheduler_address],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert ": 1}, 1)" in told.stdout


def test_no_port_serves_a_page(during):
    for port in during:
        with pytest.raises((urllib.error.URLError, OSError)):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/info", timeout=2)


def test_steps_run_in_as_many_other_processes_as_asked_for(tmp_path):
    steps = [Step(name=f"s{i}", label="s", function=worker_steps.process) for i in range(6)]
    with work(tmp_path, workers=1) as own:
        own.make(steps)
        found = {(own.folder(s) / "x").read_text() for s in steps}
    assert len(found) == 1
    assert str(os.getpid()) not in found


def test_a_step_whose_process_is_killed_is_named_with_its_memory(tmp_path):
    """Not those that waited at the same worker, and no fault of metasight."""
    bad = Step(name="measure the big one", label="s", function=worker_steps.be_killed)
    others = [
        Step(name=f"s{i}", label="s", function=worker_steps.sleep, argument=0.01) for i in range(5)
    ]
    told = r"step 'measure the big one': .*memory.*3 tries, limit of memory 0\.5 GiB.*--memory"
    with (
        work(tmp_path, workers=1, memory=2**29) as own,
        pytest.raises(StudyError, match=told),
    ):
        own.make([bad, *others])


def test_without_the_package_that_makes_keys_nothing_is_started(monkeypatch):
    def missing() -> None:
        raise ImportError("cryptography")

    monkeypatch.setattr(Security, "temporary", missing)
    with pytest.raises(StudyError, match=r"cryptography, which is not installed.*inline"):
        local_cluster.local_cluster(workers=1, worker_bytes=2**30, folder="")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_processes_that_cannot_start_are_named(tmp_path, monkeypatch):
    """As where the machine has no loopback interface: no address is one of this machine's."""
    monkeypatch.setattr(local_cluster, "HOST", "192.0.2.1")
    with pytest.raises(StudyError, match="processes beside this one could not be started"):
        local_cluster.local_cluster(workers=1, worker_bytes=2**30, folder=str(tmp_path))
    gc.collect()  # Dask leaves a socket open where it fails
