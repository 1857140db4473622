"""Steps on a scheduler elsewhere: TLS, equal code and packages, workers, and whose result it is."""

from __future__ import annotations

import threading
import time

import dask
import pytest
from distributed import LocalCluster, Security

import worker_steps
from metasight.engine import cluster
from metasight.engine.cluster import Expected, differences, expected_of
from metasight.engine.contents import Contents
from metasight.engine.placement import Placement
from metasight.engine.progress import Silent
from metasight.engine.run import Work
from metasight.engine.step import Step
from metasight.engine.store import Store
from metasight.errors import EvaluationError, StudyError
from metasight.steps.files import write_json


def refuse(inputs, out, argument):
    write_json(out / "half.json", 1)
    raise EvaluationError("no event", where="step", value="0", remedy="Wait")


def step(name: str, function=worker_steps.write, needs=(), argument=None) -> Step:
    return Step(name=name, label="s", function=function, needs=needs, argument=argument)


def work(folder, placement: Placement) -> Work:
    contents = Contents(folder / "contents.json")
    store = Store(folder / "store", contents)
    return Work(store, contents, folder / "last.json", scheduler=placement, progress=Silent())


def scheduler(n_workers: int = 1, security: Security | None = None) -> LocalCluster:
    """In this process, as a cluster elsewhere would be seen from here."""
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=False,
        protocol="tls" if security else "tcp",
        security=security,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    )


@pytest.fixture(scope="module")
def place():
    with scheduler() as made:
        yield Placement(scheduler=made.scheduler_address, insecure=True, wait_s=5)


def test_a_scheduler_by_its_address(tmp_path, place):
    first = step("first")
    second = step("second", needs=(first,))
    with work(tmp_path, place) as own:
        own.make([second])
        assert (own.folder(second) / "x").read_text() == "firstNone"
    assert list((tmp_path / "store" / "unfinished").glob("*/at-*")) == []


def test_two_studies_on_one_scheduler_have_each_their_own_results(tmp_path, place):
    """Even while both are at the same step."""
    same = [tmp_path / name for name in ("one", "two")]

    def make(folder) -> None:
        with work(folder, place) as own:
            own.make([step("same", needs=(step("slow", worker_steps.sleep, argument=0.3),))])

    threads = [threading.Thread(target=make, args=(folder,)) for folder in same]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert all(Store(folder / "store").has(_key()) for folder in same)


def _key() -> str:
    return step("same", needs=(step("slow", worker_steps.sleep, argument=0.3),)).key


def test_an_error_on_a_worker_arrives_as_itself(tmp_path, place):
    bad = step("bad", refuse)
    with work(tmp_path, place) as own:
        with pytest.raises(EvaluationError, match=r"step: no event \(value: 0\). Wait."):
            own.make([bad])
        assert not own.store.has(bad.key)


def test_equal_code_and_packages_differ_in_nothing():
    assert differences(expected_of([step("x")])) == ()


def test_a_worker_of_another_package_is_refused_by_name(tmp_path, place, monkeypatch):
    code, versions = cluster.own_code().digest, (("numpy", "9.9"), ("python", "3.99"))
    monkeypatch.setattr(cluster, "expected_of", lambda steps: Expected(code, versions))
    one = step("x")
    with work(tmp_path, place) as own:
        with pytest.raises(StudyError, match=r"tcp://.*numpy .* instead of 9\.9; python .*3\.99"):
            own.make([one])
        assert not own.store.has(one.key)


def test_a_worker_of_other_code_is_refused(tmp_path, place, monkeypatch):
    monkeypatch.setattr(cluster, "expected_of", lambda steps: Expected("another", ()))
    with (
        work(tmp_path, place) as own,
        pytest.raises(StudyError, match="another source code of metasight"),
    ):
        own.make([step("x")])


def test_a_worker_that_joins_later_is_asked_as_well(tmp_path, place, monkeypatch):
    monkeypatch.setattr(cluster, "expected_of", lambda steps: Expected("another", ()))
    monkeypatch.setattr(cluster.Cluster, "_shake_hands", lambda self, expected: None)
    with (
        work(tmp_path, place) as own,
        pytest.raises(StudyError, match="another source code of metasight"),
    ):
        own.make([step("x")])


def test_a_scheduler_without_workers_is_not_waited_for(tmp_path):
    with scheduler(n_workers=0) as made:
        place = Placement(scheduler=made.scheduler_address, insecure=True, wait_s=0.5)
        with (
            work(tmp_path, place) as own,
            pytest.raises(StudyError, match=r"has no worker \(value: waited 0.5 s\).*--wait"),
        ):
            own.make([step("x")])


def test_a_scheduler_that_lost_its_workers_is_not_waited_for(tmp_path):
    with scheduler() as made:
        place = Placement(scheduler=made.scheduler_address, insecure=True, wait_s=0.5)
        begun, end = tmp_path / "begun", tmp_path / "end"

        def take_away() -> None:
            for _ in range(600):
                if begun.exists():
                    break
                time.sleep(0.05)
            made.scale(0)
            end.write_text("")

        taker = threading.Thread(target=take_away)
        taker.start()
        slow = step("slow", worker_steps.wait_for, argument=(str(begun), str(end)))
        with (
            work(tmp_path, place) as own,
            pytest.raises(StudyError, match="no worker is left on the Dask scheduler"),
        ):
            own.make([slow, step("after", worker_steps.sleep, (slow,), 0.1)])
        taker.join()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tls://127.0.0.1:9"])
def test_no_scheduler_there(tmp_path, address, monkeypatch, certificates):
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN_S", 0.5)
    keys = certificates if address.startswith("tls") else {}
    place = Placement(scheduler=address, insecure=True, **keys)
    with (
        work(tmp_path, place) as own,
        pytest.raises(StudyError, match="no Dask scheduler answers"),
    ):
        own.make([step("x")])


@pytest.fixture(scope="module")
def keys():
    return Security.temporary()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory, keys):
    folder = tmp_path_factory.mktemp("certificates")
    texts = {
        "tls_ca": keys.tls_ca_file,
        "tls_cert": keys.tls_client_cert,
        "tls_key": keys.tls_client_key,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in texts}


def test_tls_with_certificates_of_the_options(tmp_path, keys, certificates):
    with scheduler(security=keys) as made:
        assert made.scheduler_address.startswith("tls://")
        with work(tmp_path, Placement(scheduler=made.scheduler_address, **certificates)) as own:
            own.make([step("x")])
            assert own.store.has(step("x").key)


def test_tls_with_certificates_of_dask_s_configuration(tmp_path, keys, certificates):
    names = {"tls_ca": "ca-file", "tls_cert": "client.cert", "tls_key": "client.key"}
    own = {f"distributed.comm.tls.{names[n]}": str(p) for n, p in certificates.items()}
    with (
        scheduler(security=keys) as made,
        dask.config.set(own),
        work(tmp_path, Placement(scheduler=made.scheduler_address)) as run,
    ):
        run.make([step("x")])
        assert run.store.has(step("x").key)


def test_tls_with_another_s_certificates_is_refused(tmp_path, keys, certificates, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN_S", 0.5)
    with scheduler(security=Security.temporary()) as made:
        place = Placement(scheduler=made.scheduler_address, **certificates)
        with (
            work(tmp_path, place) as own,
            pytest.raises(StudyError, match="no Dask scheduler answers"),
        ):
            own.make([step("x")])


def test_missing_certificates_are_named(tmp_path, certificates):
    lost = certificates | {"tls_key": tmp_path / "none.pem"}
    for given, told in (
        ({}, "--tls-ca: a certificate for tls:// is missing"),
        (lost, r"--tls-key: there is no such file \(value: .*none"),
    ):
        with (
            work(tmp_path, Placement(scheduler="tls://127.0.0.1:9", **given)) as own,
            pytest.raises(StudyError, match=told),
        ):
            own.make([step("x")])
