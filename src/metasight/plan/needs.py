"""What a study asks of the machine, looked at before hours of work rest on it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from metasight.biology.gene_sets import require_gseapy
from metasight.errors import StudyError
from metasight.features.encoders import require_deep
from metasight.models.registry import is_network
from metasight.study.file import Study

LEAST_BYTES = 64 * 2**20
"""Free room for one run's report and one slide's sheet; a run that measures needs more."""


def require_needed(study: Study) -> None:
    """See that packages are installed and folders have room for what a study asks.

    Raises
    ------
    EncoderError, StudyError
        A package is missing, or the disk of a folder is full.
    """
    slides = study.settings.slides
    if slides is not None and slides.maps is not None:
        require_deep("[slides.maps]")
    if slides is not None and slides.embeddings is not None and not slides.embeddings.features:
        require_deep("[slides.embeddings]")
    for model in study.settings.model:
        if is_network(model):
            require_deep(f"model {model.name!r}")
    if study.settings.biology is not None:
        require_gseapy()
    _require_room(study.folder, "the study's folder")
    _require_room(Path(tempfile.gettempdir()), "the folder for temporary files")


def _require_room(folder: Path, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < LEAST_BYTES:
        raise StudyError(
            f"the disk of {what} is full",
            where=folder.name,
            value=f"{free / 2**20:.0f} MiB free",
            remedy="Free some; TMPDIR names another folder for temporary files",
        )
