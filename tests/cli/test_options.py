"""Options that several commands take: what a command is handed, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from metasight.cli import app as study_app
from metasight.cli.options import placed
from metasight.engine.placement import Placement
from metasight.errors import StudyError

HANDED: list[tuple[str, Placement]] = []
app = typer.Typer()


@app.command()
@placed("inline")
def command(name: str = "x", *, scheduler: Placement) -> None:
    HANDED.append((name, scheduler))


def handed(*arguments: str) -> tuple[str, Placement]:
    HANDED.clear()
    found = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return HANDED[0]


def test_a_command_has_its_own_default() -> None:
    assert handed("--name", "y") == ("y", Placement(scheduler="inline"))


def test_all_of_a_placement() -> None:
    given = "--scheduler local --workers 3 --memory 4GiB"
    assert handed(*given.split())[1] == Placement(scheduler="local", workers=3, memory=4 * 2**30)
    given = "--scheduler tls://h:1 --wait 5 --tls-ca a --tls-cert b --tls-key c"
    assert handed(*given.split())[1] == Placement(
        scheduler="tls://h:1",
        wait_s=5,
        tls_ca=Path("a"),
        tls_cert=Path("b"),
        tls_key=Path("c"),
    )


def test_an_address_without_tls_needs_an_option_of_its_own() -> None:
    with pytest.raises(StudyError, match=r"without TLS.*--insecure-scheduler"):
        handed("--scheduler", "tcp://h:1")
    assert handed("--scheduler", "tcp://h:1", "--insecure-scheduler")[1].insecure


def test_one_command_may_hand_its_placement_on_to_another() -> None:
    HANDED.clear()
    given = Placement(scheduler="local", workers=2)
    command(name="z", scheduler=given)
    assert [("z", given)] == HANDED


@pytest.mark.parametrize("kind", [[], ["--simulated"], ["--lung"]])
def test_a_demonstration_is_written_and_run(kind, tmp_path, monkeypatch) -> None:
    """`demo` hands its folder and its placement on to `run`."""
    ran: list[tuple[Path, str]] = []
    for writer in ("write_demonstration", "write_simulated", "write_simulated_lung"):
        monkeypatch.setattr(f"metasight.demonstration.{writer}", lambda *_: None)
    monkeypatch.setattr("metasight.study.file.read_study", lambda folder: folder)

    def run(study: Path, *, scheduler: Placement, progress: object) -> tuple[Path, tuple[()]]:
        ran.append((study, scheduler.scheduler))
        return tmp_path, ()

    monkeypatch.setattr("metasight.pipeline.run", run)
    found = CliRunner().invoke(study_app, ["demo", *kind, str(tmp_path), "--scheduler", "inline"])
    assert found.exception is None, found.output
    assert ran == [(tmp_path, "inline")]
