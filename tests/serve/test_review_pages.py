"""A verdict is overruled in the browser: table, audit log, and what is pending."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from metasight.serve.accounts import Role
from metasight.serve.review import queue_of

from .conftest import Served

Serve = Callable[..., Served]
WHY = "looked at again under the microscope"


def an_item(served: Served):
    queue = queue_of(served.workbench.run, kept=True)
    return next(i for i in queue if i.about == "quality")


def test_a_reviewer_s_decision_carries_the_login_s_name(serve: Serve, study_folder: Path) -> None:
    served = serve().login(Role.REVIEWER)
    item = an_item(served)
    answer = served.post(
        "/review", item=item.key, verdict=item.choices[0], reason=WHY, reader="somebody else"
    )
    assert answer.status_code == 200 and "The decision is written" in answer.text
    written = (study_folder / "reader_decisions.csv").read_text()
    assert "a.reviewer" in written and "somebody else" not in written and WHY in written
    assert "MRN-00000,he.svs,quality" in written
    (row,) = [r for r in served.workbench.audit.rows() if r.what == "decided"]
    assert row.who == "a.reviewer" and item.item in row.about and "MRN" not in row.about
    found = served.workbench.looking.wait()
    assert "check slide" in [kind for kind, _, _ in found.pending]


def test_whoever_came_by_the_token_gives_a_code(serve: Serve, study_folder: Path) -> None:
    served = serve().enter()
    item = an_item(served)
    form = {"item": item.key, "verdict": str(item.choices[0]), "reason": WHY}
    answer = served.post("/review", **form, reader="")
    assert answer.status_code == 409 and "nobody is named" in answer.text
    assert served.post("/review", **form, reader="AB").status_code == 200
    assert ",AB," in (study_folder / "reader_decisions.csv").read_text()


def test_what_is_malformed_is_refused(serve: Serve, study_folder: Path) -> None:
    served = serve().enter()
    item = an_item(served)
    before = (study_folder / "reader_decisions.csv").read_text()
    for changed in (
        {"item": "x"},
        {"item": ""},
        {"verdict": "unknown"},
        {"verdict": ""},
        {"verdict": str(item.verdict)},
    ):
        form = {"item": item.key, "verdict": str(item.choices[0]), "reason": WHY, "reader": "AB"}
        answer = served.post("/review", **(form | changed))
        assert answer.status_code == 400, changed
    assert (study_folder / "reader_decisions.csv").read_text() == before


def test_a_broken_chain_is_shown(serve: Serve) -> None:
    served = serve().enter()
    assert "The chain holds" in served.client.get("/audit").text
    database = served.workbench.database
    database.write("DROP TRIGGER audit_stays")
    database.write("UPDATE audit SET who = 'x' WHERE number = 1")
    assert "row 1 was changed" in served.client.get("/audit").text


def test_a_study_without_a_table_says_how(serve: Serve, study_folder: Path) -> None:
    toml = study_folder / "study.toml"
    text = toml.read_text()
    toml.write_text(text[: text.index("[reader_decisions]")])
    served = serve().enter()
    page = served.client.get("/review?kept=yes").text
    assert "Nothing can be decided here yet" in page and "<textarea" not in page
    item = an_item(served)
    answer = served.post("/review", item=item.key, verdict=item.choices[0], reason=WHY, reader="AB")
    assert answer.status_code == 409 and "reader_decisions" in answer.text


def test_verdicts_of_one_patient(serve: Serve) -> None:
    served = serve().enter()
    patient = served.workbench.lines[-1].patient
    assert (
        f"/review?kept=yes&amp;patient={patient}" in served.client.get(f"/patients/{patient}").text
    )
    text = served.client.get(f"/review?kept=yes&patient={patient}").text
    assert set(re.findall(r"/patients/(P\w{16})", text)) == {patient}
    assert served.client.get("/review?patient=../x").status_code == 422
