"""Commands that draw simulated studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metasight.cli.printing import command_line, out, progress_bars, shown

simulation = typer.Typer(
    no_args_is_help=True, help="Simulate cohorts with known truth, for testing only."
)


@simulation.command("breast")
def simulate_breast(
    folder: Annotated[
        Path, typer.Argument(help="New folder; an interrupted simulation is resumed in it.")
    ],
    settings: Annotated[
        Path | None, typer.Option(help="TOML file with settings; docs/simulation.md lists them.")
    ] = None,
    patients: Annotated[
        int | None, typer.Option(help="Number of patients.", show_default="24")
    ] = None,
    tissue_mm: Annotated[
        float | None, typer.Option(help="Side of the tissue, mm.", show_default="2")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="The same settings and seed give the same files.")
    ] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 2,
) -> None:
    """Simulate a breast-dmfs study: slides, tables, study.toml, and the truth in truth/."""
    from metasight.simulate.breast import cohort
    from metasight.simulate.breast.settings import read_settings
    from metasight.simulate.settings import STAMP

    given = {"patients": patients, "tissue_mm": tissue_mm}
    chosen = read_settings(settings, **{k: v for k, v in given.items() if v is not None})
    with progress_bars() as bars:
        cohort.simulate_breast(folder, chosen, seed, jobs=jobs, progress=bars)
    out.print(f"{STAMP} Truth in {shown(folder / 'truth')}.", soft_wrap=True)
    out.print(f"Next: {command_line('run', folder)}.", soft_wrap=True)


@simulation.command("lung")
def simulate_lung(
    folder: Annotated[
        Path, typer.Argument(help="New folder; an interrupted simulation is resumed in it.")
    ],
    settings: Annotated[
        Path | None,
        typer.Option(help="TOML file with settings; docs/simulation-lung.md lists them."),
    ] = None,
    patients: Annotated[
        int | None, typer.Option(help="Number of patients.", show_default="24")
    ] = None,
    defects: Annotated[
        float | None, typer.Option(help="Share of scans with a quality defect.", show_default="0")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="The same settings and seed give the same files.")
    ] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 2,
) -> None:
    """Simulate a nsclc-occult-node study: CT, PET, tables, and the truth in truth/."""
    from metasight.simulate.lung import cohort
    from metasight.simulate.lung.settings import read_settings
    from metasight.simulate.settings import STAMP

    given = {"patients": patients, "defect_fraction": defects}
    chosen = read_settings(settings, **{k: v for k, v in given.items() if v is not None})
    with progress_bars() as bars:
        cohort.simulate_lung(folder, chosen, seed, jobs=jobs, progress=bars)
    out.print(f"{STAMP} Truth in {shown(folder / 'truth')}.", soft_wrap=True)
    out.print(f"Next: {command_line('run', folder)}.", soft_wrap=True)
