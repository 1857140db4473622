"""Regions as GeoJSON that QuPath opens: File → Import objects from file.

QuPath's annotations are GeoJSON features in level-0 pixels, with ``objectType`` and a
``classification`` in their properties (QuPath docs, "Exporting annotations").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from shapely import affinity
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


def read_outlines(path: Path, mpp: float) -> list[Outline]:
    """Outlines in µm of the annotations that `write_geojson` wrote.

    Parameters
    ----------
    path
        Of the file.
    mpp
        µm per level-0 pixel of the slide that the annotations are laid over.
    """
    collection = json.loads(path.read_text("utf-8"))
    return [
        affinity.scale(shape(f["geometry"]), xfact=mpp, yfact=mpp, origin=(0, 0))
        for f in collection["features"]
    ]


def write_geojson(features: Iterable[Mapping[str, object]], path: Path) -> None:
    """Write a FeatureCollection; the same features give the same bytes."""
    collection = {"type": "FeatureCollection", "features": list(features)}
    path.write_text(
        json.dumps(collection, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        encoding="utf-8",
    )
