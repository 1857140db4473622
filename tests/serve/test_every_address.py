"""Requests drawn from the description of the pages, by nobody and by every role: no fault."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metasight.serve.accounts import Role
from metasight.serve.gate import OPEN
from metasight.serve.runs import Runs

from .conftest import Served

Serve = Callable[..., Served]
TEXT = st.one_of(
    st.text(max_size=40),
    st.integers(-(10**12), 10**12).map(str),
    st.sampled_from(["", "yes", "axial", "lung", "heat", "..", "%2e%2e", "\x00", "nan", "1e400"]),
)


def requests_of(served: Served) -> st.SearchStrategy[tuple[str, str, dict[str, str]]]:
    """Method, address and the rest: every page, parts of addresses known and drawn."""
    patients = [x.patient for x in served.workbench.lines[:3]]
    slides, scans = list(served.workbench.slide_rows), list(served.workbench.scan_rows)
    known = st.sampled_from([*patients, *slides, *scans, *(f"{p}||E1" for p in patients)])
    value = st.one_of(known, TEXT)
    choices = []
    for path, methods in served.client.app.openapi()["paths"].items():  # type: ignore[attr-defined]
        for method, about in methods.items():
            parts = re.findall(r"\{(\w+)\}", path)
            named = [p["name"] for p in about.get("parameters", []) if p["in"] == "query"]
            more = named if method == "get" else ["item", "verdict", "reader", "reason", "id", "x"]
            more += [] if method == "get" else ["plane", "number", "y", "name", "password"]
            choices.append(
                st.tuples(
                    st.just(method),
                    st.tuples(*[value for _ in parts]).map(
                        lambda drawn, path=path, parts=parts: _filled(path, parts, drawn)
                    ),
                    st.fixed_dictionaries({}, optional=dict.fromkeys(more, value)),
                )
            )
    return st.one_of(choices)


def _filled(path: str, parts: list[str], drawn: tuple[str, ...]) -> str:
    from urllib.parse import quote

    for name, value in zip(parts, drawn, strict=True):
        path = path.replace("{" + name + "}", quote(value, safe=""))
    return path


def send(served: Served, token: str, request: tuple[str, str, dict[str, str]]) -> Any:
    method, address, told = request
    if method == "get":
        return served.client.get(address, params=told)
    return served.client.post(address, data={"form_token": token, **told})


@pytest.mark.parametrize("who", [None, Role.VIEWER, Role.REVIEWER, Role.ADMIN])
@pytest.mark.parametrize("study", ["study_folder", "lung_folder"])
def test_no_request_is_a_fault(
    serve: Serve, request: pytest.FixtureRequest, study: str, who: Role | None
) -> None:
    folder: Path = request.getfixturevalue(study)
    served = serve(folder)
    served.workbench.runs = Runs(folder, [sys.executable, "-c", ""])
    if who is not None:
        served.login(who)
    token = served.form_token if who is not None else "x"
    shown = {x.patient for x in served.workbench.lines}

    @settings(
        max_examples=120,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests_of(served))
    def ask(drawn: tuple[str, str, dict[str, str]]) -> None:
        if drawn[1] == "/logout":
            return
        answer = send(served, token, drawn)
        assert answer.status_code < 500, (drawn, answer.text[-600:])
        assert "Traceback" not in answer.text and "MRN-" not in answer.text
        if who is None:
            path = drawn[1]
            assert path in OPEN or answer.status_code in {303, 400, 401, 403, 404, 405, 414}
            assert not any(p in answer.text for p in shown if p not in str(drawn))
        if who is Role.VIEWER and drawn[0] == "post" and "review" in drawn[1]:
            assert answer.status_code in {400, 403}
        if who is not Role.ADMIN and drawn[1] == "/audit":
            assert answer.status_code in {401, 403}

    ask()
    assert served.workbench.audit.broken() == ""
