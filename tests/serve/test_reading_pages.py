"""Two readers read the same verdicts; neither sees the other's, and κ is shown."""

from __future__ import annotations

import re
from collections.abc import Callable

from metasight.serve.accounts import Role
from metasight.serve.readings import FEWEST

from .conftest import PASSWORD, Served

Serve = Callable[..., Served]


def next_of(served: Served) -> str:
    text = served.client.get("/readings?about=E1").text
    return re.findall(r'name="item" value="([^"]+)"', text)[0]


def test_readers_are_blind_to_each_other(serve: Serve) -> None:
    ann = serve()
    bob, admin = ann.second(), ann.second()
    for served, name in ((ann, "ann"), (bob, "bob")):
        ann.workbench.accounts.put(name, Role.REVIEWER, PASSWORD)
        assert served.try_login(name, PASSWORD).status_code == 200
    admin.login(Role.ADMIN)
    first = next_of(ann)
    assert next_of(bob) == first
    for n in range(FEWEST + 1):
        for served, verdict in ((ann, "kept"), (bob, "excluded" if n == 0 else "kept")):
            answer = served.post("/readings", item=next_of(served), verdict=verdict)
            assert answer.status_code == 200
    text = bob.client.get("/readings?about=E1").text
    assert "ann and bob" in text and f"You have read {FEWEST + 1}" in text
    assert "To settle" not in text and first.split("|")[0] not in text
    settled = admin.client.get("/readings?about=E1").text
    assert "To settle" in settled and first.split("|")[0] in settled
    again = ann.post("/readings", item=first, verdict="excluded")
    assert again.status_code == 409 and "already" in again.text
    about = [(r.who, r.what, r.about) for r in ann.workbench.audit.rows() if r.what == "read"]
    assert len(about) == 2 * (FEWEST + 1) and "excluded" not in str(about)
    # nothing in the study has changed
    assert len((ann.workbench.study.folder / "reader_decisions.csv").read_text().splitlines()) == 1


def test_who_may_read(serve: Serve) -> None:
    viewer = serve().login(Role.VIEWER)
    assert viewer.client.get("/readings").status_code == 200
    assert viewer.post("/readings", item="x", verdict="kept").status_code == 403
    local = serve().enter()
    assert "named users" in local.client.get("/readings").text
    assert local.post("/readings", item="x", verdict="kept").status_code == 403


def test_what_cannot_be_read(serve: Serve) -> None:
    served = serve().login(Role.REVIEWER)
    assert served.client.get("/readings?about=E99").status_code == 404
    item = next_of(served)
    for form in ({"item": item, "verdict": "unknown"}, {"item": "x", "verdict": "kept"}):
        assert served.post("/readings", **form).status_code == 400
