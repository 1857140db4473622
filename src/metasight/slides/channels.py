"""Names of a fluorescence slide's channels: as the file has them, and as the study calls them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

from metasight.protocol.markers import plain_name
from metasight.slides.reader import ReadAs
from metasight.slides.vocabulary import channel

_SEPARATOR = re.compile(r"[\W_]")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


def named_channels(found: Sequence[str], read_as: ReadAs) -> tuple[str, ...]:
    """What the study calls each channel.

    Parameters
    ----------
    found
        Names in the file's order; empty where the file has none.
    read_as
        With the study's mapping, which goes before the usual spellings. In it an exact name goes
        before one that agrees in all but capitals, separators and fluorophore, and that before a
        number.

    Returns
    -------
    For each channel the name given to it; else its own where it is made of known words of
    microscopy, and ``channel_3`` where it may be anything.
    """
    given = read_as.channels
    named = {key: name for key, name in given.items() if not key.strip().isdigit()}
    plain, spelled = _plainly(named), _plainly(read_as.spellings)
    names = []
    for number, text in enumerate(found, start=1):
        own = given.get(str(number))
        if text:
            bare = _bare(text)
            own = named.get(text) or plain.get(bare) or own or spelled.get(bare)
        names.append(own or channel(text, number))
    return tuple(names)


def _plainly(given: Mapping[str, str]) -> dict[str, str]:
    return {_bare(key): name for key, name in given.items()}


def _bare(text: str) -> str:
    """`plain_name`, which keeps a dye's name as it is where nothing else stands beside it."""
    plain = plain_name(text)
    return _SEPARATOR.sub("", plain) or plain


def ome_channels(pixels: Any) -> list[str]:
    """Names in an OME-XML ``Pixels`` element."""
    elements = [e for e in pixels if e.tag.rpartition("}")[2] == "Channel"]
    return [e.get("Name") or e.get("Fluor") or "" for e in elements]


def qptiff_channels(descriptions: Sequence[str]) -> list[str]:
    """Names that Akoya's scanners write into the XML of each page.

    ``Biomarker`` is what the operator stained for, ``Name`` the filter or dye.
    """
    names = []
    for text in descriptions:
        try:
            root = ET.fromstring(_DECLARATION.sub("", text))  # noqa: S314  expat: no external entity
        except ET.ParseError:
            names.append("")
            continue
        names.append(next((t for tag in ("Biomarker", "Name") if (t := root.findtext(tag))), ""))
    return names


def imagej_channels(metadata: Mapping[str, Any]) -> list[str]:
    """Labels that ImageJ keeps of the planes of a stack."""
    labels = metadata.get("Labels")
    if isinstance(labels, str):
        labels = [labels]
    return [str(one) for one in labels] if isinstance(labels, list | tuple) else []
