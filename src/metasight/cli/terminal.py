"""What a terminal takes: its encoding, and a reader that stops reading (``| head``)."""

from __future__ import annotations

import codecs
import io
import os
import sys
import unicodedata
from typing import IO

from rich.console import Console

_HANDLER = "metasight"
_SPELT = {
    "←": "<-",
    "→": "->",
    "–": "-",
    "—": "-",
    "−": "-",
    "·": "|",
    "…": "...",
    "≥": ">=",
    "≤": "<=",
    "×": "x",
    "µ": "u",
    "μ": "u",
    "✓": "+",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
}


class Terminal(Console):
    """A console whose reader may leave: what comes after is written nowhere, and work goes on."""

    talk = "USUAL"
    """How much of a run is told: a name of :class:`metasight.engine.progress.Talk`."""

    def on_broken_pipe(self) -> None:
        """Write nothing more."""
        self.quiet = True
        drop_output(self.file)


def drop_output(stream: IO[str]) -> None:
    """Let what is still written to a stream of this process vanish: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def spell_out() -> None:
    """Let output streams that are not UTF-8 spell what they cannot show, in place of failing."""
    codecs.register_error(_HANDLER, _spelt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not is_utf(stream.encoding):
            stream.reconfigure(errors=_HANDLER)


def is_utf(encoding: str) -> bool:
    """Whether an encoding has every character."""
    return encoding.lower().replace("-", "").startswith("utf")


def _spelt(error: UnicodeError) -> tuple[str, int]:
    """Characters that an encoding lacks, by others; ``?`` where there are none."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(_other(c) for c in error.object[error.start : error.end])
    return text, error.end


def _other(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode("ascii")
    return _SPELT.get(character) or plain or "?"
