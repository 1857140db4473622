"""The queue of verdicts, decisions about them, and the audit log."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from metasight.ledger import Fate
from metasight.serve.accounts import Role
from metasight.serve.app import (
    Page,
    Refused,
    note,
    render,
    require_role,
    session_of,
    workbench_of,
)
from metasight.serve.audit import Act
from metasight.serve.patient import in_labels, short_reason
from metasight.serve.review import Decision, decide, queue_of, table_of
from metasight.serve.sessions import LOCAL
from metasight.serve.wording import Refusal

router = APIRouter()

REVIEW = Page(
    title="Review",
    help="Verdicts on quality, alignment and eligibility, those that are not known first. A "
    "decision replaces one verdict, with your name and reason, and the next run counts it.",
    place="review",
)
AUDIT = Page(
    title="Audit log",
    help="Who logged in, and who saw, downloaded and decided what. Each row is sealed with the row "
    "before it; the page says whether the chain holds.",
    place="audit",
)
SHOWN = 200


@router.get("/review")
def review(
    request: Request,
    kept: Annotated[str, Query(max_length=3, pattern="^(|yes)$")] = "",
    patient: Annotated[str, Query(max_length=17, pattern="^(|P[0-9a-f]{16})$")] = "",
) -> Any:
    """The queue; of one patient where one is asked for."""
    session = require_role(request, Role.VIEWER)
    workbench = workbench_of(request)
    queue = queue_of(workbench.run, kept=kept == "yes")
    if patient:
        queue = tuple(i for i in queue if i.patient == patient)
    _, why_not = table_of(workbench.study)
    note(request, Act.VIEW, "review")
    return render(
        request,
        "review.html.j2",
        REVIEW,
        queue=queue[:SHOWN],
        number=len(queue),
        kept=kept == "yes",
        patient=patient,
        why_not=why_not,
        may=session.account.role.may(Role.REVIEWER) and not why_not,
        is_local=session.account.name == LOCAL,
        criteria=workbench.study.protocol.criteria,
        labelled=partial(in_labels, protocol=workbench.study.protocol),
        short=short_reason,
        done=request.query_params.get("done") == "yes",
    )


@router.post("/review")
def take(request: Request) -> Response:
    """Write a decision into the study's table."""
    session = require_role(request, Role.REVIEWER)
    workbench = workbench_of(request)
    form = request.state.form
    items = {i.key: i for i in queue_of(workbench.run, kept=True)}
    item = items.get(form.get("item", ""))
    verdict = form.get("verdict", "")
    if item is None or verdict not in item.choices:
        raise Refused(Refusal.FORM)
    local = session.account.name == LOCAL
    reader = form.get("reader", "")[:60] if local else session.account.name
    decision = Decision(
        item=item, verdict=Fate(verdict), reader=reader, reason=form.get("reason", "")[:1000]
    )
    decide(workbench.study, decision)
    about = f"{item.about} of {item.item or item.patient}: {verdict} in place of {item.verdict}"
    note(request, Act.DECIDE, about)
    workbench.looking.again()
    return RedirectResponse("/review?done=yes", 303)


@router.get("/audit")
def audit(request: Request) -> Any:
    """The audit log."""
    require_role(request, Role.ADMIN)
    workbench = workbench_of(request)
    session_of(request)
    note(request, Act.VIEW, "audit log")
    return render(
        request,
        "audit.html.j2",
        AUDIT,
        rows=list(reversed(workbench.audit.rows(last=SHOWN))),
        broken=workbench.audit.broken(),
    )
