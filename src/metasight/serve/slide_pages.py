"""The page of a slide, and the tiles and pictures that it loads."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from metasight.cohort.slide_table import SlideRow
from metasight.errors import SlideError
from metasight.serve.app import Page, Refused, Workbench, note, render, session_of, workbench_of
from metasight.serve.audit import Act
from metasight.serve.slides import (
    Aligned,
    Painted,
    alignments_on,
    error_picture,
    map_picture,
    maps_on,
    outlines_on,
    png,
    quality_of,
    transform_in,
)
from metasight.serve.tiles import TILE_PX
from metasight.serve.wording import Refusal

router = APIRouter()

Name = Annotated[str, Path(max_length=60, pattern=r"^P[0-9a-f]{16}-[A-Za-z]{2,14}-[0-9]{1,4}$")]
Level = Annotated[int, Path(ge=0, le=40)]
Index = Annotated[int, Path(ge=0, le=100_000)]
Channel = Annotated[int | None, Query(ge=0, le=200)]
Key = Annotated[str, Path(pattern="^(generated|measured)$")]
Marker = Annotated[int, Path(ge=0, le=100)]
_KEEP = {"cache-control": "private, max-age=3600"}


def _row(workbench: Workbench, name: str) -> SlideRow:
    row = workbench.slide_rows.get(name)
    if row is None:
        raise Refused(Refusal.NOT_FOUND)
    return row


def _aligned(workbench: Workbench, row: SlideRow, moving: str) -> Aligned:
    for found in alignments_on(workbench.run, row.patient, row.name):
        if found.moving == moving:
            return found
    raise Refused(Refusal.NOT_FOUND)


def _painted(workbench: Workbench, row: SlideRow, key: str) -> Painted:
    for found in maps_on(workbench.run, row.patient):
        if found.key == key:
            return found
    raise Refused(Refusal.NOT_FOUND)


@router.get("/slides/{name}")
def slide_page(request: Request, name: Name) -> Any:
    """A slide, to be zoomed."""
    workbench = workbench_of(request)
    row = _row(workbench, name)
    is_he = row.stain == "H&E"
    with workbench.slides.slide(row) as slide:
        pyramid, channels = slide.pyramid, slide.reader.channels
        brightfield = slide.is_brightfield
    aligned = alignments_on(workbench.run, row.patient, name) if is_he else ()
    painted = maps_on(workbench.run, row.patient) if is_he else ()
    outlines = outlines_on(workbench.run, row.patient, name, pyramid.mpp)
    told = {
        "name": name,
        "version": workbench.run.name,
        "width": pyramid.width,
        "height": pyramid.height,
        "mpp": pyramid.mpp,
        "tile": TILE_PX,
        "maxLevel": pyramid.max_level,
        "outlines": [{"name": n, "path": p} for n, p in outlines],
        "errors": {a.moving: _placed_error(a) for a in aligned},
        "maps": {p.key: _placed_maps(p) for p in painted},
    }
    note(request, Act.VIEW, f"slide {name}")
    page = Page(
        title=f"Slide {name}",
        help="Zoom with the wheel or with plus and minus, move by dragging or with the arrow keys. "
        "Lay the aligned section, its predicted error or a map over the slide and set how much of "
        "it shows, or look at slide and section side by side.",
        place="patients",
    )
    return render(
        request,
        "slide.html.j2",
        page,
        row=row,
        told=json.dumps(told),
        aligned=aligned,
        painted=painted,
        outlines=outlines,
        quality=quality_of(workbench.run, name),
        channels=() if brightfield else channels,
        pyramid=pyramid,
    )


def _placed_error(aligned: Aligned) -> dict[str, float]:
    rgba, (x, y), size = error_picture(aligned)
    return {"x": x, "y": y, "width": rgba.shape[1] * size}


def _placed_maps(painted: Painted) -> dict[str, Any]:
    rgba, spacing, (x, y), _ = map_picture(painted.path, painted.markers[0])
    ends = [map_picture(painted.path, m)[3] for m in painted.markers]
    return {
        "x": x,
        "y": y,
        "width": rgba.shape[1] * spacing,
        "ends": [f"{e:,.0f}" for e in ends],
        "markers": list(painted.markers),
    }


@router.get("/slides/{name}/tiles/{level}/{column}/{row}.jpg")
def tile(  # noqa: PLR0917 - parts of an address
    request: Request, name: Name, level: Level, column: Index, row: Index, channel: Channel = None
) -> Response:
    """A tile of a slide."""
    session_of(request)
    workbench = workbench_of(request)
    slide = _row(workbench, name)
    try:
        found = workbench.slides.tile(slide, (level, column, row), channel)
    except SlideError:
        raise Refused(Refusal.NOT_FOUND) from None
    return Response(found, media_type="image/jpeg", headers=_KEEP)


@router.get("/slides/{name}/aligned/{moving}/{level}/{column}/{row}.jpg")
def aligned_tile(  # noqa: PLR0917 - parts of an address
    request: Request, name: Name, moving: Name, level: Level, column: Index, row: Index
) -> Response:
    """A tile of a section as it lies on the H&E."""
    session_of(request)
    workbench = workbench_of(request)
    fixed, above = _row(workbench, name), _row(workbench, moving)
    pair = _aligned(workbench, fixed, moving)
    try:
        found = workbench.slides.aligned_tile(
            fixed, above, transform_in(pair.folder), (level, column, row)
        )
    except SlideError:
        raise Refused(Refusal.NOT_FOUND) from None
    return Response(found, media_type="image/jpeg", headers=_KEEP)


@router.get("/slides/{name}/error/{moving}.png")
def error_tiles(request: Request, name: Name, moving: Name) -> Response:
    """Predicted error of an alignment, a pixel a tile."""
    session_of(request)
    workbench = workbench_of(request)
    rgba, _, _ = error_picture(_aligned(workbench, _row(workbench, name), moving))
    return Response(png(rgba), media_type="image/png", headers=_KEEP)


@router.get("/slides/{name}/map/{key}/{marker}.png")
def map_plane(request: Request, name: Name, key: Key, marker: Marker) -> Response:
    """One marker of a map."""
    session_of(request)
    workbench = workbench_of(request)
    painted = _painted(workbench, _row(workbench, name), key)
    if marker >= len(painted.markers):
        raise Refused(Refusal.NOT_FOUND)
    rgba, _, _, _ = map_picture(painted.path, painted.markers[marker])
    return Response(png(rgba), media_type="image/png", headers=_KEEP)
