"""Which of several H&E slides or sections of a patient counts, by the study's rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from metasight.cohort.settings import SeveralHe
from metasight.engine.step import Inputs
from metasight.steps import artefacts
from metasight.steps.slides.one_slide import SlideArgument
from metasight.steps.slides.sections import checking, read_tissue

STAGE = "slide choice"
"""Of the ledger rows."""

_RULES: dict[SeveralHe, str] = {
    "first": "the first usable H&E of the table",
    "largest": "the usable H&E with the largest tissue area",
}


def chosen_he(
    inputs: Inputs, slides: Sequence[SlideArgument], several: SeveralHe
) -> SlideArgument | None:
    """The H&E that sections are aligned to, the map is painted on and the tumour is measured on.

    Parameters
    ----------
    inputs
        With the check of every slide.
    slides
        Of a patient, in the table's order.
    several
        Which of several usable ones; of equal tissue areas the first.

    Returns
    -------
    None where no H&E is of sufficient quality.
    """
    usable = usable_he(inputs, slides)
    if several == "first" or len(usable) < 2:
        return usable[0] if usable else None
    return max(usable, key=lambda a: _tissue_um2(inputs[checking(a.slide.name)]))


def usable_he(inputs: Inputs, slides: Sequence[SlideArgument]) -> list[SlideArgument]:
    """H&E slides that are not of insufficient quality, in the table's order."""
    stained = [a for a in slides if a.slide.stain == "H&E"]
    return [a for a in stained if _sufficient(inputs[checking(a.slide.name)]) is not False]


def _sufficient(checked: Path) -> bool | None:
    found: bool | None = artefacts.QUALITY.read(checked)["sufficient"]
    return found


def _tissue_um2(checked: Path) -> float:
    tissue, mpp = read_tissue(artefacts.TISSUE.path(checked))
    return float(tissue.sum()) * mpp**2


def told_of_he(usable: Sequence[SlideArgument], several: SeveralHe) -> str:
    """Why one of several counts; empty where there is no choice."""
    if len(usable) < 2:
        return ""
    return f"one of {len(usable)} usable: {_RULES[several]} (several_he = {several}) is measured"


def first_of_each_marker(sections: Sequence[SlideArgument]) -> Iterator[SlideArgument]:
    """Sections that show a marker which none before them shows, in the table's order."""
    seen: set[str] = set()
    for a in sections:
        if not set(a.slide.markers) <= seen:
            seen |= set(a.slide.markers)
            yield a
