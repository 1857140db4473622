"""Run from the page: who may, what is said, and that the pages then show what the run found."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from metasight.serve.accounts import Role
from metasight.serve.audit import Act

from .conftest import Served

Serve = Callable[..., Served]


def test_a_run_from_the_page_shows_its_results_in_every_browser(
    serve: Serve, study_folder: Path
) -> None:
    served = serve()
    other = served.second()
    served.login(Role.REVIEWER)
    other.login(Role.VIEWER)
    before = served.client.get("/").text
    table = study_folder / "patients.csv"
    old_run = served.workbench.run.name
    # one patient more is excluded: a man
    table.write_text(table.read_text().replace(",female,", ",male,", 1))
    assert "Run the study" in before and "Run the study" not in other.client.get("/").text
    assert served.post("/run").status_code == 200
    assert "is being run" in served.post("/run").text or served.workbench.runs.state.running
    text = other.client.get("/run").text
    assert "about to begin" in text or "being run" in text
    # stopped in the middle, it goes on where it was
    runs = served.workbench.runs
    for _ in range(1200):
        seen = runs.state.seen
        if seen is not None and any(stage.done for stage in seen.stages):
            break
        time.sleep(0.05)
    assert served.post("/run/stop").status_code == 200
    runs.wait(60)
    assert runs.state.seen is not None and runs.state.seen.ended == "stopped"
    assert served.workbench.run.name == old_run
    assert "goes on where it was" in other.client.get("/").text
    assert served.post("/run").status_code == 200
    runs.wait(240)
    ended = served.client.get("/run", headers={"hx-request": "true"})
    assert ended.headers["hx-refresh"] == "true" and "did not come" not in ended.text
    after, theirs = served.client.get("/").text, other.client.get("/").text
    assert served.workbench.run.name != old_run
    assert f"results of run {served.workbench.run.name}" in after
    assert f"results of run {served.workbench.run.name}" in theirs
    assert "excluded at I1" not in before and "1 excluded at I1" in after
    acts = [r.what for r in served.workbench.audit.rows()]
    assert (acts.count(Act.RUN), acts.count(Act.STOP)) == (2, 1)


def test_a_viewer_may_not(serve: Serve) -> None:
    served = serve().login(Role.VIEWER)
    assert served.post("/run").status_code == 403
    assert served.post("/run/stop").status_code == 403


def test_a_study_that_cannot_be_read_is_not_run(serve: Serve, study_folder: Path) -> None:
    served = serve().enter()
    toml = study_folder / "study.toml"
    toml.write_text(toml.read_text() + "\nnonsense = 1\n")
    answer = served.post("/run")
    assert answer.status_code == 409 and "nonsense" in answer.text
    assert not served.workbench.runs.state.running
    assert served.client.get("/patients").status_code == 200  # what was found is still shown


def test_nothing_to_stop(serve: Serve) -> None:
    answer = serve().enter().post("/run/stop")
    assert answer.status_code == 409 and "no run" in answer.text


def test_a_change_of_settings_shows_without_a_restart(serve: Serve, study_folder: Path) -> None:
    served = serve().enter()
    toml = study_folder / "study.toml"
    text = toml.read_text()
    title = re.search(r'title = "([^"]*)"', text)
    changed = (
        text.replace(title[0], 'title = "Another title"')
        if title
        else 'title = "Another title"\n' + text
    )
    time.sleep(0.01)
    toml.write_text(changed)
    assert "Another title" in served.client.get("/").text
