"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HERE = Path(".")

Folder = Annotated[Path, typer.Argument(help="Study folder, which holds study.toml.")]
Out = Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")]
Scheduler = Annotated[
    str,
    typer.Option(
        help="Where steps run: auto (chosen by the work), inline (in this process), local (one "
        "process per core), or the address of a Dask scheduler."
    ),
]
LockedModels = Annotated[
    Path,
    typer.Argument(help="A bundle: its folder, its zip, or the folder of the study that made it."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead (docs/command-line.md).")
]
