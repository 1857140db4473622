"""The command line: parse, call, print. Nothing is computed here.

Errors end with one clear message and an exit status (docs/command-line.md lists them); ``--debug``
shows where they came from.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from metasight.cli.deidentify import deidentification
from metasight.cli.exchange import export, take_in
from metasight.cli.machine_readable import OPTION, error_found, print_json
from metasight.cli.printing import err, out, shown
from metasight.cli.scans import scans
from metasight.cli.serve import audit, serve, users
from metasight.cli.simulate import simulation
from metasight.cli.slides import slides
from metasight.cli.study import app
from metasight.cli.terminal import drop_output, spell_out
from metasight.cli.upkeep import clean, withdraw
from metasight.engine.private import closed_to_others
from metasight.errors import MetasightError

app.command()(export)
app.command("import")(take_in)
app.add_typer(slides, name="slides")
app.add_typer(scans, name="scans")
app.add_typer(simulation, name="simulate")
app.add_typer(deidentification, name="deidentify")
app.command()(serve)
app.command()(audit)
app.add_typer(users, name="users")
app.command()(clean)
app.command()(withdraw)

_COMMON = {
    "--debug": "--debug",
    "--verbose": "--verbose",
    "-v": "--verbose",
    "--quiet": "--quiet",
    "-q": "--quiet",
}

NEEDS_CORRECTION = 2
"""Exit status where the command, the study or its files need correction."""
INTERNAL = 3
"""Exit status where metasight itself is at fault."""
UNREAD = 1
"""Exit status where what was asked for could not be printed, for nothing reads it any more."""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it (128 + SIGINT)."""


def main(arguments: list[str] | None = None) -> Any:
    """Entry point; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    common, arguments = _parted(arguments)
    debug = "--debug" in common
    out.talk = _talk(common)
    spell_out()
    try:
        with closed_to_others(), _written_out():
            app(arguments, prog_name="metasight")
    except BrokenPipeError:  # the reader of what is printed has gone
        drop_output(sys.stdout)
        sys.exit(UNREAD)
    except Exception as error:
        if debug:
            raise
        text, status = _said(error)
        err.print(text, soft_wrap=True)
        if OPTION in arguments:
            print_json(_command(arguments), error_found(error, status=status))
        sys.exit(status)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as stop:
        # Typer makes this of Ctrl-C inside a command, and says nothing.
        if stop.code == INTERRUPTED:
            _stopped()
        raise


def _parted(arguments: list[str]) -> tuple[set[str], list[str]]:
    """Options of every command, wherever they were given, and the rest."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    common = [a for a in arguments[:end] if a in _COMMON]
    rest = [a for a in arguments[:end] if a not in _COMMON]
    return {_COMMON[a] for a in common}, rest + arguments[end:]


def _talk(common: set[str]) -> str:
    """How much of a run is told."""
    if "--verbose" in common:
        return "EVERY_STEP"
    return "QUIET" if "--quiet" in common else "USUAL"


@contextmanager
def _written_out() -> Iterator[None]:
    """Write what is left to write while an error of it can still be handled."""
    try:
        yield
    finally:
        sys.stdout.flush()


def _said(error: Exception) -> tuple[str, int]:
    """What the terminal shows of an error, and the exit status."""
    if isinstance(error, MetasightError):
        return f"[red]error[/red] {shown(error)}", NEEDS_CORRECTION
    if isinstance(error, OSError):
        place = Path(error.filename).name if error.filename else ""
        text = (
            f"[red]error[/red] {shown(place)}: {shown(error.strerror or error)}. "
            "Check permissions and free space."
        )
        return text, NEEDS_CORRECTION
    if isinstance(error, MemoryError):
        text = (
            "[red]error[/red] there is not enough memory. Run it where more is free, or with "
            "--workers 1. Results of finished steps are kept."
        )
        return text, NEEDS_CORRECTION
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    # The message may quote a patient's value and stays out.
    text = (
        f"[red]internal error[/red] {type(error).__name__} in {place}: a fault in metasight, not "
        "in your study. Results of finished steps are kept. --debug shows the details."
    )
    return text, INTERNAL


def _command(arguments: list[str]) -> str:
    """The command that was given, without its arguments: they may hold a patient's id."""
    known = {"check", "run", "doctor", "slides", "scans"}
    return next((a for a in arguments if a in known), "")


def _stopped() -> NoReturn:
    err.print("Stopped. Results of finished steps are kept; the same command resumes the run.")
    sys.exit(INTERRUPTED)
