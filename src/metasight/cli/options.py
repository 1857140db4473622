"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="The study's folder (holds study.toml).")]
Scheduler = Annotated[
    str,
    typer.Option(help="local (one process a core), inline, or the address of a Dask scheduler."),
]
LockedModels = Annotated[
    Path,
    typer.Argument(help="A bundle: its folder, its zip, or the folder of the study that made it."),
]
