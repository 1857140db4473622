"""A token lets one browser in, once; a session ends by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.serve.accounts import Account, Role
from metasight.serve.database import Database, database_of
from metasight.serve.sessions import IDLE_S, LOCAL, LONGEST_S, LoginForms, Sessions
from stopped_clock import Clock


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Sessions:
    return Sessions(Database(database_of(tmp_path)), clock)


def test_a_token_works_once(sessions: Sessions) -> None:
    token = sessions.new_token()
    assert sessions.use_token("another") is None
    cookie = sessions.use_token(token)
    assert cookie is not None
    found = sessions.of(cookie)
    assert found is not None and found.account == Account(LOCAL, Role.ADMIN)
    assert sessions.use_token(token) is None


def test_a_new_token_voids_the_last(sessions: Sessions) -> None:
    first, second = sessions.new_token(), sessions.new_token()
    assert sessions.use_token(first) is None and sessions.use_token(second) is not None


def test_before_any_token_nothing_lets_in(sessions: Sessions) -> None:
    assert sessions.use_token("") is None


def test_cookies_are_not_kept(sessions: Sessions) -> None:
    cookie = sessions.begin(Account("ann", Role.VIEWER))
    assert cookie not in str(sessions._database.rows("SELECT * FROM sessions"))
    assert sessions.of(cookie + "x") is None and sessions.of("") is None


def test_an_idle_session_ends(sessions: Sessions, clock: Clock) -> None:
    cookie = sessions.begin(Account("ann", Role.VIEWER))
    clock.now += IDLE_S - 1
    assert sessions.of(cookie) is not None
    clock.now += IDLE_S - 1
    assert sessions.of(cookie) is not None
    clock.now += IDLE_S + 1
    assert sessions.of(cookie) is None


def test_a_page_that_asks_by_itself_does_not_lengthen_a_session(
    sessions: Sessions, clock: Clock
) -> None:
    cookie = sessions.begin(Account("ann", Role.VIEWER))
    for _ in range(3):
        clock.now += IDLE_S / 4
        assert sessions.of(cookie, by_itself=True) is not None
    clock.now += IDLE_S / 3
    assert sessions.of(cookie, by_itself=True) is None


def test_every_session_ends(sessions: Sessions, clock: Clock) -> None:
    cookie = sessions.begin(Account("ann", Role.VIEWER))
    for _ in range(int(LONGEST_S / 1000) + 1):
        clock.now += 1000
        found = sessions.of(cookie)
    assert found is None


def test_forms_are_a_session_s_own(sessions: Sessions) -> None:
    one = sessions.of(sessions.begin(Account("ann", Role.VIEWER)))
    other = sessions.of(sessions.begin(Account("ann", Role.VIEWER)))
    assert one is not None and other is not None
    assert one.is_own(one.form_token) and not one.is_own(other.form_token)
    assert not one.is_own("") and not one.is_own("é")


def test_the_local_sessions_of_an_earlier_start_end(sessions: Sessions) -> None:
    cookie = sessions.use_token(sessions.new_token())
    other = sessions.begin(Account("ann", Role.VIEWER))
    sessions.end_local()
    assert cookie is not None and sessions.of(cookie) is None
    assert sessions.of(other) is not None


def test_a_login_form_goes_with_its_cookie() -> None:
    forms = LoginForms()
    (cookie, token), (other, _) = forms.new(), forms.new()
    assert forms.is_own(cookie, token)
    assert not forms.is_own(other, token) and not forms.is_own("", token)
    assert not forms.is_own(cookie, "é") and not LoginForms().is_own(cookie, token)
