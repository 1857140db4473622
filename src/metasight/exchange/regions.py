"""Regions for QuPath, in level-0 pixels of the H&E, read back before they leave."""

from __future__ import annotations

from pathlib import Path

from metasight.biomarkers.geojson import Annotation, read_annotations

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
