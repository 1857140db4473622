"""What a finished study can be written as."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """One is one word of ``metasight export --as``."""

    DICOM = "dicom"
    DICOM_MAPS = "dicom-maps"
    FHIR = "fhir"
    GEOJSON = "geojson"
    TABLES = "tables"
    CRATE = "crate"
    WORD = "word"
