"""A transform as a file: one ``.npz`` archive of plain arrays with a JSON header, no code in it.

Format 1. The archive holds ``header`` (UTF-8 JSON as uint8) and arrays named by the header::

    {"format": "metasight-transform", "version": 1, "units": "um",
     "legs": [{"backwards": false,
               "labels": "leg0_labels", "label_spacing_um": 10.2, "label_origin_um": [0.0, 0.0],
               "pieces": [{"matrix": "leg0_piece0_matrix",
                           "field": null | {"coefficients": "leg0_piece0_field",
                                            "spacing_um": 250.0, "origin_um": [0.0, 0.0]}}]}]}

``matrix`` is (2, 3) float64, ``labels`` (rows, columns) uint8, ``field`` (rows, columns, 2)
float64 cubic B-spline coefficients (`metasight.alignment.field.Field`). A point p of the fixed
section lies on the moving section at matrix · (p, 1) + field(p); legs are walked in order, those
``backwards`` by the inverse.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.alignment.field import Field
from metasight.alignment.placement import Piece, Placement
from metasight.alignment.transform import Leg, Transform
from metasight.errors import AlignmentError

FORMAT, VERSION = "metasight-transform", 1
Arrays = dict[str, NDArray[Any]]
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,  # a member that asks for a password or a method that there is not
    zipfile.BadZipFile,
    zlib.error,
)


def save_transform(transform: Transform, path: Path) -> None:
    """Write a transform; the same transform gives the same bytes."""
    arrays: Arrays = {}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "units": "um",
        "legs": [_leg_out(f"leg{n}", leg, arrays) for n, leg in enumerate(transform.legs)],
    }
    text = json.dumps(header, sort_keys=True).encode()
    arrays["header"] = np.frombuffer(text, dtype=np.uint8)
    with path.open("wb") as file:  # numpy would add a suffix to a name
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_transform(path: Path) -> Transform:
    """Read a transform.

    Raises
    ------
    AlignmentError
        The file is missing, damaged, of another kind or of a later version.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays["header"].tobytes().decode())
        _check_header(header, path)
        return Transform(legs=tuple(_leg_in(leg, arrays) for leg in header["legs"]))
    except _DAMAGE as error:
        raise AlignmentError(
            "not a transform that can be read",
            where=path.name,
            value=f"{type(error).__name__}: {error}",
            remedy="Align the pair again",
        ) from error


def _check_header(header: dict[str, Any], path: Path) -> None:
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        raise AlignmentError(
            "a transform of another format or version",
            where=path.name,
            value=f"{header.get('format')} {header.get('version')}",
            remedy=f"This version reads {FORMAT} {VERSION}",
        )


def _leg_out(name: str, leg: Leg, arrays: Arrays) -> dict[str, Any]:
    placement = leg.placement
    arrays[f"{name}_labels"] = placement.labels
    pieces = []
    for number, piece in enumerate(placement.pieces):
        matrix = f"{name}_piece{number}_matrix"
        arrays[matrix] = piece.matrix
        field = None
        if piece.field is not None:
            field = {
                "coefficients": f"{name}_piece{number}_field",
                "spacing_um": piece.field.spacing_um,
                "origin_um": list(piece.field.origin_um),
            }
            arrays[f"{name}_piece{number}_field"] = piece.field.coefficients_um
        pieces.append({"matrix": matrix, "field": field})
    return {
        "backwards": leg.backwards,
        "labels": f"{name}_labels",
        "label_spacing_um": placement.label_spacing_um,
        "label_origin_um": list(placement.label_origin_um),
        "pieces": pieces,
    }


def _leg_in(leg: dict[str, Any], arrays: Arrays) -> Leg:
    pieces = tuple(
        Piece(
            matrix=np.asarray(arrays[piece["matrix"]], dtype=np.float64),
            field=_field_in(piece["field"], arrays),
        )
        for piece in leg["pieces"]
    )
    placement = Placement(
        pieces=pieces,
        labels=np.asarray(arrays[leg["labels"]], dtype=np.uint8),
        label_spacing_um=float(leg["label_spacing_um"]),
        label_origin_um=_pair(leg["label_origin_um"]),
    )
    return Leg(placement=placement, backwards=bool(leg["backwards"]))


def _field_in(field: dict[str, Any] | None, arrays: Arrays) -> Field | None:
    if field is None:
        return None
    return Field(
        spacing_um=float(field["spacing_um"]),
        origin_um=_pair(field["origin_um"]),
        coefficients_um=np.asarray(arrays[field["coefficients"]], dtype=np.float64),
    )


def _pair(values: list[float]) -> tuple[float, float]:
    x, y = values
    return float(x), float(y)
