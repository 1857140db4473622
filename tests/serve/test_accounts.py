"""Users have roles; passwords are kept as argon2 hashes; logins cannot be tried for long."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.errors import StudyError
from metasight.serve.accounts import MOST_FAILURES, WINDOW_S, Accounts, Role
from metasight.serve.database import Database, database_of
from stopped_clock import Clock

GOOD = "twelve letters or more"


@pytest.fixture
def accounts(tmp_path: Path, clock: Clock) -> Accounts:
    found = Accounts(Database(database_of(tmp_path)), clock)
    found.put("ann", Role.REVIEWER, GOOD)
    return found


def test_each_role_may_what_those_before_it_may() -> None:
    order = [Role.VIEWER, Role.REVIEWER, Role.ADMIN]
    assert [[a.may(b) for b in order] for a in order] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_the_right_password_lets_in_and_no_other(accounts: Accounts) -> None:
    found = accounts.check("ann", GOOD, "here")
    assert found is not None and found.role is Role.REVIEWER
    assert accounts.check("ann", GOOD + "x", "here") is None
    assert accounts.check("bob", GOOD, "here") is None


def test_passwords_are_kept_as_argon2(accounts: Accounts) -> None:
    ((kept,),) = accounts._database.rows("SELECT password FROM users")
    assert kept.startswith("$argon2id$") and GOOD not in kept


def test_after_some_failures_even_the_right_password_waits(
    accounts: Accounts, clock: Clock
) -> None:
    for _ in range(MOST_FAILURES):
        assert accounts.check("ann", "wrong", "here") is None
    assert accounts.refused("ann", "elsewhere")
    assert accounts.check("ann", GOOD, "elsewhere") is None
    clock.now += WINDOW_S + 1
    assert accounts.check("ann", GOOD, "here") is not None


def test_an_address_that_tries_many_names_waits(accounts: Accounts) -> None:
    for n in range(4 * MOST_FAILURES):
        accounts.failed(f"name{n}", "there")
    assert accounts.refused("ann", "there") and not accounts.refused("ann", "here")


@pytest.mark.parametrize("name", ["", "a", "1ann", "ann smith", "a" * 40, "ann\n", "ånn"])
def test_names_that_are_no_names(accounts: Accounts, name: str) -> None:
    with pytest.raises(StudyError, match="not a user's name"):
        accounts.put(name, Role.VIEWER, GOOD)


@pytest.mark.parametrize("password", ["", "short", "x" * 201])
def test_passwords_that_are_none(accounts: Accounts, password: str) -> None:
    with pytest.raises(StudyError, match="too short or too long"):
        accounts.put("bob", Role.VIEWER, password)


def test_a_user_may_be_changed_and_removed(accounts: Accounts) -> None:
    accounts.put("ann", Role.ADMIN, GOOD + "!")
    assert [(a.name, a.role) for a in accounts.all()] == [("ann", Role.ADMIN)]
    accounts.remove("ann")
    assert accounts.all() == ()
    with pytest.raises(StudyError, match="no such user"):
        accounts.remove("ann")
