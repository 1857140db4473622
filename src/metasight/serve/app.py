"""The workbench as an ASGI application: its pages behind the gate, errors in words."""

from __future__ import annotations

import copy
import logging
import os
import threading
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from metasight.errors import MetasightError
from metasight.serve.accounts import Accounts, Role
from metasight.serve.audit import Act, AuditLog
from metasight.serve.clicks import Clicks
from metasight.serve.database import Database, database_of
from metasight.serve.gate import ASSETS, Gate
from metasight.serve.last_run import LastRun
from metasight.serve.patients import Line, lines_of
from metasight.serve.reach import Reach
from metasight.serve.readings import Readings
from metasight.serve.runs import Runs
from metasight.serve.scans import OpenScans, scan_rows
from metasight.serve.sessions import LoginForms, Session, Sessions
from metasight.serve.slides import slide_rows
from metasight.serve.standing import Looking
from metasight.serve.tiles import OpenSlides
from metasight.serve.wording import Refusal
from metasight.study.file import Study, read_study

if TYPE_CHECKING:
    from metasight.cohort.scan_table import PatientScans
    from metasight.cohort.slide_table import SlideRow

_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI would else send addresses and messages of errors wherever the environment says."""

LOG = logging.getLogger("metasight.serve")


class Shown:
    """A study and its last finished run, as the pages show them: one state, whole.

    Parameters
    ----------
    study
        Read and valid.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.run = LastRun(study)
        self._lock = threading.Lock()

    @property
    def lines(self) -> tuple[Line, ...]:
        """The list of patients, all of it; made once."""
        with self._lock:
            return self._lines

    @cached_property
    def _lines(self) -> tuple[Line, ...]:
        return lines_of(self.run)

    @cached_property
    def slide_rows(self) -> Mapping[str, SlideRow]:
        """Slides by name, read once."""
        return slide_rows(self.study)

    @cached_property
    def scan_rows(self) -> Mapping[str, PatientScans]:
        """Scans by pseudonym, read once."""
        return scan_rows(self.study)


class Workbench:
    """Everything that the pages of one study rest on.

    Parameters
    ----------
    study
        Read and valid.
    reach
        From where it may be reached.
    """

    def __init__(self, study: Study, reach: Reach) -> None:
        self.reach = reach
        self.database = Database(database_of(study.folder))
        self.accounts = Accounts(self.database)
        self.sessions = Sessions(self.database)
        self.login_forms = LoginForms()
        self.audit = AuditLog(self.database, study.settings.key)
        self.looking = Looking(study)
        self.runs = Runs(study.folder)
        self.readings = Readings(self.database)
        self.slides = OpenSlides()
        self.scans = OpenScans()
        self.clicks = Clicks()
        self.templates = _environment()
        self.shown = Shown(study)
        self._lock = threading.Lock()
        self._pointer = _pointer(study)

    @property
    def study(self) -> Study:
        """As its settings were when its results were last looked for."""
        return self.shown.study

    @property
    def run(self) -> LastRun:
        """The last finished run."""
        return self.shown.run

    @property
    def lines(self) -> tuple[Line, ...]:
        """The list of patients."""
        return self.shown.lines

    @property
    def slide_rows(self) -> Mapping[str, SlideRow]:
        """Slides by name."""
        return self.shown.slide_rows

    @property
    def scan_rows(self) -> Mapping[str, PatientScans]:
        """Scans by pseudonym."""
        return self.shown.scan_rows

    def now(self) -> Workbench:
        """The same workbench with what it shows held still, for one request.

        Where a run has ended since, or ``study.toml`` was changed, it shows that from now on.
        """
        with self._lock:
            pointer = _pointer(self.study)
            if pointer != self._pointer:
                self._pointer = pointer
                self._show_anew()
            return copy.copy(self)

    def _show_anew(self) -> None:
        try:
            study = read_study(self.study.folder)
        except (MetasightError, OSError):  # the look at the study says what is wrong with it
            study = self.study
        if study.settings.key != self.study.settings.key:  # pseudonyms and the audit log hang on it
            study = self.study
        self.shown = Shown(study)
        self.slides.forget()
        self.scans.forget()
        threading.Thread(target=self.prepare, daemon=True).start()

    def prepare(self) -> None:
        """Look at the study, then make the list of patients, so that no page waits for them."""
        self.looking.again()
        self.looking.wait()
        with suppress(MetasightError, OSError):  # said on the page that asks for it
            _ = self.lines

    def close(self) -> None:
        """Let go of files and processes."""
        self.clicks.close()
        self.slides.close()
        self.database.close()


def _pointer(study: Study) -> tuple[object, ...]:
    """What changes when a run has ended, or the study's settings have."""
    told: list[object] = []
    for path in (study.memory, study.folder / "study.toml"):
        try:
            about = path.stat()
            told.append((about.st_ino, about.st_mtime_ns, about.st_size))
        except OSError:
            told.append(None)
    try:
        told.append(os.readlink(study.results / "latest"))
    except OSError:
        told.append(None)
    return tuple(told)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page is called, and what it is for.

    Attributes
    ----------
    title
        Of the page and its tab.
    help
        A sentence or two.
    place
        Which entry of the navigation it belongs to.
    """

    title: str
    help: str
    place: str = ""


def create_app(workbench: Workbench) -> FastAPI:
    """The application.

    Its OpenAPI description is not served; tests have it from ``app.openapi()``.
    """
    from metasight.serve import (
        model_pages,
        pages,
        reading_pages,
        review_pages,
        run_pages,
        scan_pages,
        slide_pages,
    )

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        preparing = threading.Thread(target=workbench.prepare, daemon=True)
        preparing.start()
        yield
        workbench.close()

    app = FastAPI(
        title="metasight workbench",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry=_NO_TELEMETRY,
    )
    app.state.workbench = workbench
    parts = (
        pages,
        run_pages,
        slide_pages,
        scan_pages,
        review_pages,
        reading_pages,
        model_pages,
    )
    for part in parts:
        app.include_router(part.router)
    assets = Path(str(files("metasight.serve") / "assets"))
    app.mount(ASSETS.rstrip("/"), StaticFiles(directory=assets), name="assets")
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(404, _http)
    app.add_exception_handler(405, _http)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(MetasightError, _known)
    app.add_exception_handler(Refused, _refused)
    app.add_middleware(
        Gate,
        sessions=workbench.sessions,
        reach=workbench.reach,
        refused=_page_of_refusal,
        noted=_note_fault,
    )
    return app


class Refused(Exception):  # noqa: N818 - what the answer is, not a fault
    """A page does not give what is asked for.

    Parameters
    ----------
    refusal
        Why.
    """

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.problem)


# ------------------------------------------------------------------ for pages


def workbench_of(request: Request) -> Workbench:
    """The workbench that a request came to; what it shows does not change within the request."""
    found: Workbench | None = getattr(request.state, "workbench", None)
    if found is None:
        served: Workbench = request.app.state.workbench
        found = request.state.workbench = served.now()
    return found


def session_of(request: Request) -> Session:
    """Whose request it is; behind the gate there is always one."""
    session: Session | None = request.state.session
    if session is None:
        raise Refused(Refusal.NO_SESSION)
    return session


def require_role(request: Request, least: Role) -> Session:
    """The session, if its role is enough.

    Raises
    ------
    Refused
        It is not.
    """
    session = session_of(request)
    if not session.account.role.may(least):
        raise Refused(Refusal.ROLE)
    return session


def note(request: Request, what: Act, about: str) -> None:
    """Write into the audit log what the user of a request does."""
    workbench_of(request).audit.add(session_of(request).account.name, what, about)


def render(request: Request, template: str, page: Page, *, status: int = 200, **values: Any) -> Any:
    """A page."""
    workbench = workbench_of(request)
    text = workbench.templates.get_template(template).render(
        page=page,
        session=getattr(request.state, "session", None),
        study=workbench.study,
        run_name=workbench.run.name,
        roles=Role,
        **values,
    )
    return HTMLResponse(text, status)


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("metasight.serve", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


# ------------------------------------------------------------------ errors


def _page_of_refusal(request: Request, refusal: Refusal) -> Response:
    return _page_of_error(request, refusal.status, refusal.problem, refusal.remedy)


def _page_of_error(request: Request, status: int, problem: str, remedy: str) -> Response:
    page = Page(title="This did not work", help="")
    answer: Response = render(
        request, "error.html.j2", page, status=status, problem=problem, remedy=remedy
    )
    return answer


async def _http(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    refusal = Refusal.METHOD if status == 405 else Refusal.NOT_FOUND
    return _page_of_refusal(request, refusal)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - it is registered for nothing else
    return _page_of_refusal(request, error.refusal)


async def _not_understood(request: Request, error: Exception) -> Response:
    del error  # it repeats what was sent
    return _page_of_refusal(request, Refusal.NOT_UNDERSTOOD)


async def _known(request: Request, error: Exception) -> Response:
    return _page_of_error(request, 409, str(error), "")


def _note_fault(error: Exception) -> None:
    where = traceback.extract_tb(error.__traceback__)[-1]
    # the message may quote a patient's value and stays out
    LOG.error("%s in %s, line %d", type(error).__name__, Path(where.filename).name, where.lineno)
