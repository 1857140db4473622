"""The key of the pseudonyms: where it lies, who may read it, how a study comes to one."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from metasight.cohort.read import read_cohort
from metasight.errors import StudyError
from metasight.study.file import read_study
from metasight.study.vault import (
    default_path,
    make_key,
    move_to_vault,
    read_key,
    with_key,
)

SALT = 'salt = "a salt for tests"'


def pseudonyms(folder: Path) -> set[str]:
    study = read_study(folder)
    return set(read_cohort(study.folder, study.settings, study.protocol).table.index)


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    folder = tmp_path / "study.vault"
    assert make_key(folder)
    return folder


def test_a_key_is_random_and_its_owners_alone(vault: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(vault.stat().st_mode) == 0o700
    assert stat.S_IMODE((vault / "key").stat().st_mode) == 0o600
    assert len(bytes.fromhex(read_key(vault))) == 32
    make_key(tmp_path / "other")
    assert read_key(vault) != read_key(tmp_path / "other")


def test_a_key_that_is_there_is_never_replaced(vault: Path) -> None:
    before = read_key(vault)
    assert not make_key(vault)
    assert read_key(vault) == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused(vault: Path, mode: int) -> None:
    (vault / "key").chmod(mode)
    with pytest.raises(StudyError, match=f"others may read .*mode {mode:04o}.*chmod 600"):
        read_key(vault)


@pytest.mark.parametrize("text", ["", "0" * 63, "g" * 64, "A" * 64, "0" * 65])
def test_what_is_no_key_is_refused_and_not_shown(vault: Path, text: str) -> None:
    (vault / "key").write_text(text)
    with pytest.raises(StudyError, match="not 64 hexadecimal digits") as refusal:
        read_key(vault)
    assert not text or text not in str(refusal.value)


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        b"\x5a\xc3" * 16,
        bytes.fromhex("0123456789abcdef" * 4),
        bytes(range(32)),
        bytes(range(0, 224, 7)),
        b"correct horse battery staple 123",
    ],
)
def test_a_key_that_can_be_guessed_is_refused(vault: Path, key: bytes) -> None:
    (vault / "key").write_text(key.hex())
    with pytest.raises(StudyError, match="the key can be guessed") as refusal:
        read_key(vault)
    assert key.hex() not in str(refusal.value)


def test_a_vault_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no key that can be read"):
        read_key(tmp_path)


def test_a_vault_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match=r"cannot be written.*vault = PATH"):
        make_key(tmp_path / "file" / "vault")


def test_the_entries_hold_the_key_in_place_of_where_it_lies(vault: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    found = with_key({"vault": default_path(study), "title": "T"}, study)
    assert found == {"title": "T", "key": read_key(vault)}
    public = {"salt": "public data", "public_data": True}
    assert with_key(public, study) == {"key": "public data"}


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({}, "vault is missing"),
        ({"salt": "public data", "vault": "../v"}, "vault and salt are both given"),
        ({"salt": "short", "public_data": True}, "salt is not a text of 8 characters"),
        ({"salt": " " * 12, "public_data": True}, "salt is not a text of 8 characters"),
        ({"salt": "aaaaaaaaaaaa", "public_data": True}, "salt is not a text of 8 characters"),
        ({"salt": 12345678, "public_data": True}, "salt is not a text of 8 characters"),
        ({"salt": "0f" * 32}, "pseudonym follows from the id.*public_data = true"),
        ({"salt": "public data", "public_data": False}, "pseudonym follows from the id"),
        ({"salt": "public data", "public_data": "yes"}, "pseudonym follows from the id"),
        ({"vault": "."}, "the vault lies inside the study's folder"),
        ({"vault": "results/x"}, "the vault lies inside the study's folder"),
        ({"vault": "../{}/in"}, "the vault lies inside the study's folder"),
        ({"vault": 3}, "vault is not a path"),
        ({"vault": ""}, "vault is not a path"),
        ({"key": "0" * 64}, "study.toml must not contain the key itself"),
    ],
)
def test_entries_that_are_refused(tmp_path: Path, entries: dict[str, object], problem: str) -> None:
    vault = entries.get("vault")
    if isinstance(vault, str):
        entries |= {"vault": vault.format(tmp_path.name)}
    with pytest.raises(StudyError, match=problem) as refusal:
        with_key(entries, tmp_path)
    for value in map(str, (entries.get("salt", ""), entries.get("key", ""))):
        assert not value.strip() or value not in str(refusal.value)


def test_a_study_is_moved_to_a_vault_and_gets_other_pseudonyms(breast_study) -> None:
    folder = breast_study()
    before = pseudonyms(folder)
    path, changed = move_to_vault(folder)
    assert changed
    assert path.resolve() == (folder.parent / f"{folder.name}.vault").resolve()
    text = (folder / "study.toml").read_text("utf-8")
    assert "salt" not in tomllib.loads(text)
    assert read_study(folder).settings.key == read_key(path)
    after = pseudonyms(folder)
    assert len(after) == len(before)
    assert not after & before
    assert move_to_vault(folder) == (path, False)
    assert pseudonyms(folder) == after


def test_a_key_that_was_lost_is_made_anew_only_when_asked(breast_study) -> None:
    folder = breast_study()
    path, _ = move_to_vault(folder)
    (path / "key").unlink()
    with pytest.raises(StudyError, match="holds no key"):
        read_study(folder)
    move_to_vault(folder)
    assert read_study(folder)


def test_nothing_to_move(tmp_path: Path, breast_study) -> None:
    with pytest.raises(StudyError, match=r"no study\.toml"):
        move_to_vault(tmp_path)
    folder = breast_study(replace=[(SALT, "")])
    with pytest.raises(StudyError, match="no line that names vault or salt"):
        move_to_vault(folder)
    assert not (folder.parent / f"{folder.name}.vault").exists()
