"""Cells and masks that other programs found: QuPath, StarDist, Cellpose, DeepLIIF.

Each reader says what it takes and refuses the rest; positions come out in µm from the slide's
level-0 origin. Nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from scipy import ndimage
from shapely.errors import ShapelyError
from shapely.geometry import shape

from metasight.errors import MarkerError
from metasight.maps.cell_tables import (
    UNCLASSIFIED,
    CellFile,
    numbers_of,
    read_cell_table,
    read_plain_table,
    require_mpp,
)
from metasight.maps.cells import Cells, cells_of
from metasight.slides.tiff_index import DAMAGED

Labels = npt.NDArray[np.int64]

_CELL_OBJECTS = ("cell", "detection", "PathCellObject", "PathDetectionObject")


def read_qupath_table(path: Path, *, mpp: float | None = None, image: str | None = None) -> Cells:
    """Read the cells of one slide that QuPath exported as a table (CSV or TSV).

    Parameters
    ----------
    path
        With "Centroid X µm" and "Centroid Y µm" (or "… px", which need ``mpp``) and one of
        "Classification", "Class", "Name". Further columns are left alone.
    mpp
        µm per level-0 pixel.
    image
        File name of the slide, for a table that holds several.

    Raises
    ------
    MarkerError
        As :func:`metasight.maps.cell_tables.read_cell_table`.
    """
    return read_cell_table(path, mpp=mpp, image=image).cells


def read_qupath_geojson(path: Path, *, mpp: float) -> Cells:
    """Read cells and detections that QuPath exported as GeoJSON.

    The nucleus' outline gives the centre where there is one, the cell's otherwise. Annotations
    are regions and are left out. A class is a text, a name, or several names, which become one
    with a colon between them as QuPath shows it.

    Raises
    ------
    MarkerError
        The file is no GeoJSON, or holds neither cells nor detections.
    """
    scale = require_mpp(mpp, path)
    features = _features(path)
    x, y, types = [], [], []
    for number, feature in enumerate(features, start=1):
        if not isinstance(feature, dict):
            raise _no_geojson(path)
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise _no_geojson(path)
        # QuPath before 0.4 tells the kind of object by the feature's id
        kind = properties.get("objectType") or properties.get("object_type") or feature.get("id")
        if kind not in _CELL_OBJECTS:
            continue
        outline = feature.get("nucleusGeometry") or feature.get("geometry")
        centre = _centre(outline, path)
        x.append(centre[0] * scale)
        y.append(centre[1] * scale)
        types.append(_class_of(properties.get("classification"), f"{path.name}, object {number}"))
    if not types:
        raise MarkerError(
            "the GeoJSON holds no cells",
            where=path.name,
            value=f"{len(features)} features",
            remedy="Export detections or cells from QuPath; annotations are regions",
        )
    return cells_of(x, y, types)


def read_cell_file(path: Path, *, mpp: float, image: str | None = None) -> CellFile:
    """Read the cells of one slide from another program's table or GeoJSON, by the file's ending.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv`` or ``.txt`` (`read_cell_table`); ``.geojson`` or ``.json`` of QuPath.
    mpp
        µm per level-0 pixel.
    image
        File name of the slide; a GeoJSON does not say whose it is.

    Raises
    ------
    MarkerError
        It is of another kind, or cannot be read.
    """
    ending = path.suffix.lower()
    if ending in {".geojson", ".json"}:
        return CellFile(cells=read_qupath_geojson(path, mpp=mpp), program="QuPath")
    if ending in {".csv", ".tsv", ".txt"}:
        return read_cell_table(path, mpp=mpp, image=image)
    raise MarkerError(
        "cells are read from a table or a GeoJSON",
        where=path.name,
        value=ending or "no ending",
        remedy="Export them as .csv, .tsv or .geojson",
    )


def _features(path: Path) -> list[Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise MarkerError(
            "the GeoJSON cannot be read",
            where=path.name,
            value=type(error).__name__,
            remedy="Export it again",
        ) from error
    features = read.get("features") if isinstance(read, dict) else read
    if not isinstance(features, list):
        raise _no_geojson(path)
    return features


def _no_geojson(path: Path) -> MarkerError:
    return MarkerError(
        "not a GeoJSON of features", where=path.name, remedy="Export cells from QuPath as GeoJSON"
    )


def _class_of(classification: Any, where: str) -> str:
    """The class of a cell in every form in which QuPath has written it."""
    named = classification
    if isinstance(classification, dict):
        named = classification.get("name") or classification.get("names")
    if isinstance(named, list) and all(isinstance(n, str) for n in named):
        named = ": ".join(named)
    if named in (None, ""):
        return UNCLASSIFIED
    if isinstance(named, str):
        return named
    raise MarkerError(
        "the class of an object is neither a name nor a list of names",
        where=where,
        remedy="Export it again with QuPath",
    )


def _centre(outline: Any, path: Path) -> tuple[float, float]:
    try:
        centre = shape(outline).centroid
        return float(centre.x), float(centre.y)
    except (ShapelyError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise MarkerError(
            "an outline of the GeoJSON cannot be read", where=path.name, remedy="Export it again"
        ) from error


def read_label_image(
    path: Path, *, mpp: float, types: Mapping[int, str] | None = None
) -> tuple[Cells, Labels]:
    """Read an image of labels, as StarDist and Cellpose write it.

    Parameters
    ----------
    path
        TIFF, PNG, or ``.npy`` of plain integers. Cellpose's ``_seg.npy`` is a pickle, which can run
        code when it is opened, and is refused: save masks as TIFF instead.
    mpp
        µm per pixel of the image.
    types
        Label → type; all cells are ``unclassified`` without.

    Returns
    -------
    (Cells, labels)
        Cells in the order of their labels.

    Raises
    ------
    MarkerError
        The file cannot be read, or is no two-dimensional image of labels.
    """
    scale = require_mpp(mpp, path)
    labels = _labels(path)
    number = np.unique(labels)
    number = number[number > 0]
    if not len(number):
        raise MarkerError("the image holds no label", where=path.name)
    centre = np.array(ndimage.center_of_mass(labels > 0, labels, number)).reshape(-1, 2)
    given = types or {}
    unknown = sorted(set(given) - set(number.tolist()))
    if unknown:
        raise MarkerError(
            "types are given for labels that the image does not hold",
            where=path.name,
            value=", ".join(map(str, unknown[:5])),
        )
    names = [given.get(int(n), UNCLASSIFIED) for n in number]
    x, y = (centre[:, 1] + 0.5) * scale, (centre[:, 0] + 0.5) * scale
    return cells_of(x, y, names), labels


def read_label_types(path: Path, *, label: str = "label", name: str = "type") -> dict[int, str]:
    """Read which label is of which type from a table, for :func:`read_label_image`.

    Raises
    ------
    MarkerError
        A column is missing, or a label occurs twice or is no whole number.
    """
    table = read_plain_table(path)
    for column in (label, name):
        if column not in table.columns:
            raise MarkerError(
                "a column is missing",
                where=path.name,
                value=column,
                remedy="Name the columns of the labels and of their types",
            )
    numbers = numbers_of(table[label], path)
    if (numbers != np.rint(numbers)).any() or len(np.unique(numbers)) != len(numbers):
        raise MarkerError("labels must be whole numbers, each once", where=path.name)
    return dict(zip(numbers.astype(int).tolist(), table[name].astype(str), strict=True))


def cells_of_deepliif(
    segmentation: npt.NDArray[np.uint8], *, mpp: float, marker: str
) -> tuple[Cells, Labels]:
    """Cells of DeepLIIF's segmentation picture.

    Red is the inside of a positive cell, blue of a negative one, green the outline between them.

    Parameters
    ----------
    segmentation
        RGB, shape ``(y, x, 3)``.
    mpp
        µm per pixel.
    marker
        What the section was stained for: positive cells are of this type, the others ``other``.

    Raises
    ------
    MarkerError
        The picture is not of that kind.
    """
    if segmentation.ndim != 3 or segmentation.shape[2] != 3 or segmentation.dtype != np.uint8:
        raise MarkerError("a DeepLIIF segmentation is an 8-bit RGB picture")
    if not mpp > 0:
        raise MarkerError("a picture needs its µm per pixel", value=str(mpp))
    red, green, blue = (segmentation[..., c].astype(np.int16) for c in range(3))
    inside = ((red > 120) | (blue > 120)) & (green <= 120)
    strange = (segmentation.max(axis=-1) > 120) & ~inside & (green <= 120)
    labels, n = ndimage.label(inside)
    if n == 0 or strange.any() or (np.minimum(red, blue) > 120).mean() > 0.01:
        raise MarkerError(
            "the picture is no DeepLIIF segmentation",
            remedy="It is black, with cells in red and blue and outlines in green",
        )
    number = np.arange(1, n + 1)
    centre = np.array(ndimage.center_of_mass(inside, labels, number)).reshape(-1, 2)
    positive = ndimage.mean(red > blue, labels, number) > 0.5
    names = np.where(positive, marker, "other")
    found = cells_of(
        (centre[:, 1] + 0.5) * mpp, (centre[:, 0] + 0.5) * mpp, names, ("other", marker)
    )
    cells = Cells(
        x_um=found.x_um,
        y_um=found.y_um,
        type_code=found.type_code,
        type_names=found.type_names,
        positive={marker: np.asarray(positive, dtype=np.bool_)},
    )
    return cells, labels.astype(np.int64)


def _labels(path: Path) -> Labels:
    try:
        if path.suffix.lower() == ".npy":
            image = np.load(path, allow_pickle=False)
        elif path.suffix.lower() == ".png":  # Cellpose's masks, 16 bits
            image = _png(path)
        else:
            image = tifffile.imread(path)
    except (*DAMAGED, cv2.error) as error:
        raise MarkerError(
            "the label image cannot be read",
            where=path.name,
            value=type(error).__name__,
            remedy="Give a TIFF, PNG or .npy of whole numbers; pickles are not opened",
        ) from error
    if image.ndim != 2 or not np.issubdtype(image.dtype, np.integer) or image.min(initial=0) < 0:
        raise MarkerError(
            "not an image of labels",
            where=path.name,
            value=f"{image.dtype} of shape {image.shape}",
            remedy="Give a two-dimensional image of whole numbers from 0",
        )
    return np.asarray(image, dtype=np.int64)


def _png(path: Path) -> npt.NDArray[Any]:
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if image is None:
        raise ValueError("no PNG")
    return np.asarray(image)
