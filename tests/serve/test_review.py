"""A decision is a row of the study's own table, whole and on the disk, or it is refused."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from metasight.cohort.reader_decisions import read_reader_decisions
from metasight.errors import MetasightError, StudyError
from metasight.ledger import Fate
from metasight.serve.audit import Act, AuditLog
from metasight.serve.database import Database, database_of
from metasight.serve.last_run import LastRun
from metasight.serve.review import Decision, decidable_of, decide, queue_of, table_of
from metasight.study.file import read_study

from .conftest import HEADER

WHY = "looked at again under the microscope"
TODAY = dt.date(2026, 3, 1)


def test_what_is_uncertain_comes_first(finished_folder: Path) -> None:
    queue = queue_of(LastRun(read_study(finished_folder)), kept=True)
    order = [Fate.UNKNOWN, Fate.EXCLUDED, Fate.KEPT]
    places = [order.index(i.verdict) for i in queue]
    assert places == sorted(places) and Fate.WAIVED not in {i.verdict for i in queue}
    shorter = queue_of(LastRun(read_study(finished_folder)))
    assert Fate.KEPT not in {i.verdict for i in shorter} and 0 < len(shorter) < len(queue)


def an_item(folder: Path, about: str):
    queue = queue_of(LastRun(read_study(folder)), kept=True)
    return next(i for i in queue if i.about == about)


def other(item) -> Fate:
    return item.choices[0]


@pytest.mark.parametrize("about", ["E1", "quality"])
def test_a_decision_is_read_by_the_next_run(study_folder: Path, about: str) -> None:
    study, item = read_study(study_folder), an_item(study_folder, about)
    decide(study, Decision(item=item, verdict=other(item), reader="AB", reason=WHY), today=TODAY)
    found = read_reader_decisions(study.folder, study.settings, study.protocol)
    if about == "quality":
        (decision,) = found.quality.values()
    else:
        decision = found.criteria[item.patient]["E1"]
    assert (decision.verdict, decision.replaces) == (other(item), item.verdict)
    assert (decision.reader, decision.day, decision.reason) == ("AB", "2026-03-01", WHY)


def test_steps_that_rest_on_it_are_pending(study_folder: Path) -> None:
    from metasight.serve.standing import Looking

    study, item = read_study(study_folder), an_item(study_folder, "E1")
    decide(study, Decision(item=item, verdict=other(item), reader="AB", reason=WHY))
    looking = Looking(study)
    looking.again()
    kinds = [kind for kind, _, _ in looking.wait().pending]
    assert kinds == ["screen cohort"]  # slides are not measured again


@pytest.mark.parametrize(
    ("reader", "reason", "said"),
    [
        ("", WHY, "nobody is named"),
        ("AB", "short", "no reason"),
        ("AB", "seen on 2026-03-01 by me", "a date"),
        ("AB", "MRN-00000", "no reason|patient's id"),
    ],
)
def test_what_the_table_refuses_is_not_written(
    study_folder: Path, reader: str, reason: str, said: str
) -> None:
    study, item = read_study(study_folder), an_item(study_folder, "E1")
    table = study_folder / "reader_decisions.csv"
    before = table.read_bytes()
    with pytest.raises(MetasightError, match=said):
        decide(study, Decision(item=item, verdict=other(item), reader=reader, reason=reason))
    assert table.read_bytes() == before


def test_a_second_decision_about_the_same_is_refused(study_folder: Path) -> None:
    study, item = read_study(study_folder), an_item(study_folder, "E1")
    decision = Decision(item=item, verdict=other(item), reader="AB", reason=WHY)
    decide(study, decision)
    once = (study_folder / "reader_decisions.csv").read_bytes()
    with pytest.raises(MetasightError, match="about the same"):
        decide(study, decision)
    assert (study_folder / "reader_decisions.csv").read_bytes() == once


def test_the_verdict_that_is_there_is_no_decision(study_folder: Path) -> None:
    study, item = read_study(study_folder), an_item(study_folder, "E1")
    with pytest.raises(StudyError, match="there already"):
        decide(study, Decision(item=item, verdict=item.verdict, reader="AB", reason=WHY))


@pytest.mark.parametrize("head", [HEADER, "\ufeff" + HEADER.replace("\n", "\r\n")])
def test_the_table_keeps_its_own_form(study_folder: Path, head: str) -> None:
    table = study_folder / "reader_decisions.csv"
    table.write_bytes(head.encode())
    table.chmod(0o600)
    study, item = read_study(study_folder), an_item(study_folder, "E1")
    reason = 'seen, with "care"; twice\nand again'
    decide(study, Decision(item=item, verdict=other(item), reader="AB", reason=reason))
    written = table.read_bytes()
    assert written.startswith(head.encode())
    assert (b"\r\n" in written) == ("\r" in head) and table.stat().st_mode & 0o777 == 0o600
    (row,) = pd.read_csv(table).to_dict("records")
    assert row["reason"] == 'seen, with "care"; twice and again'


def test_a_study_without_a_table_says_how(study_folder: Path) -> None:
    toml = study_folder / "study.toml"
    text = toml.read_text()
    toml.write_text(text[: text.index("[reader_decisions]")])
    path, why = table_of(read_study(study_folder))
    assert path is None and "[reader_decisions]" in why
    toml.write_text(text.replace("reader_decisions.csv", "decisions.xlsx"))
    path, why = table_of(read_study(study_folder))
    assert path is None and "CSV" in why


def test_two_at_once_are_both_kept(study_folder: Path) -> None:
    study = read_study(study_folder)
    queue = [i for i in queue_of(LastRun(study), kept=True) if i.about == "E1"][:12]
    threads = [
        threading.Thread(
            target=decide,
            args=(study, Decision(item=i, verdict=other(i), reader="AB", reason=WHY)),
        )
        for i in queue
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_reader_decisions(study.folder, study.settings, study.protocol)
    assert set(found.criteria) == {i.patient for i in queue}


WRITER = """
import sys
from pathlib import Path
from metasight.serve.last_run import LastRun
from metasight.serve.review import Decision, decide, queue_of
from metasight.study.file import read_study
study = read_study(Path(sys.argv[1]))
for item in queue_of(LastRun(study), kept=True):
    if item.about == "E1":
        decide(study, Decision(item=item, verdict=item.choices[0], reader="AB", reason=sys.argv[2]))
        print(item.patient, flush=True)
"""


def test_what_was_confirmed_outlives_a_kill(study_folder: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(study_folder), WHY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        confirmed = [writer.stdout.readline().strip() for _ in range(5)]
        time.sleep(0.01)
        os.kill(writer.pid, signal.SIGKILL)
        confirmed += [line.strip() for line in writer.stdout if line.endswith("\n")]
    study = read_study(study_folder)
    found = read_reader_decisions(study.folder, study.settings, study.protocol)
    assert set(confirmed) <= set(found.criteria)
    assert len(found.criteria) <= len(confirmed) + 1


def test_waived_criteria_are_not_decided(finished_folder: Path) -> None:
    run = LastRun(read_study(finished_folder))
    for patient, entries in run.ledger.items():
        if patient:
            assert {i.about for i in decidable_of(entries)}.isdisjoint(run.study.settings.waive)


SERVER = """
import sys
from pathlib import Path
from metasight.serve.app import Workbench
from metasight.serve.reach import Reach
from metasight.serve.running import bound, serve_until_stopped
from metasight.study.file import read_study
workbench = Workbench(read_study(Path(sys.argv[1])), Reach())
listening = bound(workbench.reach)
print(listening.getsockname()[1], workbench.sessions.new_token(), flush=True)
serve_until_stopped(workbench, listening)
"""


def test_two_reviewers_and_a_server_that_is_killed_lose_nothing(study_folder: Path) -> None:
    """Whatever a browser was told is written is in table and audit log after SIGKILL."""
    import httpx2

    study = read_study(study_folder)
    items = [i for i in queue_of(LastRun(study), kept=True) if i.about == "E1"]
    command = [sys.executable, "-c", SERVER, str(study_folder)]
    confirmed: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port, token = server.stdout.readline().split()
        base = f"http://127.0.0.1:{port}"
        first = httpx2.Client(base_url=base, follow_redirects=True, timeout=60)
        text = first.get(f"/enter?token={token}").text
        form = text.split('name="form_token" value="')[1].split('"')[0]

        def review(own: list) -> None:
            told = {"form_token": form, "reader": "AB", "reason": WHY}
            with (
                httpx2.Client(base_url=base, cookies=first.cookies, timeout=60) as client,
                suppress(httpx2.TransportError),
            ):
                for item in own:
                    more = {"item": item.key, "verdict": str(other(item))}
                    if client.post("/review", data={**told, **more}).status_code == 303:
                        confirmed.append(item.patient)

        readers = [threading.Thread(target=review, args=(items[k::2],)) for k in (0, 1)]
        for reader in readers:
            reader.start()
        while len(confirmed) < 6 and server.poll() is None:
            time.sleep(0.002)
        os.kill(server.pid, signal.SIGKILL)
        for reader in readers:
            reader.join(60)
        first.close()
    assert len(confirmed) >= 6
    found = read_reader_decisions(study.folder, study.settings, study.protocol)
    assert set(confirmed) <= set(found.criteria)
    log = AuditLog(Database(database_of(study_folder)), study.settings.key)
    assert log.broken() == ""
    noted = {r.about for r in log.rows() if r.what == Act.DECIDE}
    assert all(any(p in about for about in noted) for p in confirmed)
