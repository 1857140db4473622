"""The address that is printed is one that answers."""

from __future__ import annotations

import socket

import pytest

from metasight.errors import StudyError
from metasight.serve.reach import Reach
from metasight.serve.running import bound


def test_a_free_port_is_found_and_small_answers_are_not_held_back() -> None:
    with bound(Reach()) as listening:
        assert listening.getsockname()[0] == "127.0.0.1" and listening.getsockname()[1] > 0
        # asyncio sets TCP_NODELAY only where the protocol is named
        assert listening.proto == socket.IPPROTO_TCP


def test_a_port_in_use_is_said() -> None:
    with bound(Reach()) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(StudyError, match="cannot listen there"):
            bound(Reach(port=port))


def test_a_host_that_is_none_is_said() -> None:
    with pytest.raises(StudyError, match="cannot listen there"):
        bound(Reach(host="no such host.invalid"))
