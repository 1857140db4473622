"""What every request must pass: refused by name, and never a fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from metasight.serve.accounts import MOST_FAILURES, Role
from metasight.serve.gate import LONGEST_BODY, POLICY
from metasight.serve.reach import Reach
from metasight.serve.sessions import COOKIE, IDLE_S

from .conftest import PASSWORD, Served

Serve = Callable[..., Served]
HTML = {"accept": "text/html"}


def test_without_a_session_there_is_only_the_login(serve: Serve) -> None:
    served = serve()
    for address in ("/patients", "/audit", "/report", "/download/report.pdf", "/nowhere", "/plan"):
        answer = served.client.get(address, follow_redirects=False)
        assert answer.status_code == 401, address
        sent = served.client.get(address, headers=HTML, follow_redirects=False)
        assert (sent.status_code, sent.headers["location"]) == (303, "/login")
    part = served.client.get("/run", headers={"hx-request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")
    assert served.client.get("/login").status_code == 200
    assert served.client.post("/look", data={"form_token": "x"}).status_code == 401


def test_the_token_lets_in_once_by_a_cookie_that_scripts_cannot_read(serve: Serve) -> None:
    served = serve()
    token = served.workbench.sessions.new_token()
    answer = served.client.get(f"/enter?token={token}", follow_redirects=False)
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert "Secure" not in cookie  # the loopback has no TLS
    served.client.cookies.clear()
    again = served.client.get(f"/enter?token={token}")
    assert again.status_code == 403 and "used already" in again.text


def test_behind_tls_the_cookie_is_secure(serve: Serve) -> None:
    served = serve(reach=Reach(names=("testserver",), behind_proxy=True))
    token = served.workbench.sessions.new_token()
    answer = served.client.get(f"/enter?token={token}", follow_redirects=False)
    assert "Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers


def test_every_answer_carries_the_policy(serve: Serve) -> None:
    served = serve().enter()
    for address in ("/", "/patients", "/nowhere", "/assets/workbench.css", "/login"):
        answer = served.client.get(address)
        assert answer.headers["content-security-policy"] == POLICY, address
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert "unsafe" not in POLICY and "*" not in POLICY
    assert served.client.get("/").headers["cache-control"] == "no-store"


def test_pages_hold_no_inline_script_or_style(serve: Serve) -> None:
    served = serve().enter()
    patient = re.findall(r"/patients/(P\w{16})", served.client.get("/patients").text)[0]
    for address in ("/", "/patients", f"/patients/{patient}", "/review?kept=yes", "/audit"):
        text = served.client.get(address).text
        assert "style=" not in text and "<style" not in text and " onclick" not in text, address
        assert not re.findall(r"<script(?![^>]*(?:src=|application/json))", text)
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', text), address


@pytest.mark.parametrize(
    "host", ["evil.example", "testserver.evil.example", "", "127.0.0.1.evil.example", "localhost@x"]
)
def test_another_host_name_is_refused(serve: Serve, host: str) -> None:
    answer = serve().client.get("/login", headers={"host": host})
    assert answer.status_code == 421 and "does not answer" not in answer.text
    assert "not one that the workbench answers to" in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:99", "TESTSERVER:1"])
def test_own_host_names_are_answered(serve: Serve, host: str) -> None:
    assert serve().client.get("/login", headers={"host": host}).status_code == 200


def test_a_form_without_its_token_is_refused(serve: Serve) -> None:
    served = serve().enter()
    for form in ({}, {"form_token": ""}, {"form_token": "x" * 32}):
        for address in ("/logout", "/look", "/review", "/find"):
            answer = served.client.post(address, data={"a": "b", **form})
            assert answer.status_code == 403, address
            assert "not sent from a page of your session" in answer.text
    good = {"form_token": served.form_token}
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert served.client.post("/look", data=good, headers=headers).status_code == 403
    own = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}
    assert served.client.post("/look", data=good, headers=own).status_code == 200


def test_forms_that_are_none_are_refused(serve: Serve) -> None:
    served = serve().enter()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    many = "&".join(f"a{n}=1" for n in range(60))
    for content in (b"\xff\xfe", b"a=%ff%fe", many.encode(), b"form_token=%00"):
        answer = served.client.post("/look", content=content, headers=kind)
        assert answer.status_code == 400, content[:20]
    for other in ("application/json", "multipart/form-data; boundary=x", "", "text/plain"):
        answer = served.client.post("/look", content=b"{}", headers={"content-type": other})
        assert answer.status_code == 400, other
    large = served.client.post("/look", content=b"a" * (LONGEST_BODY + 1), headers=kind)
    assert large.status_code == 413

    def pieces():
        for _ in range(LONGEST_BODY // 1000 + 2):
            yield b"a" * 1000

    assert served.client.post("/look", content=pieces(), headers=kind).status_code == 413


def test_overlong_and_strange_addresses_are_refused(serve: Serve) -> None:
    served = serve().enter()
    assert served.client.get("/patients?q=" + "a" * 3000).status_code == 414
    assert served.client.get("/" + "a" * 3000).status_code == 414
    refused = [
        "/patients/../../etc/passwd",
        "/patients/%2e%2e%2fstudy.toml",
        "/download/..%2f..%2fstudy.toml",
        "/download/%2e%2e/patients.csv",
        "/download/patients.csv",
        "/download/.metasight",
        "/assets/../app.py",
        "/assets/%2e%2e/app.py",
        "/assets/..%2fapp.py",
        "/assets/%00",
        "/slides/P0123456789abcdef-HE-1",
        "/slides/..%2f..-HE-1/tiles/0/0/0.jpg",
        "/slides/x/tiles/0/0/0.jpg",
        "/patients/P000000000000zzzz",
        "/patients/P0123456789abcdef",
        "/patients/%00",
        "/patients?verdict=nonsense",
        "/patients?page=0",
        "/patients?page=99999999999999999999",
        "/patients?page=x",
        "/patients?order=__class__",
        "/patients?missing=maybe",
        "/patients?at=" + "x" * 50,
        "/openapi.json",
        "/docs",
        "/metrics",
    ]
    for address in refused:
        status = served.client.get(address).status_code
        assert status in {404, 422}, (address, status)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert served.client.request(method, "/").status_code == 405
    assert served.client.get("/look").status_code == 405
    assert served.client.post("/", data={"form_token": served.form_token}).status_code == 405


def test_roles_hold(serve: Serve) -> None:
    viewer = serve().login(Role.VIEWER)
    assert viewer.client.get("/patients").status_code == 200
    assert viewer.client.get("/audit").status_code == 403
    assert viewer.client.get("/download/report.pdf").status_code == 403
    refused = viewer.post("/review", item="x", verdict="kept", reason="a reason for it")
    assert refused.status_code == 403 and "role" in refused.text
    reviewer = serve().login(Role.REVIEWER)
    assert reviewer.client.get("/download/report.pdf").status_code == 200
    assert reviewer.client.get("/audit").status_code == 403
    assert serve().login(Role.ADMIN).client.get("/audit").status_code == 200


def test_failed_logins_are_slowed_and_logged(serve: Serve) -> None:
    served = serve()
    served.workbench.accounts.put("ann", Role.VIEWER, PASSWORD)
    for _ in range(MOST_FAILURES):
        answer = served.try_login("ann", "wrong")
        assert answer.status_code == 401
    answer = served.try_login("ann", PASSWORD)
    assert answer.status_code == 429 and "quarter of an hour" in answer.text
    served.try_login("Maria Muster 1950", "x")
    log = served.workbench.audit.rows()
    assert sum(r.what == "login refused" for r in log) == MOST_FAILURES + 2
    assert "Muster" not in str(log)


def test_a_session_ends_by_itself_and_by_logout(serve: Serve) -> None:
    served = serve().enter()
    now = served.workbench.sessions._now()
    served.workbench.sessions._now = lambda: now + IDLE_S + 10
    assert served.client.get("/patients").status_code == 401
    served.workbench.sessions._now = lambda: now
    served = serve().enter()
    cookie = served.client.cookies[COOKIE]
    assert served.post("/logout").status_code == 200
    served.client.cookies.set(COOKIE, cookie)
    assert served.client.get("/patients").status_code == 401


def test_sessions_outlive_a_restart_but_tokens_do_not(serve: Serve, study_folder: Path) -> None:
    served = serve().login(Role.VIEWER)
    cookie = served.client.cookies[COOKIE]
    other = serve()
    other.client.cookies.set(COOKIE, cookie)
    assert other.client.get("/patients").status_code == 200


def test_a_login_form_counts_only_in_the_browser_that_was_given_it(serve: Serve) -> None:
    served = serve()
    served.workbench.accounts.put("ann", Role.VIEWER, PASSWORD)
    other = served.second()
    text = other.client.get("/login").text
    token = text.split('name="login_token" value="')[1].split('"')[0]
    form = {"name": "ann", "password": PASSWORD}
    for told in (form, form | {"login_token": token}, form | {"login_token": ""}):
        assert served.client.post("/login", data=told).status_code == 403
    served.client.get("/login")  # a cookie, but another form's token
    assert served.client.post("/login", data=form | {"login_token": token}).status_code == 403
    assert not served.workbench.audit.rows()
    assert served.try_login("ann", PASSWORD).url.path == "/"
