"""Regions for QuPath, in level-0 pixels of the H&E, read back before they leave; and back again.

What a pathologist drew and scored in QuPath becomes a table of regions (``[slides.regions]``): one
row an annotation, its measurements as columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from shapely.geometry import Polygon

from metasight.biomarkers.geojson import Annotation, read_annotations
from metasight.cohort.settings import TableSettings
from metasight.cohort.tables import read_table
from metasight.errors import SlideError, StudyError
from metasight.spreadsheet import write_csv

PIXELS = 1.0
"""µm a pixel by which level-0 pixels stay pixels."""


def copy_structures(source: Path, target: Path) -> list[Annotation]:
    """Copy the outlines of a step's result, if QuPath's readers would take them.

    Parameters
    ----------
    source
        A FeatureCollection that a step wrote.
    target
        New file; its folder is made.

    Returns
    -------
    The annotations as they are read from the copy, in level-0 pixels.

    Raises
    ------
    SlideError
        It is no GeoJSON of areas.
    """
    read_annotations(source, PIXELS)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    return read_annotations(target, PIXELS)


def patients_of_slides(table: Path, *, id_column: str, file_column: str) -> dict[str, str]:
    """Slide's file → the patient's id, by the study's table of slides.

    Parameters
    ----------
    table
        CSV, Excel or another kind of table that studies read.
    id_column, file_column
        Their names.

    Raises
    ------
    StudyError
        It cannot be read, or lacks a column.
    """
    cells = read_table(
        table.parent, TableSettings(path=table.name, id=id_column), (file_column,)
    ).cells
    missing = [c for c in (id_column, file_column) if c not in cells]
    if missing:
        raise StudyError(
            "the table of slides has no such column",
            where=table.name,
            value=", ".join(missing),
            remedy="Name the columns with --id and --file",
        )
    files = cells[file_column].map(lambda f: Path(str(f)).name)
    return dict(zip(files, cells[id_column].astype(str), strict=True))


def write_region_table(
    files: Sequence[Path], patients: Mapping[str, str], table: Path
) -> pd.DataFrame:
    """Write annotations that QuPath exported as a table of regions, in level-0 pixels.

    Parameters
    ----------
    files
        ``<slide's file>.geojson``, as QuPath names them: ``he-1.svs.geojson``.
    patients
        Slide's file → the patient's id in the hospital.
    table
        New CSV: ``patient``, ``file``, ``name``, ``class``, ``polygon`` (WKT), and a column a
        measurement.

    Returns
    -------
    The rows.

    Raises
    ------
    StudyError
        A file is of no known slide, the table is there already, or there is no annotation.
    SlideError
        A file is no GeoJSON, or an annotation is of several parts or has a hole.
    """
    if table.exists():
        raise StudyError("the table is there already", where=table.name, remedy="Give a new file")
    rows = []
    for number, path in enumerate(files, start=1):
        patient = patients.get(path.stem)
        if patient is None:
            raise StudyError(
                "the annotations are of no slide of the table of slides",
                where=f"GeoJSON {number} of {len(files)}",
                remedy="Name each file as its slide with .geojson behind it: he-1.svs.geojson",
            )
        for place, found in enumerate(read_annotations(path, PIXELS), start=1):
            if not isinstance(found.outline, Polygon) or found.outline.interiors:
                raise SlideError(
                    "an annotation is of several parts or has a hole",
                    where=f"GeoJSON {number} of {len(files)}, object {place}",
                    remedy="Split it in QuPath, or fill its holes, and export again",
                )
            told = {"patient": patient, "file": path.stem, "name": found.name}
            told |= {"class": found.classification, "polygon": found.outline.wkt}
            rows.append(told | {k: v for k, v in found.measurements.items() if k not in told})
    if not rows:
        raise StudyError("the files hold no annotation", remedy="Export annotations from QuPath")
    frame = pd.DataFrame(rows)
    write_csv(frame, table)
    return frame
