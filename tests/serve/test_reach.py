"""Another interface than the loopback is refused without users and TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.errors import StudyError
from metasight.serve.reach import Reach, require_safe


def test_the_loopback_needs_nothing() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.3.2.1"):
        require_safe(Reach(host=host), has_users=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "pathology.hospital"])
def test_others_need_users_and_tls(host: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no users"):
        require_safe(Reach(host=host), has_users=False)
    with pytest.raises(StudyError, match="in the clear"):
        require_safe(Reach(host=host), has_users=True)
    pem = tmp_path / "a.pem"
    pem.write_text("")
    names = ("study.hospital",)
    require_safe(Reach(host=host, names=names, behind_proxy=True), has_users=True)
    tls = Reach(host=host, names=names, certificate=pem, private_key=pem)
    require_safe(tls, has_users=True)


def test_a_proxy_before_the_loopback_needs_users() -> None:
    with pytest.raises(StudyError, match="no users"):
        require_safe(Reach(behind_proxy=True), has_users=False)


def test_all_interfaces_need_a_name() -> None:
    with pytest.raises(StudyError, match="by what name"):
        require_safe(Reach(host="0.0.0.0", behind_proxy=True), has_users=True)


def test_half_of_tls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="certificate and its private key"):
        require_safe(Reach(certificate=tmp_path / "a.pem"), has_users=True)
    both = Reach(certificate=tmp_path / "a.pem", private_key=tmp_path / "b.pem")
    with pytest.raises(StudyError, match="not there"):
        require_safe(both, has_users=True)


def test_names_that_are_answered_to() -> None:
    assert "0.0.0.0" not in Reach(host="0.0.0.0").known_names
    assert "study.hospital" in Reach(names=("Study.Hospital",)).known_names
