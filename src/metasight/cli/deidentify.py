"""Commands that de-identify what leaves the hospital, and check what was made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from metasight.cli.options import Out
from metasight.cli.printing import out, shown

if TYPE_CHECKING:
    from metasight.deidentify.flags import TableFlags
    from metasight.deidentify.key import Key

deidentification = typer.Typer(
    no_args_is_help=True,
    help="De-identify DICOM, slides and tables (PS3.15), and check the result.",
)

_SHOWN = 40
KeyFile = Annotated[
    Path,
    typer.Option("--key", help="Key file of `deidentify new-key`; it must not lie in the output."),
]

Tables = Annotated[
    Path | None,
    typer.Option(
        help="TOML that says what the columns of each table are (docs/deidentification.md)."
    ),
]


@deidentification.command("new-key")
def new_key(path: Annotated[Path, typer.Argument(help="New file for the key.")]) -> None:
    """Make a key file: pseudonyms can be linked with it and not without."""
    from metasight.deidentify.key import make_key_file

    make_key_file(path)
    out.print(f"Key in {shown(path)}, readable to you alone.", soft_wrap=True)


@deidentification.command("run")
def run(
    source: Annotated[Path, typer.Argument(help="Folder with DICOM, slides and tables.")],
    output: Out,
    key: KeyFile,
    tables: Tables = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            help="CSV that says what became of each file.",
            show_default="OUTPUT.ledger.csv beside the output",
        ),
    ] = None,
) -> None:
    """De-identify every file of a folder; what cannot be is left out and named in the ledger."""
    from metasight.deidentify.batch import check_folders, deidentify_folder, write_ledger
    from metasight.deidentify.key import read_key_file
    from metasight.ledger import Fate

    check_folders(source, output)
    secret = read_key_file(key, outside=output)
    flags = _flags(tables)
    with Progress(console=out, transient=True, disable=not out.is_terminal) as bar:
        files = bar.add_task("files")

        def show(done: int, total: int) -> None:
            bar.update(files, completed=done - 1, total=total)

        rows = deidentify_folder(source, output, secret, tables=flags, on_file=show)
    place = ledger or output.with_name(f"{output.name}.ledger.csv")
    write_ledger(rows, place)
    table = Table("files", "kind", "verdict", "why")
    for (kind, verdict, reason), n in Counter((r.kind, r.verdict, r.reason) for r in rows).items():
        table.add_row(str(n), shown(kind), str(verdict), shown(reason))
    out.print(table)
    out.print(f"Each file by its number in {shown(place)}.", soft_wrap=True)
    found = any(r.verdict is Fate.KEPT for r in rows) and _check(output, source, secret, flags)
    if found or any(r.verdict is Fate.FAILED for r in rows):
        raise typer.Exit(1)


@deidentification.command("check")
def check(
    output: Annotated[Path, typer.Argument(help="Folder that `deidentify run` wrote.")],
    source: Annotated[
        Path, typer.Option("--against", help="Folder with the files as they were before.")
    ],
    key: KeyFile,
    tables: Tables = None,
) -> None:
    """Read an output back and look for whatever identifies a patient in the source."""
    from metasight.deidentify.key import read_key_file

    if _check(output, source, read_key_file(key, outside=output), _flags(tables)):
        raise typer.Exit(1)


def _flags(tables: Path | None) -> tuple[TableFlags, ...]:
    from metasight.deidentify.flags import read_flags

    return () if tables is None else read_flags(tables)


def _check(output: Path, source: Path, key: Key, flags: tuple[TableFlags, ...]) -> bool:
    """Print what the second look finds; whether there is anything."""
    from metasight.deidentify.check import check_output

    found = check_output(output, source, key, tables=flags)
    if not found:
        out.print("Read back: nothing of the source's patients was found.")
        return False
    table = Table("file of the output", "where", "what", title="Found again: do not send this")
    for finding in found[:_SHOWN]:
        table.add_row(str(finding.number), shown(finding.where), shown(finding.what))
    out.print(table)
    if len(found) > _SHOWN:
        out.print(f"… and {len(found) - _SHOWN} more.")
    return True
