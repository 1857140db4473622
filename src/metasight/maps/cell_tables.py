"""Tables of cells that other programs write: one slide's cells, in µm, with their classes.

A table often holds several images, and annotations beside cells; those of the slide are taken by
the image's name, and nothing is read where the table leaves it open. Which program wrote a table
is told from its columns.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.errors import MarkerError
from metasight.maps.cells import Cells, cells_of

UNCLASSIFIED = "unclassified"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TableFormat:
    """Columns of one program's tables.

    Attributes
    ----------
    program
        That writes them.
    x, y
        Columns of the position; the mean of several, such as the ends of a box.
    in_um
        Whether positions are in µm; else in pixels of level 0. None where the program writes
        either, and the columns of areas say which.
    classes
        Columns that may hold the class, the first that is there; none is needed with ``positive``.
    images
        Columns that name the image, the first that is there.
    positive
        Pattern of columns of 0 and 1, its group the marker; empty for none.
    """

    program: str
    x: tuple[str, ...]
    y: tuple[str, ...]
    in_um: bool | None
    classes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    positive: str = ""


_QUPATH = ("Classification", "Class", "Name")
FORMATS = (
    *(
        TableFormat(
            program="QuPath",
            x=(f"Centroid X {unit}",),
            y=(f"Centroid Y {unit}",),
            in_um=unit != "px",
            classes=_QUPATH,
            images=("Image",),
        )
        for unit in ("µm", "um", "px")
    ),
    TableFormat(
        program="HALO",
        x=("XMin", "XMax"),
        y=("YMin", "YMax"),
        in_um=False,
        classes=("Phenotype",),
        images=("Image File Name", "Image Location", "Image Tag"),
        positive=r"(.+?) Positive(?: Classification)?",
    ),
    TableFormat(
        program="inForm",
        x=("Cell X Position",),
        y=("Cell Y Position",),
        in_um=None,
        classes=("Phenotype",),
        images=("Sample Name",),
    ),
    TableFormat(
        program="MCMICRO",
        x=("X_centroid",),
        y=("Y_centroid",),
        in_um=False,
        classes=("phenotype", "Phenotype"),
        images=("imageid", "ImageId"),
    ),
    TableFormat(
        program="CellProfiler",
        x=("Location_Center_X",),
        y=("Location_Center_Y",),
        in_um=False,
        images=("FileName_Slide", "ImageNumber"),
        positive=r"Classify_(.+?)[ _]?[Pp]ositive",
    ),
)
_AREAS_IN = {"(pixels)": False, "(square microns)": True}
_OBJECT_COLUMNS = ("Object type", "Name")
_CELLS = {"cell", "detection", "pathcellobject", "pathdetectionobject"}
_NO_CELLS = {
    "annotation",
    "image",
    "root object (image)",
    "tma core",
    "tile",
    "pathannotationobject",
    "pathrootobject",
    "pathtileobject",
    "tmacoreobject",
}
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+(?:[eE][+-]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class CellFile:
    """Cells of one slide from another program's file.

    Attributes
    ----------
    cells
        With their classes as types; ``positive`` where the file has a column for each marker.
    program
        That wrote it.
    notes
        What was left out, for the ledger.
    """

    cells: Cells
    program: str
    notes: tuple[str, ...] = field(default=())


def read_cell_table(path: Path, *, mpp: float | None = None, image: str | None = None) -> CellFile:
    """Read the cells of one slide from a table (CSV, TSV, or with semicolons).

    Parameters
    ----------
    path
        Of QuPath, HALO, inForm, MCMICRO or CellProfiler; see `FORMATS` for the columns. Further
        columns are left alone. Decimal commas are read where commas do not separate columns.
    mpp
        µm per level-0 pixel, where positions are in pixels.
    image
        File name of the slide. A table that names images must name it; without it a table must
        hold one image only.

    Raises
    ------
    MarkerError
        The file is no table of cells, holds other images only or several, a column is missing, or
        a position is not a number.
    """
    table = read_plain_table(path)
    columns = table.columns
    known = next(
        (f for f in FORMATS if set(f.x) <= set(columns) and set(f.y) <= set(columns)), None
    )
    class_name = next((c for c in known.classes if c in columns), None) if known else None
    flags = _flag_columns(table, known) if known else {}
    if known is None or (class_name is None and not flags):
        raise MarkerError(
            "not a table of cells that is known: not a QuPath table of detections, nor of "
            "HALO, inForm, MCMICRO or CellProfiler",
            where=path.name,
            value=f"{len(columns)} columns",
            remedy="A QuPath table needs Centroid X µm, Centroid Y µm, and one of "
            f"{', '.join(_QUPATH)}; in QuPath use Measure > Export measurements",
        )
    table, notes = _of_image(table, known, image, path)
    table, left = _only_cells(table, class_name, path)
    notes += left
    scale = 1.0 if _is_in_um(known, list(table.columns), path) else require_mpp(mpp, path)
    x, y = (
        np.mean([numbers_of(table[c], path) for c in names], axis=0) * scale
        for names in (known.x, known.y)
    )
    if class_name is None:
        types = np.full(len(table), UNCLASSIFIED)
    else:
        named = table[class_name].str.strip()
        types = named.mask(named == "", UNCLASSIFIED).to_numpy(dtype=np.str_)
    cells = cells_of(x, y, types)
    positive = {m: numbers_of(table[c], path) > 0 for m, c in flags.items()}
    return CellFile(
        cells=Cells(
            x_um=cells.x_um,
            y_um=cells.y_um,
            type_code=cells.type_code,
            type_names=cells.type_names,
            positive=positive,
        ),
        program=known.program,
        notes=tuple(notes),
    )


def read_plain_table(path: Path) -> pd.DataFrame:
    """A table as text, its columns' micro signs made one; empty cells are empty texts.

    Raises
    ------
    MarkerError
        It cannot be read, or has no row.
    """
    try:
        data = path.read_bytes()
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = data.decode("utf-16")  # Excel's "Unicode text"
        else:
            try:
                text = data.decode("utf-8-sig")
            except UnicodeDecodeError:
                text = data.decode("cp1252")  # QuPath on Windows; its µ is no UTF-8
        head = text.partition("\n")[0]
        separator = max("\t;,", key=head.count)
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise MarkerError(
            "the table cannot be read",
            where=path.name,
            value=type(error).__name__,
            remedy="Export it again as CSV or TSV",
        ) from error
    if not len(table):
        raise MarkerError("the table is empty", where=path.name, remedy="Export the cells again")
    # a Greek mu and a micro sign look the same
    table.columns = [str(c).replace("\u03bc", "\u00b5").strip() for c in table.columns]
    return table


def numbers_of(column: pd.Series[Any], path: Path) -> Floats:
    """A column as numbers, with decimal points or commas.

    Raises
    ------
    MarkerError
        A cell is not a finite number; the row is named.
    """
    text = column.str.strip()
    text = text.where(~text.str.fullmatch(_DECIMAL_COMMA), text.str.replace(",", "."))
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise MarkerError(
            f"{column.name} is not a number",
            where=f"{path.name}, row {int(column.index[int(bad[0])]) + 2}",
            remedy="Correct it, or leave out the row",
        )
    return values


def _is_in_um(known: TableFormat, columns: list[str], path: Path) -> bool:
    """Whether positions are in µm, by the format or by the units of the table's areas."""
    if known.in_um is not None:
        return known.in_um
    said = {in_um for unit, in_um in _AREAS_IN.items() if any(c.endswith(unit) for c in columns)}
    if len(said) != 1:
        raise MarkerError(
            "the table does not say whether positions are in pixels or µm",
            where=path.name,
            remedy="Export it with areas, whose column says (pixels) or (square microns)",
        )
    return said.pop()


def _flag_columns(table: pd.DataFrame, known: TableFormat) -> dict[str, str]:
    """Marker → column of 0 and 1."""
    if not known.positive:
        return {}
    found = {c: re.fullmatch(known.positive, c) for c in table.columns}
    return {m[1].strip(): c for c, m in found.items() if m is not None}


def _of_image(
    table: pd.DataFrame, known: TableFormat, image: str | None, path: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the slide; images are told by their number, for a name may be a patient's."""
    column = next((c for c in known.images if c in table.columns), None)
    if column is None:
        return table, []
    names = [str(n) for n in table[column].unique()]
    if image is None:
        if len(names) > 1:
            raise MarkerError(
                "the table holds cells of several images",
                where=path.name,
                value=f"{len(names)} in column {column}",
                remedy="Say of which slide cells are wanted, or export one table a slide",
            )
        return table, []
    own = [n for n in names if _is_of(n, image)]
    if len(own) != 1:
        raise MarkerError(
            "the table holds no cells of this slide"
            if not own
            else "the table holds several pictures of this slide",
            where=path.name,
            value=f"{len(own) or len(names)} images in column {column}",
            remedy=f"Column {column} must hold the slide's file name; export its cells again",
        )
    kept = table[table[column] == own[0]]
    left = len(table) - len(kept)
    return kept, [f"{_rows(left)} of other images left out"] if left else []


def _is_of(named: str, image: str) -> bool:
    """Whether a table's name of an image is that of a slide's file, with or without its ending.

    QuPath adds the name of the picture within a file: ``a.vsi - 20x``.
    """
    own = re.split(r"[\\/]", named.strip())[-1].casefold()
    wanted = image.casefold()
    bare = re.sub(r"(\.ome)?\.[a-z]{2,6}$", "", wanted)
    if own.endswith(".im3"):  # inForm names the scan, its export is beside it
        return bare.removesuffix("_component_data") == own.removesuffix(".im3")
    return own in {wanted, bare} or own.startswith((f"{wanted} - ", f"{bare} - "))


def _only_cells(
    table: pd.DataFrame, class_name: str | None, path: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Rows that are cells or detections; annotations and the image itself are left out."""
    for column in _OBJECT_COLUMNS:
        if column not in table.columns or column == class_name:
            continue
        kinds = table[column].str.strip().str.casefold()
        if column == "Name" and not kinds.str.startswith("path").any():
            continue  # there the name is one that somebody gave
        strange = ~kinds.isin(_CELLS | _NO_CELLS)
        if strange.any():
            raise MarkerError(
                "an object of a kind that is not known",
                where=f"{path.name}, row {int(table.index[int(strange.to_numpy().argmax())]) + 2}",
                remedy="Export cells or detections from QuPath",
            )
        kept = table[kinds.isin(_CELLS)]
        if not len(kept):
            raise MarkerError(
                "the table holds no cells, only annotations",
                where=path.name,
                value=f"{len(table)} rows",
                remedy="Export cells or detections from QuPath",
            )
        left = len(table) - len(kept)
        return kept, [f"{_rows(left)} of annotations left out"] if left else []
    return table, []


def _rows(number: int) -> str:
    return f"{number:,} row{'s' * (number > 1)}"


def require_mpp(mpp: float | None, path: Path) -> float:
    """The resolution that positions in pixels are turned into µm with.

    Raises
    ------
    MarkerError
        None is given, or it is not above 0.
    """
    if mpp is None or not mpp > 0:
        raise MarkerError(
            "positions in pixels need the slide's µm per pixel",
            where=path.name,
            value=str(mpp),
            remedy="Give mpp",
        )
    return mpp
