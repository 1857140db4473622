"""Who a browser is: a one-time token or a login, exchanged for a session that ends by itself."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from metasight.serve.accounts import Account, Role
from metasight.serve.database import Database

COOKIE = "metasight-session"
LOGIN_COOKIE = "metasight-login"
"""Of a login form."""
IDLE_S = 30 * 60
"""Without a request, a session ends after this time."""
LONGEST_S = 12 * 3600
"""A session ends after this time in any case."""
LOCAL = "local"
"""The name of whoever started the workbench and came in by its token."""
_NOTED_S = 20


@dataclass(frozen=True, kw_only=True)
class Session:
    """A browser that was let in.

    Attributes
    ----------
    account
        Who it is.
    form_token
        Must come back with every form (CSRF).
    digest
        Of the cookie, under which the session is kept.
    """

    account: Account
    form_token: str
    digest: str

    def is_own(self, form_token: str) -> bool:
        """Whether a form was made for this session."""
        return hmac.compare_digest(self.form_token.encode(), form_token.encode())


class Sessions:
    """Sessions of a workbench; the cookies themselves are not kept, only their hashes."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._lock = threading.Lock()
        self._token = ""

    def new_token(self) -> str:
        """A token that lets one browser in, once; an earlier one is void."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._token = _digest(token)
        return token

    def use_token(self, token: str) -> str | None:
        """A cookie for the token; None where it is not the token, or was used."""
        with self._lock:
            if not self._token or not hmac.compare_digest(self._token, _digest(token)):
                return None
            self._token = ""
        return self.begin(Account(LOCAL, Role.ADMIN))

    def begin(self, account: Account) -> str:
        """A new session; its cookie."""
        cookie, now = secrets.token_urlsafe(32), self._now()
        self._database.write(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
            (
                _digest(cookie),
                account.name,
                str(account.role),
                secrets.token_urlsafe(24),
                now,
                now,
            ),
        )
        return cookie

    def of(self, cookie: str, *, by_itself: bool = False) -> Session | None:
        """The session of a cookie; None where there is none, or it has ended.

        Parameters
        ----------
        by_itself
            Whether a page asks without its user, who may have left: the session does not last
            longer for it.
        """
        now, digest = self._now(), _digest(cookie)
        rows = self._database.rows(
            "SELECT name, role, form_token, made, seen FROM sessions WHERE digest = ?", (digest,)
        )
        if not rows:
            return None
        name, role, form_token, made, seen = rows[0]
        if now - seen > IDLE_S or now - made > LONGEST_S:
            self.end(digest)
            return None
        if now - seen > _NOTED_S and not by_itself:  # not a write for every tile
            self._database.write("UPDATE sessions SET seen = ? WHERE digest = ?", (now, digest))
        return Session(account=Account(name, Role(role)), form_token=form_token, digest=digest)

    def end(self, digest: str) -> None:
        """End a session."""
        self._database.write("DELETE FROM sessions WHERE digest = ?", (digest,))

    def end_local(self) -> None:
        """End sessions that an earlier start's token opened."""
        self._database.write("DELETE FROM sessions WHERE name = ?", (LOCAL,))


class LoginForms:
    """Tokens of login forms: a form counts only in the browser that was given it (CSRF).

    The browser keeps a random value in a cookie, and the form holds its seal under a secret of this
    process; another site can read neither.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def new(self) -> tuple[str, str]:
        """A cookie, and the token of the form that goes with it."""
        cookie = secrets.token_urlsafe(24)
        return cookie, self._seal(cookie)

    def is_own(self, cookie: str, token: str) -> bool:
        """Whether a form's token was given with the cookie."""
        return bool(cookie) and hmac.compare_digest(
            self._seal(cookie).encode(), token.encode("utf-8", "surrogatepass")
        )

    def _seal(self, cookie: str) -> str:
        content = cookie.encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, content, hashlib.sha256).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
