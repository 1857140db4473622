"""The command line: parse, call, print. Nothing is computed here.

Errors end with one clear message and exit status 2; ``--debug`` shows where they came from.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from metasight.cli.printing import err, shown
from metasight.cli.simulate import simulation
from metasight.cli.slides import slides
from metasight.cli.study import app
from metasight.errors import MetasightError

app.add_typer(slides, name="slides")
app.add_typer(simulation, name="simulate")

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it (128 + SIGINT)."""


def main(arguments: list[str] | None = None) -> Any:
    """Entry point; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        app([a for a in arguments if a != "--debug"], prog_name="metasight")
    except MetasightError as error:
        if debug:
            raise
        err.print(f"[red]error[/red] {shown(error)}", soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        if debug:
            raise
        place = Path(error.filename).name if error.filename else ""
        err.print(
            f"[red]error[/red] {shown(place)}: {shown(error.strerror or error)}. "
            "Check permissions and free space.",
            soft_wrap=True,
        )
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}, line {where.lineno}"
        # The message may quote a patient's value and stays out.
        err.print(
            f"[red]internal error[/red] {type(error).__name__} in {place}: a mistake in "
            "metasight, not in your study. Finished steps are kept. --debug shows all of it.",
            soft_wrap=True,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as stop:
        # Typer makes this of Ctrl-C inside a command, and says nothing.
        if stop.code == INTERRUPTED:
            _stopped()
        raise


def _stopped() -> NoReturn:
    err.print("Stopped. Finished steps are kept; the same command goes on from there.")
    sys.exit(INTERRUPTED)
