"""Commands that hand a finished study to other programs, and take one from elsewhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metasight.cli.options import Folder, Out, placed
from metasight.cli.printing import command_line, out, progress_bars, shown
from metasight.engine.placement import Placement
from metasight.exchange.forms import Form

if TYPE_CHECKING:
    from metasight.exporting import Exported


def export(
    folder: Folder,
    output: Out,
    forms: Annotated[
        list[Form],
        typer.Option("--as", help="What to write; repeat it for more (docs/exchange.md)."),
    ],
    patient: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this patient, given by the id in the hospital; repeat it for more.",
            show_default="every patient",
        ),
    ] = None,
    source_images: Annotated[
        bool,
        typer.Option(
            "--source-images",
            help="Name the hospital's images in DICOM objects; an archive finds the patient by "
            "them.",
        ),
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(help="FOLDER holds new patients: export what this bundle predicted of them."),
    ] = None,
    with_inputs: Annotated[
        bool,
        typer.Option(
            "--with-inputs",
            help="Put the study's own files into a crate, so that it can be run again; they name "
            "patients.",
        ),
    ] = False,
    licence: Annotated[
        str, typer.Option(help="Licence of a crate: an SPDX identifier or an address.")
    ] = "",
) -> None:
    """Write a finished study's results in other programs' formats."""
    import datetime as dt

    from metasight import exporting
    from metasight.cohort.canonical import pseudonym
    from metasight.cohort.ids import normal_id
    from metasight.study.file import read_study
    from metasight.study.new_patients import read_patient_settings

    study = read_study(folder) if bundle is None else None
    key = read_patient_settings(folder).key if study is None else study.settings.key
    request = exporting.Request(
        forms=tuple(dict.fromkeys(forms)),
        patients=None if not patient else tuple(pseudonym(normal_id(p), key) for p in patient),
        source_images=source_images,
        with_inputs=with_inputs,
        licence=licence,
        made=dt.datetime.now(dt.UTC).replace(microsecond=0),
    )
    if study is not None:
        found = exporting.export(study, output, request)
    elif bundle is not None:
        found = exporting.export_prediction(bundle, folder, output, request)
    _print_exported(found, output)


@placed("auto")
def take_in(
    crate: Annotated[Path, typer.Argument(help="Folder of an RO-Crate with inputs.")],
    folder: Annotated[Path, typer.Argument(help="New folder for the study.")],
    rerun: Annotated[
        bool,
        typer.Option("--rerun", help="Run the study and compare its results with the crate's."),
    ] = False,
    *,
    scheduler: Placement,
) -> None:
    """Take in an archived study: check every file, copy it, and run it again if asked."""
    from metasight import importing

    run, archived = importing.take_in(crate, folder)
    out.print(f"Copied the study of run {run} to {shown(folder)}.", soft_wrap=True)
    if not rerun:
        out.print(f"Next: {command_line('run', folder)}.", soft_wrap=True)
        return
    with progress_bars() as bars:
        found = importing.run_again(folder, run, archived, scheduler=scheduler, progress=bars)
    agree = "the same bytes" if found.predictions_agree else "other predictions"
    out.print(
        f"Run {found.run} gives {agree}; {len(found.same)} of {len(archived)} files are equal.",
        soft_wrap=True,
    )
    for name in found.other[:10]:
        out.print(f"  differs: {shown(name)}", soft_wrap=True)
    if not found.predictions_agree:
        raise typer.Exit(1)


def _print_exported(found: Exported, output: Path) -> None:
    kinds = Counter(Path(f).suffix.lstrip(".") or "other" for f in found.files)
    told = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    out.print(f"Wrote {len(found.files)} files ({told}) to {shown(output)}.", soft_wrap=True)
    reasons: dict[tuple[str, str], list[str]] = {}
    for left in found.left:
        reasons.setdefault((left.form, left.why), []).append(left.patient)
    for (form, why), patients in reasons.items():
        who = patients[0] if len(patients) == 1 else f"{len(patients)} patients"
        out.print(f"  not written as {form}, {who}: {shown(why)}", soft_wrap=True)
    out.print("For research only, not for the care of patients.", soft_wrap=True)
    if not found.files:
        raise typer.Exit(1)
