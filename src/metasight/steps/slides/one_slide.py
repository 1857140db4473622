"""One slide of a study, and how it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from metasight.cohort.slide_table import SlideRow
from metasight.protocol.markers import MarkerNames
from metasight.slides.opening import ReaderName, open_slide
from metasight.slides.reader import PyramidReader, ReadAs


@dataclass(frozen=True, kw_only=True)
class SlideArgument:
    """One slide and how it is opened.

    Attributes
    ----------
    slide
        A row of the table of slides.
    reader
        What opens it.
    nuclear
        Nuclear channel of fluorescence.
    channels
        Channel as files name it, or its number → marker, as the study says.
    """

    slide: SlideRow
    reader: ReaderName
    nuclear: str = "DAPI"
    channels: Mapping[str, str] = field(default_factory=dict)


def opened(argument: SlideArgument, markers: Sequence[MarkerNames] = ()) -> PyramidReader:
    """The slide under its study name, with the study's reader and resolution.

    Its channels are called as the study calls them: by its mapping, else by the nuclear channel
    and the spellings of ``markers``.
    """
    row = argument.slide
    known = {argument.nuclear: argument.nuclear, **{m: m for m in row.markers}}
    known |= {spelled: m.name for m in markers for spelled in (m.name, *m.spellings)}
    return open_slide(
        row.path,
        name=row.name,
        reader=argument.reader,
        read_as=ReadAs(
            mpp=row.mpp,
            replaces_mpp=row.replaces_mpp,
            picture=row.picture,
            channels=argument.channels,
            spellings=known,
        ),
    )
