"""Pages on login, study and patients, and downloads."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from metasight.cohort.canonical import pseudonym
from metasight.cohort.ids import normal_id
from metasight.engine.step import StepKind
from metasight.errors import MetasightError
from metasight.serve import overview
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
from metasight.serve.patient import (
    criteria_of,
    drawn,
    history_of,
    is_pseudonym,
    neighbours,
    risk_of,
    values_of,
)
from metasight.serve.patients import ORDERS, PAGE, Asked, Verdict
from metasight.serve.review import decidable_of
from metasight.serve.sessions import COOKIE, LOGIN_COOKIE
from metasight.serve.slides import slides_of_patient
from metasight.serve.wording import Refusal, lasting

router = APIRouter()

Short = Annotated[str, Query(max_length=80)]
Pseudonym = Annotated[str, Path(min_length=17, max_length=17, pattern=r"^P[0-9a-f]{16}$")]

STUDY = Page(
    title="Study",
    help="What this study is, whether its results are up to date, who was screened and who is "
    "left. Each count of the flow opens the list of the patients behind it.",
    place="study",
)
PATIENTS = Page(
    title="Patients",
    help="Each row is one patient, by pseudonym. Narrow the list with the fields above it. Move "
    "from row to row with the arrow keys or J and K, and open a patient with Enter.",
    place="patients",
)
# the report is a page of its own with its style in it; it may load and run nothing
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


# ------------------------------------------------------------------ login


@router.get("/enter")
def enter(request: Request, token: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Exchange the one-time token for a session."""
    workbench = workbench_of(request)
    cookie = workbench.sessions.use_token(token)
    if cookie is None:
        workbench.audit.add("", Act.REFUSED, "one-time token")
        raise Refused(Refusal.TOKEN)
    workbench.audit.add("local", Act.LOGIN, "one-time token")
    return _let_in(request, cookie)


@router.get("/login")
def login_page(request: Request) -> Any:
    """The form to log in by."""
    return _login_form(request)


@router.post("/login")
def login(request: Request) -> Any:
    """Log in by name and password."""
    workbench = workbench_of(request)
    form = request.state.form
    own = request.cookies.get(LOGIN_COOKIE, "")
    if not workbench.login_forms.is_own(own, form.get("login_token", "")):
        raise Refused(Refusal.FORM_TOKEN)
    name, password = form.get("name", "").strip()[:40], form.get("password", "")
    address = request.client.host if request.client else ""
    if workbench.accounts.refused(name, address):
        workbench.audit.add(_safe(workbench, name), Act.REFUSED, "too many failed logins")
        raise Refused(Refusal.LOGINS)
    account = workbench.accounts.check(name, password, address)
    if account is None:
        workbench.audit.add(_safe(workbench, name), Act.REFUSED, "wrong name or password")
        return _login_form(request, wrong=True)
    workbench.audit.add(account.name, Act.LOGIN, "name and password")
    answer = _let_in(request, workbench.sessions.begin(account))
    answer.delete_cookie(LOGIN_COOKIE, path="/login")
    return answer


def _login_form(request: Request, *, wrong: bool = False) -> Any:
    """The form, with a token that counts in this browser only."""
    workbench = workbench_of(request)
    cookie, token = workbench.login_forms.new()
    answer = render(
        request,
        "login.html.j2",
        Page(title="Log in", help="Log in with the name that your administrator gave you."),
        status=401 if wrong else 200,
        wrong=wrong,
        has_users=bool(workbench.accounts.all()),
        login_token=token,
    )
    answer.set_cookie(
        LOGIN_COOKIE,
        cookie,
        httponly=True,
        samesite="strict",
        secure=workbench.reach.is_secure,
        path="/login",
        max_age=3600,
    )
    return answer


@router.post("/logout")
def logout(request: Request) -> Response:
    """End the session."""
    session = session_of(request)
    note(request, Act.LOGOUT, "")
    workbench_of(request).sessions.end(session.digest)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, path="/")
    return answer


def _let_in(request: Request, cookie: str) -> Response:
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        COOKIE,
        cookie,
        httponly=True,
        samesite="strict",
        secure=workbench_of(request).reach.is_secure,
        path="/",
    )
    return answer


def _safe(workbench: Any, name: str) -> str:
    """A name for the log: what is typed in the wrong field may be a password or a patient."""
    return name if name in {a.name for a in workbench.accounts.all()} else "unknown name"


# ------------------------------------------------------------------ study


@router.get("/")
def study_page(request: Request) -> Any:
    """The study."""
    workbench = workbench_of(request)
    flow, problem = None, ""
    try:
        flow = overview.flow_of(workbench.run)
    except MetasightError as error:
        problem = str(error)
    plan, plan_problem = overview.plan_of(workbench.study)
    note(request, Act.VIEW, "study")
    return render(
        request,
        "study.html.j2",
        STUDY,
        flow=flow,
        problem=problem,
        standing=workbench.looking.found,
        state=workbench.runs.state,
        lasting=lasting,
        downloads=overview.downloads_of(workbench.run),
        plan=plan,
        plan_problem=plan_problem,
        verdicts=Verdict,
    )


@router.get("/standing")
def standing(request: Request) -> Any:
    """Whether the results are up to date: a part of the study's page."""
    session_of(request)
    found = workbench_of(request).looking.found
    return render(request, "standing.html.j2", STUDY, standing=found)


@router.post("/look")
def look_again(request: Request) -> Response:
    """Look again whether the results are up to date."""
    session_of(request)
    workbench_of(request).looking.again()
    return RedirectResponse("/", 303)


@router.get("/plan")
def plan_page(request: Request) -> Any:
    """The locked analysis plan."""
    workbench = workbench_of(request)
    plan, problem = overview.plan_of(workbench.study)
    if plan is None:
        raise Refused(Refusal.NOT_FOUND)
    note(request, Act.VIEW, "analysis plan")
    page = Page(
        title="Analysis plan",
        help="What was going to be done, as it was locked. A run lists what it did otherwise.",
        place="study",
    )
    return render(request, "plan.html.j2", page, plan=plan, problem=problem)


@router.get("/report")
def report(request: Request) -> Response:
    """The report of the last run as it was written."""
    path = overview.download(workbench_of(request).run, "report.html")
    if path is None:
        raise Refused(Refusal.NOT_FOUND)
    note(request, Act.VIEW, "report")
    headers = {"content-security-policy": _REPORT_POLICY}
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/download/{name}")
def download(request: Request, name: Annotated[str, Path(max_length=80)]) -> Response:
    """A file of the last run."""
    require_role(request, Role.REVIEWER)
    path = overview.download(workbench_of(request).run, name)
    if path is None:
        raise Refused(Refusal.NOT_FOUND)
    note(request, Act.EXPORT, name)
    return FileResponse(path, filename=name)


# ------------------------------------------------------------------ patients


def asked_of(  # noqa: PLR0917 - parts of an address
    q: Short = "",
    centre: Short = "",
    arm: Short = "",
    verdict: Annotated[str, Query(max_length=40, pattern=f"^({'|'.join(Verdict)}|)$")] = "",
    at: Annotated[str, Query(max_length=20)] = "",
    missing: Annotated[str, Query(max_length=3, pattern="^(|yes)$")] = "",
    order: Annotated[str, Query(max_length=20, pattern=f"^({'|'.join(ORDERS)})$")] = "patient",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Asked:
    """What of the list an address asks for."""
    return Asked(
        search=q,
        centre=centre,
        arm=arm,
        verdict=verdict,
        left_at=at,
        missing=missing == "yes",
        order=order,
        page=page,
    )


OfList = Annotated[Asked, Depends(asked_of)]


@router.get("/patients")
def patients(request: Request, asked: OfList) -> Any:
    """The list of patients."""
    session_of(request)
    workbench = workbench_of(request)
    lines = workbench.lines
    found = asked.of(lines)
    part = request.headers.get("hx-request") == "true"
    if not part:
        note(request, Act.VIEW, "patients")
    first = (asked.page - 1) * PAGE
    return render(
        request,
        "patient_rows.html.j2" if part else "patients.html.j2",
        PATIENTS,
        lines=found[first : first + PAGE],
        found=len(found),
        all_of=len(lines),
        asked=asked,
        query=_query,
        pages=max(1, -(-len(found) // PAGE)),
        centres=sorted({x.centre for x in lines if x.centre}),
        arms=sorted({x.arm for x in lines if x.arm}),
        verdicts=Verdict,
        criteria=workbench.study.protocol.criteria,
    )


@router.post("/find")
def find(request: Request) -> Response:
    """A patient by the id in the hospital, which is neither kept nor written into an address."""
    session_of(request)
    workbench = workbench_of(request)
    own = pseudonym(normal_id(request.state.form.get("id", "")[:200]), workbench.study.settings.key)
    if own not in {x.patient for x in workbench.lines}:
        raise Refused(Refusal.NOT_FOUND)
    return RedirectResponse(f"/patients/{own}", 303)


@router.get("/patients/{patient}")
def patient_page(request: Request, patient: Pseudonym, asked: OfList) -> Any:
    """One patient."""
    workbench = workbench_of(request)
    known = {x.patient: x for x in workbench.lines}
    if not is_pseudonym(patient) or patient not in known:
        raise Refused(Refusal.NOT_FOUND)
    run, protocol = workbench.run, workbench.study.protocol
    entries = run.ledger.get(patient, ())
    in_list = asked.of(workbench.lines)
    before, after, place = neighbours(in_list, patient)
    risk = risk_of(run, patient)
    note(request, Act.VIEW, f"patient {patient}")
    page = Page(
        title=f"Patient {patient}",
        help="Every criterion with its verdict and what it rests on, what happened to this "
        "patient's data, and the risk. Previous and next follow the list that you came from.",
        place="patients",
    )
    return render(
        request,
        "patient.html.j2",
        page,
        line=known[patient],
        criteria=criteria_of(entries, protocol),
        history=history_of(entries),
        values=values_of(run, patient),
        risk=risk,
        drawing=drawn(risk),
        slides=slides_of_patient(run, patient),
        has_scans=any(s.patient == patient for s in run.of(StepKind.MEASURE_SCANS)),
        decidable=decidable_of(entries),
        before=before,
        after=after,
        place=place,
        found=len(in_list),
        query=_query(asked),
    )


def _query(asked: Asked, **changed: Any) -> str:
    """An address' query for a list; what is not asked for is left out."""
    from urllib.parse import urlencode

    values = {
        "q": asked.search,
        "centre": asked.centre,
        "arm": asked.arm,
        "verdict": asked.verdict,
        "at": asked.left_at,
        "missing": "yes" if asked.missing else "",
        "order": asked.order if asked.order != "patient" else "",
        "page": asked.page if asked.page > 1 else "",
    } | changed
    text = urlencode({k: v for k, v in values.items() if v})
    return f"?{text}" if text else ""
