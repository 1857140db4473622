"""A patient's marker sections brought onto the H&E, all together.

Two marker sections are often more alike than either is like the H&E: where a pair with the H&E is
refused, or is worse than the way by another section, that way is taken. Where two ways contradict
each other the predicted error says so (`metasight.alignment.stack`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from metasight.alignment.align import Alignment, AlignmentSettings, align
from metasight.alignment.section import Section
from metasight.alignment.slide_section import section_of_slide
from metasight.alignment.stack import Stack, pairs_of_stack, solved
from metasight.protocol.study import SlideProtocol
from metasight.steps.failures import OF_ALL_SLIDES
from metasight.steps.files import number
from metasight.steps.slides.one_slide import SlideArgument, opened
from metasight.steps.slides.sections import alignment_settings, write_alignment

Found = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Brought:
    """A marker section on the H&E.

    Attributes
    ----------
    alignment
        From the H&E to the section.
    found
        What is told of it.
    """

    alignment: Alignment
    found: Found


def bring_together(
    he: SlideArgument,
    marked: Sequence[SlideArgument],
    protocol: SlideProtocol,
    folders: Mapping[str, Path],
) -> dict[str, Brought | Exception]:
    """Align a patient's marker sections to the H&E; write each one's transform and pictures.

    Parameters
    ----------
    he
        The H&E that counts.
    marked
        Marker sections in the order in which they were cut, which is the table's.
    protocol
        Its gate and resolution.
    folders
        Where what is found of each section is written.

    Returns
    -------
    By the section's name; the error where it could not be read or shows next to no tissue, which
    no other section suffers from.
    """
    settings = alignment_settings(protocol)
    out: dict[str, Brought | Exception] = {}
    names = [he.slide.name]
    sections: list[Section] = []
    pairs: dict[tuple[int, int], Alignment] = {}
    for a in marked:
        try:
            if not sections:
                sections.append(_section(he, settings))
            section = _section(a, settings)
            at = len(sections)
            tried = {
                (i, j): align(sections[i], section, settings)
                for i, j in pairs_of_stack(at + 1, 0)
                if j == at
            }
        except OF_ALL_SLIDES:
            raise
        except Exception as error:  # noqa: BLE001 (a damaged file may raise anything)
            out[a.slide.name] = error
            continue
        pairs |= tried
        sections.append(section)
        names.append(a.slide.name)
    if len(sections) < 2:
        return out
    stack = solved(sections, pairs)
    for at, name in enumerate(names[1:], start=1):
        alignment = stack.alignment(at, settings)
        found = write_alignment(sections[0], sections[at], alignment, settings, folders[name])
        out[name] = Brought(alignment=alignment, found=found | _told_of_way(stack, at, names))
    return out


def _section(a: SlideArgument, settings: AlignmentSettings) -> Section:
    with opened(a) as slide:
        return section_of_slide(slide, a.nuclear, settings)


def _told_of_way(stack: Stack, at: int, names: Sequence[str]) -> Found:
    """Sections on the way, why the pair itself was not used, and what other ways disagree by."""
    own = stack.pairs[0, at]
    between = [names[k] for k in stack.ways[at][1:-1]]
    loops = [
        away
        for (i, j), away in stack.loop_um.items()
        if at in {i, j} and np.isfinite(away) and not _on_a_way(stack, i, j)
    ]
    return {
        "by_way_of": between,
        "own_p90_um": number(own.error.p90_um),
        "own_reasons": list(own.reasons),
        "other_ways_differ_um": max(loops) if loops else None,
    }


def _on_a_way(stack: Stack, i: int, j: int) -> bool:
    """Whether a pair is a step of a way that was chosen: it agrees with itself."""
    return any({i, j} == {here, there} for way in stack.ways for here, there in pairwise(way))


def why_by_way(found: Found) -> str:
    """Why a section was brought to the H&E by way of others; empty where it was not."""
    between = found.get("by_way_of")
    if not between:
        return ""
    if found["own_reasons"]:
        why = f"its own pair with the H&E was refused: {'; '.join(found['own_reasons'])}"
    else:
        why = f"its own pair with the H&E has a predicted p90 of {found['own_p90_um']:.0f} µm"
    return f"aligned by way of {', '.join(between)}; {why}"
