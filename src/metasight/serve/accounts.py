"""Named users of a workbench: roles, passwords, and how often a login may fail."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from metasight.errors import StudyError
from metasight.serve.database import Database

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
MOST_FAILURES = 5
WINDOW_S = 15 * 60
"""As many failures within this time, of one name or from one address, and logins are refused."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{1,30}")


class Role(StrEnum):
    """What a user may do; each may do what those before it may."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def may(self, least: Role) -> bool:
        """Whether this role is enough where ``least`` is asked for."""
        order = list(Role)
        return order.index(self) >= order.index(least)


@dataclass(frozen=True)
class Account:
    """A user who has logged in, or may."""

    name: str
    role: Role


class Accounts:
    """The users of one study's workbench.

    Parameters
    ----------
    database
        That holds them.
    now
        Seconds; of tests.
    """

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    def put(self, name: str, role: Role, password: str) -> None:
        """Add a user, or give one who is there another role and password.

        Raises
        ------
        StudyError
            The name or the password is not acceptable.
        """
        if not _NAME.fullmatch(name):
            raise StudyError(
                "not a user's name",
                value=name[:40],
                remedy="Use 2 to 31 letters, digits, points, dashes or underscores, a letter first",
            )
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise StudyError(
                "the password is too short or too long",
                value=f"{len(password)} characters",
                remedy=f"Use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters",
            )
        self._database.write(
            "INSERT INTO users VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "role = excluded.role, password = excluded.password",
            (name, str(role), _hasher().hash(password), self._now()),
        )
        self._database.write("DELETE FROM sessions WHERE name = ?", (name,))

    def remove(self, name: str) -> None:
        """Take a user out; open sessions of the user end.

        Raises
        ------
        StudyError
            There is no such user.
        """
        if not self._database.write("DELETE FROM users WHERE name = ?", (name,)):
            raise StudyError(
                "there is no such user",
                value=name[:40],
                remedy="`metasight users list` shows those that there are",
            )
        self._database.write("DELETE FROM sessions WHERE name = ?", (name,))

    def all(self) -> tuple[Account, ...]:
        """Users by name."""
        rows = self._database.rows("SELECT name, role FROM users ORDER BY name")
        return tuple(Account(name, Role(role)) for name, role in rows)

    def check(self, name: str, password: str, address: str) -> Account | None:
        """The user, if the password is right and logins are not refused for a while.

        A wrong name takes as long as a wrong password.
        """
        if self.refused(name, address):
            return None
        rows = self._database.rows("SELECT password, role FROM users WHERE name = ?", (name,))
        right = _verified(rows[0][0] if rows else _NOBODY(), password[:LONGEST_PASSWORD])
        if rows and right:
            self._database.write("DELETE FROM failures WHERE who = ?", (f"name {name}",))
            return Account(name, Role(rows[0][1]))
        self.failed(name, address)
        return None

    def failed(self, name: str, address: str) -> None:
        """Note a failed login of a name and from an address."""
        for who in (f"name {name[:40]}", f"address {address}"):
            self._database.write("INSERT INTO failures VALUES (?, ?)", (who, self._now()))

    def refused(self, name: str, address: str) -> bool:
        """Whether too many logins have failed of late."""
        since = self._now() - WINDOW_S
        self._database.write("DELETE FROM failures WHERE at < ?", (since,))
        rows = self._database.rows(
            "SELECT who, count(*) FROM failures WHERE who IN (?, ?) GROUP BY who",
            (f"name {name[:40]}", f"address {address}"),
        )
        most = {f"name {name[:40]}": MOST_FAILURES, f"address {address}": 4 * MOST_FAILURES}
        return any(n >= most[who] for who, n in rows)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher()


def _verified(stored: str, password: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return bool(_hasher().verify(stored, password))
    except (Argon2Error, InvalidHashError):
        return False


class _Nobody:
    """The hash of a password that nobody has, made once: for names that there are not."""

    def __init__(self) -> None:
        self._hash = ""

    def __call__(self) -> str:
        if not self._hash:
            import secrets

            self._hash = _hasher().hash(secrets.token_urlsafe(32))
        return self._hash


_NOBODY = _Nobody()
