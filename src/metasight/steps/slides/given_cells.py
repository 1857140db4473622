"""Cells that another program found on a slide, used instead of metasight's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metasight.cohort.slide_table import SlideRow
from metasight.engine.guarded import guarded, limits_for
from metasight.errors import MarkerError
from metasight.maps.adapters import read_cell_file
from metasight.maps.cell_classes import with_markers
from metasight.maps.cells import Cells
from metasight.maps.window import TissueWindow
from metasight.protocol.markers import MarkerNames
from metasight.steps.slides.sections import write_marked

Found = dict[str, Any]

_MOST_OUTSIDE = 0.01  # cells at the slide's edge may reach over it; more are of another scale


def map_given_cells(
    row: SlideRow,
    quality: Mapping[str, Any],
    window: TissueWindow,
    out: Path,
    *,
    markers: Sequence[MarkerNames],
    classes: Mapping[str, str],
) -> Found:
    """Cells of another program and their density; write what `sections.map_markers` writes.

    Parameters
    ----------
    row
        Of the table of slides, with ``cells``.
    quality
        What the slide's check found: its size and resolution.
    window
        Its tissue.
    out
        Folder of the results.
    markers
        Of the study.
    classes
        Class → marker, as the study says.

    Raises
    ------
    MarkerError
        The file cannot be read, is another slide's, or does not name a marker.
    """
    path = row.cells
    if path is None:
        raise ValueError("no cells were given")
    where = f"cells of {row.name}"
    try:
        mpp, image = float(quality["mpp"]), row.path.name
        read = guarded(read_cell_file, limits_for(path), MarkerError, path, mpp=mpp, image=image)
        cells, outside = _on_slide(read.cells, quality, where)
    except MarkerError as error:  # the file's own name may hold a patient's
        place = error.where.replace(path.name, where)
        raise MarkerError(
            error.problem, where=place, value=error.value, remedy=error.remedy
        ) from error
    marked = with_markers(
        cells,
        row.markers,
        spellings={spelled: m.name for m in markers for spelled in (m.name, *m.spellings)},
        classes=classes,
        where=where,
    )
    notes = [f"cells are those of {read.program}", *read.notes]
    if outside:
        notes.append(f"{outside} cells outside the slide are left out")
    return write_marked(
        marked,
        window,
        out,
        slide=row.name,
        mpp=float(quality["mpp"]),
        thresholds=dict.fromkeys(row.markers),
        rules=dict.fromkeys(row.markers, f"classes of {read.program}"),
        notes=[*quality.get("notes", ()), *notes],
    )


def _on_slide(cells: Cells, quality: Mapping[str, Any], where: str) -> tuple[Cells, int]:
    """Cells that lie on the slide, and how many do not."""
    width, height = (float(quality[side]) * float(quality["mpp"]) for side in ("width", "height"))
    inside = (cells.x_um >= 0) & (cells.y_um >= 0) & (cells.x_um <= width) & (cells.y_um <= height)
    outside = int((~inside).sum())
    if outside > _MOST_OUTSIDE * len(cells):
        raise MarkerError(
            "cells lie outside the slide: positions are in another unit, or another slide's",
            where=where,
            value=f"{outside} of {len(cells)}; the slide is {width:.0f} × {height:.0f} µm",
            remedy="Check that the slide's resolution is that of the program, and export its cells "
            "again",
        )
    return cells.take(np.asarray(inside, dtype=np.bool_)), outside
