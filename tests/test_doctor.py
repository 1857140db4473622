"""What a machine lacks is found, and how bad that is."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest

from metasight import doctor


def found(what: str) -> doctor.Finding:
    (one,) = (f for f in doctor.examine() if f.what == what)
    return one


def test_this_machine_can_run_a_study():
    assert [f for f in doctor.examine() if f.verdict == "FAIL"] == []


def test_all_that_is_well_needs_no_mending():
    for one in doctor.examine():
        assert (one.fix == "") == (one.verdict == "PASS")


@pytest.mark.parametrize(
    ("gib", "verdict"), [(2.0, "PASS"), (1.99, "WARN"), (0.2, "WARN"), (0.19, "FAIL")]
)
def test_disk(monkeypatch, gib, verdict):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, gib * 2**30))
    assert found("free disk here").verdict == verdict


@pytest.mark.parametrize(("gib", "verdict"), [(3.5, "PASS"), (3.4, "WARN"), (8, "PASS")])
def test_memory(monkeypatch, gib, verdict):
    monkeypatch.setattr(doctor, "memory_bytes", lambda: gib * 2**30)
    assert found("memory").verdict == verdict


@pytest.mark.parametrize(("cores", "verdict"), [(1, "WARN"), (2, "PASS")])
def test_cores(monkeypatch, cores, verdict):
    monkeypatch.setattr(doctor, "cores", lambda: cores)
    assert found("cores").verdict == verdict


def test_a_missing_package_stops_a_study_and_a_missing_extra_does_not(monkeypatch):
    real = doctor.find_spec
    lacking = {"openslide", "torch"}
    monkeypatch.setattr(doctor, "find_spec", lambda n: None if n in lacking else real(n))
    packages, deep = found("packages"), found("extra deep")
    assert (packages.verdict, packages.found) == ("FAIL", "missing: openslide")
    assert deep.verdict == "WARN"
    assert "'.[deep]'" in deep.fix
