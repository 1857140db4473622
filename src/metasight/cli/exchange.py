"""Commands that hand a finished study to other programs, and take one from elsewhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metasight.cli.options import Folder, Out
from metasight.cli.printing import out, shown
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
) -> None:
    """Write a finished study's results in other programs' formats."""
    import datetime as dt

    from metasight import exporting
    from metasight.cohort.canonical import pseudonym
    from metasight.cohort.ids import normal_id
    from metasight.study.file import read_study

    study = read_study(folder)
    key = study.settings.key
    request = exporting.Request(
        forms=tuple(dict.fromkeys(forms)),
        patients=None if not patient else tuple(pseudonym(normal_id(p), key) for p in patient),
        source_images=source_images,
        made=dt.datetime.now(dt.UTC).replace(microsecond=0),
    )
    _print_exported(exporting.export(study, output, request), output)


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
