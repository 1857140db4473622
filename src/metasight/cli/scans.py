"""Commands on CT and PET without a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.table import Table

from metasight.cli.machine_readable import print_json, scans_found
from metasight.cli.options import AsJson, Out, placed
from metasight.cli.printing import out, progress_bars, say_where, shown
from metasight.engine.placement import Placement

scans = typer.Typer(
    no_args_is_help=True, help="CT and PET without a study: folders in, results out."
)

Protocol = Annotated[
    str,
    typer.Option(
        help="Protocol whose limits of CT quality and radiomics are used: its name or file.",
        show_default="nsclc-occult-node",
    ),
]
OfStudy = Annotated[
    Path | None,
    typer.Option(
        "--study",
        help="Study folder: its protocol and the settings of its section scans are used.",
    ),
]
CtPath = Annotated[Path, typer.Argument(help="CT: DICOM folder, zip archive or NIfTI file.")]
MaskPath = Annotated[
    Path | None,
    typer.Option(help="Mask of the lesion: RTSTRUCT, DICOM SEG, NIfTI, NRRD or MetaImage file."),
]
Roi = Annotated[
    str, typer.Option(help="Name or number of the lesion in a mask of several regions.")
]
Point = Annotated[
    tuple[float, float, float] | None,
    typer.Option(
        metavar="X Y Z",
        help="Point in the lesion, patient coordinates (LPS) in mm; the lesion is found from it. "
        "With --mask: which part of the mask is the lesion.",
    ),
]
Box = Annotated[
    tuple[float, float, float, float, float, float] | None,
    typer.Option(
        metavar="X Y Z X2 Y2 Z2",
        help="Two opposite corners of a box around the lesion, patient coordinates in mm.",
    ),
]
Axis = Annotated[
    tuple[float, float, float, float, float, float] | None,
    typer.Option(
        metavar="X Y Z X2 Y2 Z2",
        help="Both ends of the lesion's longest diameter, patient coordinates in mm.",
    ),
]
PetPath = Annotated[Path | None, typer.Option(help="PET of the same examination, for uptake.")]
SeriesName = Annotated[
    str,
    typer.Option(
        help="SeriesInstanceUID or SeriesNumber of the CT.", show_default="chosen by rule"
    ),
]
_MEASURES = (
    ("tumour_size_mm", "longest diameter", "mm"),
    ("tumour_perpendicular_mm", "perpendicular diameter", "mm"),
    ("tumour_volume_mm3", "volume", "mm³"),
    ("attenuation", "attenuation", ""),
    ("solid_size_mm", "solid part", "mm"),
    ("solid_volume_mm3", "volume of the solid part", "mm³"),
    ("ctr", "CTR", ""),
    ("ctr_lower", "CTR at least", ""),
    ("ctr_upper", "CTR at most", ""),
    ("ctr_volume", "CTR by volume", ""),
    ("pure_ground_glass_answer", "pure ground glass", ""),
    ("side", "side", ""),
    ("lobe", "lobe", ""),
    ("central", "central", ""),
    ("pleura_gap_mm", "gap to the pleura", "mm"),
    ("bronchi_gap_mm", "gap to the proximal bronchi", "mm"),
    ("suvmax", "SUVmax", ""),
    ("suvpeak", "SUVpeak", ""),
    ("metabolic_volume_41_ml", "metabolic volume at 41 %", "ml"),
)
"""What the terminal shows of a lesion; ``scan.json`` holds all."""
_UNITS = {"mm": "mm", "mm3": "mm³", "ml": "ml", "hu": "HU", "cm2": "cm²", "degrees": "°"}
_ACCEPT = (
    "Refused: a study under this protocol excludes such a CT. Give another series or examination, "
    "or another limit under \\[ct_quality] in a protocol of your own (--protocol FILE)."
)
_UNKNOWN = (
    "Unknown: a value that the protocol requires could not be measured. A study neither excludes "
    "nor includes such a CT by its quality; look at it."
)


@scans.command("check")
@placed("inline")
def scans_check(
    folders: Annotated[
        list[Path], typer.Argument(help="DICOM folder, zip archive or NIfTI file; one or more.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for the results.",
            show_default="results are shown and not kept",
        ),
    ] = None,
    protocol: Protocol = "",
    study: OfStudy = None,
    as_json: AsJson = False,
    *,
    scheduler: Placement,
) -> None:
    """Show which series is read of each folder, and judge the quality of the CT."""
    from metasight.engine.progress import Silent
    from metasight.plan import loose_scans

    how = loose_scans.how_read(protocol, study)
    with TemporaryDirectory() as scratch:
        place = output or Path(scratch)
        if as_json:
            found = loose_scans.check(folders, place, how, scheduler=scheduler, progress=Silent())
        else:
            with progress_bars() as bars:
                found = loose_scans.check(folders, place, how, scheduler=scheduler, progress=bars)
    told = scans_found(found)
    failed = any(s["quality"] == "failed" for s in told["scans"])
    if as_json:
        print_json("scans check", told)
    else:
        for scan in told["scans"]:
            _print_scan(scan)
        if output is not None:
            say_where(output, failed=failed)
    if failed:
        raise typer.Exit(1)


@scans.command("measure")
def scans_measure(
    ct: CtPath,
    output: Out,
    mask: MaskPath = None,
    roi: Roi = "",
    point: Point = None,
    box: Box = None,
    axis: Axis = None,
    pet: PetPath = None,
    series: SeriesName = "",
    protocol: Protocol = "",
    study: OfStudy = None,
) -> None:
    """Measure one lesion: size, solid part, place, uptake and radiomics, with a picture."""
    from metasight.plan import loose_scans

    lesion = loose_scans.Lesion(
        ct=ct,
        pet=pet,
        mask=mask,
        region=roi,
        point_mm=point,
        box_mm=None if box is None else (box[:3], box[3:]),
        axis_mm=None if axis is None else (axis[:3], axis[3:]),
        series=series,
    )
    how = loose_scans.how_read(protocol, study)
    with progress_bars() as bars:
        found = loose_scans.measure(lesion, output, how, progress=bars)
    table = Table("item", "verdict", "value", "why")
    for e in found["ledger"]:
        table.add_row(e["item"], e["verdict"], shown(e["value"]), shown(e["reason"]))
    out.print(table)
    if found["features"]:
        _print_measures(found)
    elif found["quality"] is not None and found["quality"]["verdict"] == "failed":
        out.print(f"The lesion was not measured. {_ACCEPT}", soft_wrap=True)
    say_where(output, failed=any(e["verdict"] == "failed" for e in found["ledger"]))


def _print_scan(scan: Mapping[str, Any]) -> None:
    """One scan: the series, how it was taken, and every value with its limit."""
    name = ", ".join(filter(None, [f"Scan {scan['scan']}", scan["modality"]]))
    out.print(f"{name}: [bold]{_QUALITY[scan['quality']]}[/bold]", soft_wrap=True)
    series = scan["series"]
    if series is not None:
        out.print(f"  Read {shown(series['chosen'])}: {shown(series['why'])}.", soft_wrap=True)
        for line in series["left"]:
            out.print(f"  {shown(_sentence(line))}.", soft_wrap=True)
    if scan["read"] is not None:
        out.print(f"  {_taken(scan['read'])}.", soft_wrap=True)
    if scan["quality"] == "failed":
        for reason in scan["reasons"]:
            out.print(f"  {shown(_sentence(reason))}", soft_wrap=True)
    if scan["findings"]:
        out.print(_findings(scan["findings"]))
    if scan["quality"] in _SAID:
        out.print(_SAID[scan["quality"]], soft_wrap=True)
    out.print()


_QUALITY = {
    "sufficient": "can be measured",
    "refused": "refused",
    "unknown": "quality unknown",
    "failed": "could not be read",
}
_SAID = {"refused": _ACCEPT, "unknown": _UNKNOWN}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _taken(read: Mapping[str, Any]) -> str:
    """Grid and acquisition in one sentence."""
    spacing = " × ".join(f"{s:.2f}" for s in read["spacing_mm"])
    parts = [
        f"{read['slices']} slices of {read['rows']} × {read['columns']} pixels",
        f"voxels {spacing} mm",
    ]
    if read["slice_thickness_mm"] is not None:
        parts.append(f"slice thickness {read['slice_thickness_mm']:g} mm")
    if "unit" in read:
        parts.append(f"{read['unit']} up to {read['highest_suv']:.1f}")
    if "kernel" in read:
        parts.append(f"kernel class {read['kernel']}")
        parts.append(f"contrast {read['contrast']}")
    return ", ".join(parts)


def _findings(findings: list[Mapping[str, Any]]) -> Table:
    table = Table("value", "measured", "limit", "verdict", "how, or why not")
    for f in findings:
        name, unit = _with_unit(f["name"])
        measured = "" if f["value"] is None else f"{f['value']:.4g} {unit}".rstrip()
        table.add_row(name, measured, shown(f["limit"]), f["verdict"], shown(f["said"]))
    return table


def _print_measures(found: Mapping[str, Any]) -> None:
    table = Table("measure", "value")
    for name, words, unit in _MEASURES:
        value = found["measured"].get(name)
        if value is not None:
            table.add_row(words, f"{_in_words(value)} {unit}".rstrip())
    out.print(table)
    if found["radiomics"]:
        out.print(f"{len(found['radiomics'])} radiomic features are in scan.json.")


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return shown(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _with_unit(name: str) -> tuple[str, str]:
    """``slice_gap_mm`` as words and unit."""
    words, _, last = name.rpartition("_")
    if last not in _UNITS:
        words, last = name, ""
    return words.replace("_", " "), _UNITS.get(last, "")
