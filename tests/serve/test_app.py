"""Pages for people who may see them, errors in words, and a log of what was done."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from metasight.serve.app import _NO_TELEMETRY
from metasight.serve.audit import AuditLog

from .conftest import Served

Serve = Callable[..., Served]


def test_faults_are_told_without_what_they_say(
    serve: Serve, monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve().enter()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("MRN-00017")

    monkeypatch.setattr("metasight.serve.pages.overview.flow_of", broken)
    answer = served.client.get("/")
    assert answer.status_code == 500
    assert "fault in metasight" in answer.text
    assert "MRN" not in answer.text + caplog.text and "Traceback" not in answer.text
    assert "content-security-policy" in answer.headers


def test_what_the_study_lacks_is_said(serve: Serve, study_folder: Path) -> None:
    (study_folder / ".metasight" / "last_run.json").unlink()
    served = serve().enter()
    text = served.client.get("/").text
    assert "not run to its end" in text and "metasight run" in text
    answer = served.client.get("/patients")
    assert answer.status_code == 409 and "not run to its end" in answer.text


def test_no_page_holds_an_identifier(serve: Serve) -> None:
    served = serve().enter()
    patients = re.findall(r"/patients/(P\w{16})", served.client.get("/patients").text)
    pages = ["/", "/patients", "/review?kept=yes", "/audit", "/standing", "/report"]
    pages += [f"/patients/{p}" for p in patients[:5]]
    for address in pages:
        answer = served.client.get(address)
        assert answer.status_code == 200 and len(answer.text) > 300
        assert "MRN-" not in answer.text, address


def test_what_is_done_is_logged_and_holds(serve: Serve) -> None:
    served = serve().enter()
    text = served.client.get("/patients").text
    patient = re.findall(r"/patients/(P\w{16})", text)[0]
    served.client.get(f"/patients/{patient}")
    served.client.get("/download/ledger.parquet")
    log: AuditLog = served.workbench.audit
    done = [(r.who, r.what, r.about) for r in log.rows()]
    assert ("local", "logged in", "one-time token") in done
    assert ("local", "viewed", f"patient {patient}") in done
    assert ("local", "downloaded", "ledger.parquet") in done
    assert log.broken() == ""


def test_the_description_is_for_tests_and_names_every_page(serve: Serve) -> None:
    served = serve().enter()
    found = served.client.app.openapi()
    assert "/patients/{patient}" in found["paths"]
    assert served.client.get("/openapi.json").status_code == 404
    json.dumps(found)


def test_nothing_is_sent_to_collectors() -> None:
    assert set(_NO_TELEMETRY.values()) == {False}
    assert {"tracing", "metrics", "logs", "auto_configure"} <= set(_NO_TELEMETRY)


def test_addresses_made_from_the_description_give_no_fault(serve: Serve) -> None:
    served = serve().enter()
    patient = re.findall(r"/patients/(P\w{16})", served.client.get("/patients").text)[0]
    odd = ["", "0", "-1", "9" * 30, "é", "'", '"', "<script>", "%00", "..", "a" * 100, "None"]
    odd += [patient, f"{patient}-HE-1", "generated", "\u202e", "1e9", "[]", "{{7*7}}"]
    asked = 0
    for path, methods in served.client.app.openapi()["paths"].items():
        for method, about in methods.items():
            names = [p["name"] for p in about.get("parameters", [])]
            for value in odd:
                address = re.sub(r"\{\w+\}", value, path)
                query = {n: value for n in names if "{" + n + "}" not in path}
                if method == "get":
                    answer = served.client.get(address, params=query)
                else:
                    form = {"form_token": "x", "item": value, "id": value, "verdict": value}
                    answer = served.client.post(address, data=form)
                assert answer.status_code < 500, (method, address, query)
                assert "Traceback" not in answer.text
                asked += 1
    assert asked > 200
