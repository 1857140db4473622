"""Run, stop and resume a study from its page."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from metasight.serve.accounts import Role
from metasight.serve.app import note, render, require_role, session_of, workbench_of
from metasight.serve.audit import Act
from metasight.serve.pages import STUDY
from metasight.serve.wording import lasting
from metasight.study.file import read_study

router = APIRouter()


@router.get("/run")
def run_part(request: Request) -> Any:
    """Where a run is: a part of the study's page."""
    session_of(request)
    workbench = workbench_of(request)
    state = workbench.runs.state
    answer = render(request, "run.html.j2", STUDY, state=state, lasting=lasting)
    if not state.running and request.headers.get("hx-request") == "true":
        workbench.looking.again()
        answer.headers["hx-refresh"] = "true"  # it has ended: the whole page shows what it found
    return answer


@router.post("/run")
def start(request: Request) -> Response:
    """Start a run, or go on with one that was stopped."""
    require_role(request, Role.REVIEWER)
    workbench = workbench_of(request)
    read_study(workbench.study.folder)  # what is wrong with study.toml is said here
    workbench.runs.start()
    note(request, Act.RUN, "study")
    return RedirectResponse("/#run", 303)


@router.post("/run/stop")
def stop(request: Request) -> Response:
    """Stop the run that goes on; what it has finished stays."""
    require_role(request, Role.REVIEWER)
    workbench_of(request).runs.stop()
    note(request, Act.STOP, "study")
    return RedirectResponse("/#run", 303)
