"""What a plan reads is what its steps' arguments name, wherever in them it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metasight.engine.contents import Folder
from metasight.engine.reading import files_read


@dataclass(frozen=True)
class Scan:
    path: Path | None
    more: tuple[Path, ...]
    tables: Folder
    about: dict[str, Path]


def test_files_of_paths_folders_tables_and_mappings(tmp_path: Path) -> None:
    for name in ("ct/1.dcm", "ct/2.dcm", "a.svs", "m.mrxs", "m/Dat.dat", "t.csv", "w.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    argument = Scan(
        path=tmp_path / "ct",
        more=(tmp_path / "a.svs", tmp_path / "m.mrxs"),
        tables=Folder(root=tmp_path, files=("t.csv",)),
        about={"sha": tmp_path / "w.bin"},
    )
    found = files_read([argument, Scan(None, (), Folder(root=tmp_path, files=()), {})])
    names = ("ct/1.dcm", "ct/2.dcm", "a.svs", "m.mrxs", "m/Dat.dat", "t.csv", "w.bin")
    assert list(found) == sorted(tmp_path / n for n in names)
