"""Commands that delete: what a study no longer needs, what is left of a patient who withdrew."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from metasight.cli.options import HERE, Folder
from metasight.cli.printing import command_line, out, shown
from metasight.errors import StudyError

if TYPE_CHECKING:
    from metasight.study.file import Study
    from metasight.upkeep import Erasure

Yes = Annotated[bool, typer.Option("--yes", help="Delete. Without it, nothing is deleted.")]
_SHOWN = 40
_MIB = 2**20


def clean(
    folder: Folder = HERE,
    runs: Annotated[
        bool, typer.Option("--runs", help="Folders of earlier runs in results as well.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Delete results that the last run does not rest on. Without --yes, only list them."""
    from metasight.study.file import read_study
    from metasight.upkeep import delete, leftovers

    found = leftovers(read_study(folder), runs=runs)
    if not found:
        out.print("Nothing is left over.")
        return
    size, number = Counter[str](), Counter[str]()
    for leftover in found:
        size[leftover.what] += leftover.size
        number[leftover.what] += 1
    table = Table("what", "number", "MiB")
    for what in size:
        table.add_row(what, f"{number[what]}", f"{size[what] / _MIB:.1f}")
    out.print(table)
    if not yes:
        out.print(f"Nothing was deleted. To delete: {command_line('clean', folder)} --yes.")
        return
    delete(found)
    out.print(f"Deleted: {sum(size.values()) / _MIB:.1f} MiB.")


def withdraw(
    folder: Folder,
    patients: Annotated[
        list[str] | None, typer.Argument(help="Ids of the patients in the hospital.")
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option("--from", help="Text file with one id a line: a command line can be seen."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Erase patients who withdrew from everything that metasight made of a study."""
    from metasight.study.file import read_study
    from metasight.upkeep import erase, erasure

    ids = [*(patients or ()), *(_ids_in(listed) if listed is not None else ())]
    if not ids:
        raise StudyError("no patient is given", remedy="Give ids, or a file of them with --from")
    study = read_study(folder)
    found = erasure(study, ids)
    _print_erasure(found)
    if not yes:
        out.print("Nothing was deleted. Give --yes to delete.")
        return
    done = erase(study, found)
    readings = _forgotten(study, found)
    out.print(
        f"Deleted: {done.results} results of steps, {done.runs} runs, {done.images} records of "
        f"images, {len(found.masks)} accepted masks, {readings} readings. "
        "The record is .metasight/withdrawals.json; it holds no id.",
        soft_wrap=True,
    )
    out.print(
        "Left for you: delete the rows above and the images that they name, copies of results and "
        f"locked models elsewhere, and back-ups; then {command_line('run', folder)}.",
        soft_wrap=True,
    )


def _forgotten(study: Study, found: Erasure) -> int:
    """How many readings of the workbench were deleted; its audit log stays as it is."""
    from metasight.serve.database import Database, database_of
    from metasight.serve.readings import Readings

    if not database_of(study.folder).is_file():
        return 0
    database = Database(database_of(study.folder))
    try:
        return Readings(database).forget(found.patients)
    finally:
        database.close()


def _ids_in(path: Path) -> list[str]:
    """One id a line.

    Raises
    ------
    StudyError
        The file cannot be read as text.
    """
    try:
        return [line for text in path.read_text("utf-8").splitlines() if (line := text.strip())]
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            "the list of ids cannot be read",
            where=path.name,
            remedy="Give a text file in UTF-8 with one id a line",
        ) from error


def _print_erasure(found: Erasure) -> None:
    n = len(found.patients)
    out.print(f"{n} patient{'s' if n > 1 else ''}, named by {len(found.rows)} rows of tables.")
    table = Table("table", "row")
    for row in found.rows[:_SHOWN]:
        table.add_row(shown(row.table), f"{row.row}")
    out.print(table)
    if len(found.rows) > _SHOWN:
        out.print(f"and {len(found.rows) - _SHOWN} more rows.")
    out.print(
        f"{len(found.results)} results of steps rest on them, or on no step of today's plan, and "
        f"{len(found.runs)} folders of results; {found.kept} results of other patients stay.",
        soft_wrap=True,
    )
    for content in found.bundles:
        out.print(f"Locked model that was fitted to them: content {content}", soft_wrap=True)
