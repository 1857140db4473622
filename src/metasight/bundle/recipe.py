"""A bundle's recipe walked on other patients: their tables and files, its settings and protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metasight.bundle.content import Bundle
from metasight.cohort.settings import (
    CohortSettings,
    MapSettings,
    ScanRecipe,
    ScanSettings,
    SlideSettings,
)
from metasight.errors import StudyError
from metasight.maps.generator import WEIGHTS
from metasight.provenance import hash_file
from metasight.study.file import Study, StudySettings


def study_of(locked: Bundle, folder: Path, theirs: CohortSettings) -> Study:
    """The patients of another folder, as the developing study would have measured them.

    Parameters
    ----------
    locked
        Its settings, protocol and generator count.
    folder
        Of the patients.
    theirs
        Where their tables and files are, how columns are mapped, what is waived there.

    Raises
    ------
    StudyError
        ``theirs`` asks for another way of measuring than the bundle's, or lacks images without
        which the headline model reads nothing.
    """
    merged: dict[str, Any] = {
        **{name: getattr(locked.settings, name) for name in StudySettings.model_fields},
        **{name: getattr(theirs, name) for name in CohortSettings.model_fields},
        "biology": None,
        "slides": _slides(locked, theirs.slides),
        "scans": _scans(locked, theirs.scans),
    }
    settings = StudySettings.model_construct(**merged)
    return Study(folder=folder, settings=settings, protocol=locked.protocol)


def _slides(locked: Bundle, theirs: SlideSettings | None) -> SlideSettings | None:
    recipe = locked.settings.slides
    if theirs is None:
        return None
    if recipe is None:
        raise _not_read("[slides]")
    _same("slides", recipe, theirs, ("thresholds", "several_he"))
    maps = None  # without a generator nothing can be painted, and nothing may be trained
    if recipe.maps is not None and locked.generator is not None:
        maps = MapSettings(
            **{
                **recipe.maps.model_dump(),
                "generator": str(locked.generator),
                "sha256": _weights_hash(locked.generator),
            }
        )
    embeddings = recipe.embeddings
    if embeddings is not None and embeddings.weights is not None:
        embeddings = _their_weights(embeddings, theirs)
    locked_part = {"maps": maps, "embeddings": embeddings}
    locked_part |= {n: getattr(recipe, n) for n in ("thresholds", "several_he")}
    return theirs.model_copy(update=locked_part)


def _their_weights(embeddings: Any, theirs: SlideSettings) -> Any:
    """The encoder's file as it lies here; its content must be that of training."""
    given = theirs.embeddings
    if given is None or given.weights is None:
        raise StudyError(
            "the locked models read patches by an encoder whose weights a bundle may not carry",
            where="study.toml [slides.embeddings]",
            value=embeddings.encoder,
            remedy=f'Give weights = "its file" and sha256 = "{embeddings.sha256}"',
        )
    if (given.encoder, given.sha256) != (embeddings.encoder, embeddings.sha256):
        raise StudyError(
            "the encoder differs from that of the locked models",
            where="study.toml [slides.embeddings]",
            value=given.encoder,
            remedy=f"Give {embeddings.encoder}, sha256 {embeddings.sha256}",
        )
    return embeddings.model_copy(update={"weights": given.weights})


def _weights_hash(generator: Path) -> str:
    return hash_file(generator / WEIGHTS)


def _scans(locked: Bundle, theirs: ScanSettings | None) -> ScanSettings | None:
    recipe = locked.settings.scans
    if theirs is None:
        return None
    if recipe is None:
        raise _not_read("[scans]")
    _same("scans", recipe, theirs, tuple(ScanRecipe.model_fields))
    return theirs.model_copy(update={n: getattr(recipe, n) for n in ScanRecipe.model_fields})


def _same(section: str, recipe: Any, theirs: Any, names: tuple[str, ...]) -> None:
    """Refuse a setting of measurement that is given here and is not the bundle's.

    Raises
    ------
    StudyError
        As said.
    """
    for name in (n for n in names if n in theirs.model_fields_set):
        asked, locked = getattr(theirs, name), getattr(recipe, name)
        if asked != locked:
            raise StudyError(
                f"{name} differs from the settings of the locked models",
                where=f"study.toml [{section}]",
                value=f"{asked}; the bundle's is {locked}",
                remedy="Leave it out: the bundle's settings are used",
            )


def _not_read(section: str) -> StudyError:
    return StudyError(
        f"{section} is given, but the locked models do not use it",
        where="study.toml",
        remedy=f"Leave {section} out",
    )
