"""A study's settings as its results and its bundle hold them: without what only this study reads.

The key of the pseudonyms is a secret; a sheet's name and a slide's file name are texts of the
hospital, which may be a patient's.
"""

from __future__ import annotations

from typing import Any

from metasight.cohort.settings import CohortSettings

_OF_FILES = ("mpp_of", "picture_of")


def published(settings: CohortSettings) -> dict[str, Any]:
    """Settings as JSON, without the key; no sheet is named, and files of slides are numbered.

    What is left is valid as settings: nothing of it depends on the study's own files.
    """
    found: dict[str, Any] = _cleaned(settings.model_dump(mode="json", exclude={"key"}))
    return found


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {
        key: None
        if key == "sheet"
        else {f"file {n}": v for n, v in enumerate(inner.values(), start=1)}
        if key in _OF_FILES and isinstance(inner, dict)
        else _cleaned(inner)
        for key, inner in value.items()
    }
