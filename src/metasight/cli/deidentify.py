"""Commands that de-identify what leaves the hospital, and check what was made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from metasight.cli.options import Out
from metasight.cli.printing import out, shown

deidentification = typer.Typer(
    no_args_is_help=True,
    help="De-identify DICOM, slides and tables (PS3.15), and check the result.",
)

KeyFile = Annotated[
    Path,
    typer.Option("--key", help="Key file of `deidentify new-key`; it must not lie in the output."),
]


@deidentification.command("new-key")
def new_key(path: Annotated[Path, typer.Argument(help="New file for the key.")]) -> None:
    """Make a key: without it nobody can link a pseudonym, with it anybody can."""
    from metasight.deidentify.key import make_key_file

    make_key_file(path)
    out.print(f"Key in {shown(path)}, readable to you alone.", soft_wrap=True)


@deidentification.command("run")
def run(
    source: Annotated[Path, typer.Argument(help="Folder with DICOM, slides and tables.")],
    output: Out,
    key: KeyFile,
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
    rows = deidentify_folder(source, output, secret)
    place = ledger or output.with_name(f"{output.name}.ledger.csv")
    write_ledger(rows, place)
    table = Table("files", "kind", "verdict", "why")
    for (kind, verdict, reason), n in Counter((r.kind, r.verdict, r.reason) for r in rows).items():
        table.add_row(str(n), shown(kind), str(verdict), shown(reason))
    out.print(table)
    out.print(f"Each file by its number in {shown(place)}.", soft_wrap=True)
    if any(r.verdict is Fate.FAILED for r in rows):
        raise typer.Exit(1)
