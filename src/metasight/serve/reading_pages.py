"""Read verdicts without seeing what others have read, and see how far readers agree."""

from __future__ import annotations

import math
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from metasight.cohort.reader_decisions import ALIGNMENT, QUALITY, VERDICTS
from metasight.ledger import Fate
from metasight.report.wording import number, percent, span
from metasight.serve.accounts import Role
from metasight.serve.app import Page, Refused, Workbench, note, render, require_role, workbench_of
from metasight.serve.audit import Act
from metasight.serve.readings import FEWEST, Agreement, unread
from metasight.serve.review import Item, queue_of
from metasight.serve.sessions import LOCAL
from metasight.serve.wording import Refusal

router = APIRouter()

READINGS = Page(
    title="Readings",
    help="Several readers read the same verdicts, and none sees what another has read. A reading "
    "changes nothing in the study; it says how far readers agree.",
    place="readings",
)
_WORDS = {QUALITY: "Quality", ALIGNMENT: "Alignment of a section"}


@router.get("/readings")
def readings(request: Request, about: Annotated[str, Query(max_length=20)] = "") -> Any:
    """What is still to be read by this reader, and how far readers agree."""
    session = require_role(request, Role.VIEWER)
    workbench = workbench_of(request)
    items = queue_of(workbench.run, kept=True)
    kinds = list(
        dict.fromkeys(sorted((i.about for i in items), key=lambda a: (a not in _WORDS, a)))
    )
    if about and about not in kinds:
        raise Refused(Refusal.NOT_FOUND)
    chosen = about or (kinds[0] if kinds else "")
    own = workbench.readings.of(session.account.name, chosen)
    of_kind = [i for i in items if i.about == chosen]
    left = unread(of_kind, own)
    note(request, Act.VIEW, "readings")
    is_admin = session.account.role.may(Role.ADMIN)
    return render(
        request,
        "readings.html.j2",
        READINGS,
        kinds={k: _label(workbench, k) for k in kinds},
        chosen=chosen,
        item=left[0] if left else None,
        n_left=len(left),
        n_own=len(own),
        verdicts=VERDICTS,
        agreements=[_shown(a) for a in workbench.readings.agreements(chosen)],
        fewest=FEWEST,
        apart=[k.split("|") for k in workbench.readings.apart(chosen)] if is_admin else [],
        may=session.account.role.may(Role.REVIEWER) and session.account.name != LOCAL,
        is_local=session.account.name == LOCAL,
    )


@router.post("/readings")
def read(request: Request) -> Response:
    """Note a reading."""
    session = require_role(request, Role.REVIEWER)
    if session.account.name == LOCAL:
        raise Refused(Refusal.ROLE)
    workbench = workbench_of(request)
    form = request.state.form
    items: dict[str, Item] = {i.key: i for i in queue_of(workbench.run, kept=True)}
    item, verdict = items.get(form.get("item", "")), form.get("verdict", "")
    if item is None or verdict not in VERDICTS:
        raise Refused(Refusal.FORM)
    workbench.readings.add(item, session.account.name, Fate(verdict))
    note(request, Act.READ, f"{item.about} of {item.item or item.patient}")
    return RedirectResponse(f"/readings?{urlencode({'about': item.about})}", 303)


def _label(workbench: Workbench, about: str) -> str:
    known = workbench.study.protocol.criteria
    return _WORDS.get(about) or (f"{about}: {known[about].text}" if about in known else about)


def _shown(agreement: Agreement) -> tuple[str, str, str, str]:
    """Readers, items, share alike and κ, as text."""
    readers, n = " and ".join(agreement.readers), str(agreement.both)
    found = agreement.found
    if found is None:
        return readers, n, "", f"not shown: fewer than {FEWEST} items were read by both"
    alike = percent(found.observed, 0)
    if math.isnan(found.kappa):
        return readers, n, alike, "not defined: all verdicts are the same"
    return readers, n, alike, f"{number(found.kappa, 2)} ({span(found.lower, found.upper, 2)})"
