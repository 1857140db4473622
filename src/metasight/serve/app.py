"""The workbench as an ASGI application: its pages behind the gate, errors in words."""

from __future__ import annotations

import logging
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
from metasight.serve.database import Database, database_of
from metasight.serve.gate import ASSETS, Gate
from metasight.serve.last_run import LastRun
from metasight.serve.patients import Line, lines_of
from metasight.serve.reach import Reach
from metasight.serve.sessions import Session, Sessions
from metasight.serve.slides import slide_rows
from metasight.serve.standing import Looking
from metasight.serve.tiles import OpenSlides
from metasight.serve.wording import Refusal

if TYPE_CHECKING:
    from metasight.cohort.slide_table import SlideRow
    from metasight.study.file import Study

_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI would else send addresses and messages of errors wherever the environment says."""

LOG = logging.getLogger("metasight.serve")


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
        self.study = study
        self.reach = reach
        self.database = Database(database_of(study.folder))
        self.accounts = Accounts(self.database)
        self.sessions = Sessions(self.database)
        self.audit = AuditLog(self.database, study.settings.key)
        self.looking = Looking(study)
        self.run = LastRun(study)
        self.slides = OpenSlides()
        self.templates = _environment()
        self._lock = threading.Lock()
        self._lines: tuple[Line, ...] | None = None

    @property
    def lines(self) -> tuple[Line, ...]:
        """The list of patients, all of it; made once."""
        with self._lock:
            if self._lines is None:
                self._lines = lines_of(self.run)
            return self._lines

    def prepare(self) -> None:
        """Look at the study, then make the list of patients, so that no page waits for them."""
        self.looking.again()
        self.looking.wait()
        with suppress(MetasightError, OSError):  # said on the page that asks for it
            _ = self.lines

    @cached_property
    def slide_rows(self) -> Mapping[str, SlideRow]:
        """Slides by name, read once."""
        return slide_rows(self.study)

    def close(self) -> None:
        """Let go of files."""
        self.slides.close()
        self.database.close()


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
    from metasight.serve import model_pages, pages, review_pages, slide_pages

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
    for part in (pages, slide_pages, review_pages, model_pages):
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
    """The workbench that a request came to."""
    found: Workbench = request.app.state.workbench
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
