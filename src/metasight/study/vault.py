"""Where a study keeps its secrets: a folder beside it that its owner alone may read.

Pseudonyms are keyed hashes of patient ids. Whoever holds the key can find a patient of whom the id
is known in everything that a study publishes; without it the link cannot be made. So the key is of
256 random bits, and lies neither in the study's folder nor in its results, where a colleague is
given both. Only data that hide nobody do without: the file then says that they are public.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metasight.errors import StudyError
from metasight.secret_key import KEY_BYTES, is_guessable, write_new_key

KEY_FILE = "key"
_KEY = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}")
_SHORTEST_SALT = 8


def default_path(folder: Path) -> str:
    """The vault of a new study as its ``study.toml`` names it: beside the study's folder."""
    return f"../{folder.resolve().name}.vault"


def make_key(vault: Path) -> bool:
    """Make a vault with a random key of 256 bits; False where it holds a key already.

    The folder is readable to its owner alone (0700) and so is the key (0600).

    Raises
    ------
    StudyError
        The folder cannot be written.
    """
    path = vault / KEY_FILE
    try:
        vault.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return False
        write_new_key(path)
    except OSError as error:
        raise StudyError(
            "the vault cannot be written",
            where=str(vault),
            value=error.strerror or "",
            remedy="Name another folder: vault = PATH in study.toml",
        ) from error
    return True


def read_key(vault: Path) -> str:
    """The key of a vault, as 64 hexadecimal digits.

    Raises
    ------
    StudyError
        There is none, others may read it, or it is no key.
    """
    path = vault / KEY_FILE
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            "the vault holds no key that can be read",
            where=str(path),
            remedy="Put the study's key there; for a study that has not begun make one with "
            "`metasight vault FOLDER`",
        ) from error
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise StudyError(
            "others may read the key of the pseudonyms",
            where=str(path),
            value=f"mode {stat.S_IMODE(mode):04o}",
            remedy=f"Run chmod 600 {path}",
        )
    if not _KEY.fullmatch(text):
        raise StudyError(
            f"the key is not {2 * KEY_BYTES} hexadecimal digits",
            where=str(path),
            remedy="Put the study's key back; a study that has not begun gets another from "
            "`metasight vault FOLDER` after this file is deleted",
        )
    if is_guessable(bytes.fromhex(text)):
        raise StudyError(
            "the key can be guessed: it is a pattern or a typed text, not random",
            where=str(path),
            remedy="Delete this file and run `metasight vault FOLDER`, which makes a random one; "
            "pseudonyms and folds change with it",
        )
    return text


def with_key(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The entries of a ``study.toml`` with the key in place of where it is found.

    ``vault`` names a folder; ``salt`` is the key itself, for public and simulated data, which hold
    nobody's secret: ``public_data = true`` must say that they are.

    Raises
    ------
    StudyError
        Both or neither are given, what is given is no key, or the key would lie in the study's
        folder though the data are not public.
    """
    entries = dict(data)
    if "key" in entries:
        raise StudyError(
            "study.toml must not contain the key itself",
            where="study.toml key",
            remedy="Name the folder that holds it: vault = PATH",
        )
    salt, vault = entries.pop("salt", None), entries.pop("vault", None)
    public = entries.pop("public_data", False)
    if (salt is None) == (vault is None):
        raise StudyError(
            "vault and salt are both given" if vault is not None else "vault is missing",
            where="study.toml",
            remedy="Give vault = PATH, the folder with the key of the pseudonyms; "
            "`metasight vault FOLDER` makes one",
        )
    if vault is not None:
        if not isinstance(vault, str) or not vault:
            raise StudyError(
                "vault is not a path",
                where="study.toml",
                remedy=f"Write vault = {default_path(folder)!r}",
            )
        return entries | {"key": read_key(_outside(folder, vault))}
    return entries | {"key": _public_salt(salt, public)}


def _public_salt(salt: Any, public: Any) -> str:
    """A salt of a study whose data hide nobody."""
    if public is not True:
        raise StudyError(
            "salt, the key of the pseudonyms, lies in the study's folder: with it a patient's "
            "pseudonym follows from the id",
            where="study.toml",
            remedy="Move it to a vault with `metasight vault FOLDER`, which changes pseudonyms and "
            "folds; if the data are public or simulated, add public_data = true",
        )
    if not isinstance(salt, str) or len(set(salt)) < 2 or len(salt.strip()) < _SHORTEST_SALT:
        raise StudyError(
            f"salt is not a text of {_SHORTEST_SALT} characters or more",
            where="study.toml",
            remedy="Keep the key in a vault instead: `metasight vault FOLDER` makes one",
        )
    return salt


def _outside(folder: Path, named: str) -> Path:
    """The vault that a study names; it may not be where it is copied and sent with the study.

    Raises
    ------
    StudyError
        It is the study's folder or lies within it.
    """
    vault, own = (folder / named).resolve(), folder.resolve()
    if vault == own or own in vault.parents:
        raise StudyError(
            "the vault lies inside the study's folder, which is copied and sent with its results",
            where="study.toml vault",
            remedy=f"Move the vault out and write vault = {default_path(folder)!r}",
        )
    return vault


def vault_of(data: Mapping[str, Any], folder: Path) -> Path | None:
    """The vault that a ``study.toml`` names; None where it gives a salt.

    Parameters
    ----------
    data
        Entries of a file that :func:`with_key` accepts.
    folder
        Of the study.
    """
    named = data.get("vault")
    return (folder / named).resolve() if isinstance(named, str) and named else None


def move_to_vault(folder: Path) -> tuple[Path, bool]:
    """Give a study a vault: make the key and name it in ``study.toml`` in place of ``salt``.

    The pseudonyms become others, and with them the folds of cross-validation; results that exist
    keep theirs.

    Returns
    -------
    path
        The vault.
    changed
        Whether ``study.toml`` was changed.

    Raises
    ------
    StudyError
        There is no ``study.toml``, its line with ``salt`` is not found, or the vault cannot be
        written.
    """
    path = folder / "study.toml"
    if not path.is_file():
        raise StudyError(
            "there is no study.toml", where=folder.name, remedy="Make one with `metasight init`"
        )
    text = path.read_text("utf-8-sig")
    named = re.search(r"""^vault\s*=\s*["']([^"'\n]+)["']""", text, re.MULTILINE)
    vault = _outside(folder, named[1] if named else default_path(folder))
    if named:
        make_key(vault)
        return vault, False
    line = f'vault = "{default_path(folder)}"'
    changed, found = re.subn(r"^salt\s*=.*$", lambda _: line, text, count=1, flags=re.MULTILINE)
    if not found:
        raise StudyError(
            "study.toml has no line that names vault or salt",
            where="study.toml",
            remedy=f"Add the line {line} above the first [section], then run this again",
        )
    changed = re.sub(r"^public_data\s*=.*\n", "", changed, flags=re.MULTILINE)
    make_key(vault)
    path.write_text(changed, "utf-8")
    return vault, True
