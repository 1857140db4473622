"""The key file of a de-identification, and what derives from it: pseudonyms, UIDs, shifts of dates.

Everything is a keyed hash (HMAC-SHA256) of what stands in the input, with the purpose in front, so
that a pseudonym says nothing of a UID and the shift nothing of either. The same key and the same
input give the same bytes; without the key nobody can tell which pseudonym is whose, not even with a
list of all ids of the hospital.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from metasight.cohort.ids import normal_id
from metasight.errors import StudyError
from metasight.secret_key import is_guessable, write_new_key

FEWEST_BYTES = 16
"""A key of 128 bits cannot be guessed."""
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
SHIFT_DAYS = (366, 3652)
"""Shortest and longest shift: one to ten years into the past."""
_UUID_VERSION_8 = 8


def make_key_file(path: Path) -> None:
    """Write a random key of 256 bits to a new file that its owner alone may read (0600).

    Raises
    ------
    StudyError
        There is a file already, or it cannot be written.
    """
    try:
        write_new_key(path)
    except OSError as error:
        raise StudyError(
            "the key file cannot be made",
            where=path.name,
            value=error.strerror or "",
            remedy="Name a new file in a folder of your own: a key is never overwritten",
        ) from error


def read_key_file(path: Path, *, outside: Path | None = None) -> Key:
    """Read a key file.

    Parameters
    ----------
    path
        One line of 32 hexadecimal digits or more.
    outside
        Folder in which the key must not lie: that of the output.

    Raises
    ------
    StudyError
        It cannot be read, lies in the output, may be read by others, or is weak.
    """
    if outside is not None and path.resolve().is_relative_to(outside.resolve()):
        raise StudyError(
            "the key lies in the folder of the output",
            where=path.name,
            remedy="Keep the key where the output is not: who has both can link every patient",
        )
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip() if stat.S_ISREG(mode) else ""
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            "the key file cannot be read",
            where=path.name,
            remedy="Make one with `metasight deidentify new-key FILE`",
        ) from error
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise StudyError(
            "others may read the key file",
            where=path.name,
            value=f"mode {stat.S_IMODE(mode):04o}",
            remedy="Run chmod 600 on it",
        )
    is_key = _HEX.fullmatch(text) is not None and len(text) >= 2 * FEWEST_BYTES
    if not is_key or is_guessable(bytes.fromhex(text)):
        raise StudyError(
            f"the key is not {2 * FEWEST_BYTES} or more random hexadecimal digits",
            where=path.name,
            remedy="Make one with `metasight deidentify new-key FILE`",
        )
    return Key(secret=bytes.fromhex(text))


@dataclass(frozen=True, kw_only=True)
class Key:
    """What replaces identifiers; the same for the same identifier wherever it stands.

    Attributes
    ----------
    secret
        At least 16 random bytes.
    """

    secret: bytes = field(repr=False)

    def _digest(self, purpose: str, text: str) -> bytes:
        said = f"{purpose}\x1f{text}".encode("utf-8", "surrogateescape")  # names of files
        return hmac.new(self.secret, said, "sha256").digest()

    def patient(self, patient_id: str) -> str:
        """Pseudonym of a patient, ``P`` and 16 letters or digits (80 bits)."""
        return "P" + _letters(self._digest("patient", normal_id(patient_id)), 16)

    def text(self, purpose: str, value: str) -> str:
        """What stands for another identifier, as a specimen's: ``X`` and 12 letters or digits."""
        return "X" + _letters(self._digest(purpose, value), 12)

    def uid(self, uid: str) -> str:
        """The UID that replaces one: ``2.25.`` and a number of 128 bits (PS3.5 B.2)."""
        number = int.from_bytes(self._digest("uid", uid)[:16], "big")
        number = number & ~(0xF << 76) | _UUID_VERSION_8 << 76
        number = number & ~(0x3 << 62) | 0x2 << 62
        return f"2.25.{number}"

    def shift_days(self, patient_id: str) -> int:
        """Days by which every date of a patient is moved; −3652 to −366."""
        shortest, longest = SHIFT_DAYS
        number = int.from_bytes(self._digest("shift", normal_id(patient_id))[:8], "big")
        return -(shortest + number % (longest - shortest + 1))


def _letters(digest: bytes, n: int) -> str:
    return base64.b32encode(digest).decode("ascii").lower()[:n]
