"""Commands on slides without a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from metasight.cli.machine_readable import print_json, slides_found
from metasight.cli.options import AsJson, Out, placed
from metasight.cli.printing import out, progress_bars, say_where, shown
from metasight.engine.placement import Placement
from metasight.errors import StudyError

slides = typer.Typer(no_args_is_help=True, help="Slides without a study: files in, results out.")

Files = Annotated[list[Path], typer.Option("-i", "--input", help="Slide file; repeat -i for each.")]
Mpp = Annotated[
    list[float] | None,
    typer.Option(
        "--mpp",
        help="Pixel size in µm: once for files that do not state it, or one per file, which "
        "replaces what the file states.",
    ),
]
Picture = Annotated[
    list[int] | None,
    typer.Option(
        "--picture",
        help="Number of the slide in a file of several pictures, once per file; 0 leaves the "
        "choice to the file.",
    ),
]
GivenCells = Annotated[
    list[Path] | None,
    typer.Option(
        "--cells",
        help="Cells that another program found (QuPath, HALO, …), one file per slide.",
    ),
]
CellClass = Annotated[
    list[str] | None,
    typer.Option(
        "--class", help='Marker of a class of those cells, "CLASS=MARKER"; repeat for each class.'
    ),
]
Channel = Annotated[
    list[str] | None,
    typer.Option(
        "--channel",
        help='Marker of a channel, "NAME=MARKER" or "NUMBER=MARKER"; repeat for each channel.',
    ),
]
StainOption = Annotated[str, typer.Option(help="H&E, IHC (DAB) or fluorescence.")]
Markers = Annotated[str, typer.Option(help="Markers to read, with ; between them.")]
Nuclear = Annotated[str, typer.Option(help="Name of the nuclear channel of fluorescence.")]
ReaderOption = Annotated[
    str | None, typer.Option(help="Reader: tiff or openslide.", show_default="automatic")
]


@slides.command("encoders")
def slides_encoders() -> None:
    """List the known tile encoders with their licences."""
    from metasight.features.encoders import cards, require_deep

    require_deep("the list of encoders")
    table = Table("name", "features", "µm a pixel", "licence", "weights")
    for card in cards().values():
        where = "embedded" if card.shape is None else "on request" if card.gated else "public"
        dimension = 1280 if card.shape is None else card.shape.dimension
        table.add_row(card.name, f"{dimension:,}", f"{card.mpp:g}", card.licence, where)
    out.print(table)


@slides.command("check")
@placed("inline")
def slides_check(
    files: Files,
    output: Out,
    stain: StainOption = "H&E",
    mpp: Mpp = None,
    picture: Picture = None,
    channel: Channel = None,
    nuclear: Nuclear = "DAPI",
    reader: ReaderOption = None,
    as_json: AsJson = False,
    *,
    scheduler: Placement,
) -> None:
    """Judge the quality of slides."""
    from metasight.engine.progress import Silent
    from metasight.plan import loose_slides

    batch = _batch(
        files, stain, "", mpp, reader=reader, nuclear=nuclear, picture=picture, channel=channel
    )
    if as_json:
        found = loose_slides.check(batch, output, scheduler=scheduler, progress=Silent())
        print_json("slides check", slides_found(found))
        if any("failed" in f for f in found):
            raise typer.Exit(1)
        return
    with progress_bars() as bars:
        found = loose_slides.check(batch, output, scheduler=scheduler, progress=bars)
    words = {True: "sufficient", False: "refused", None: "not known"}
    table = Table("slide", "quality", "why")
    for n, f in enumerate(found, start=1):
        said = "could not be read" if "failed" in f else words[f["sufficient"]]
        table.add_row(
            f"{n}", said, shown(f.get("failed") or "; ".join([*f["reasons"], *f["notes"]]))
        )
    out.print(table)
    say_where(output, failed=any("failed" in f for f in found))


@slides.command("align")
def slides_align(
    files: Files,
    output: Out,
    mpp: Mpp = None,
    picture: Picture = None,
    nuclear: Nuclear = "DAPI",
) -> None:
    """Align the second slide to the first and predict the alignment error."""
    from metasight.plan import loose_slides

    if len(files) != 2:
        raise StudyError(
            "two slides make a pair", value=f"{len(files)} given", remedy="Give -i FIXED -i MOVING"
        )
    found = loose_slides.align(
        files[0],
        files[1],
        output,
        mpp=mpp or [],
        nuclear=nuclear,
        protocol="breast-dmfs",
        picture=picture or [],
    )
    verdict = "Accepted" if found["accepted"] else "Refused"
    p50, p90 = _number(found["error_p50_um"]), _number(found["error_p90_um"])
    out.print(
        f"{verdict}: predicted error {p50} µm (median), {p90} µm (p90); "
        f"gate {found['gate_um']:g} µm."
    )
    for reason in found["reasons"]:
        out.print(f"  {shown(reason)}")
    say_where(output, failed=False)


@slides.command("map")
@placed("inline")
def slides_map(
    files: Files,
    output: Out,
    markers: Markers = "",
    stain: StainOption = "fluorescence",
    mpp: Mpp = None,
    picture: Picture = None,
    channel: Channel = None,
    cells: GivenCells = None,
    cell_class: CellClass = None,
    nuclear: Nuclear = "DAPI",
    reader: ReaderOption = None,
    *,
    scheduler: Placement,
) -> None:
    """Turn marker sections into cells and cells per mm²; H&E (--stain H&E) into nuclei."""
    from metasight.plan import loose_slides

    batch = _batch(
        files,
        stain,
        markers,
        mpp,
        reader=reader,
        nuclear=nuclear,
        picture=picture,
        channel=channel,
        cells=cells,
        cell_class=cell_class,
    )
    with progress_bars() as bars:
        found = loose_slides.map_markers(batch, output, scheduler=scheduler, progress=bars)
    table = Table("slide", "marker", "positive", "per mm²", "threshold by, or why not")
    for n, f in enumerate(found, start=1):
        if "failed" in f:
            table.add_row(f"{n}", "", "", "", shown(f["failed"]))
        for m in f.get("markers", ()):
            table.add_row(
                f"{n}", shown(m["marker"]), f"{m['positive']:,}", f"{m['per_mm2']:,.0f}", m["rule"]
            )
    out.print(table)
    for n, f in enumerate(found, start=1):
        for note in f.get("notes", ()):
            out.print(f"Slide {n}: {shown(note)}.")
    say_where(output, failed=any("failed" in f for f in found))


@slides.command("measure")
@placed("inline")
def slides_measure(
    files: Files,
    output: Out,
    markers: Markers = "",
    stain: StainOption = "fluorescence",
    mpp: Mpp = None,
    picture: Picture = None,
    channel: Channel = None,
    cells: GivenCells = None,
    cell_class: CellClass = None,
    nuclear: Nuclear = "DAPI",
    reader: ReaderOption = None,
    *,
    scheduler: Placement,
) -> None:
    """Check, map and measure slides, with a sheet for each."""
    from metasight.plan import loose_slides

    batch = _batch(
        files,
        stain,
        markers,
        mpp,
        reader=reader,
        nuclear=nuclear,
        picture=picture,
        channel=channel,
        cells=cells,
        cell_class=cell_class,
    )
    with progress_bars() as bars:
        found = loose_slides.measure(batch, output, scheduler=scheduler, progress=bars)
    table = Table("slide", "stage", "verdict", "value", "why")
    for n, f in enumerate(found, start=1):
        for e in f["ledger"]:
            table.add_row(f"{n}", e["stage"], e["verdict"], shown(e["value"]), shown(e["reason"]))
    out.print(table)
    say_where(output, failed=any(e["verdict"] == "failed" for f in found for e in f["ledger"]))


def _batch(
    files: list[Path],
    stain: str,
    markers: str,
    mpp: list[float] | None,
    *,
    reader: str | None,
    nuclear: str,
    picture: list[int] | None,
    channel: list[str] | None,
    cells: list[Path] | None = None,
    cell_class: list[str] | None = None,
) -> Any:
    from metasight.cohort.slide_table import STAINS
    from metasight.plan.loose_slides import Batch

    known = next((s for s in STAINS if s == stain), None)
    if known is None:
        raise StudyError("unknown stain", value=shown(stain), remedy=f"One of {', '.join(STAINS)}")
    if reader not in {None, "tiff", "openslide"}:
        raise StudyError("unknown reader", value=shown(reader), remedy="tiff or openslide")
    chosen: Any = reader
    return Batch(
        files=tuple(files),
        stain=known,
        mpp=tuple(mpp or ()),
        picture=tuple(picture or ()),
        channels=_mapping(channel or [], "--channel"),
        cells=tuple(cells or ()),
        classes=_mapping(cell_class or [], "--class"),
        reader=chosen,
        nuclear=nuclear,
        markers=tuple(m.strip() for m in markers.split(";") if m.strip()),
    )


def _mapping(given: list[str], option: str) -> dict[str, str]:
    """Name → marker; the marker stands after the last sign of equality."""
    mapped: dict[str, str] = {}
    for one in given:
        name, equals, marker = (part.strip() for part in one.rpartition("="))
        if not (name and equals and marker) or name in mapped:
            raise StudyError(
                f"{option} gives one name and its marker, each name once",
                value=shown(one),
                remedy=f'Give, for example, {option} "Opal 690=Pan-CK"',
            )
        mapped[name] = marker
    return mapped


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}"


@slides.command("regions")
def slides_regions(
    files: Annotated[
        list[Path],
        typer.Option(
            "-i", "--input", help="GeoJSON of QuPath, SLIDE.geojson; repeat -i for each slide."
        ),
    ],
    table: Annotated[Path, typer.Option("--slides", help="Table of slides of the study.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="New table of regions (CSV).")],
    id_column: Annotated[str, typer.Option("--id", help="Its column of patients.")] = "patient",
    file_column: Annotated[str, typer.Option("--file", help="Its column of files.")] = "file",
) -> None:
    """Make a study's table of regions from annotations that QuPath exported."""
    from metasight.exchange.regions import patients_of_slides, write_region_table

    patients = patients_of_slides(table, id_column=id_column, file_column=file_column)
    rows = write_region_table(files, patients, output)
    many = "region" if len(rows) == 1 else "regions"
    out.print(f"Wrote {len(rows)} {many} to {shown(output)}.", soft_wrap=True)
    measures = [c for c in rows.columns if c not in {"patient", "file", "name", "class", "polygon"}]
    if measures:
        out.print(f"Measurements: {shown(', '.join(measures))}.", soft_wrap=True)
    out.print(
        'Next: [slides.regions] in study.toml with unit = "px", and the column of each marker.',
        soft_wrap=True,
        markup=False,
    )
