"""What every request passes before a page sees it: host, size, session, form token; and headers.

A page cannot forget a check that is made here. Pages of the workbench load nothing from elsewhere
and hold no inline script or style, and browsers are told to enforce that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metasight.serve.reach import Reach
from metasight.serve.sessions import COOKIE, Session, Sessions
from metasight.serve.wording import Refusal

LONGEST_BODY = 64 * 1024
LONGEST_ADDRESS = 2000
OPEN = ("/enter", "/login")
"""Pages without a session."""
PARTS = ("/run", "/standing")
"""Parts of a page that ask again by themselves."""
ASSETS = "/assets/"

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer browsers send forms with the origin "null"
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True)
class _Refused(Exception):  # noqa: N818 - what the answer is, not a fault
    refusal: Refusal


class Gate:
    """ASGI middleware around the whole application.

    Parameters
    ----------
    app
        Behind it.
    sessions
        Of browsers that were let in.
    reach
        By what names it may be called.
    refused
        Makes the page of a refusal.
    noted
        Is called with an error that no page expected.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        reach: Reach,
        refused: Callable[[Request, Refusal], Response],
        noted: Callable[[Exception], None],
    ) -> None:
        self._app = app
        self._noted = noted
        self._sessions = sessions
        self._names = reach.known_names
        self._secure = reach.is_secure
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with its session and form."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks by websockets
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await self._with_headers(send)(message)

        scope.setdefault("state", {})
        scope["state"] |= {"session": None, "form": {}}
        try:
            await self._answered(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - the last that could show what an error quotes
            self._noted(error)
            if not begun:
                answer = self._refused(Request(scope), Refusal.FAULT)
                await answer(scope, receive, sending)

    async def _answered(self, scope: Scope, receive: Receive, sending: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._checked(request, scope)
        except _Refused as stopped:
            answer = self._refused(request, stopped.refusal)
        if answer is not None:
            await answer(scope, receive, sending)
            return
        body = scope["state"].pop("body", None)
        receiving = receive if body is None else _replayed(body, receive)
        await self._app(scope, receiving, sending)

    async def _checked(self, request: Request, scope: Scope) -> Response | None:
        """Refuse, redirect, or let pass (None)."""
        _require_host(request, self._names)
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > LONGEST_ADDRESS:
            raise _Refused(Refusal.ADDRESS_TOO_LONG)
        path = scope["path"]
        by_itself = path in PARTS and request.method == "GET"
        session = self._sessions.of(request.cookies.get(COOKIE, ""), by_itself=by_itself)
        scope["state"]["session"] = session
        if request.method not in {"GET", "HEAD", "POST"}:
            raise _Refused(Refusal.METHOD)
        if session is None and path not in OPEN and not path.startswith(ASSETS):
            if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
                return RedirectResponse("/login", 303)
            if request.headers.get("hx-request") == "true":  # htmx would show nothing
                return Response(status_code=401, headers={"hx-redirect": "/login"})
            raise _Refused(Refusal.NO_SESSION)
        if request.method == "POST":
            body = await _body(request)
            scope["state"]["body"] = body
            scope["state"]["form"] = form = _form(request, body)
            _require_own(request, form, session)
        return None

    def _with_headers(self, send: Send) -> Send:
        headers = dict(_HEADERS)
        if self._secure:
            headers["strict-transport-security"] = "max-age=31536000"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (n.encode(), v.encode())
                        for n, v in headers.items()
                        if n.encode() not in own
                    ),
                ]
            await send(message)

        return sending


def _require_host(request: Request, names: frozenset[str]) -> None:
    """Refuse a request that was addressed to another name (DNS rebinding)."""
    host = request.headers.get("host", "").lower()
    name, colon, port = host.rpartition(":")
    if not (colon and port.isdigit()):
        name = host
    if name not in names:
        raise _Refused(Refusal.HOST)


async def _body(request: Request) -> bytes:
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > LONGEST_BODY:
        raise _Refused(Refusal.TOO_LARGE)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LONGEST_BODY:
            raise _Refused(Refusal.TOO_LARGE)
        parts.append(part)
    return b"".join(parts)


def _form(request: Request, body: bytes) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise _Refused(Refusal.FORM)
    try:
        found = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=50, errors="strict"
        )
    except ValueError:
        raise _Refused(Refusal.FORM) from None
    if any("\0" in name or "\0" in value for name, value in found):
        raise _Refused(Refusal.FORM)
    return dict(found)


def _require_own(request: Request, form: Mapping[str, str], session: Session | None) -> None:
    """Refuse a form that another site's page sent (CSRF)."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise _Refused(Refusal.FORM_TOKEN)
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise _Refused(Refusal.FORM_TOKEN)
    if session is not None and not session.is_own(form.get("form_token", "")):
        raise _Refused(Refusal.FORM_TOKEN)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read, for whom it is passed on to; then what else the browser sends."""
    sent = False

    async def receiving() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving
