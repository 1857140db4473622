"""Whether each element of a de-identified file is what its action in the table leaves of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset

from metasight.deidentify.actions import safe_private
from metasight.deidentify.originals import Originals, tags_of_the_table

_PSEUDONYM = re.compile(r"[PX][a-z2-7]{12,16}")
_REGION = re.compile(r"[A-Za-z0-9 _.+-]{0,32}")
_METHODS = {"113100", "113107", "113108", "113111"}
_OWN_UID = re.compile(r"2\.25\.[1-9]\d{0,38}")


@dataclass(frozen=True, kw_only=True)
class Departure:
    """An element that is not as its action says.

    Attributes
    ----------
    where
        Its tag.
    what
        In words; its value is not shown.
    """

    where: str
    what: str


def departures(data: FileDataset, originals: Originals) -> Iterator[Departure]:
    """Elements at any depth that are not as the table says, and marks that are missing.

    Parameters
    ----------
    data
        Read from the output.
    originals
        What stood in the source.
    """
    for element in data.iterall():
        told = _departure(element, originals)
        if told:
            yield Departure(where=str(element.tag), what=told)
    yield from _marks(data)
    yield from _outside(data)


def _departure(element: DataElement, originals: Originals) -> str:
    tag = element.tag
    if tag.is_private:
        return _private(element)
    if tag.group & 0xFF00 in {0x5000, 0x6000}:
        return "a curve or an overlay"
    if tag.element == 0 or not dictionary_has_tag(tag):
        return "an element that the standard does not know"
    texts = _texts(element)
    if element.VR == "UI":
        return _uids(element, texts)
    basic, dates, person = tags_of_the_table().get(f"{int(tag):08X}", ("", "", ""))
    if not basic or dates or person:
        return ""  # dates are held against the source's by the search
    filled = bool(texts) and any(texts)
    if element.VR == "SQ":
        return "a sequence that is to be removed" if basic in {"X", "X/D", "X/Z/D"} else ""
    if basic == "X":
        return "an element that is to be removed"
    if basic in {"Z", "X/Z"} and filled and not _is_dummy(texts):
        return "an element that is to be empty"
    if filled and set(texts) & originals.values.get(int(tag), set()) and not _is_region(element):
        return "an element that has its old value"
    return ""


def _is_region(element: DataElement) -> bool:
    return element.keyword == "ROIName" and bool(_REGION.fullmatch(str(element.value)))


def _is_dummy(texts: list[str]) -> bool:
    return all(_PSEUDONYM.fullmatch(t) or _REGION.fullmatch(t) for t in texts)


def _uids(element: DataElement, texts: list[str]) -> str:
    if element.keyword in {"SOPClassUID", "ReferencedSOPClassUID"}:
        return ""
    public = ("1.2.840.10008.", "2.16.840.1.113883.6.")
    old = [t for t in texts if t and not t.startswith(public)]
    return "" if all(_OWN_UID.fullmatch(t) for t in old) else "a UID that was not replaced"


def _private(element: DataElement) -> str:
    tag = element.tag
    if tag.is_private_creator:
        creators = {(s.group, s.creator) for s in safe_private().values()}
        known = (tag.group, str(element.value)) in creators
        return "" if known else "a private block that is not on the list"
    creator = str(element.private_creator or "")
    known = (tag.group, creator, tag.element & 0xFF) in safe_private()
    return "" if known else "a private element that is not on the list"


def _marks(data: FileDataset) -> Iterator[Departure]:
    codes = {str(c.CodeValue) for c in data.get("DeidentificationMethodCodeSequence") or []}
    wanted = {
        "PatientIdentityRemoved": "YES",
        "LongitudinalTemporalInformationModified": "MODIFIED",
    }
    for keyword, value in wanted.items():
        if data.get(keyword) != value:
            yield Departure(where=keyword, what=f"is not {value}")
    if not codes >= _METHODS or not data.get("DeidentificationMethod"):
        yield Departure(where="DeidentificationMethod", what="does not say how")


def _outside(data: FileDataset) -> Iterator[Departure]:
    if data.preamble is None or any(data.preamble):
        yield Departure(where="preamble", what="is not zero")
    meta = data.file_meta
    if meta.get("MediaStorageSOPInstanceUID") != data.get("SOPInstanceUID"):
        yield Departure(where="file meta", what="has another SOPInstanceUID")
    allowed = {0x00, 0x01, 0x02, 0x03, 0x10, 0x12, 0x13}
    for element in meta:
        if element.tag.element not in allowed:
            yield Departure(where=str(element.tag), what="an element that is to be removed")


def _texts(element: DataElement) -> list[str]:
    value = element.value
    if value is None or element.VR == "SQ":
        return []
    many = value if element.VM > 1 else [value]
    return [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in many]
