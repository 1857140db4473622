"""Where steps may run, and what is refused."""

from __future__ import annotations

import pytest

from metasight.engine import placement
from metasight.engine.placement import Placement, parsed_bytes, placement_of
from metasight.errors import StudyError


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "ws://10.0.0.1:80", "inproc://x/1"])
def test_an_address_without_tls_is_refused_unless_that_is_asked_for(address):
    with pytest.raises(StudyError, match=r"without TLS.*tls://HOST:PORT.*--insecure-scheduler"):
        Placement(scheduler=address)
    assert Placement(scheduler=address, insecure=True).is_elsewhere


def test_an_address_with_tls_and_the_names_are_accepted():
    assert Placement(scheduler="tls://10.0.0.1:8786").is_elsewhere
    assert not any(Placement(scheduler=s).is_elsewhere for s in ("auto", "inline", "local"))


@pytest.mark.parametrize("scheduler", ["inline", "tls://h:1"])
@pytest.mark.parametrize("given", [{"workers": 2}, {"memory": 2**30}])
def test_what_would_have_no_effect_is_refused(scheduler, given):
    with pytest.raises(StudyError, match=r"it starts none .*--scheduler local"):
        Placement(scheduler=scheduler, **given)


@pytest.mark.parametrize("scheduler", ["local", "tcp://h:1"])
def test_certificates_without_tls_are_refused(scheduler, tmp_path):
    with pytest.raises(StudyError, match="certificates are for an address that begins with tls"):
        Placement(scheduler=scheduler, insecure=True, tls_ca=tmp_path)


@pytest.mark.parametrize("name", ["locl", "", "10.0.0.1:8786"])
def test_what_is_no_scheduler_is_refused(name):
    with pytest.raises(StudyError, match="there is no such scheduler"):
        Placement(scheduler=name, insecure=True)


def test_a_name_alone_has_the_defaults_of_all_else():
    assert placement_of("inline") == Placement(scheduler="inline")
    given = Placement(scheduler="local", workers=3)
    assert placement_of(given) is given


def test_workers_share_the_memory_that_may_be_used(monkeypatch):
    monkeypatch.setattr(placement, "cores", lambda: 4)
    monkeypatch.setattr(placement, "memory_bytes", lambda: 16 * 2**30)
    assert (Placement().n_workers, Placement().worker_bytes) == (4, 4 * 2**30)
    assert Placement(workers=2).worker_bytes == 8 * 2**30
    assert Placement(memory=2**30).worker_bytes == 2**30


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4GiB", 4 * 2**30), ("500 MB", 500_000_000), ("1.5gib", 3 * 2**29), ("300000000", 3 * 10**8)],
)
def test_amounts_of_memory(text, expected):
    assert parsed_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "much", "-4GiB", "4 GiB each", "4TB"])
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(StudyError, match="not an amount of memory"):
        parsed_bytes(text)


def test_too_little_memory_is_refused_before_anything_starts():
    with pytest.raises(StudyError, match="too little memory for a worker"):
        parsed_bytes("200MB")
