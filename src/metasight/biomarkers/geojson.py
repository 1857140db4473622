"""Regions as GeoJSON that QuPath opens: File → Import objects from file.

QuPath's annotations are GeoJSON features in level-0 pixels, with ``objectType`` and a
``classification`` in their properties (QuPath docs, "Exporting annotations").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from shapely import affinity
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, Polygon, mapping, shape

from metasight.biomarkers.tls import Aggregate
from metasight.errors import SlideError

TLS_COLOUR = (128, 0, 200)
Outline: TypeAlias = Polygon | MultiPolygon


def annotation(
    outline: Polygon | MultiPolygon,
    *,
    name: str,
    classification: str,
    colour: tuple[int, int, int],
    mpp: float,
    measurements: Mapping[str, float] | None = None,
) -> dict[str, object]:
    """One QuPath annotation.

    Parameters
    ----------
    outline
        In µm from the level-0 origin.
    name, classification, colour
        As QuPath shows them; colour is (red, green, blue).
    mpp
        µm per level-0 pixel of the slide.
    measurements
        Name → value, for QuPath's measurement table.

    Raises
    ------
    SlideError
        ``mpp`` is not positive.
    """
    if not mpp > 0:
        raise SlideError("regions need the slide's µm per pixel", value=str(mpp))
    in_pixels = affinity.scale(outline, xfact=1 / mpp, yfact=1 / mpp, origin=(0, 0))
    return {
        "type": "Feature",
        "geometry": mapping(in_pixels),
        "properties": {
            "objectType": "annotation",
            "name": name,
            "classification": {"name": classification, "color": list(colour)},
            "measurements": dict(measurements or {}),
        },
    }


def tls_annotations(aggregates: Sequence[Aggregate], mpp: float) -> list[dict[str, object]]:
    """QuPath annotations of TLS, numbered as in the results."""
    return [
        annotation(
            found.outline,
            name=f"TLS {number}",
            classification="TLS",
            colour=TLS_COLOUR,
            mpp=mpp,
            measurements={
                "Area µm^2": found.area_um2,
                "Lymphocytes": found.lymphocytes,
                "B cells %": found.b_percent,
                "Density ratio": found.density_ratio,
            },
        )
        for number, found in enumerate(aggregates, start=1)
    ]


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """A region as QuPath holds it.

    Attributes
    ----------
    outline
        In µm from the level-0 origin.
    name, classification
        As QuPath shows them; empty where it has none.
    measurements
        Name → value of QuPath's measurement table.
    """

    outline: Outline
    name: str
    classification: str
    measurements: Mapping[str, float]


def read_annotations(path: Path, mpp: float) -> list[Annotation]:
    """Annotations that QuPath exported, or that `write_geojson` wrote; other objects are left out.

    Parameters
    ----------
    path
        Of a FeatureCollection, a list of features or one feature.
    mpp
        µm per level-0 pixel of the slide that the annotations are laid over.

    Raises
    ------
    SlideError
        ``mpp`` is not positive, the file is no GeoJSON, or an annotation is no area.
    """
    if not mpp > 0:
        raise SlideError("regions need the slide's µm per pixel", value=str(mpp))
    return [
        _annotation(feature, f"{path.name}, object {number}", mpp)
        for number, feature in enumerate(_features(path), start=1)
        if _properties(feature).get("objectType", "annotation") == "annotation"
    ]


def read_outlines(path: Path, mpp: float) -> list[Outline]:
    """Outlines in µm of the annotations of :func:`read_annotations`."""
    return [found.outline for found in read_annotations(path, mpp)]


def _features(path: Path) -> list[Any]:
    try:
        read = json.loads(path.read_text("utf-8-sig"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise _no_geojson(path.name, type(error).__name__) from error
    if isinstance(read, dict):
        read = [read] if read.get("type") == "Feature" else read.get("features")
    if not isinstance(read, list) or not all(isinstance(f, dict) for f in read):
        raise _no_geojson(path.name, "no features")
    return read


def _no_number(text: str) -> float:
    """JSON has no NaN; Python's reader would take it."""
    raise ValueError(text)


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    found = feature.get("properties")
    return found if isinstance(found, dict) else {}


def _annotation(feature: dict[str, Any], where: str, mpp: float) -> Annotation:
    try:
        outline = shape(feature["geometry"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ShapelyError) as error:
        raise _no_area(where, type(error).__name__) from error
    if not isinstance(outline, Polygon | MultiPolygon) or outline.is_empty:
        raise _no_area(where, outline.geom_type)
    if not (np.isfinite(outline.bounds).all() and outline.is_valid):
        raise _no_area(where, "its border crosses itself or is not a number")
    properties = _properties(feature)
    named = properties.get("classification")
    named = named.get("name") if isinstance(named, dict) else named
    measured = properties.get("measurements")
    return Annotation(
        outline=affinity.scale(outline, xfact=mpp, yfact=mpp, origin=(0, 0)),
        name=str(properties.get("name") or ""),
        classification=str(named or ""),
        measurements=_numbers(measured),
    )


def _numbers(measured: object) -> dict[str, float]:
    """QuPath's measurements: an object, or before 0.4 a list of names and values."""
    if isinstance(measured, list):
        pairs = [(m.get("name"), m.get("value")) for m in measured if isinstance(m, dict)]
    else:
        pairs = list(measured.items()) if isinstance(measured, dict) else []
    return {
        str(name): float(value)
        for name, value in pairs
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _no_geojson(where: str, value: str) -> SlideError:
    return SlideError(
        "not a GeoJSON of features",
        where=where,
        value=value,
        remedy="Export annotations from QuPath as GeoJSON",
    )


def _no_area(where: str, value: str) -> SlideError:
    return SlideError(
        "an annotation is not an area",
        where=where,
        value=value,
        remedy="Draw it as a polygon, rectangle or brush area in QuPath and export it again",
    )


def write_geojson(features: Iterable[Mapping[str, object]], path: Path) -> None:
    """Write a FeatureCollection; the same features give the same bytes."""
    collection = {"type": "FeatureCollection", "features": list(features)}
    path.write_text(
        json.dumps(collection, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        encoding="utf-8",
    )
